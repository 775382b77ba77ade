"""One process in a folder: others are refused, what a kill or a reboot left is not, another machine's lock stays."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from polypda import locks
from polypda.errors import DataError
from polypda.locks import LOCK, break_lock, holder_of, locked

HOLD = """
import os, sys, time
from pathlib import Path
from polypda.locks import locked, share_lock

with locked(Path(sys.argv[1]), "adapt"):
    if sys.argv[2] == "forked":
        if os.fork() == 0:  # as a process that reads batches
            time.sleep(60)
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    started = []

    def start(kind="alone"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), kind],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            start_new_session=True,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("kind", ["alone", "forked"])
def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path, holder, kind):
    first = holder(kind)
    with pytest.raises(DataError, match=f"E_RUN_LOCKED .*process {first.pid} \\(adapt, since"), locked(tmp_path, "x"):
        raise AssertionError("never reached")
    assert holder_of(tmp_path).mark.split("-")[1] == str(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with locked(tmp_path, "x"):
        assert holder_of(tmp_path).what == "x"
    assert holder_of(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_same_process_is_refused_as_well(tmp_path):
    with locked(tmp_path, "one"):
        with pytest.raises(DataError, match="E_RUN_LOCKED"), locked(tmp_path, "two"):
            raise AssertionError("never reached")
        assert holder_of(tmp_path).what == "one"
    with pytest.raises(KeyError), locked(tmp_path, "three"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def left_behind(tmp_path, monkeypatch, **changes):
    """A lock as another process would have left it."""
    for name, value in changes.items():
        monkeypatch.setattr(locks, name, lambda value=value: value)
    with locked(tmp_path, "adapt"):
        content = (tmp_path / LOCK).read_bytes()
    monkeypatch.undo()
    (tmp_path / LOCK).write_bytes(content)
    return content


def test_a_lock_from_before_a_reboot_is_nobodys(tmp_path, monkeypatch):
    left_behind(tmp_path, monkeypatch, _boot="0" * 12)
    assert holder_of(tmp_path) is None
    with locked(tmp_path, "x"):
        pass


def test_another_machines_lock_stays_until_the_user_says_so(tmp_path, monkeypatch):
    content = left_behind(tmp_path, monkeypatch, _boot="0" * 12, own_mark="abcdef-17-99")
    with pytest.raises(DataError, match="process 17 of another machine") as caught, locked(tmp_path, "x"):
        raise AssertionError("never reached")
    assert f"polypda runs clean {tmp_path} --unlock" in caught.value.fix
    assert (tmp_path / LOCK).read_bytes() == content
    break_lock(tmp_path)
    with locked(tmp_path, "x"):
        pass


def test_a_lock_of_a_container_on_this_machine_ends_with_it(tmp_path, monkeypatch):
    left_behind(tmp_path, monkeypatch, own_mark="abcdef-17-99")
    with locked(tmp_path, "x"):
        pass


def test_every_flipped_bit_of_a_lock_is_noticed(tmp_path, monkeypatch):
    content = left_behind(tmp_path, monkeypatch, _boot="0" * 12)  # as it is, it is nobody's
    assert json.loads(content)["boot"] == "0" * 12
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / LOCK).write_bytes(flipped)
        with pytest.raises(DataError, match=r"E_RUN_LOCKED .*damaged"), locked(tmp_path, "x"):
            raise AssertionError("never reached")
    (tmp_path / LOCK).write_bytes(b"\0" * 64)  # the machine lost power while it was written
    with locked(tmp_path, "x"):
        pass


def test_a_folder_that_takes_no_files_is_told(tmp_path):
    with pytest.raises(DataError, match="E_WRITE_FAILED"), locked(tmp_path / "gone", "x"):
        raise AssertionError("never reached")
