"""Whatever is written appears whole or not at all, also when the process is killed."""

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from polypda import files
from polypda.errors import DataError
from polypda.files import (
    require_writable,
    whole_file,
    whole_folder,
    write_json,
    write_parts,
    write_png,
    write_table,
    write_whole,
)

OLD = "old " * 1000


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("where", ["while writing", "before the name is changed"])
def test_a_killed_writer_leaves_the_old_file_or_none(tmp_path, existing, where):
    path = tmp_path / "cases.csv"
    if existing:
        path.write_text(OLD)
    program = """
        import os, sys
        from pathlib import Path
        from polypda.files import whole_file
        path, where = Path(sys.argv[1]), sys.argv[2]
        with whole_file(path) as temporary, temporary.open("w") as file:
            file.write("new " * 400)
            file.flush()
            if where == "while writing":
                os.kill(os.getpid(), 9)
            file.write("new " * 600)
            file.flush()
            os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path), where], check=False)
    assert done.returncode == -9
    assert path.read_text() == OLD if existing else not path.exists()
    assert [left.name for left in tmp_path.iterdir() if left != path and not left.name.startswith(".")] == []


def test_a_killed_writer_of_a_folder_leaves_none(tmp_path):
    program = """
        import os, sys
        from pathlib import Path
        from polypda.files import whole_folder
        with whole_folder(Path(sys.argv[1])) as work:
            (work / "index.html").write_text("half")
            os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "report")], check=False)
    assert not (tmp_path / "report").exists()


def test_an_error_while_writing_leaves_nothing_behind(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(OLD)
    with pytest.raises(KeyError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    with pytest.raises(KeyError), whole_folder(tmp_path / "folder") as work:
        (work / "file").write_text("half")
        raise KeyError
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"] and path.read_text() == OLD


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_what_is_shared_has_the_mode_that_the_user_gives_new_files(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "report.html", "text")
        write_whole(tmp_path / "key", "secret", private=True)
        with whole_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"report.html": 0o666 & ~umask, "key": 0o600, "folder": 0o777 & ~umask}


def test_what_is_written_can_be_read(tmp_path):
    write_json(tmp_path / "a.json", {"息肉": [1, None]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "息肉": [\n  1,\n  null\n ]\n}\n'
    write_table(tmp_path / "a.csv", pd.DataFrame({"frame": ["0001"], "dice": [0.5]}))
    assert (tmp_path / "a.csv").read_bytes() == b"frame,dice\n0001,0.5\n"
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    write_png(tmp_path / "a.png", pixels)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)
    with pytest.raises(DataError, match="E_WRITE_FAILED"):
        write_whole(tmp_path / "absent" / "a.json", "{}")


def test_a_former_file_may_be_kept(tmp_path):
    path = tmp_path / "key"
    for text in ("first", "second"):
        with whole_file(path, private=True, over_former=False) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "first" and len(list(tmp_path.iterdir())) == 1


def test_a_former_folder_stays_until_the_new_one_is_whole(tmp_path):
    folder = tmp_path / "report"
    for text in ("first", "second"):
        with whole_folder(folder, replace=True) as work:
            (work / text).touch()
            assert not (folder / text).exists()
    assert [path.name for path in folder.iterdir()] == ["second"]
    with pytest.raises(OSError), whole_folder(folder):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


AWKWARD = {
    "plain": ["a", "息肉", ""],
    "quoted": ['a,"b"', "two\nlines", "c"],
    "number": [0.1 + 0.2, float("nan"), -0.0],
    "large": [1e22, 1e-300, float("-inf")],
    "whole": [1, -2, 3],
    "yes": [True, False, True],
    "maybe": pd.array([1, None, 3], dtype="Int64"),
    "mixed": ["a", 1, None],
    "days": pd.to_datetime(["2020-01-01", "2021-02-03", "2022-03-04"]),
}


@pytest.mark.parametrize("left_out", [(), ("quoted", "mixed", "days"), tuple(AWKWARD)[1:]])
@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_a_table_in_parts_is_written_as_pandas_writes_it(tmp_path, monkeypatch, left_out, at_once):
    monkeypatch.setattr(files, "ROWS_AT_ONCE", at_once)
    table = pd.DataFrame(AWKWARD).drop(columns=list(left_out)).astype({"plain": object})
    write_table(tmp_path / "table.csv", table)
    assert (tmp_path / "table.csv").read_bytes() == table.to_csv(index=False, lineterminator="\n").encode()
    write_table(tmp_path / "none.csv", table.iloc[:0])
    assert (tmp_path / "none.csv").read_text() == f"{','.join(table)}\n"


def test_a_part_is_made_when_the_one_before_is_written_and_an_error_leaves_nothing(tmp_path):
    def parts():
        for number in range(3):
            yield pd.DataFrame({"a": [number], "b": ["x"]})
        raise DataError("E_CASES_VALUE", "the fourth is wrong.")

    with pytest.raises(DataError, match="E_CASES_VALUE"):
        write_parts(tmp_path / "table.csv", parts())
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are Linux's")
def test_asking_whether_a_folder_takes_files_gives_none_a_name(tmp_path, monkeypatch):
    seen, real = [], tempfile.TemporaryFile

    def look(**options):
        file = real(**options)
        seen.extend([file.writable(), list(tmp_path.iterdir())])
        return file

    monkeypatch.setattr(tempfile, "TemporaryFile", look)
    require_writable(tmp_path / "yet" / "to be made")
    assert seen == [True, []]


@pytest.mark.parametrize("days", [-3, 3])
def test_what_another_machine_writes_now_stays_whatever_this_machines_clock_says(tmp_path, monkeypatch, days):
    """Two machines of a network disk do not agree on the time; the disk's own counts."""
    now, days_s = time.time, days * files.DAY_S
    monkeypatch.setattr("time.time", lambda: now() + days_s)
    writing, left = (tmp_path / f".{name}.a1b2c3-7-9.x.part" for name in ("cases.csv", "matrix.csv"))
    writing.touch()
    left.touch()
    os.utime(left, (now() - 2 * files.DAY_S,) * 2)
    assert files.remove_leftovers(tmp_path) == [left] and writing.exists()
    assert list(tmp_path.iterdir()) == [writing], "asking for the time leaves nothing"


def test_a_disk_that_takes_no_files_is_asked_for_the_time_in_vain(tmp_path):
    assert files.clock_of(tmp_path / "nowhere") == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("before", [1, 2])
def test_an_interruption_between_two_renamings_loses_neither_folder(tmp_path, monkeypatch, error, before):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "by-hand.txt").write_text("hours of work")
    calls, rename = [], Path.rename

    def stopped(self, target):
        calls.append(self)
        if len(calls) == before:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(error), whole_folder(tmp_path / "made", replace=True) as work:
        (work / "new.txt").write_text("new")
    assert (tmp_path / "made" / "by-hand.txt").read_text() == "hours of work"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
