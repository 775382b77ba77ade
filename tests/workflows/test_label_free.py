"""What is gathered without the target's labels: pseudo-targets that no calibrator saw, alarms, frames to look at."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter

from polypda.cohorts.frames import OpenedCohort, Split
from polypda.data.cache import NetworkGrid, load_native
from polypda.data.inference import Inference
from polypda.data.labels import read_reference
from polypda.evaluation.estimation.evidence import LabelFreeEvidence, ModelEvidence
from polypda.networks.averaged_prediction import Asked
from polypda.training.progress import Silent
from polypda.workflows.scoring.label_free import (
    AS_IT_IS,
    OTHER_COHORT,
    RESTYLINGS,
    STYLIZED,
    ModelPair,
    evenly_spaced_places,
    halves,
    held_out_frames,
    labelled_evidence,
    other_cohorts,
)
from polypda.workflows.scoring.label_free_evidence import collapse_findings, overlap
from polypda.workflows.scoring.unscored import choose_unscored, known_answers


@pytest.fixture
def models():
    torch.manual_seed(0)
    asked = Asked(NetworkGrid(64), Inference(), torch.device("cpu"))
    return ModelPair(TinySegmenter(), TinySegmenter(), asked)


def cohort(folder, count, split, **kind):
    frames = write_frames(folder, count, split=split, **kind)
    return OpenedCohort(frames[0].cohort, folder, frames)


def test_held_out_frames_are_those_that_did_not_train(tmp_path):
    opened = cohort(tmp_path / "a", 6, Split.TRAIN)
    assert held_out_frames(opened) == []
    parts = [Split.TRAIN, Split.VALIDATION, Split.TEST] * 2
    divided = replace(
        opened, frames=tuple(replace(frame, split=part) for frame, part in zip(opened.frames, parts, strict=True))
    )
    assert {frame.split for frame in held_out_frames(divided)} == {Split.VALIDATION, Split.TEST}


def test_halves_divide_no_sequence(tmp_path):
    frames = write_frames(tmp_path / "a", 14)
    first = halves(frames)
    assert 5 <= first.sum() <= 9
    for sequence in {frame.sequence for frame in frames}:
        assert len({bool(one) for one, frame in zip(first, frames, strict=True) if frame.sequence == sequence}) == 1


def test_pseudo_targets_are_never_among_the_frames_that_fitted_them(tmp_path, models):
    source = cohort(tmp_path / "source", 12, Split.TEST)
    target = cohort(tmp_path / "target", 4, Split.TRAIN, tint=(90, 120, 170)).frames
    other = write_frames(tmp_path / "other", 3, tint=(120, 90, 90))
    found = labelled_evidence(models, source, target, [("other", other)], Silent())
    kinds = [one.kind for one in found.pseudo_targets]
    assert kinds.count(AS_IT_IS) == 2 and kinds.count(STYLIZED) == 2 * len(RESTYLINGS) and kinds[-1] == OTHER_COHORT
    assert found.held_out is not None and len(found.held_out.before) == 12
    for one in found.pseudo_targets[:-1]:
        assert len(one.counts.before) + len(one.fitted_on) == 12
    areas = [
        (read_reference(frame, native.image)[native.valid] > 0).sum()
        for frame in source.frames
        for native in [load_native(frame, models.asked.grid)]
    ]
    assert found.held_out.after.labels.sum(axis=1).tolist() == areas
    plain, stylized = found.pseudo_targets[0], found.pseudo_targets[2]
    assert (plain.counts.before.labels.sum(axis=1) == stylized.counts.before.labels.sum(axis=1)).all()
    assert (plain.counts.before.pixels != stylized.counts.before.pixels).any(), "the models see another image"
    assert labelled_evidence(models, None, target, [], Silent()).pseudo_targets == ()
    damaged = [replace(frame, mask=tmp_path / "gone.png") for frame in other]
    again = labelled_evidence(models, source, target, [("other", damaged)], Silent())
    assert len(again.pseudo_targets) == len(found.pseudo_targets) - 1, "a damaged cohort is passed over"


def test_cohorts_named_by_the_run_are_no_pseudo_targets(tmp_path):
    from support.painted import write_cohort

    for name in ("kvasir", "cvc-clinicdb", "zju2"):
        write_cohort(tmp_path, name, count=6)
    (tmp_path / "kvasir" / "masks" / "003.png").unlink()
    assert [name for name, _ in other_cohorts(["zju2", "haining"], tmp_path)] == ["cvc-clinicdb"], (
        "an incomplete cohort is passed over, and a private one (zju2) is none of the public ones"
    )
    assert list(other_cohorts(["cvc-clinicdb", "haining"], tmp_path)) == []


def evidence(**changes):
    before = ModelEvidence(0.08, 0.05, source_dice=0.85)
    values = {
        "frames": 50,
        "source_foreground": 0.1,
        "before": before,
        "after": ModelEvidence(0.09, 0.04, source_dice=0.84),
        "agreement": 0.8,
        "changed": 0.05,
        "scales": (1.0, 2.0),
    }
    return LabelFreeEvidence(**(values | changes))


def test_collapse_is_told_by_the_guards_limits_and_health_is_not():
    assert collapse_findings(evidence()) == ()
    nothing = evidence(after=ModelEvidence(0.001, 0.9, source_dice=0.3), agreement=0.1)
    told = " ".join(collapse_findings(nothing))
    assert "marks 0.1% of the target" in told and "nothing on 90%" in told
    assert "Dice of only 0.10" in told and "lost 0.55 Dice" in told
    assert collapse_findings(evidence(source_foreground=float("nan"))) == ()


def test_frames_to_look_at_are_of_different_sequences_and_partly_the_most_changed():
    table = pd.DataFrame(
        {
            "frame": [f"{number:02d}" for number in range(24)],
            "sequence": [f"s{number // 4}" for number in range(24)],
            "agreement": [1.0] * 20 + [0.1, 0.2, 0.3, 0.9],
        }
    )
    chosen = choose_unscored(table, 6)
    assert len({table["sequence"][index] for index, _ in chosen}) == 6
    assert chosen[0][0] == 20 and "differ most" in chosen[0][1] and "0.10" in chosen[0][1]
    assert sum("evenly" in why for _, why in chosen) == 5
    assert len(choose_unscored(table, 24)) == 24 and choose_unscored(table, 0) == []


def test_answers_are_taken_again_only_from_the_same_models_on_the_same_frames(tmp_path):
    frames = write_frames(tmp_path / "a", 3)
    table = pd.DataFrame({"frame": ["002", "001", "000"], "agreement": [0.2, 0.1, 0.0]})
    table.to_csv(tmp_path / "predictions.csv", index=False)
    (tmp_path / "evidence.json").write_text(json.dumps({"models": {"source-only": "a", "minent": "b"}}))
    known = known_answers(tmp_path, {"source-only": "a", "minent": "b"}, frames)
    assert known is not None and known["agreement"].tolist() == [0.0, 0.1, 0.2]
    assert known_answers(tmp_path, {"source-only": "a", "minent": "c"}, frames) is None
    more = (*frames, replace(frames[0], frame="009"))
    assert known_answers(tmp_path, {"source-only": "a", "minent": "b"}, more) is None
    assert known_answers(tmp_path / "nowhere", {}, frames) is None


def test_overlap_and_even_spacing():
    one, other = np.array([True, True, False]), np.array([False, True, True])
    assert overlap(one, other) == 0.5 and overlap(~one & one, ~one & one) == 1.0
    assert evenly_spaced_places(10, 4) == [0, 3, 6, 9]
    assert evenly_spaced_places(3, 9) == [0, 1, 2] and evenly_spaced_places(0, 3) == []
