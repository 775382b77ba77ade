"""Catalogued releases, read as their manifests say."""

import pytest
import tifffile
from importing.painted_sources import encoded, frame, lines, mask, put, run_import, snapshot, write_pairs
from importing.test_archives import zipped

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.opening import open_cohort
from polypda.errors import DataError


def clinicdb(folder, numbers=(1, 25, 26, 612)):
    for number in numbers:
        path = put(folder / "Original" / f"{number}.tif", b"")
        tifffile.imwrite(path, frame(number), photometric="minisblack", planarconfig="contig")
        put(folder / "Ground Truth" / f"{number}.tif", mask())
    return folder


def sequences(result):
    rows = [line.split(",") for line in (result.folder / "frames.csv").read_text().splitlines()]
    return {row[0]: row[rows[0].index("sequence")] for row in rows[1:]}


def test_clinicdbs_table_of_sequences(tmp_path):
    result = run_import(clinicdb(tmp_path / "x" / "CVC-ClinicDB"), tmp_path / "root", "cvc-clinicdb")
    assert result.summary.format == "release" and lines(result) == {}
    assert sequences(result) == {"1": "1", "25": "1", "26": "2", "612": "29"}
    opened = open_cohort("cvc-clinicdb", tmp_path / "root")
    assert [item.sequence for item in opened.frames] == ["1", "1", "2", "29"]
    assert manifest("cvc-clinicdb", tmp_path / "root").verified.frames == 4


def test_the_release_in_an_archive_below_a_folder(tmp_path):
    clinicdb(tmp_path / "CVC-ClinicDB")
    files = [(path, (tmp_path / path).read_bytes()) for path in snapshot(tmp_path)]
    result = run_import(zipped(tmp_path / "download.zip", files), tmp_path / "root", "cvc-clinicdb")
    assert result.summary.format == "release" and sequences(result)["26"] == "2"


def test_a_number_beyond_the_table_is_no_release(tmp_path):
    source = clinicdb(tmp_path / "CVC-ClinicDB", (1, 613))
    assert run_import(source, tmp_path / "root", "cvc-clinicdb").summary.format == "folders"
    with pytest.raises(DataError, match="E_RELEASE_LAYOUT"):
        run_import(source, tmp_path / "other", "cvc-clinicdb", format="release")


def test_kvasirs_parts_and_what_its_manifest_leaves_out(tmp_path):
    source = write_pairs(tmp_path / "kvasir-seg-352", ("train_222", "test_16", "validation_3"))
    result = run_import(source, tmp_path / "root", "kvasir")
    assert lines(result) == {"N_EXCLUDED": ["images/test_16.jpg"]} and result.summary.taken == 2
    assert (
        result.summary.everything_taken
        and "validation_3,,,validation,mask" in (result.folder / "frames.csv").read_text()
    )


def test_polypgens_masks_with_one_of_no_image_and_one_image_without(tmp_path):
    source = tmp_path / "C4"
    for stem in ("a", "b"):
        put(source / f"images/{stem}.jpg", frame())
    put(source / "masks/a_mask.jpg", encoded(mask(), quality=95))
    put(source / "masks/z_mask.jpg", encoded(mask(), quality=95))
    result = run_import(source, tmp_path / "root", "polypgen-c4")
    assert lines(result) == {"W_MASK_MISSING": ["images/b.jpg"], "E_MASK_ORPHAN": ["masks/z_mask.jpg"]}


def test_options_and_a_table_go_before_the_manifest(tmp_path):
    source = clinicdb(tmp_path / "CVC-ClinicDB")
    named = run_import(source, tmp_path / "one", "cvc-clinicdb", options={"unmasked": "negative"})
    assert named.summary.format == "folders"
    put(source / "frames.csv", b"frame,patient\n1,p1\n25,p1\n26,p2\n612,p3\n")
    told = run_import(source, tmp_path / "two", "cvc-clinicdb")
    assert told.summary.format == "folders" and "1,p1,,,mask" in (told.folder / "frames.csv").read_text()


COLONDB = {1: "1", 38: "1", 39: "2", 155: "7", 156: "9", 208: "10", 300: "15", 301: "4", 380: "13"}


@pytest.mark.parametrize("form", ["{0}.tiff p{0}.tiff", "{0}.bmp p{0}.bmp", "images/{0}.png masks/{0}.png"])
def test_colondbs_table_of_sequences(tmp_path, form):
    image, drawn = form.split()
    for number in COLONDB:
        path = (tmp_path / "CVC-ColonDB" / image.format(number)).with_suffix(".png")
        put(path, frame(number)).rename(path.with_suffix("." + image.split(".")[1]))
        path = (tmp_path / "CVC-ColonDB" / drawn.format(number)).with_suffix(".png")
        put(path, mask()).rename(path.with_suffix("." + drawn.split(".")[1]))
    opened = open_cohort("cvc-colondb", tmp_path)
    assert {int(each.frame): each.sequence for each in opened.frames} == COLONDB
    result = run_import(tmp_path / "CVC-ColonDB", tmp_path / "root", "cvc-colondb")
    assert result.summary.format == "release"
    assert sequences(result) == {str(number): name for number, name in COLONDB.items()}


def test_colondbs_table_covers_every_frame_once():
    for layout in manifest("cvc-colondb").layouts:
        numbers = [n for first, last in layout.sequence_ranges.values() for n in range(first, last + 1)]
        assert sorted(numbers) == list(range(1, 381)) and len(layout.sequence_ranges) == 15


@pytest.mark.parametrize(
    "table",
    [
        "sequence,first,last\na,1,25\nb,26,612\n",
        "sequence;frames\na;1-25\nb;26 – 612\n",
        "frame,sequence\n1,a\n25.tif,a\n26,b\nOriginal/612.tif,b\n",
    ],
)
def test_a_table_of_sequences_goes_before_the_manifest(tmp_path, table):
    source = clinicdb(tmp_path / "CVC-ClinicDB")
    put(source / "sequences.csv", table.encode())
    result = run_import(source, tmp_path / "root", "cvc-clinicdb")
    assert result.summary.format == "release" and lines(result) == {}
    assert sequences(result) == {"1": "a", "25": "a", "26": "b", "612": "b"}


@pytest.mark.parametrize("wrong", ["a,1,x", "a,9,1", "a,1,25\nb,20,30"])
def test_a_wrong_table_of_sequences_is_told(tmp_path, wrong):
    source = clinicdb(tmp_path / "CVC-ClinicDB")
    put(source / "sequences.csv", f"sequence,first,last\n{wrong}\n".encode())
    result = run_import(source, tmp_path / "root", "cvc-clinicdb")
    assert lines(result) == {"E_TABLE_ROW": ["sequences.csv"]} and not result.summary.everything_taken
