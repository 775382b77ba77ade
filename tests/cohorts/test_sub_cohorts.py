"""``ID:MODE``: the frames of one imaging mode, in the parts of the whole cohort."""

import logging
import shutil

import pytest
from support.painted_cohorts import write_ordinary

from polypda.cohorts.catalogue import manifest, shared_frames
from polypda.cohorts.frames import Split
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.splits import unit_of
from polypda.cohorts.sub_cohorts import (
    CohortName,
    file_name_of,
    label_words,
    mode_words,
    modes_of,
    require_shared_units,
)
from polypda.errors import DataError, LeakageError, UsageError
from polypda.quality.checking.check_cohorts import check_cohort


@pytest.fixture
def root(tmp_path):
    """Thirty patients, each with a frame in white light and one in NBI; one further frame tells no mode."""
    stems = [f"f{number:02d}" for number in range(61)]
    rows = [f"{stem},p{number // 2},{'WL' if number % 2 else 'nbi'},negative" for number, stem in enumerate(stems)]
    rows[-1] = "f60,p30,,negative"
    folder = write_ordinary(tmp_path, "polydeep", stems, "\n".join(["frame,patient,mode,label_state", *rows]))
    shutil.rmtree(folder / "masks")
    return tmp_path


def test_a_mode_keeps_the_parts_of_its_whole_cohort(root):
    whole = {frame.frame: frame.split for frame in open_cohort("polydeep", root).frames}
    light, narrow = open_cohort("polydeep:wl", root), open_cohort("polydeep:NBI", root)
    assert (light.id, narrow.id) == ("polydeep:wl", "polydeep:nbi")
    assert len(light.frames) == len(narrow.frames) == 30
    for one in (light, narrow):
        assert all(frame.split == whole[frame.frame] for frame in one.frames)
        assert {frame.cohort for frame in one.frames} == {"polydeep"}
    parts = {unit_of(frame): frame.split for frame in light.frames}
    assert len(set(parts.values())) == 3, "the fixture must fill every part"
    assert all(parts[unit_of(frame)] == frame.split for frame in narrow.frames), "no patient crosses"
    learnt = {frame.patient for frame in light.split(Split.TRAIN)}
    assert learnt and not learnt & {frame.patient for frame in narrow.split(Split.TEST)}


def test_frames_without_a_mode_are_left_out_and_told(root, caplog):
    with caplog.at_level(logging.WARNING):
        open_cohort("polydeep:wl", root)
    assert "1 frames tell no imaging mode" in caplog.text
    assert modes_of(open_cohort("polydeep", root).frames) == {"NBI": 30, "WL": 30}


def test_labels_are_counted_per_mode(root):
    frames = open_cohort("polydeep", root).frames
    assert label_words(frames) == "61 without a polyp"
    assert mode_words(frames) == "NBI 30 (30 without a polyp); WL 30 (30 without a polyp); not told for 1"
    report = check_cohort("polydeep:nbi", root)
    assert report.cohort == "polydeep:nbi" and len(report.opened.frames) == 30
    said = {finding.code: finding.message for finding in report.findings}
    assert said["N_COUNT"] == "30 of the cohort's 61 frames are of this imaging mode."
    assert "W_NEGATIVE_COUNT" not in said and "NBI 30" in said["N_MODES"]


def test_the_firewall_holds_for_modes(root):
    (root / "polydeep" / "boxes.csv").write_text("no table")
    assert len(open_cohort("polydeep:nbi", root, labels=False).frames) == 30


def test_a_mode_that_is_not_there_is_told_with_those_that_are(root):
    with pytest.raises(DataError, match="E_MODE_UNKNOWN") as caught:
        open_cohort("polydeep:nbl", root)
    assert "Did you mean 'NBI'?" in caught.value.what and "NBI (30 frames), WL (30 frames)" in caught.value.fix
    (root / "polydeep" / "frames.csv").unlink()
    write_ordinary(root, "zju2")
    with pytest.raises(DataError, match="E_MODE_UNKNOWN") as caught:
        open_cohort("zju2:wl", root)
    assert "frames.csv" in caught.value.fix


@pytest.mark.parametrize("name", ["polydeep:test", "polydeep:", "polydeep:a:b", "polydeep:w l", "polydeep:../x"])
def test_names_that_mean_no_mode_are_refused(name):
    with pytest.raises(UsageError, match="E_MODE_NAME"):
        CohortName.parse(name)


def test_names_of_files_and_manifests():
    assert file_name_of("polydeep:NBI") == "polydeep.nbi" and file_name_of("polydeep") == "polydeep"
    assert manifest("polydeep:nbi") is manifest("polydeep")
    assert shared_frames("polydeep:wl", "polydeep:nbi") is None


def test_modes_whose_patients_are_unknown_cannot_be_parted(root):
    require_shared_units(open_cohort("polydeep:wl", root), open_cohort("polydeep:nbi", root))
    table = root / "polydeep" / "frames.csv"
    table.write_text(table.read_text().replace("f07,p3,", "f07,,"))
    pair = open_cohort("polydeep:wl", root), open_cohort("polydeep:nbi", root)
    with pytest.raises(LeakageError, match="E_MODE_UNITS") as caught:
        require_shared_units(*pair)
    assert "f07" in caught.value.what and caught.value.exit_status == 4
    write_ordinary(root, "zju2")
    require_shared_units(pair[0], open_cohort("zju2", root))
