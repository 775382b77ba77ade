"""Whose picture a prediction is shown on: the one that was predicted, as it was predicted, or none."""

import base64
import csv
import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.painted import paint
from support.reviews import decisions_document, write_decisions

from polypda.cohorts.images import decode_image
from polypda.errors import DataError
from polypda.integrity import sha256_of
from polypda.prediction.outputs import COLUMNS
from polypda.training.progress import Silent
from polypda.workflows.review.build import ReviewWish, build_review
from polypda.workflows.review.correct import correct
from polypda.workflows.review.predicted import PredictedFolder
from polypda.workflows.review.receive import receive
from polypda.workflows.runs.paths import Paths

TURNED_RIGHT = 6
PLACES = Paths(Path("data"), Path("cache"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def put(path: str, number: int, orientation: int = 1, **how) -> np.ndarray:
    """A painted picture; returns the mask of what is seen on it upright."""
    pixels, mask = paint(number)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **how)
    return np.rot90(mask, -1) if orientation == TURNED_RIGHT else mask


def predict(folder: str, lines: list[dict], *, told: bool = True) -> PredictedFolder:
    """As `polypda predict` leaves it. lines: input, name, picture, mask, further columns. told: with the SHA-256."""
    out = Path(folder)
    (out / "masks").mkdir(parents=True)
    columns = [name for name in COLUMNS if told or name != "input_sha256"]
    with (out / "predictions.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        for line in lines:
            name = line["name"]
            Image.fromarray((line["marked"] > 0).astype(np.uint8) * 255).save(out / "masks" / f"{name}.png")
            digest = sha256_of(Path(line["picture"])) if line.get("kind", "image") in ("image", "cohort") else ""
            table.writerow({"kind": "image", "mask": f"masks/{name}.png", "input_sha256": digest, **line})
    (out / "prediction.json").write_text(json.dumps({"settings": {"model": "ab" * 32}}))
    return PredictedFolder(out)


def build(out: str = "page", images: str | None = None):
    wish = ReviewWish(panels=False)
    return build_review([Path("P")], Path(out), wish, PLACES, Silent(), images=None if images is None else Path(images))


def shown(record, frame: str) -> np.ndarray:
    """What the page shows of a frame."""
    (case,) = [one for one in record.cases if one.frame == frame]
    link = re.search(r"base64,([^\"]+)", (Path("page") / case.image).read_text())
    assert link
    return np.asarray(Image.open(BytesIO(base64.b64decode(link[1]))))


def two_of_one_stem(*, told: bool = True) -> None:
    lines = [
        {"input": f"frames/{part}/1.png", "name": f"{part}-1", "picture": f"all/frames/{part}/1.png"} for part in "ab"
    ]
    for number, line in enumerate(lines):
        line["marked"] = put(line["picture"], number)
    predict("P", lines, told=told)


@pytest.mark.parametrize("told", [True, False], ids=["SHA-256", "of an earlier version"])
def test_pictures_of_one_stem_are_told_apart(told):
    two_of_one_stem(told=told)
    put("all/1.png", 7)  # nearer to the top, and last in no order
    put("all/z/1.png", 8)
    record = build(images="all")
    for number, part in enumerate("ab"):
        assert (shown(record, f"{part}-1") == paint(number)[0]).all()
    for number, part in enumerate("ab"):  # the same pictures elsewhere: their SHA-256 tells which is which
        Path(f"all/frames/{part}").rename(f"all/{9 - number}")
    if told:
        assert len(build("again", images="all").cases) == 2
        return
    with pytest.raises(DataError, match=r"E_REVIEW_IMAGE.*may be any of .*1\.png.*does not tell its SHA-256"):
        build("again", images="all")


def test_a_picture_that_is_another_than_was_predicted_is_not_shown():
    two_of_one_stem()
    put("frames/a/1.png", 5)  # where the command is given, another cohort's
    put("frames/b/1.png", 6)
    for images in (None, "frames"):
        with pytest.raises(DataError, match=r"E_REVIEW_IMAGE.*not the one that was predicted \(SHA-256 differs\)"):
            build(images=images)
    for part in "ab":
        Path(f"frames/{part}/1.png").write_bytes(Path(f"all/frames/{part}/1.png").read_bytes())
    assert len(build().cases) == 2, "as the inputs' paths say"


def test_without_its_sum_a_picture_is_not_looked_for_where_the_command_happens_to_be_given():
    two_of_one_stem(told=False)
    for part in "ab":
        put(f"frames/{part}/1.png", 5)
    with pytest.raises(DataError, match=r"E_REVIEW_IMAGE.*not found"):
        build()


def test_frames_of_a_film_are_found_by_their_own_names_alone():
    marked = put("exported/v_000001.png", 1)
    put("exported/v.png", 2)  # its poster
    lines = [{"input": "v.mp4", "kind": "video", "name": "v_000001", "picture": "", "marked": marked}]
    folder = predict("P", lines)
    assert (shown(build(images="exported"), "v_000001") == paint(1)[0]).all()
    Path("exported/v_000001.png").unlink()
    with pytest.raises(DataError, match="E_REVIEW_IMAGE"):
        PredictedFolder(folder.folder, Path("exported")).frame("v_000001")


def test_two_lines_of_one_name_are_refused():
    marked = put("1.png", 1)
    predict("P", [{"input": "1.png", "name": "1", "picture": "1.png", "marked": marked}] * 2)
    with pytest.raises(DataError, match=r"E_REVIEW_PREDICTIONS.*two lines of predictions\.csv have one name"):
        build()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_turned_picture_is_shown_judged_and_corrected_upright(suffix):
    picture = f"r{suffix}"
    marked = put(picture, 3, TURNED_RIGHT, **({"quality": 95} if suffix == ".jpg" else {}))
    folder = predict("P", [{"input": picture, "name": "r", "picture": picture, "marked": marked}])
    stored = decode_image(Path(picture).read_bytes(), Path(picture))
    assert stored.shape[:2] == marked.shape[::-1] != marked.shape
    record = build()
    upright = np.rot90(stored, -1)
    assert (shown(record, "r") == upright).all()
    write_decisions(Path("li.json"), decisions_document(record, [{"decision": "reject"}]))
    received = receive([Path("li.json")], Path("P"), PLACES)
    (handed,) = (received.folder / "relabel" / "coco" / "images").iterdir()
    assert (np.asarray(Image.open(handed)) == upright).all()
    drawn = np.zeros(marked.shape, np.uint8)
    drawn[5:30, 8:20] = 255
    Path("drawn").mkdir()
    Image.fromarray(drawn).save(f"drawn/{handed.stem}.png")
    assert correct(Path("drawn"), Path("P"), PLACES).taken == ("r",)
    (mask,) = (received.folder / "accepted").iterdir()
    assert (np.asarray(Image.open(mask)) == drawn).all()
    assert (folder.pixels(folder.frame("r")) == upright).all()


def test_a_cohorts_frame_is_shown_as_it_is_stored():
    put("images/1.png", 3, TURNED_RIGHT)
    marked = paint(3)[1]
    lines = [{"input": "zju2/1", "kind": "cohort", "name": "1", "picture": "images/1.png", "marked": marked}]
    predict("P", lines)
    assert (shown(build(images="images"), "1") == paint(3)[0]).all()


def test_a_picture_that_was_exchanged_since_the_page_is_noticed_when_it_comes_back():
    for told in (True, False):
        name = "1" if told else "2"
        marked = put(f"in/{name}.png", 1)
        folder = Path(f"P{name}")
        predict(str(folder), [{"input": f"{name}.png", "name": name, "picture": f"in/{name}.png", "marked": marked}],
                told=told)  # fmt: skip
        wish = ReviewWish(panels=False)
        record = build_review([folder], Path(f"page{name}"), wish, PLACES, Silent(), images=Path("in"))
        write_decisions(Path("li.json"), decisions_document(record, [{"decision": "reject"}]))
        whole = Path(f"in/{name}.png").read_bytes()
        put(f"in/{name}.png", 2)
        with pytest.raises(DataError, match=r"E_REVIEW_IMAGE.*SHA-256 differs"):
            receive([Path("li.json")], folder, PLACES, images=Path("in"))
        Path(f"in/{name}.png").write_bytes(whole)
        assert receive([Path("li.json")], folder, PLACES, images=Path("in")).to_relabel == 1
    table = Path("P1/predictions.csv")  # predicted again, of another picture, with the same mask
    put("in/1.png", 2)
    table.write_text(table.read_text().replace(sha256_of(Path("in/2.png")), sha256_of(Path("in/1.png"))))
    with pytest.raises(DataError, match=r"E_REVIEW_STALE.*pictures are not those"):
        receive(list(Path("P1/reviews").glob("*/imported/files/*.json")), Path("P1"), PLACES, images=Path("in"))
