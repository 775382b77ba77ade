"""The folder that is handed out: what lies in it, what does not, and the record that stays in the run."""

import base64
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.reviews import painted_case, write_painted_review

from polypda.cohorts.images import read_image
from polypda.errors import DataError, UsageError
from polypda.integrity import faults, recorded_names
from polypda.review.contours import mask_path, stroke_rules
from polypda.review.folder import read_masks, require_untouched
from polypda.review.frames import entropy, shown_image, shown_whole, uncertainty_image, without_metadata
from polypda.review.orderings import Candidate, Order, choose, worth
from polypda.review.record import find_record, prediction_hash, read_key, read_record
from polypda.review.spreadsheets import spreadsheet


def test_what_is_handed_out_and_what_stays(tmp_path) -> None:
    record = write_painted_review(tmp_path, 3, panels=True)
    page, kept = tmp_path / "page", find_record(tmp_path / "run", record.review)
    assert {path.name for path in page.iterdir()} == {
        "index.html", "README.html", "cases.json", "cases.csv", "frames", "uncertainty", "panels", "checksums.sha256",
    }  # fmt: skip
    assert len(list((page / "frames").iterdir())) == 3, "each frame once"
    assert "panels/0003.png" in recorded_names(page) and not list(faults(page))
    assert read_record(page) == record == read_record(kept)
    assert Image.open(page / "panels" / "0001.png").width > 4 * 500
    for number, case in enumerate(record.cases):
        masks = read_masks(kept, case)
        painted = painted_case(tmp_path / "run", tmp_path / "again", number)
        assert np.array_equal(masks["after"], painted.after & painted.field)
        assert np.array_equal(masks["before"], painted.before & painted.field)
    assert pd.read_csv(page / "cases.csv", encoding="utf-8-sig")["frame"].tolist() == [c.frame for c in record.cases]


def test_nothing_of_this_machine_is_in_it(tmp_path) -> None:
    write_painted_review(tmp_path, 2)
    for path in (tmp_path / "page").rglob("*"):
        if path.suffix in (".html", ".json", ".csv"):
            assert str(tmp_path) not in path.read_text() and "/tmp" not in path.read_text()


