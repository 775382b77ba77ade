"""What is refused before anything is trained."""

import re

import cv2
import numpy as np
import pytest
from support.painted import HEIGHT, WIDTH, paint, write_cohort

from polypda.errors import DataError
from polypda.workflows.runs.cohort_pair import open_pair


@pytest.fixture
def roots(tmp_path):
    for cohort in ("zju2", "haining"):
        write_cohort(tmp_path, cohort)
    return dict.fromkeys(("zju2", "haining"), tmp_path)


def declare(table, state):
    text = table.read_text().replace("frame,split", "frame,split,label_state")
    table.write_text(re.sub(r"^(\d+,\w+)$", rf"\1,{state}", text, flags=re.MULTILINE))


def test_a_target_that_is_declared_free_of_polyps_is_refused(roots, tmp_path):
    assert not open_pair("zju2", "haining", roots).target.all_negative
    declare(tmp_path / "haining" / "frames.csv", "negative")
    with pytest.raises(DataError, match="E_TARGET_NEGATIVE") as error:
        open_pair("zju2", "haining", roots)
    assert "polypda evaluate RUN --on haining:all" in error.value.fix


def test_a_target_without_any_label_is_welcome(roots, tmp_path):
    declare(tmp_path / "haining" / "frames.csv", "none")
    assert len(open_pair("zju2", "haining", roots).target.frames) == 12


def test_rendered_and_real_frames_are_not_paired(roots, tmp_path):
    (tmp_path / "zju2" / "PHANTOM.json").write_text("{}")
    with pytest.raises(DataError, match="E_PHANTOM_MIXED") as error:
        open_pair("zju2", "haining", roots)
    assert "'zju2' is rendered and 'haining' is not" in error.value.what


def test_a_source_that_shows_no_polyp_is_refused_before_training(roots, tmp_path):
    """Also where the masks are there: an empty one says that there is none."""
    folder = tmp_path / "zju2" / "masks"
    for number, path in enumerate(sorted(folder.iterdir())):
        if number < 8:  # the training part
            cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(DataError, match=r"E_NO_POLYP zju2: all 8 masks") as error:
        open_pair("zju2", "haining", roots)
    assert "polypda cohorts check" in error.value.fix
    cv2.imwrite(str(sorted(folder.iterdir())[7]), paint(7)[1])
    assert open_pair("zju2", "haining", roots).source.id == "zju2"


def test_masks_of_a_source_that_are_classes_are_refused_before_training(roots, tmp_path):
    for path in (tmp_path / "zju2" / "masks").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) // 255 * 2)
    with pytest.raises(DataError, match="E_MASK_CLASS"):
        open_pair("zju2", "haining", roots)
