"""The store of what was computed before: its limit, what is in use, and what is not ours."""

import os
import subprocess
import sys
import time

import pytest

from polypda.cache import DAY_S, FIGURES, FRAMES, Store, entries, limit_bytes, trim
from polypda.errors import UsageError
from polypda.processes import host_mark, own_mark


def name(number):
    return f"{number:024x}-images.npy"


def put(cache, number, size=1000, days_ago=0.0):
    """An entry that an earlier command left."""
    folder = cache / FRAMES.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name(number)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - days_ago * DAY_S,) * 2)
    return path


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    paths = [put(tmp_path, number, days_ago=days) for number, days in enumerate((1, 4, 2, 3))]
    trim(tmp_path, 2500)
    assert [path.exists() for path in paths] == [True, False, True, False]
    trim(tmp_path, 2500)
    assert len(entries(tmp_path)) == 2


def test_use_is_what_counts_not_making(tmp_path):
    folder = tmp_path / FIGURES.name
    folder.mkdir()
    for number in (0, 1):
        path = folder / f"{number:040x}.json"
        assert Store(folder).keep(path.name, bytes(1000))
        os.utime(path, (time.time() - 5 * DAY_S + number,) * 2)
    assert Store(folder).read(f"{0:040x}.json") == bytes(1000)
    trim(tmp_path, 1500)
    assert [entry.path.name for entry in entries(tmp_path)] == [f"{0:040x}.json"]


def test_a_damaged_small_entry_is_none(tmp_path):
    store = Store(tmp_path / FIGURES.name)
    assert store.keep("a.json", b"[1, 2, 3]")
    path = store.folder / "a.json"
    for bit in range(8 * path.stat().st_size):
        data = bytearray(path.read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        (store.folder / "b.json").write_bytes(data)
        assert store.read("b.json") is None
    assert store.read("a.json") == b"[1, 2, 3]"


def test_making_an_entry_makes_room_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYPDA_CACHE_GB", "2.5e-6")
    old = [put(tmp_path, number, days_ago=9 - number) for number in range(3)]
    with Store(tmp_path / FRAMES.name).making(name(9)) as temporary:
        temporary.write_bytes(bytes(1000))
    assert [path.exists() for path in old] == [False, False, True]
    assert Store(tmp_path / FRAMES.name).find(name(9)) is not None


def test_what_a_process_uses_stays_and_goes_when_it_has_ended(tmp_path):
    used = put(tmp_path, 0, days_ago=9)
    program = (
        "import sys; from pathlib import Path; from polypda.cache import Store\n"
        "assert Store(Path(sys.argv[1]).parent).find(Path(sys.argv[1]).name)\nprint('held', flush=True); input()"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", program, str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "held\n"
    trim(tmp_path, 0)
    assert used.exists()
    reader.communicate("\n")
    trim(tmp_path, 0)
    assert not used.exists()


def test_a_killed_writer_leaves_no_entry_and_its_rest_is_removed_later(tmp_path):
    folder = tmp_path / FRAMES.name
    program = (
        "import os, sys; from pathlib import Path; from polypda.cache import Store\n"
        "with Store(Path(sys.argv[1])).making(sys.argv[2]) as file:\n"
        "    file.write_bytes(bytes(500)); print('writes', flush=True); input(); os.kill(os.getpid(), 9)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(folder), name(1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "writes\n"
    (rest,) = folder.iterdir()
    assert Store(folder).find(name(1)) is None and entries(tmp_path) == []
    trim(tmp_path)
    assert rest.exists()
    writer.communicate("\n")
    other = rest.with_name(".000000000000000000000002-images.npy.a1mk5q.part")  # of a version that did not say whose
    other.touch()
    trim(tmp_path)
    assert not rest.exists() and other.exists()
    os.utime(other, (time.time() - 2 * DAY_S,) * 2)
    trim(tmp_path)
    assert not other.exists()


def test_what_is_not_ours_is_never_removed(tmp_path):
    own = tmp_path / "frames" / "0001.png"
    own.parent.mkdir()
    own.write_bytes(bytes(5000))
    trim(tmp_path, 0)
    assert own.exists() and entries(tmp_path) == []


def test_the_limit_is_a_number(monkeypatch):
    monkeypatch.delenv("POLYPDA_CACHE_GB", raising=False)
    assert limit_bytes() == 50 * 10**9
    for text in ("much", "-1", "inf", "nan"):
        monkeypatch.setenv("POLYPDA_CACHE_GB", text)
        with pytest.raises(UsageError, match="E_CACHE_LIMIT"):
            limit_bytes()


def test_a_folder_that_cannot_be_written_costs_no_run(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "scores")
    assert not store.keep("a.json", b"{}") and store.read("a.json") is None
    assert Store(None).read("a") is None and Store(None).find("a") is None


def test_list_and_clear(polypda, tmp_path):
    cache = tmp_path / "cache"
    old, new = put(cache, 1, 3_000_000, days_ago=40), put(cache, 2, 1_000_000)
    score = cache / "scores" / f"{3:032x}-{4:032x}.json"
    score.parent.mkdir()
    score.write_bytes(bytes(1000))
    status, out, _ = polypda("cache", "list")
    assert status == 0
    (frames,) = [line.split() for line in out.splitlines() if line.startswith("frames")]
    assert frames[-6:-3] == ["2", "4.0", "MB"] and "4.0 MB of at most 50.0 GB" in out
    assert polypda("cache", "clear", "--older-than", 30)[1].startswith("removed 1 entries (3.0 MB)")
    assert not old.exists() and new.exists()
    assert polypda("cache", "clear", "scores")[0] == 0 and not score.exists() and new.exists()
    assert polypda("cache", "clear")[1].startswith("removed 1 entries (1.0 MB)") and not new.exists()
    status, _, err = polypda("cache", "clear", "pictures")
    assert status == 2 and "E_CACHE_KIND" in err and "phantoms" in err


def test_what_a_killed_process_left_of_a_small_entry_goes_when_the_next_one_keeps_its_first(tmp_path):
    folder = tmp_path / "fingerprints"
    folder.mkdir()
    left, living = folder / f".{'a' * 40}.{host_mark()}-1-1.x.part", folder / f".{'b' * 40}.{own_mark()}.x.part"
    for path in (left, living):
        path.touch()
    assert Store(folder).keep("c" * 40, b"data") and Store(folder).read("c" * 40) == b"data"
    assert not left.exists() and living.exists()
