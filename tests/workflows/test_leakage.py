"""Held-out frames that depend on learnt ones are refused, or taken by leave and stamped."""

import json
import sys

import cv2
import numpy as np
import pytest

from polypda.cohorts.frames import Split
from polypda.cohorts.opening import open_cohort
from polypda.errors import UNTRUSTED, LeakageError
from polypda.evaluation.cases.run_metadata import RunMetadata, joint_lines
from polypda.quality import fingerprints as fingerprint_cache
from polypda.quality.fingerprints import cached_fingerprints
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.adapt import open_data
from polypda.workflows.runs.configure import resolve_config
from polypda.workflows.runs.leakage import leaks_among, leaks_into, record_leakage, recorded_leakage, require_allowed
from polypda.workflows.runs.paths import Paths
from polypda.workflows.scoring import evaluate_on
from polypda.workflows.scoring.scoring import ScoredPart

HEIGHT, WIDTH = 72, 96
PARTS = ("train", "train", "validation", "test")


def image(number):
    rng = np.random.default_rng(number)
    coarse = rng.uniform(60, 230, (7, 9, 3)).astype(np.float32)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(45, 255).astype(np.uint8)


def write(root, cohort, first, table="frame,split\n"):
    """Four frames, one row each; masks are discs."""
    disc = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(disc, (48, 36), 14, 255, -1)
    for kind in ("images", "masks"):
        (root / cohort / kind).mkdir(parents=True)
    for number, part in enumerate(PARTS):
        cv2.imwrite(str(root / cohort / "images" / f"f{number}.png"), image(first + number)[..., ::-1])
        cv2.imwrite(str(root / cohort / "masks" / f"f{number}.png"), disc)
        table += f"f{number},{part}\n"
    (root / cohort / "frames.csv").write_text(table)
    return root / cohort


def put(folder, frame, image):
    cv2.imwrite(str(folder / "images" / f"{frame}.png"), np.ascontiguousarray(image[..., ::-1]))


def opened(root, *cohorts):
    return tuple(open_cohort(cohort, root, labels=False, allow_leakage=True) for cohort in cohorts)


@pytest.fixture
def root(tmp_path):
    for cohort, first in (("zju2", 0), ("haining", 50)):
        write(tmp_path / "data", cohort, first)
    return tmp_path / "data"


def test_independent_cohorts_leak_nothing(root, tmp_path):
    assert leaks_among(opened(root, "zju2", "haining"), tmp_path / "cache") == ()


def test_mirrored_training_frame_in_the_test_part_is_a_leak(root, tmp_path):
    put(root / "zju2", "f3", image(1)[:, ::-1])
    (leak,) = leaks_among(opened(root, "zju2", "haining"), tmp_path / "cache")
    assert leak.code == "E_ALIKE_LEAK" and leak.exit_status == UNTRUSTED and leak.where == "zju2"
    assert "zju2/f1 (train) ≈ zju2/f3 (test, mirrored left to right)" in leak.what and "--allow-leakage" in leak.fix


def test_frame_of_the_source_held_out_in_the_target_is_a_leak_and_a_shared_training_frame_is_none(root, tmp_path):
    put(root / "haining", "f3", image(0))
    (leak,) = leaks_among(opened(root, "zju2", "haining"), tmp_path / "cache")
    assert "zju2/f0 (train) ≈ haining/f3 (test)" in leak.what
    put(root / "haining", "f3", image(53))
    put(root / "haining", "f0", image(0))
    assert leaks_among(opened(root, "zju2", "haining"), tmp_path / "cache") == ()


def test_patient_in_two_parts_is_a_leak(root, tmp_path):
    rows = ["frame,patient,split", "f0,p,train", "f1,q,train", "f2,r,validation", "f3,p,test"]
    (root / "zju2" / "frames.csv").write_text("\n".join(rows) + "\n")
    (leak,) = leaks_among(opened(root, "zju2"), tmp_path / "cache")
    assert leak.code == "E_SPLIT_LEAK"
    with pytest.raises(LeakageError):
        open_cohort("zju2", root)


def test_scored_frames_are_held_against_learnt_ones_but_not_against_themselves(root, tmp_path):
    zju2, haining = opened(root, "zju2", "haining")
    put(root / "haining", "f1", image(0))
    learnt = (*zju2.split(Split.TRAIN), *haining.split(Split.TRAIN)[:1])
    assert leaks_into(haining.split(Split.TEST), learnt, tmp_path / "cache") == ()
    (leak,) = leaks_into(haining.frames, learnt, tmp_path / "cache")
    assert "zju2/f0" in leak.what and "haining/f1" in leak.what and leak.what.startswith("1 pair of")


def test_leave_turns_a_refusal_into_words():
    leak = LeakageError("E_ALIKE_LEAK", "two frames are one.", where="zju2")
    with pytest.raises(LeakageError):
        require_allowed((leak,), allowed=False)
    assert require_allowed((leak,), allowed=True) == ("zju2: two frames are one.",)
    assert require_allowed((), allowed=False) == ()


