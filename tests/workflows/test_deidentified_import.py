"""Identifiers are planted in every place where they hide; after an import none is in any byte of the cohort."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.painted_screens import mucosa, octagon, write
from support.planted_exports import EXPORTS
from support.planted_identifiers import (
    BIRTH,
    FIRST_NAME,
    LONG_AGO_S,
    NAME,
    NUMBER,
    PLANTS,
    annotation_texts,
    dicom,
    found_in,
    jpeg,
    png,
    tiff,
    video,
    zipped,
)
from typer.testing import CliRunner

from polypda.cli.main import app
from polypda.cohorts.images import read_image, read_mask

HEIGHT, WIDTH = 360, 480
PANEL = (f"{NAME.upper()} {FIRST_NAME.upper()}", "12/03/1961", NUMBER)


def screen(seed: int, *, inside: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A processor's screen with a panel of text that begins on the border and runs into the mucosa; its text pixels."""
    rng = np.random.default_rng(seed)
    shape = octagon(HEIGHT, WIDTH, 90, 8)
    image = np.full((HEIGHT, WIDTH, 3), 8, np.uint8)
    image[shape] = mucosa(rng, HEIGHT, WIDTH)[shape]
    text = np.zeros((HEIGHT, WIDTH), bool)
    for number, line in enumerate(PANEL):
        text |= write(image, line, (8 if inside else 2, 150 + 22 * number), 0.5 if inside else 0.28)
    return image, text


def mask() -> bytes:
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[200:260, 300:380] = 255
    data = io.BytesIO()
    Image.fromarray(drawn).save(data, "PNG")
    return data.getvalue()


def planted_files() -> dict[str, bytes]:
    """A ward's folder: path → bytes."""
    home = f"{NAME}_{FIRST_NAME}/{BIRTH}"
    files = {
        f"{home}/images/{NUMBER}_1.jpg": jpeg(screen(1)[0]),
        f"{home}/images/{NUMBER}_2.png": png(screen(2)[0]),
        f"{home}/images/{NUMBER}_3.tif": tiff(screen(3)[0]),
        f"{home}/images/{NAME} 4.jpg": jpeg(screen(4)[0])[:-400] + b"cut",
        f"{home}/images/dark {NAME}.png": png(np.full((HEIGHT, WIDTH, 3), 6, np.uint8)),
        **{f"{home}/{name}": text.encode() for name, text in annotation_texts().items()},
    }
    for number in (1, 2, 3):
        files[f"{home}/masks/{NUMBER}_{number}.png"] = mask()
    rows = [["frame", "patient", "sequence", "t_s", "mode", "annotator"]]
    patient, sequence = f"{NAME}, {FIRST_NAME}", f"{BIRTH} a.m."
    rows += [[f"{NUMBER}_{n}", patient, sequence, f"{LONG_AGO_S + n}", NAME, NAME] for n in (1, 2, 3)]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    files[f"{home}/frames.csv"] = text.getvalue().encode()
    return files


def lay(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return folder


def state_of(source: Path) -> dict[str, tuple[bytes, float]]:
    """Every file's bytes and time."""
    files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime) for path in files}


def run(source: Path, index: Path, *options: str, cohort: str = "ward-7"):
    """The command, with key and crosswalk in a folder of their own; the outcome, and the cohort folder."""
    private = ("--key", str(index / "private" / "key"), "--crosswalk", str(index / "private" / "crosswalk.csv"))
    command = ["cohorts", "import", str(source), "--as", cohort, "--out", str(index / "data"), "--deidentify"]
    return CliRunner().invoke(app, [*command, *private, *options]), index / "data" / cohort


def names_of(index: Path, kind: str = "frame") -> dict[str, str]:
    """Original → pseudonym, of the crosswalk."""
    with (index / "private" / "crosswalk.csv").open(encoding="utf-8", newline="") as file:
        return {row["original"]: row["pseudonym"] for row in csv.DictReader(file) if row["kind"] == kind}


@pytest.fixture(scope="module", params=["folder", "zip"])
def ward(request, tmp_path_factory) -> tuple:
    """The planted files, imported once: the place, the outcome of the command, the cohort folder."""
    index = tmp_path_factory.mktemp(f"ward-{request.param}")
    if request.param == "zip":
        source = zipped(planted_files(), index / f"{NAME}-{NUMBER}.zip")
        os.utime(source, (LONG_AGO_S, LONG_AGO_S))
    else:
        source = lay(planted_files(), index / f"{NAME}-{NUMBER}")
    before = state_of(source)
    outcome, folder = run(source, index)
    assert state_of(source) == before
    return index, outcome, folder


