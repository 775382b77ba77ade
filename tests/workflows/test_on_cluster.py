"""A matrix's runs as jobs of a real Slurm that the tests start: each once, in order, whatever befalls it."""

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support.cluster_work import Work, work
from support.slurm import missing, running_slurm

from polypda.errors import DataError, UsageError
from polypda.locks import LOCK
from polypda.workflows.matrix import on_cluster
from polypda.workflows.matrix.cluster import Cluster, read_cluster
from polypda.workflows.matrix.node_check import check_cluster
from polypda.workflows.matrix.on_cluster import OnCluster, cancel_all, standings
from polypda.workflows.matrix.slurm import JobBook, queue, run_in_job

WANTED = Cluster(partition="low", minutes=2, stop_s=15)
TESTS = Path(__file__).parents[1]


def use(slurm, monkeypatch):
    paths = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    monkeypatch.setenv("PATH", slurm.environment["PATH"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'polypda[cluster]'")
    if reason := missing():
        pytest.skip(reason)
    with running_slurm(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


@pytest.fixture
def slurm(shared, monkeypatch):
    use(shared, monkeypatch)
    return shared


@pytest.fixture
def own_slurm(tmp_path_factory, monkeypatch):
    """Starts one that a test may break."""
    pytest.importorskip("submitit")
    if reason := missing():
        pytest.skip(reason)
    started = []

    def start(**settings):
        context = running_slurm(tmp_path_factory.mktemp("own"), **settings)
        slurm = context.__enter__()
        started.append(context)
        use(slurm, monkeypatch)
        return slurm

    yield start
    for context in started:
        context.__exit__(None, None, None)


def works(folder, count, **more):
    """Bases, and as many that need one of two."""
    folder = str(folder)
    bases = [Work("base-a", folder, **more), Work("base-b", folder, **more)]
    rest = [Work(f"run-{i}", folder, needs=(("base-a", "base-b")[i % 2],), **more) for i in range(count - 2)]
    return bases + rest


def launched(launcher, runs):
    begun = []
    outcomes = list(launcher.launch(runs, work, begun.append))
    return outcomes, [run.name for run in begun]


def waiting_launcher(folder, cluster=WANTED):
    return OnCluster(folder, cluster, wait=True, look_every_s=0.3)


def assert_each_step_once(runs):
    for run in runs:
        lines = (Path(run.folder) / f"{run.name}.steps").read_text().split()
        assert lines == [str(step) for step in range(run.steps)], run.name


def until(true, seconds=60):
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last, queue()
        time.sleep(0.2)


def test_runs_are_jobs_once_and_in_order(slurm, tmp_path):
    runs = [*works(tmp_path, 6), Work("bad", str(tmp_path), fails=True), Work("after", str(tmp_path), needs=("bad",))]
    outcomes, begun = launched(OnCluster(tmp_path, WANTED), runs)
    assert len({outcome.job for outcome in outcomes}) == 8 and begun[:2] == ["base-a", "base-b"]
    again, begun = launched(OnCluster(tmp_path, WANTED), runs)
    assert [outcome.job for outcome in again] == [outcome.job for outcome in outcomes] and not begun
    outcomes, begun = launched(waiting_launcher(tmp_path), runs)
    assert not begun
    errors = {outcome.run.name: outcome.error.code for outcome in outcomes if outcome.error}
    assert errors == {"bad": "E_TEST", "after": "E_MATRIX_NEEDS"}
    assert_each_step_once(runs[:7])
    shown = {one.run: (one.state, one.words) for one in standings(tmp_path)}
    assert shown["bad"][0] == "failed" and "E_TEST" in shown["bad"][1]


@pytest.mark.slow
def test_a_cancelled_matrix_stays_cancelled_and_goes_on_when_asked(slurm, tmp_path):
    runs = [Work("long", str(tmp_path), steps=20), Work("next", str(tmp_path), needs=("long",))]
    launched(OnCluster(tmp_path, WANTED), runs)
    until((tmp_path / "long.steps").exists)
    assert len(cancel_all(tmp_path)) == 2
    until(lambda: not queue())
    assert "stopped" in {one.state for one in standings(tmp_path)}
    outcomes, begun = launched(waiting_launcher(tmp_path), runs)
    assert begun == ["long", "next"]
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert_each_step_once(runs)


def test_a_node_is_tried_before_hours_are_spent(slurm, tmp_path):
    (tmp_path / "data" / "zju2").mkdir(parents=True)
    both = WANTED.model_copy(update={"partition": "low,high"})
    found = check_cluster(tmp_path / "matrix", both, tmp_path / "data", 60)
    assert [line.split(":")[0] for line in found] == ["low", "high"]
    with pytest.raises(DataError, match="E_CLUSTER_DATA"):
        check_cluster(tmp_path / "matrix", WANTED, tmp_path / "elsewhere", 60)
    for wrong in ({"partition": "nosuch"}, {"minutes": 100000}, {"cpus": 64}, {"sbatch": {"constraint": "no"}}):
        with pytest.raises(UsageError, match="E_CLUSTER_REFUSED"):
            launched(OnCluster(tmp_path, WANTED.model_copy(update=wrong)), [Work("one", str(tmp_path))])
    assert not (tmp_path / "one.steps").exists()


@pytest.mark.slow
def test_a_preempted_run_goes_on_where_it_was(slurm, tmp_path):
    runs = [Work(f"long-{number}", str(tmp_path), steps=30) for number in range(3)]
    launched(OnCluster(tmp_path, WANTED), runs)
    until(lambda: len(list(tmp_path.glob("*.steps"))) == 3)
    slurm.run("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    until(lambda: {job.state for job in queue().values()} & {"PENDING"})
    outcomes, begun = launched(waiting_launcher(tmp_path), runs)
    assert not begun and [outcome.error for outcome in outcomes] == [None] * 3
    assert_each_step_once(runs)


@pytest.mark.slow
def test_a_node_that_dies_costs_nothing(own_slurm, tmp_path):
    slurm = own_slurm()
    runs = works(tmp_path, 60, steps=8)
    launched(OnCluster(tmp_path, WANTED), runs)
    until(lambda: len(list(tmp_path.glob("*.done"))) > 10)
    slurm.kill_node(1)
    time.sleep(5)
    slurm.start_node(1)
    open_runs = [run for run in runs if not (tmp_path / f"{run.name}.done").exists()]
    outcomes, begun = launched(waiting_launcher(tmp_path), open_runs)
    assert not begun and len(outcomes) == len(open_runs) and not [outcome for outcome in outcomes if outcome.error]
    assert_each_step_once(runs)


@pytest.mark.slow
def test_a_run_that_is_longer_than_a_turn_takes_several(slurm, tmp_path):
    runs = [Work("long", str(tmp_path), steps=900)]
    outcomes, _ = launched(waiting_launcher(tmp_path, WANTED.model_copy(update={"minutes": 1})), runs)
    assert outcomes[0].error is None
    assert_each_step_once(runs)
    few = WANTED.model_copy(update={"minutes": 1, "turns": 1})
    outcomes, _ = launched(waiting_launcher(tmp_path, few), [Work("longer", str(tmp_path), steps=900)])
    assert outcomes[0].error.code == "E_CLUSTER_TURNS"


@pytest.mark.slow
def test_a_full_queue_is_filled_again(own_slurm, tmp_path):
    own_slurm(most_jobs=3)
    runs = works(tmp_path, 8)
    with pytest.raises(UsageError, match="E_CLUSTER_FULL"):  # sbatch itself asks again for two minutes
        launched(OnCluster(tmp_path, WANTED), runs)
    assert list(tmp_path.glob("base-?.done")) or queue()
    runs = [run for run in runs if not (tmp_path / f"{run.name}.done").exists()]
    outcomes, _ = launched(waiting_launcher(tmp_path, WANTED.model_copy(update={"array_size": 2})), runs)
    assert not [outcome for outcome in outcomes if outcome.error]
    assert_each_step_once(runs)


def test_what_a_job_wrote_may_be_seen_late(tmp_path, monkeypatch):
    """On a shared disk a job leaves the queue before its last file is seen; one that wrote none is told in the end."""
    monkeypatch.setattr(on_cluster, "queue", dict)
    monkeypatch.setattr(on_cluster, "VISIBLE_S", 0.6)
    monkeypatch.setattr(on_cluster, "submit", lambda book, cluster, calls, after: ["7_0", "7_1"])
    launcher = OnCluster(tmp_path, WANTED, wait=True, look_every_s=0.05)
    timer = threading.Timer(0.3, JobBook(tmp_path).end, ["late"])
    timer.start()
    outcomes = list(launcher.launch([Work("late", ""), Work("silent", "")], work, lambda run: None))
    timer.join()
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [None, "E_CLUSTER_ENDED"]


def test_a_job_of_another_version_says_so(tmp_path):
    with pytest.raises(UsageError, match="E_CLUSTER_VERSION"):
        run_in_job("0.0.0", "one", b"", tmp_path, 1)
    assert JobBook(tmp_path).ended("one")[1].code == "E_CLUSTER_VERSION"


def test_without_a_scheduler_there_is_a_code(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="E_CLUSTER_ABSENT"):
        queue()
    monkeypatch.undo()
    answer = subprocess.CompletedProcess([], 1, "", "slurm_load_jobs error: Unable to contact slurm controller")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(UsageError, match=r"E_CLUSTER_ABSENT.*Unable to contact"):
        queue()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("partitio: low", "'partitio' is not known. Did you mean 'partition'"),
        ("gpus: -1", "gpus=-1"),
        ("- low", "holds no names"),
        ("sbatch: {nice: [1]}", "sbatch.nice"),
        ("a: [", "cannot be read"),
    ],
)
def test_an_odd_file_is_told(tmp_path, text, told):
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(UsageError) as error:
        read_cluster(tmp_path / "cluster.yaml")
    assert error.value.code == "E_CLUSTER_FILE" and told in str(error.value)


def test_what_a_job_asks_for_is_in_the_file(tmp_path):
    text = (
        "partition: gpu,big\naccount: polyps\ngpus: 1\nmemory_gb: 1.5\nsetup: [module load cuda]\nsbatch: {nice: 5}\n"
    )
    (tmp_path / "cluster.yaml").write_text(text)
    found = read_cluster(tmp_path / "cluster.yaml")
    assert found.partitions == ("gpu", "big") and found.setup == ("module load cuda",)
    assert Cluster().partitions == (None,) == read_cluster(None).partitions


def test_a_lock_of_a_dead_node_is_released_for_the_same_job_alone(tmp_path, monkeypatch):
    from dataclasses import asdict

    from polypda.integrity import with_digest
    from polypda.locks import Holder, holder_of, locked

    told = asdict(Holder("abcdef-7-3", "0" * 12, "2026-01-01T00:00:00+00:00", "adapt", "41_3"))
    (tmp_path / LOCK).write_text(json.dumps(with_digest(told)))
    with pytest.raises(DataError, match="E_RUN_LOCKED"), locked(tmp_path, "adapt"):
        pass
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    with pytest.raises(DataError, match="E_RUN_LOCKED"), locked(tmp_path, "adapt"):
        pass
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "41")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with locked(tmp_path, "adapt"):
        assert holder_of(tmp_path).job == "41_3"
    assert JobBook(tmp_path).jobs() == {}


def test_a_flipped_bit_of_the_book_of_jobs_is_noticed(tmp_path):
    book = JobBook(tmp_path)
    book.add({"a-to-b": "41_0"})
    book.end("a-to-b", DataError("E_DISK_FULL", "no space.", fix="make room."))
    book.end("a-to-c")
    assert book.jobs() == {"a-to-b": "41_0"} and book.ended("a-to-c") == (True, None)
    assert book.ended("a-to-b")[1].code == "E_DISK_FULL" and book.ended("other") == (False, None)
    for path, read in (
        (book.folder / "jobs.json", book.jobs),
        (book.folder / "ended" / "a-to-b.json", lambda: book.ended("a-to-b")),
        (book.folder / "ended" / "a-to-c.json", lambda: book.ended("a-to-c")),
    ):
        data = path.read_bytes()
        for place in range(len(data.strip())):
            changed = bytearray(data)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            if json.loads(data) == _read_as_json(changed):  # a space as another space
                continue
            with pytest.raises(DataError, match="E_CLUSTER_JOBS"):
                read()
        path.write_bytes(data)


def _read_as_json(data):
    try:
        return json.loads(data)
    except ValueError:
        return None
