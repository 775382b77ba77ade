"""Scores are remembered by content: the same weights on the same files are not scored twice, anything else is."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.painted import write_cohort

from polypda.cohorts.frames import Split
from polypda.cohorts.opening import open_cohort
from polypda.data.cache import NetworkGrid
from polypda.data.inference import Inference
from polypda.evaluation.cases.case_table import CaseKey
from polypda.workflows.scoring.score_memory import ScoreMemory


def keys(run, training="weights-a"):
    def key(model, frame):
        return CaseKey(
            run, "zju2", "haining", model, 0, "target", "zju2", "test", frame.frame, False, training=training
        )

    return key


@pytest.fixture
def cohort(tmp_path):
    write_cohort(tmp_path / "data", "zju2", count=12)
    return open_cohort("zju2", tmp_path / "data")


def test_rows_come_back_named_for_the_run_that_asks(cohort, tmp_path):
    memory, frames = ScoreMemory(tmp_path / "scores", NetworkGrid(64), Inference()), cohort.split(Split.TEST)
    signature = memory.signature(cohort, frames)
    rows = [{"run": "one", "frame": frame.frame, "dice": 0.1 + 0.2, "hd95_px": float("nan")} for frame in frames]
    assert memory.recall(signature, "source-only", frames, keys("two")) is None
    memory.keep(signature, "source-only", frames, keys("one"), rows)
    found = memory.recall(signature, "source-only", frames, keys("two"))
    assert [row["frame"] for row in found] == [frame.frame for frame in frames]
    assert {row["run"] for row in found} == {"two"} and {row["dice"] for row in found} == {0.1 + 0.2}
    assert all(np.isnan(row["hd95_px"]) for row in found)
    assert memory.recall(signature, "source-only", frames, keys("two", training="weights-b")) is None


def test_any_change_of_files_labels_or_grid_is_another_entry(cohort, tmp_path):
    memory, frames = ScoreMemory(tmp_path / "scores", NetworkGrid(64), Inference()), cohort.split(Split.TEST)
    others = (
        ScoreMemory(tmp_path, NetworkGrid(96), Inference()),
        ScoreMemory(tmp_path, NetworkGrid(64), Inference(flips=True)),
    )
    signatures = {each.signature(cohort, frames) for each in (memory, *others)}
    signatures.add(memory.signature(cohort, frames[1:]))
    signatures.add(memory.signature(cohort, [frames[0].without_label(), *frames[1:]]))
    pixels = np.array(Image.open(frames[0].mask))
    pixels[:9, :9] = 255 - pixels[:9, :9]
    Image.fromarray(pixels).save(frames[0].mask)
    signatures.add(memory.signature(cohort, frames))
    assert len(signatures) == 6
    assert memory.signature(cohort, [replace(frames[0], patient="other"), *frames[1:]]) in signatures  # no matter


def test_a_damaged_entry_counts_as_none(cohort, tmp_path):
    memory, frames = ScoreMemory(tmp_path / "scores", NetworkGrid(64), Inference()), cohort.split(Split.TEST)
    memory.keep("x", "adabn", frames, keys("one"), [{"frame": frame.frame} for frame in frames])
    next((tmp_path / "scores").glob("x-*.json")).write_text('{"0001": ')
    assert memory.recall("x", "adabn", frames, keys("one")) is None


def test_the_same_frames_elsewhere_are_the_same_entry_whatever_their_masks_are_called(cohort, tmp_path):
    memory, frames = ScoreMemory(tmp_path / "scores", NetworkGrid(64), Inference()), cohort.split(Split.TEST)
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    moved = open_cohort("zju2", tmp_path / "moved")
    assert memory.signature(moved, moved.split(Split.TEST)) == memory.signature(cohort, frames)
