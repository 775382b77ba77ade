"""Reading a training's events, also while it runs or after it was killed."""

import json

import pytest
from support.runs import write_run

from polypda.errors import DataError
from polypda.training.criteria import LAST, SnapshotScore
from polypda.training.curves import planned_steps, read_curves, snapshot_table, stage_names
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import choose


def test_terms_and_judges_are_read_per_step(tmp_path):
    run = write_run(tmp_path / "run", steps=5)
    curves = read_curves(run, "adda")
    assert list(curves.losses) == ["discriminator", "segmenter"] and curves.steps == 5
    assert list(curves.losses["segmenter"].columns) == ["seg_main", "adv_target"]
    assert curves.losses["segmenter"]["adv_target"].isna().tolist() == [True, True, False, False, False]  # warm-up
    assert curves.accuracy["discriminator"].iloc[-1] == pytest.approx(0.9)
    assert curves.cpu_s.median() == pytest.approx(0.5)
    assert stage_names(run) == ["adda"]


def test_a_cut_last_line_is_left_out_and_a_damaged_one_refused(tmp_path):
    run = write_run(tmp_path / "run", steps=5)
    events = run.stage("adda") / "events.jsonl"
    whole = events.read_text()
    events.write_text(whole + '{"step": 5, "lo')
    assert read_curves(run, "adda").steps == 5
    events.write_text("nonsense\n" + whole)
    with pytest.raises(DataError, match="E_CURVES_EVENTS"):
        read_curves(run, "adda")
    events.write_text("")
    with pytest.raises(DataError, match="E_CURVES_EMPTY"):
        read_curves(run, "adda")


def test_the_start_stands_before_the_snapshots(tmp_path):
    run = write_run(tmp_path / "run", steps=5)
    assert snapshot_table(run).empty
    start, *scores = (SnapshotScore(step, 0.1) for step in (0, 3, 5))
    choice = choose(scores, LAST, 0.1, start=start)
    (run.folder / "selection.json").write_text(json.dumps(choice.as_json()))
    assert list(snapshot_table(run).index) == [0, 3, 5]
    assert RunFolder.open(run.folder).name == "run"


def test_the_watch_of_a_page_has_the_windows_of_the_training(tmp_path):
    """Rounds share the method's steps; a part knows fewer options."""
    run = write_run(tmp_path / "run", 3, method="adaptsegnet+self-training")
    config = run.config().model_dump(mode="json")
    config |= {"options": config["options"] | {"rounds": 3}, "adapt_steps": 90, "start_steps": 40}
    (run.folder / "config.json").write_text(json.dumps(config))
    run = RunFolder(run.folder)
    names = ("start", "source-only", "adaptsegnet", "adaptsegnet+self-training.round-1", "adaptsegnet+self-training")
    assert [planned_steps(run, name) for name in names] == [40, 90, 90, 30, 30]