def test_the_record_notices_one_flipped_bit(tmp_path) -> None:
    record = write_painted_review(tmp_path, 2, blinded=True)
    kept = find_record(tmp_path / "run", record.review)
    require_untouched(tmp_path / "page", kept)
    handed_out = next((kept / "handed-out").glob("*.json"))
    for path, read in (
        (kept / "cases.json", lambda: read_record(kept)),
        (kept / "key.json", lambda: read_key(kept)),
        (kept / "checksums.sha256", lambda: read_record(kept)),
        (handed_out, lambda: require_untouched(tmp_path / "page", kept)),
    ):
        read()
        data = path.read_bytes()
        for place in range(0, len(data), max(1, len(data) // 40)):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            if path.name == "checksums.sha256" and place > data.index(b"cases.json") + 10:
                continue  # of another file
            with pytest.raises(DataError, match="E_REVIEW_RECORD"):
                read()
        path.write_bytes(data)


def test_the_record_notices_another_mask(tmp_path) -> None:
    record = write_painted_review(tmp_path, 1)
    kept = find_record(tmp_path / "run", record.review)
    path = kept / "masks" / f"{record.cases[0].case}.png"
    Image.fromarray(np.zeros((144, 192), np.uint8)).save(path)
    with pytest.raises(DataError, match="E_REVIEW_RECORD"):
        read_masks(kept, record.cases[0])
    (kept / "cases.json").write_text('{"half')
    with pytest.raises(DataError, match="E_REVIEW_RECORD"):
        read_record(kept)
    with pytest.raises(DataError, match="E_REVIEW_UNKNOWN"):
        find_record(tmp_path / "run", "f" * 12)


def test_a_second_page_of_the_same_predictions_is_the_same_review(tmp_path) -> None:
    first = write_painted_review(tmp_path, 2)
    kept = find_record(tmp_path / "run", first.review)
    (kept / "imported").mkdir()
    with pytest.raises(DataError, match="E_REPORT_EXISTS"):
        write_painted_review(tmp_path, 2)
    (tmp_path / "page").rename(tmp_path / "former")
    assert write_painted_review(tmp_path, 2).review == first.review and (kept / "imported").is_dir()


def test_nothing_is_left_where_a_frame_cannot_be_read(tmp_path) -> None:
    from polypda.review.folder import ReviewPlan, write_review

    def cases():
        yield painted_case(tmp_path / "run", tmp_path / "images", 0)
        lost = painted_case(tmp_path / "run", tmp_path / "images", 1)
        lost.frame.image.unlink()
        yield lost

    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match="E_IMAGE_MISSING"):
        write_review(tmp_path / "page", cases(), ReviewPlan({"before": "a", "after": "b"}, "test", "worst"))
    assert {path.name for path in tmp_path.iterdir()} == {"run", "images"} and not list((tmp_path / "run").iterdir())


def test_a_blinded_folder_does_not_tell_which_is_which(tmp_path) -> None:
    record = write_painted_review(tmp_path, 12, blinded=True, panels=True)
    told = [path for path in (tmp_path / "page").rglob("*") if path.suffix in (".html", ".json", ".csv")]
    text = "".join(path.read_text() for path in told)
    for word in ("source-only", "adaptsegnet", 'dice_after":0', 'worth_after":', "weights-before", "key.json"):
        assert word not in text, word
    key = json.loads((tmp_path / "run" / "reviews" / record.review / "key.json").read_text())
    assert set(key["a_is"].values()) == {"before", "after"}
    again = write_painted_review(tmp_path / "again", 12, blinded=True)
    assert again.review != record.review, "the lots were drawn anew"


def jpeg_with_everything(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "Name: Wang Wu, born 1950"
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, exif=exif, comment=b"ward 7", progressive=True)
    return buffer.getvalue() + b"hidden behind the end"


def test_a_jpeg_keeps_its_pixels_and_loses_all_else(tmp_path) -> None:
    case = painted_case(tmp_path, tmp_path / "images", 0, jpeg=True)
    data = jpeg_with_everything(case.pixels)
    case.frame.image.write_bytes(data)
    pixels = read_image(case.frame.image)
    bare, suffix = shown_image(case.frame, pixels)
    assert suffix == ".jpg" and bare == without_metadata(data) and len(bare) < len(data)
    assert not any(word in bare for word in (b"Wang", b"ward 7", b"hidden", b"Exif"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(bare)).convert("RGB")), pixels)
    assert without_metadata(data[: len(data) // 2]) is None


@pytest.mark.parametrize("jpeg", [True, False])
def test_a_frame_lies_whole_in_an_svg_that_cannot_be_cut(tmp_path, jpeg: bool) -> None:
    case = painted_case(tmp_path, tmp_path / "images", 0, jpeg=jpeg)
    content, suffix = shown_image(case.frame, case.pixels)
    data = shown_whole(content, suffix, case.pixels.shape)
    root = ElementTree.fromstring(data)
    assert (root.get("width"), root.get("height")) == ("192", "144")
    kind, _, inside = root[0].get("href").partition(";base64,")
    assert kind == ("data:image/jpeg" if jpeg else "data:image/png") and base64.b64decode(inside) == content
    for cut in (data[:-9], data[: len(data) // 2], data[: len(data) // 2] + bytes(len(data) // 2)):
        with pytest.raises(ElementTree.ParseError):
            ElementTree.fromstring(cut)


def test_other_images_become_bare_png(tmp_path) -> None:
    case = painted_case(tmp_path, tmp_path / "images", 0)
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Comment", "Wang Wu")
    Image.fromarray(case.pixels).save(case.frame.image, pnginfo=told)
    data, suffix = shown_image(case.frame, case.pixels)
    assert suffix == ".png" and b"Wang" not in data
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), case.pixels)


def test_paths_follow_the_mask_within_half_a_pixel() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    mask[15:20, 30:35] = False
    path = mask_path(mask)
    assert path.count("M") == path.count("Z") == 2 and mask_path(np.zeros((4, 4), bool)) == ""
    values = np.array(re.findall(r"-?[\d.]+", path), float).reshape(-1, 2)
    assert values[:, 0].min() == pytest.approx(20, abs=0.5) and values[:, 0].max() == pytest.approx(50, abs=0.5)
    assert values[:, 1].min() == pytest.approx(10, abs=0.5) and values[:, 1].max() == pytest.approx(30, abs=0.5)
    assert len(values) < 60, "straight edges need few points"


def test_the_page_draws_by_the_rules_of_the_overlays() -> None:
    from polypda.reporting.overlays.frame_overlay import AFTER, BEFORE, REFERENCE

    rules = stroke_rules()
    for name, stroke in (("reference", REFERENCE), ("before", BEFORE), ("after", AFTER)):
        assert rules[name]["colour"] == "#{:02x}{:02x}{:02x}".format(*stroke.colour)
        assert rules[name]["width"] == stroke.width_px and rules[name]["casing"] == stroke.casing_px


def test_uncertainty_is_a_image_of_its_own_in_cividis() -> None:
    values = entropy(np.array([[0.0, 0.5, 1.0, 0.9]], np.float32))
    assert values[0] == pytest.approx([0, 1, 0, 0.469], abs=1e-3)
    content, shape = uncertainty_image(values)
    image = Image.open(io.BytesIO(content)).convert("RGB")
    assert shape == values.shape
    assert image.getpixel((0, 0)) == (0, 34, 78) and image.getpixel((1, 0)) == (254, 232, 56)


def candidates() -> list[Candidate]:
    worths = [(0.5, 0.9), (0.8, 0.2), (0.6, 0.5), (0.3, 0.75), (float("nan"), float("nan"))]
    return [
        Candidate(
            "run",
            "c",
            str(n),
            sequence=f"s{n // 2}",
            worth_before=b,
            worth_after=a,
            disagreement=0.1 * n,
            uncertainty=-n,
        )
        for n, (b, a) in enumerate(worths)
    ]


@pytest.mark.parametrize(
    ("order", "first"),
    [("worst", "123"), ("improved", "302"), ("harmed", "120"), ("disagreement", "432"), ("uncertain", "012")],
)
def test_orders(order: str, first: str) -> None:
    found = choose(candidates(), Order(order), 3, every_frame=True, seed=0)
    assert "".join(one.frame for one in found) == first


def test_one_frame_of_a_sequence_and_the_same_shuffle() -> None:
    found = choose(candidates(), Order.WORST, 9, every_frame=False, seed=0)
    assert [one.frame for one in found] == ["1", "2", "4"]
    shuffled, again = (
        choose(given, Order.RANDOM, 5, every_frame=True, seed=3) for given in (candidates(), candidates()[::-1])
    )
    assert [one.frame for one in shuffled] == [one.frame for one in again] != ["0", "1", "2", "3", "4"]
    unscored = [Candidate("run", "c", "0")]
    with pytest.raises(UsageError, match="E_REVIEW_ORDER"):
        choose(unscored, Order.WORST, 1, every_frame=True, seed=0)
    with pytest.raises(UsageError, match="E_REVIEW_COUNT"):
        choose(unscored, Order.RANDOM, 0, every_frame=True, seed=0)


def test_worth_of_frames_with_and_without_a_polyp() -> None:
    assert worth(0.7, 0.5) == 0.7
    assert worth(float("nan"), 0.0) == 1.0 and worth(float("nan"), 0.2) == 0.0


def test_the_hash_does_not_tell_the_order() -> None:
    one, two = np.eye(8, dtype=bool), np.ones((8, 8), bool)
    assert prediction_hash(one, two) == prediction_hash(two, one) != prediction_hash(one, one)
    assert prediction_hash(one.reshape(4, 16), two.reshape(4, 16)) != prediction_hash(one, two)


def test_no_cell_of_a_table_is_a_formula() -> None:
    text = spreadsheet(pd.DataFrame({"note": ["=1+1", "@x", "-2", "fine"], "value": [-1, -2, -3, -4]}))
    assert text.startswith("\ufeff") and [row.split(",")[0] for row in text.split("\r\n")[1:5]] == [
        "'=1+1", "'@x", "'-2", "fine",
    ]  # fmt: skip
    assert text.split("\r\n")[1].endswith(",-1")