def test_the_search_finds_every_plant_in_the_source(tmp_path):
    lay(planted_files(), tmp_path)
    found = found_in(tmp_path)
    assert set(found) == set(PLANTS)
    for suffix in ("1.jpg", "2.png", "3.tif"):  # by content: the files' own names hold only the number
        for plant in PLANTS:
            assert any(path.endswith(suffix) for path in found[plant])


def test_no_identifier_is_in_any_byte_of_the_cohort(ward):
    _, outcome, folder = ward
    assert outcome.exit_code == 3, outcome.output  # the truncated and the dark frame were left out
    assert len(list((folder / "images").iterdir())) == 3
    assert found_in(folder) == {}


def test_no_identifier_is_printed(ward):
    _, outcome, _ = ward
    inner = [line for line in outcome.output.splitlines() if any(plant.lower() in line.lower() for plant in PLANTS)]
    assert not inner


def test_nothing_is_left_beside_the_cohort(ward):
    index, _, folder = ward
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert {path.stat().st_mtime for path in [folder, *folder.rglob("*")]} == {946_684_800}
    assert sorted(path.name for path in (index / "private").iterdir()) == ["crosswalk.csv", "key"]


def test_images_hold_pixels_alone_and_no_text(ward):
    index, _, folder = ward
    names = names_of(index)
    for number in (1, 2, 3):
        image, text = screen(number)
        path = folder / "images" / f"{names[f'{NUMBER}_{number}']}.png"
        with Image.open(path) as opened:
            assert opened.format == "PNG" and not opened.info and not opened.getexif()
        written = read_image(path)
        assert written.shape == image.shape and not written[text].any()
        middle = (slice(180, 260), slice(250, 400))
        assert np.abs(written[middle].astype(int) - image[middle]).mean() < 4  # mucosa stays as it was


def test_ignored_regions_hide_the_text_and_little_else(ward):
    index, _, folder = ward
    names = names_of(index)
    shape = octagon(HEIGHT, WIDTH, 90, 8)
    for number in (1, 2, 3):
        text = screen(number)[1] & shape
        ignored = np.asarray(Image.open(folder / "ignore" / f"{names[f'{NUMBER}_{number}']}.png")) > 0
        assert ignored[text].mean() > 0.97  # the rest lies on the rim, which counts as outside
        assert ignored[shape].mean() < 0.12