def test_fingerprints_are_made_once_per_content(root, tmp_path, monkeypatch):
    frames = open_cohort("zju2", root, labels=False).frames
    first = cached_fingerprints(frames, tmp_path)

    def forbidden(*_):
        raise AssertionError("a cached frame was decoded")

    monkeypatch.setattr(fingerprint_cache, "decode_image", forbidden)
    again = cached_fingerprints(frames[::-1], tmp_path)[::-1]
    assert all(
        np.array_equal(a.relief, b.relief) and (a.bits == b.bits).all() for a, b in zip(first, again, strict=True)
    )
    put(root / "zju2", "f2", image(90))
    with pytest.raises(AssertionError):
        cached_fingerprints(frames, tmp_path)


def test_damaged_cache_is_made_anew(root, tmp_path):
    frames = open_cohort("zju2", root, labels=False).frames
    cached_fingerprints(frames, tmp_path)
    for path, left in zip(tmp_path.iterdir(), (200, 0, 1), strict=False):
        path.write_bytes(path.read_bytes()[:left])
    assert all(entry is not None for entry in cached_fingerprints(frames, tmp_path))


def config(method="adabn", options=None, **top):
    return resolve_config(
        source="zju2",
        target="haining",
        method=method,
        preset_name="quick",
        phantom=False,
        top=top,
        sections={"network": {}, "data": {}, "compute": {}},
        options=options or {},
    )


def test_data_of_a_run_is_refused_or_taken_with_words(root, tmp_path):
    put(root / "haining", "f3", image(50))
    paths = Paths(root, tmp_path / "cache")
    with pytest.raises(LeakageError) as refused:
        open_data(config(), paths)
    assert refused.value.exit_status == UNTRUSTED
    pair = open_data(config(allow_leakage=True), paths)
    assert pair.leakage is not None and "haining/f0 (train) ≈ haining/f3 (test)" in pair.leakage[0]
    put(root / "haining", "f3", image(53))
    assert open_data(config(), paths).leakage is None
    assert open_data(config(allow_leakage=True), paths).leakage == ()


def test_ancestry_passes_by_leave_only():
    with pytest.raises(LeakageError):
        resolve_config(source="cvc-colondb", target="polypsset", **_rest({}))
    assert resolve_config(source="cvc-colondb", target="polypsset", **_rest({"allow_leakage": True})).allow_leakage


def _rest(top):
    sections = {"network": {}, "data": {}, "compute": {}}
    return {
        "method": "adabn",
        "preset_name": "quick",
        "phantom": False,
        "top": top,
        "sections": sections,
        "options": {},
    }


def test_command_ends_with_four(root, tmp_path, monkeypatch, capsys):
    from polypda.cli.main import main

    put(root / "zju2", "f3", image(0))
    words = ["polypda", "adapt", "--source", "zju2", "--target", "haining", "--data-root", str(root)]
    monkeypatch.setattr(sys, "argv", [*words, "--cache-dir", str(tmp_path / "cache"), "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == UNTRUSTED and "E_ALIKE_LEAK" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def run_metadata(**more):
    facts = {"run": "r", "source": "a", "target": "b", "method": "adabn", "selector": "last"}
    return RunMetadata(phantom=False, seeds=(0,), input_size=(64, 64), **facts, **more)


def test_stamp_stands_beside_every_table(tmp_path):
    assert "leakage" not in run_metadata().lines() and run_metadata().leakage_text == ""
    told = run_metadata(leakage=("a: two are one.",))
    assert told.lines()["leakage"] == "LEAKAGE ALLOWED: a: two are one."
    assert run_metadata(leakage=()).lines()["leakage"] == "LEAKAGE ALLOWED: none was found"
    assert (
        joint_lines([run_metadata(), told], ["adabn"], phantom=False)["leakage"] == "LEAKAGE ALLOWED: a: two are one."
    )
    assert "leakage" not in joint_lines([run_metadata()], ["adabn"], phantom=False)
    record_leakage(tmp_path, told.leakage)
    assert recorded_leakage(tmp_path) == told.leakage and json.loads((tmp_path / "leakage.json").read_text())


@pytest.mark.parametrize(
    ("changes", "taught"),
    [
        ({}, ("zju2",)),
        ({"oracle": True, "target_labels": True}, ("zju2", "haining")),
        ({"accepted": "accepted.csv"}, ("zju2", "haining")),
        ({"method": "adaptsegnet", "selector": "oracle", "target_labels": True}, ("zju2", "haining")),
        ({"method": "fcan", "options": {"lambda_target_seg": 1}, "target_labels": True}, ("zju2", "haining")),
    ],
)
def test_what_taught_or_chose_a_model_is_never_scored_as_held_out(tmp_path, changes, taught):
    method, options = changes.pop("method", "adabn"), changes.pop("options", {})
    run = RunFolder.create(tmp_path / "run", config(method=method, options=options, **changes))
    assert evaluate_on.taught_by(run) == taught
    for part in ("train", "validation", "all"):
        for cohort in ("zju2", "haining"):
            if cohort in taught:
                with pytest.raises(LeakageError, match=f"E_TRAINED_ON {cohort}: labels of {cohort} taught or chose"):
                    evaluate_on.check_leaks([ScoredPart(cohort, part)], taught)
            else:
                assert evaluate_on.check_leaks([ScoredPart(cohort, part)], taught) == ()
    assert evaluate_on.check_leaks([ScoredPart("haining", "test")], taught) == ()
