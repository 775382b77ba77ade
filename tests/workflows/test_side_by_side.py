"""Scoring in processes beside each other; what they give is compared in test_adaptation.py."""

import pytest
from support.dying import die
from support.painted import write_cohort
from support.runs import write_run

from polypda.cohorts.opening import open_cohort
from polypda.errors import TrainingError
from polypda.training.progress import Silent
from polypda.workflows.scoring import side_by_side
from polypda.workflows.scoring.side_by_side import LEAST_PREDICTIONS, ScoringProcesses


def test_a_process_that_is_killed_is_a_coded_error(tmp_path, monkeypatch):
    write_cohort(tmp_path / "data", "haining", count=3)
    run = write_run(tmp_path / "run", 1)
    cohort = open_cohort("haining", tmp_path / "data")
    monkeypatch.setattr(side_by_side, "_scored", die)
    told = r"E_TRAINING_PROCESS.*scoring was ended from outside.*models are kept"
    with ScoringProcesses(run, run.config()) as processes, pytest.raises(TrainingError, match=told):
        processes.rows(cohort, cohort.frames, ["source-only"], dict, Silent())


def test_few_frames_start_no_process_and_a_run_of_one_training_at_once_neither(tmp_path):
    run = write_run(tmp_path / "run", 1)
    config = run.config()
    compute = config.compute.model_copy(update={"device": "cpu", "trainings_at_once": 2, "threads": 0})
    two = ScoringProcesses(run, config.model_copy(update={"compute": compute}))
    assert two.pay(LEAST_PREDICTIONS, 1) and not two.pay(LEAST_PREDICTIONS - 1, 1) and not two.pay(80, 0)
    one = compute.model_copy(update={"trainings_at_once": 1})
    assert not ScoringProcesses(run, config.model_copy(update={"compute": one})).pay(LEAST_PREDICTIONS, 5)
