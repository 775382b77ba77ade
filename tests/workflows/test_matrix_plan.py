"""Which runs a matrix consists of."""

import os
from functools import partial

import pytest

from polypda.cohorts.pairs import every_pair
from polypda.errors import PolypdaError, UsageError
from polypda.training.run_folder import RunFolder
from polypda.workflows.matrix.launchers import InProcesses, Sequential
from polypda.workflows.matrix.matrix import RunState, estimated_seconds, state_of
from polypda.workflows.matrix.matrix_plan import plan_matrix
from polypda.workflows.runs.configure import resolve_config


def configure(source, target, method, seed, oracle):
    return resolve_config(
        source=source,
        target=target,
        method=method,
        preset_name="quick",
        phantom=True,
        top={"seed": seed, "oracle": oracle, "target_labels": oracle},
        sections={"network": {}, "data": {}, "compute": {}},
        options={},
    )


def test_one_source_only_training_per_cohort_and_seed_serves_all():
    cohorts = ["zju2", "haining", "ningbo"]
    plan = plan_matrix(
        every_pair(cohorts, cohorts), ["source-only", "adabn", "adaptsegnet", "oracle"], [0, 1], configure
    )
    bases = [run for run in plan.runs if run.start is None]
    assert sorted((run.config.source, run.config.seed) for run in bases) == [
        (cohort, seed) for cohort in sorted(cohorts) for seed in (0, 1)
    ]
    adapted = [run for run in plan.runs if run.config.method == "adaptsegnet"]
    assert len(adapted) == 6 * 2 and len(plan.runs) == len(bases) + len(adapted)
    done = set()
    by_name = {run.name: run for run in plan.runs}
    for run in plan.runs:
        assert set(run.needs) <= done
        done.add(run.name)
        if run.oracle:  # the target's own source-only model, of the same seed
            assert by_name[run.oracle].config.source == run.config.target
            assert by_name[run.oracle].config.seed == run.config.seed and run.config.oracle


def test_without_an_oracle_a_cohort_that_is_only_a_target_is_not_learnt():
    plan = plan_matrix(every_pair(["zju2"], ["haining", "ningbo"]), ["adaptsegnet"], [0], configure)
    assert {run.config.source for run in plan.runs} == {"zju2"} and not any(run.oracle for run in plan.runs)
    with_oracle = plan_matrix(every_pair(["zju2"], ["haining"]), ["adaptsegnet", "oracle"], [0], configure)
    assert {run.config.source for run in with_oracle.runs} == {"zju2", "haining"}


def test_controls_alone_need_a_run_per_pair():
    plan = plan_matrix(every_pair(["zju2"], ["haining", "ningbo"]), ["source-only", "adabn"], [0], configure)
    assert [(run.config.target, run.start is None) for run in plan.runs] == [("haining", True), ("ningbo", False)]


def test_pairs_that_share_frames_are_left_out_and_named():
    plan = plan_matrix(
        every_pair(["cvc-clinicdb"], ["cvc-colondb", "haining", "cvc-clinicdb"]), ["adaptsegnet"], [0], configure
    )
    assert {run.config.target for run in plan.runs} >= {"haining"}
    for source, target, reason in plan.left_out:
        assert source != target and reason


def test_nothing_to_adapt_is_refused():
    with pytest.raises(UsageError, match="E_MATRIX_EMPTY"):
        plan_matrix(every_pair(["zju2"], ["zju2"]), ["adaptsegnet"], [0], configure)
    with pytest.raises(UsageError, match="E_METHOD_UNKNOWN"):
        plan_matrix(every_pair(["zju2"], ["haining"]), ["adaptsegnett"], [0], configure)


def test_the_estimate_counts_steps_and_shared_trainings_once():
    plan = plan_matrix(every_pair(["zju2"], ["haining", "ningbo"]), ["adaptsegnet"], [0], configure)
    seconds = estimated_seconds(plan.runs, lambda config, method: {"source-only": 1.0, "adaptsegnet": 3.0}[method])
    config = plan.runs[0].config
    base = config.start_steps + config.adapt_steps
    assert sorted(seconds.values()) == sorted([base, 3 * config.adapt_steps, 3 * config.adapt_steps])