def test_times_are_relative_and_modes_are_known_ones(ward):
    index, _, folder = ward
    with (folder / "frames.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["frame"]: row for row in csv.DictReader(file)}
    names = names_of(index)
    ordered = [rows[names[f"{NUMBER}_{number}"]] for number in (1, 2, 3)]
    assert [float(row["t_s"]) for row in ordered] == [0, 1, 2]
    assert [row["frame"] for row in ordered] == sorted(rows)
    assert all(not row.get("mode") for row in ordered)
    assert len({row["patient"] for row in ordered}) == len({row["sequence"] for row in ordered}) == 1


def test_the_report_tells_what_was_removed(ward):
    _, _, folder = ward
    report = json.loads((folder / "deidentification.json").read_text(encoding="utf-8"))
    kinds = {kind for frame in report["frames"] for kind in frame["metadata"]}
    assert {"EXIF", "XMP", "IPTC", "comment", "text", "date", "bytes after the picture"} <= kinds
    assert report["summary"]["frames_with_text_in_the_field"] == 3
    assert report["removed"]["date"] == 3
    ledger = json.loads((folder / "import.json").read_text(encoding="utf-8"))
    assert ledger["left_out"]["E_NO_FIELD_OF_VIEW"] == 1 and ledger["source"] == "source"
    assert (folder / "deidentification.md").read_text(encoding="utf-8").startswith("# De-identification")
    assert read_image(folder / "deidentification-review.png").shape[1] > 1000


@pytest.mark.parametrize("tool", EXPORTS)
def test_of_an_annotation_tools_export_pixels_and_labels_alone_stay(tool, tmp_path):
    export = EXPORTS[tool](screen(1)[0], HEIGHT, WIDTH)
    source = lay(export.files, tmp_path / f"{NAME} {NUMBER}")
    assert set(PLANTS) <= set(found_in(source))
    outcome, folder = run(source, tmp_path)
    assert outcome.exit_code == 0, outcome.output
    assert json.loads((folder / "import.json").read_text(encoding="utf-8"))["format"] == export.format_name
    (drawn,) = (folder / "masks").iterdir()
    assert 4000 < np.count_nonzero(read_mask(drawn)) < 4400  # 4100 px², with or without its far edges
    assert found_in(folder) == {}
    inner = [line for line in outcome.output.splitlines() if any(plant.lower() in line.lower() for plant in PLANTS)]
    assert not inner


def test_of_dicom_objects_pixels_alone_stay_and_a_patient_keeps_the_pseudonym(tmp_path):
    patients = []
    for cohort in ("ward-8", "ward-9"):
        source = lay({f"{NAME}/{n}.dcm": dicom(screen(n)[0], n) for n in (1, 2)}, tmp_path / f"in-{cohort}" / NUMBER)
        assert set(found_in(source)) == set(PLANTS)
        outcome, folder = run(source, tmp_path, cohort=cohort)
        assert outcome.exit_code == 0, (outcome.output, outcome.exception)
        assert found_in(folder) == {}
        with (folder / "frames.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 2
        patients.append({row["patient"] for row in rows})
    assert len(patients[0]) == 1 and patients[0] == patients[1]


def test_of_a_video_frames_alone_stay(tmp_path):
    source = tmp_path / f"{NUMBER} {NAME}"
    source.mkdir()
    video([screen(1)[0]] * 4, source / f"{NAME}_{BIRTH}.mp4")
    assert {NAME, NUMBER, BIRTH, FIRST_NAME} <= set(found_in(source))
    outcome, folder = run(source, tmp_path)
    assert list((folder / "images").glob("*.png")), outcome.output
    assert found_in(folder) == {}
    text = screen(1)[1]
    for path in (folder / "images").glob("*.png"):
        assert not read_image(path)[text].any()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_masks_and_boxes_stay_and_what_is_blank_of_them_is_told(tmp_path):
    image, text = screen(5)
    rows, columns = np.nonzero(text)
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[rows.min() : rows.max() + 1, 100 : columns.max()] = 255  # the polyp lies under the patient's name
    data = io.BytesIO()
    Image.fromarray(drawn).save(data, "PNG")
    files = {"images/a.jpg": jpeg(image), "masks/a.png": data.getvalue()}
    outcome, folder = run(lay(files, tmp_path / "in"), tmp_path)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    (mask_file,) = (folder / "masks").iterdir()
    assert np.array_equal(np.asarray(Image.open(mask_file)), drawn)
    report = json.loads((folder / "deidentification.json").read_text(encoding="utf-8"))
    assert report["frames"][0]["polyp_lost"] > 0.7
    assert "part of the polyp's annotation is blank" in report["frames"][0]["look_at"]


def test_adding_to_a_cohort_goes_on_with_its_names(tmp_path):
    table = "frame,sequence\n" + "".join(f"f{number},s\n" for number in range(3))
    first = lay({"images/f0.jpg": jpeg(screen(0)[0]), "frames.csv": table.encode()}, tmp_path / "one")
    more = lay(
        {f"images/f{n}.jpg": jpeg(screen(n)[0]) for n in (0, 1, 2)} | {"frames.csv": table.encode()}, tmp_path / "two"
    )
    run(first, tmp_path)
    outcome, folder = run(more, tmp_path, "--update")
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    names = sorted(path.stem for path in (folder / "images").iterdir())
    assert [name.split("-")[1] for name in names] == ["00001", "00002", "00003"]
    assert [names_of(tmp_path)[f"f{number}"] for number in range(3)] == names
    report = json.loads((folder / "deidentification.json").read_text(encoding="utf-8"))
    assert report["summary"]["frames"] == 3
    command = ["cohorts", "import", str(more), "--as", "ward-7", "--out", str(tmp_path / "data"), "--update"]
    assert "E_DEIDENTIFY_MIXED" in str(CliRunner().invoke(app, command).exception)
    other = ["--deidentify", "--key", str(tmp_path / "other")]
    assert "E_KEY_OTHER" in str(CliRunner().invoke(app, [*command, *other]).exception)


def test_frames_without_a_field_of_view_stay_on_request_only(tmp_path):
    source = lay({"images/a.png": png(np.full((HEIGHT, WIDTH, 3), 6, np.uint8))}, tmp_path / "in")
    outcome, folder = run(source, tmp_path)
    assert outcome.exit_code == 3 and not folder.exists()
    outcome, folder = run(source, tmp_path, "--keep-without-field")
    assert outcome.exit_code == 0 and len(list((folder / "images").iterdir())) == 1


def test_a_region_of_the_users_is_always_black(tmp_path):
    source = lay({"images/a.jpg": jpeg(mucosa(np.random.default_rng(0), HEIGHT, WIDTH))}, tmp_path / "in")
    _, folder = run(source, tmp_path, "--blank-region", "0.5,0.5,0.75,1", "--deidentify-insets", "blank")
    (path,) = (folder / "images").iterdir()
    image = read_image(path)
    assert not image[HEIGHT // 2 :, WIDTH // 2 : WIDTH * 3 // 4].any() and image[: HEIGHT // 2].mean() > 50
    assert not (folder / "ignore").exists()
    outcome, _ = run(source, tmp_path, "--blank-region", "0.5,0.5,0.25,1", cohort="ward-8")
    assert "E_OPTION" in str(outcome.exception)
