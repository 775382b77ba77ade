"""An import as a whole: whole or not at all, the source untouched."""

import json

import numpy as np
import pytest
from importing.painted_sources import HEIGHT, WIDTH, encoded, frame, lines, mask, put, run_import, snapshot, write_pairs

from polypda.cohorts.images import read_mask
from polypda.cohorts.manifest import MaskColours
from polypda.cohorts.opening import open_cohort
from polypda.errors import DataError, UsageError
from polypda.importing.writing.documents import manifest_yaml, new_manifest


def test_a_folder_of_pairs_becomes_a_cohort_and_is_not_touched(tmp_path):
    source = write_pairs(tmp_path / "src")
    before = snapshot(source)
    result = run_import(source, tmp_path / "root")
    assert snapshot(source) == before
    folder = tmp_path / "root" / "ward-7"
    assert result.folder == folder and result.summary.taken == 3 and result.summary.everything_taken
    assert (folder / "images/a.jpg").read_bytes() == (source / "images/a.jpg").read_bytes()
    assert np.array_equal(read_mask(folder / "masks/a.png"), mask() // 255)
    assert (folder / "frames.csv").read_text() == (
        "frame,patient,sequence,split,label_state\na,,,,mask\nb,,,,mask\nc,,,,mask\n"
    )
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["ward-7"]


def test_what_cannot_be_taken_is_told_and_the_rest_is_written(tmp_path):
    source = write_pairs(tmp_path / "src")
    whole = encoded(frame(1))
    put(source / "images/b.jpg", whole[: len(whole) // 2])
    put(source / "masks/c.png", mask((HEIGHT, WIDTH - 8)))
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {"E_IMAGE_TRUNCATED": ["images/b.jpg"], "E_MASK_SIZE": ["images/c.jpg"]}
    assert [path.name for path in (result.folder / "images").iterdir()] == ["a.jpg"]
    assert [path.name for path in (result.folder / "masks").iterdir()] == ["a.png"]
    kept = json.loads((result.folder / "import.json").read_text())
    assert (kept["files"], kept["taken"], kept["left_out"]) == (6, 1, {"E_IMAGE_TRUNCATED": 1, "E_MASK_SIZE": 1})
    assert "4 px left and right" in kept["lines"][1]["what"]


def test_nothing_of_this_machine_is_written(tmp_path):
    source = write_pairs(tmp_path / "src")
    put(source / "images/d.jpg", b"no picture")
    folder = run_import(source, tmp_path / "root").folder
    texts = [path.read_text() for path in folder.rglob("*") if path.suffix in (".json", ".csv", ".yaml")]
    assert len(texts) == 3 and not any(str(tmp_path) in text for text in texts)


def test_a_cohort_that_is_there_is_not_replaced(tmp_path):
    source = write_pairs(tmp_path / "src")
    folder = run_import(source, tmp_path / "root").folder
    before = snapshot(folder)
    with pytest.raises(DataError, match="E_COHORT_EXISTS"):
        run_import(source, tmp_path / "root")
    assert snapshot(folder) == before


def test_update_adds_what_is_new_and_keeps_what_is_there(tmp_path):
    folder = run_import(write_pairs(tmp_path / "one"), tmp_path / "root").folder
    put(folder / "ignore/a.png", mask())
    before = snapshot(folder)
    more = write_pairs(tmp_path / "two", ("c", "d"))
    result = run_import(more, tmp_path / "root", update=True)
    after = snapshot(folder)
    assert lines(result) == {"N_FRAME_THERE": ["images/c.jpg"]} and result.summary.everything_taken
    kept = {path: told for path, told in before.items() if path.split("/")[0] in ("images", "masks", "ignore")}
    assert kept.items() <= after.items() and "images/d.jpg" in after
    assert [row.split(",")[0] for row in (folder / "frames.csv").read_text().split()] == ["frame", "a", "b", "c", "d"]
    assert json.loads((folder / "import.json").read_text())["former"][0]["taken"] == 3


@pytest.mark.parametrize("kind", ["PNG", "gif", "webp", "Tif"])
def test_update_keeps_labels_whatever_their_files_are_called(tmp_path, kind):
    folder = tmp_path / "root" / "ward-7"
    for number in (1, 2):
        put(folder / f"images/{number}.{kind}", encoded(frame(number), "tiff" if kind == "Tif" else kind))
        options = {"lossless": True} if kind == "webp" else {}
        put(folder / f"masks/{number}.{kind}", encoded(mask(), "tiff" if kind == "Tif" else kind, **options))
    result = run_import(write_pairs(tmp_path / "more", ("a",)), tmp_path / "root", update=True)
    assert {record.frame: (record.label_state, record.polyp) for record in result.records} == dict.fromkeys(
        "12a", ("mask", True)
    )
    opened = open_cohort("ward-7", tmp_path / "root")
    assert {one.frame: one.label_state for one in opened.frames} == dict.fromkeys("12a", "mask")
    assert all(read_mask(one.mask, one.fellows).any() for one in opened.frames)


@pytest.mark.parametrize(
    ("drawn", "code"), [("any", None), ("one", "E_MASK_CLASS"), ("red", "E_MASK_CLASS"), ("unit", "E_MASK_SCALE")]
)
def test_update_joins_only_masks_that_can_be_read_together(tmp_path, drawn, code):
    folder = tmp_path / "root" / "ward-7"
    colours = {"red": [(255, 0, 0)] * 2, "unit": [(1, 1, 1)] * 2}.get(drawn, [(255, 0, 0), (0, 255, 0)])
    for number, colour in enumerate(colours):
        put(folder / f"images/{number}.png", frame(number))
        put(folder / f"masks/{number}.png", (mask()[..., None] > 0) * np.uint8(colour))
    manifest = new_manifest("ward-7").model_copy(
        update={"mask_colours": MaskColours.ANY if drawn == "any" else MaskColours.ONE}
    )
    (folder / "manifest.yaml").write_text(manifest_yaml(manifest))
    before = snapshot(folder)
    more = write_pairs(tmp_path / "more", ("a",))
    if code is None:
        run_import(more, tmp_path / "root", update=True)
    else:
        with pytest.raises(DataError, match=code):
            run_import(more, tmp_path / "root", update=True)
        assert snapshot(folder) == before
    if drawn != "one":  # else it could not be read before
        assert all(read_mask(one.mask, one.fellows).any() for one in open_cohort("ward-7", tmp_path / "root").frames)


def test_interrupted_or_failed_imports_leave_nothing(tmp_path, monkeypatch):
    source = write_pairs(tmp_path / "src")
    from polypda.importing.writing import cohort_writer

    for error in (KeyboardInterrupt, OSError(28, "no space left")):

        def fail(_pixels, error=error):
            raise error

        monkeypatch.setattr(cohort_writer, "encode_mask", fail)
        with pytest.raises((KeyboardInterrupt, OSError)):
            run_import(source, tmp_path / "root")
        assert not (tmp_path / "root").exists()


def test_dry_run_and_strict_write_nothing(tmp_path):
    source = write_pairs(tmp_path / "src")
    assert run_import(source, tmp_path / "root", dry_run=True).summary.taken == 3
    put(source / "images/d.jpg", b"")
    strict = run_import(source, tmp_path / "root", strict=True)
    assert strict.folder is None and lines(strict) == {"E_IMAGE_EMPTY_FILE": ["images/d.jpg"]}
    assert not (tmp_path / "root").exists()


def test_wrong_requests(tmp_path):
    source = write_pairs(tmp_path / "src")
    with pytest.raises(UsageError, match="E_COHORT_ID"):
        run_import(source, tmp_path / "root", "Ward 7")
    with pytest.raises(UsageError, match="E_OUT_INSIDE_SOURCE"):
        run_import(source, source / "root")
    with pytest.raises(DataError, match="E_SOURCE_ABSENT"):
        run_import(tmp_path / "gone", tmp_path / "root")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="E_SOURCE_EMPTY"):
        run_import(tmp_path / "empty", tmp_path / "root")
    with pytest.raises(UsageError, match="Did you mean 'folders'"):
        run_import(source, tmp_path / "root", format="folder")
    assert not (tmp_path / "root").exists() and sorted(path.name for path in source.iterdir()) == ["images", "masks"]


def test_a_wrong_manifest_is_told_before_anything_is_read(tmp_path):
    folder = run_import(write_pairs(tmp_path / "one"), tmp_path / "root").folder
    (folder / "manifest.yaml").write_text("id: [")
    with pytest.raises(DataError, match="E_MANIFEST_YAML"):
        run_import(write_pairs(tmp_path / "two", ("x",)), tmp_path / "root", update=True)
    (folder / "manifest.yaml").unlink()
    (folder / "import.json").write_text("edited")
    (folder / "frames.csv").write_text("frame\na\nb\nc\n")
    assert len(run_import(tmp_path / "two", tmp_path / "root", update=True).records) == 4


def test_a_split_that_divides_a_patient_is_told(tmp_path):
    source = write_pairs(tmp_path / "src")
    put(source / "groups.csv", b"frame,patient,split\na,p1,train\nb,p1,test\nc,p2,val\n")
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {"W_SPLIT_LEAK": ["src"]}
    assert "patient p1 lies in train (frame a), test (frame b)" in result.summary.lines[0].what


def test_what_an_import_writes_can_be_opened(tmp_path):
    """Modes in words of all kinds, endless names, boxes that rounding leaves nothing of."""
    modes = {
        "a": "Narrow band (NBI)",
        "b": "white light imaging HD",
        "c": "TXI",
        "d": "WL / NBI",
        "e": "all",
        "f": "白光模式",
    }
    for number, name in enumerate(modes):
        put(tmp_path / f"src/images/{name}.png", frame(number))
    table = "".join(f"{name},{mode}\n" for name, mode in modes.items())
    put(tmp_path / "src/frames.csv", f"frame,mode\n{table}".encode())
    put(tmp_path / "src/boxes.csv", b"frame,x0,y0,x1,y1\na,1,1,9,9\nb,5.001,5,5.004,9\n")
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert lines(result) == {"E_BOX_WRONG": ["images/b.png"], "W_MODE_UNKNOWN": ["images/d.png", "images/e.png"]}
    opened = open_cohort("ward-7", tmp_path / "root")
    assert {one.frame: one.mode for one in opened.frames} == {"a": "NBI", "c": "TXI", "d": None, "e": None, "f": "WL"}

    images = [
        {"id": n, "file_name": f"images/{name}.png", "width": WIDTH, "height": HEIGHT} for n, name in enumerate("ab")
    ]
    images[0] |= {"patient": "P" * 2000, "mode": "NBI"}
    images[1] |= {"patient": "P1", "mode": "some light"}
    drawn = [{"id": n, "image_id": n, "category_id": 1, "bbox": [2, 2, 9, 9]} for n in (0, 1)]
    told = {"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "polyp"}]}
    put(tmp_path / "coco/all.json", json.dumps(told).encode())
    for number, name in enumerate("ab"):
        put(tmp_path / f"coco/images/{name}.png", frame(number))
    result = run_import(tmp_path / "coco", tmp_path / "root", "ward-8")
    assert lines(result) == {"E_FIELD_LONG": ["images/a.png"], "W_MODE_UNKNOWN": ["images/b.png"]}
    assert [one.frame for one in open_cohort("ward-8", tmp_path / "root").frames] == ["b"]