def leave_a_trace(run, folder, broken):
    """Stands for a run: fails where its needs left no trace, so that the order is checked as well."""
    if run.name == broken:
        raise PolypdaError("E_BROKEN", "it broke.")
    for name in run.needs:
        (folder / name).stat()
    (folder / run.name).touch()


@pytest.mark.parametrize(
    "launcher", [Sequential(), pytest.param(InProcesses(2), marks=pytest.mark.slow)], ids=["sequential", "processes"]
)
def test_a_failed_run_stops_only_those_that_need_it(launcher, tmp_path):
    cohorts = ["zju2", "haining"]
    plan = plan_matrix(every_pair(cohorts, cohorts), ["adaptsegnet", "adda"], [0], configure)
    broken = next(run for run in plan.runs if run.start is None and run.config.source == "zju2")
    begun = []
    run_one = partial(leave_a_trace, folder=tmp_path, broken=broken.name)
    outcomes = {
        outcome.run.name: outcome.error
        for outcome in launcher.launch(plan.runs, run_one, lambda run: begun.append(run.name))
    }
    assert len(outcomes) == len(plan.runs)
    needing = [run.name for run in plan.runs if broken.name in run.needs]
    assert needing and all(outcomes[name].code == "E_MATRIX_NEEDS" for name in needing)
    ran = {path.name for path in tmp_path.iterdir()}
    assert ran == {name for name, error in outcomes.items() if error is None}
    assert sorted(begun) == sorted([*ran, broken.name])


def test_a_base_is_scored_beside_the_first_cohort_it_is_paired_with():
    wanted = [("zju2", "haining"), ("zju2", "ningbo"), ("haining", "zju2")]
    plan = plan_matrix(wanted, ["adaptsegnet", "oracle"], [0], configure)
    bases = {run.config.source: run.config.target for run in plan.runs if run.start is None}
    assert bases == {"zju2": "haining", "haining": "zju2", "ningbo": "zju2"}
    smaller = plan_matrix(wanted[:1], ["adaptsegnet", "oracle"], [0, 1], configure)
    assert {run.name for run in smaller.runs if run.config.seed == 0} <= {run.name for run in plan.runs}


def die(run):
    os._exit(9)


def test_a_process_that_is_killed_ends_the_matrix_with_a_code():
    plan = plan_matrix([("zju2", "haining")], ["adaptsegnet"], [0], configure)
    with pytest.raises(PolypdaError, match="E_MATRIX_PROCESS"):
        list(InProcesses(1).launch(plan.runs, die, lambda run: None))


def test_when_the_time_is_over_no_further_run_begins(tmp_path):
    plan = plan_matrix(every_pair(["zju2", "haining"], ["zju2", "haining"]), ["adaptsegnet"], [0], configure)
    begun = []
    run_one = partial(leave_a_trace, folder=tmp_path, broken="")
    outcomes = list(InProcesses(1, minutes=0).launch(plan.runs, run_one, lambda run: begun.append(run.name)))
    assert not begun and not outcomes and not list(tmp_path.iterdir())
    assert len(list(InProcesses(1, minutes=60).launch(plan.runs, run_one, lambda run: None))) == len(plan.runs)


def test_a_run_whose_target_has_no_labels_is_complete_once_its_page_is_there(tmp_path):
    (run,) = plan_matrix([("zju2", "haining")], ["source-only"], [0], configure).runs
    made = RunFolder.create(tmp_path / run.name, run.config)
    made.set_status("complete", report="unscored/index.html", verdict="trained", scored=False)
    assert state_of(run, tmp_path) is RunState.UNSCORED
    (made.folder / "unscored").mkdir()
    (made.folder / "unscored" / "evidence.json").write_text("{}")
    assert state_of(run, tmp_path) is RunState.COMPLETE
