"""Worker processes end with the process that they work for, however that ends, and clean up before."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polypda.processes import STOPPING, keep_freed_memory

WORK = """
import os, time
from pathlib import Path

def work(name):
    half = Path(name + ".half")
    half.write_text("half")
    Path(name + ".pid").write_text(str(os.getpid()))
    try:
        time.sleep(300)
    except BaseException:
        half.unlink()
        raise
"""
SCRIPT = """
import signal, sys
from polypda.processes import WorkerPool, interrupt
from work import work

if sys.argv[1] == "handled":
    signal.signal(signal.SIGTERM, interrupt)  # as every command does
with WorkerPool(2) as pool:
    for task in [pool.submit(work, name) for name in ("one", "two", "queued", "queued too")]:
        task.result()
"""
UNGUARDED = """
from pathlib import Path
from polypda.processes import WorkerPool

with Path("runs.txt").open("a") as file:
    file.write("once ")
with WorkerPool(2) as pool:
    print(sum(pool.map(abs, [-1, -2, -3])))
print(__file__)
"""


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("handled", signal.SIGTERM),
        ("unhandled", signal.SIGTERM),
        ("handled", signal.SIGINT),
        ("handled", signal.SIGKILL),
    ],
)
def test_workers_do_not_outlive_their_parent(tmp_path, how, number):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "work.py").write_text(WORK)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, script, how],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env=environment,
        # a shell starts what runs in its background with Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    files = [tmp_path / "one.pid", tmp_path / "two.pid"]
    try:
        assert wait_until(lambda: all(file.exists() and file.read_text() for file in files))
        workers = [int(file.read_text()) for file in files]
        assert all(map(alive, workers)), "the test must see them"
        process.send_signal(number)
        process.wait(60)
        assert wait_until(lambda: not any(map(alive, workers)), 30)
        assert not list(tmp_path.glob("*.half")), "a task cleans up before its process ends"
        assert not (tmp_path / "queued.pid").exists(), "what waits is not begun"
    finally:
        process.kill()
        process.communicate()


def test_results_and_errors_come_back_as_from_any_pool():
    from polypda.processes import WorkerPool

    with WorkerPool(1, os.umask, (0o22,)) as pool:
        assert list(pool.map(abs, [-1, -2, -3], chunksize=2)) == [1, 2, 3]
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()


def test_a_script_without_a_guard_is_run_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["6", str(script)], done.stderr
    assert (tmp_path / "runs.txt").read_text() == "once "


HANGS_UP = """
import os, signal
from multiprocessing import resource_tracker
from polypda.processes import WorkerPool, spawning

signal.signal(signal.SIGHUP, lambda *_: None)
lock = spawning().Lock()
tracker = resource_tracker._resource_tracker._pid
with WorkerPool(1) as pool:
    os.killpg(0, signal.SIGHUP)
    print(sum(pool.map(abs, [-1, -2])))
assert resource_tracker._resource_tracker._pid == tracker
os.kill(tracker, 0)
del lock
"""


SLOW_TO_IMPORT = """
import multiprocessing, pathlib, time
if getattr(multiprocessing.current_process(), "_inheriting", False):  # it is being started
    pathlib.Path("importing").touch()
    time.sleep(1)
def nothing():
    pass
"""
ASKED_WHILE_ITS_WORKER_IMPORTS = """
import sys
from polypda.processes import WorkerPool, signals_as_ctrl_c
from slow_to_import import nothing

try:
    with signals_as_ctrl_c(), WorkerPool(1, nothing) as pool:
        pool.submit(nothing).result()
        pool.submit(__import__("time").sleep, 60).result()
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize("number", STOPPING)
def test_a_worker_that_still_imports_says_nothing_of_a_signal(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(ASKED_WHILE_ITS_WORKER_IMPORTS)
    (tmp_path / "slow_to_import.py").write_text(SLOW_TO_IMPORT)
    process = subprocess.Popen(
        [sys.executable, script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        start_new_session=True,
        preexec_fn=lambda: [signal.signal(each, signal.default_int_handler) for each in STOPPING],
    )
    assert wait_until((tmp_path / "importing").exists, 20)
    os.killpg(process.pid, number)
    assert process.communicate(timeout=60) == ("stopped\n", "")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminal to be closed")
def test_a_closed_terminal_leaves_the_books_of_locks(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(HANGS_UP)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment, start_new_session=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


KEEPS = """
import resource, sys, threading
from polypda.processes import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    for _ in range(50):  # as a network's buffers of many sizes
        blocks = [bytearray(mb << 20) for mb in (3, 20, 7, 20)]
        del blocks
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=work)
before = faults()
thread.start()
thread.join()
print((faults() - before) * resource.getpagesize() >> 20)
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="another C library than glibc")
def test_threads_keep_freed_memory_too():
    """50 MB are asked for fifty times; without a heap of all threads, 2,500 MB are mapped."""
    said = [
        subprocess.run([sys.executable, "-c", KEEPS, how], capture_output=True, check=True) for how in ("keep", "no")
    ]
    kept, mapped = (int(one.stdout) for one in said)
    assert kept < 200 and mapped > 500


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert keep_freed_memory() is False
