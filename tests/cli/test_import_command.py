"""`polypda cohorts import` as a user meets it."""

import pytest
from importing.painted_sources import frame, mask, put, snapshot, write_pairs


@pytest.fixture
def source(tmp_path):
    folder = write_pairs(tmp_path / "src")
    put(folder / "negative/n.jpg", frame(7))
    return folder


def test_a_new_cohort_is_known_to_the_other_commands(polypda, source):
    options = ("--title", "Ward 7 宁波", "--vendor", "Olympus", "--city", "Ghent", "--country", "Belgium")
    status, out, err = polypda("cohorts", "import", source, "--as", "ward-7", "--out", "root", *options)
    assert (status, err) == (0, "") and out.splitlines()[-1] == "root/ward-7"
    assert "4 frames taken (3 mask, 1 negative)" in out
    _, listed, _ = polypda("cohorts", "list", "--data-root", "root")
    row = next(line.split() for line in listed.splitlines() if line.startswith("ward-7"))
    assert row == ["ward-7", "Ghent", "Olympus", "4", "60×40", "mask", "private", "yes"]
    _, shown, _ = polypda("cohorts", "show", "ward-7", "--data-root", "root")
    assert "Ward 7 宁波" in shown and "4 frames were taken" in shown and "Told at the import" in shown
    status, checked, _ = polypda("cohorts", "check", "ward-7", "--data-root", "root")
    assert status == 0 and "No errors" in checked and "4 frames, 4 expected" in checked
    status, _, err = polypda("cohorts", "show", "ward-7")
    assert status == 2 and "E_COHORT_UNKNOWN" in err


def test_a_catalogued_cohort_says_what_was_found_and_where_it_disagrees(polypda, source):
    polypda("cohorts", "import", source, "--as", "haining", "--out", "root")
    _, shown, _ = polypda("cohorts", "show", "haining", "--data-root", "root")
    text = " ".join(shown.split())
    assert "Fujinon" in text and "Declared 200 frames; 4 are here." in text
    assert "Declared 656×562; 4 frames have other sizes, e.g. 60×40." in text


def test_what_was_left_out_ends_with_three_and_a_fix(polypda, source):
    put(source / "masks/b.png", mask((40, 52)))
    put(source / "images/x.jpg", b"")
    before = snapshot(source)
    status, out, _ = polypda("cohorts", "import", source, "--as", "ward-7", "--out", "root")
    assert status == 3 and snapshot(source) == before
    assert "E_MASK_SIZE" in out and "pad the mask" in " ".join(out.split()) and "E_IMAGE_EMPTY_FILE" in out
    assert out.splitlines()[-1] == "root/ward-7" and "2 left out" in out
    status, out, _ = polypda("cohorts", "import", source, "--as", "ward-8", "--out", "root", "--strict")
    assert status == 3 and "Nothing was written." in out


def test_dry_run_update_and_a_second_import(polypda, source, tmp_path):
    status, out, _ = polypda("cohorts", "import", source, "--as", "ward-7", "--out", "root", "--dry-run")
    assert status == 0 and "could be taken" in out and not (tmp_path / "root").exists()
    polypda("cohorts", "import", source, "--as", "ward-7", "--out", "root")
    status, _, err = polypda("cohorts", "import", source, "--as", "ward-7", "--out", "root")
    assert status == 3 and "E_COHORT_EXISTS" in err and "--update" in err
    put(source / "negative/m.jpg", frame(8))
    status, out, _ = polypda("cohorts", "import", source, "--as", "ward-7", "--out", "root", "--update")
    assert status == 0 and "1 frames taken" in out and "N_FRAME_THERE" in out
    _, shown, _ = polypda("cohorts", "show", "ward-7", "--data-root", "root")
    assert "5 frames were taken" in shown and "4 frames were taken" not in shown


def test_the_data_root_may_come_from_the_environment(polypda, source, monkeypatch):
    status, _, err = polypda("cohorts", "import", source, "--as", "ward-7")
    assert status == 2 and "--out" in err
    monkeypatch.setenv("POLYPDA_DATA", "elsewhere")
    status, out, _ = polypda("cohorts", "import", source, "--as", "ward-7", "-O", "unmasked=negative")
    assert status == 0 and out.splitlines()[-1] == "elsewhere/ward-7"
    status, _, err = polypda("cohorts", "import", source, "--as", "ward-8", "-O", "unmasked")
    assert status == 2 and "NAME=VALUE" in err
