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
