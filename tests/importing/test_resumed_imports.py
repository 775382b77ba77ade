"""An interrupted import of a resumable format is gone on with; nothing of the interrupted file is kept twice."""

import json

import pytest
from importing.painted_sources import frame, put, run_import, snapshot

from polypda.errors import DataError
from polypda.importing import registry
from polypda.importing.contract import DecodedImage, ImportedFrame, Reader
from polypda.importing.writing.staging import staging

decoded: list[str] = []
STOP: list[str] = []


class Reels(Reader):
    """Each ``.reel`` file is a film of three frames."""

    name = "reels"
    title = "films for tests"
    resumable = True

    def recognises(self, tree):
        return any(path.endswith(".reel") for path in tree.files())

    def frames(self, tree, ledger):
        for path in tree.files():
            if path in ledger.finished:
                continue
            tree.read(path)
            if path.startswith("broken"):
                ledger.leave_out(path, DataError("E_VIDEO_BROKEN", "no film."))
                ledger.finish(path)
                continue
            for number in range(3):
                yield ImportedFrame(f"{path[:-5]}_{number}", path, lambda p=path, n=number: self._decode(p, n))
            ledger.finish(path)

    @staticmethod
    def _decode(path, number):
        if [path, str(number)] == STOP:
            raise KeyboardInterrupt
        decoded.append(f"{path[:-5]}_{number}")
        return DecodedImage(frame(number))


@pytest.fixture
def reels(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "READERS", {"reels": Reels, **registry.READERS})
    decoded.clear()
    STOP.clear()
    for name in ("a", "broken", "c", "d"):
        put(tmp_path / "src" / f"{name}.reel", name.encode())
    return tmp_path / "src"


EVERY = [f"{name}_{number}" for name in "acd" for number in range(3)]


def interrupt(source, root, *at):
    STOP[:] = at
    with pytest.raises(KeyboardInterrupt):
        run_import(source, root, format="reels")
    STOP.clear()


def test_a_repeated_command_goes_on_after_the_last_whole_file(reels, tmp_path):
    root = tmp_path / "root"
    interrupt(reels, root, "c.reel", "2")
    assert [path.name for path in root.iterdir()] == [".ward-7.importing"]
    assert decoded == ["a_0", "a_1", "a_2", "c_0", "c_1"]
    decoded.clear()
    result = run_import(reels, root, format="reels")
    assert decoded == ["c_0", "c_1", "c_2", "d_0", "d_1", "d_2"]
    assert [path.name for path in root.iterdir()] == ["ward-7"]
    whole = run_import(reels, tmp_path / "other", format="reels")
    assert {path: told[0] for path, told in snapshot(result.folder).items()} == {
        path: told[0] for path, told in snapshot(whole.folder).items()
    }
    assert sorted(path.stem for path in (result.folder / "images").iterdir()) == EVERY
    assert json.loads((result.folder / "import.json").read_text())["left_out"] == {"E_VIDEO_BROKEN": 1}


def test_it_may_be_interrupted_again_and_again(reels, tmp_path):
    root = tmp_path / "root"
    for at in (("a.reel", "1"), ("c.reel", "0"), ("d.reel", "2")):
        interrupt(reels, root, *at)
    run_import(reels, root, format="reels")
    assert sorted(set(decoded)) == EVERY and decoded.count("a_2") == 1
    assert sorted(path.stem for path in (root / "ward-7/images").iterdir()) == EVERY


def test_another_import_starts_anew(reels, tmp_path):
    interrupt(reels, tmp_path / "root", "d.reel", "0")
    (tmp_path / "other").mkdir()
    put(tmp_path / "other" / "z.reel", b"z")
    result = run_import(tmp_path / "other", tmp_path / "root", format="reels")
    assert sorted(path.stem for path in (result.folder / "images").iterdir()) == ["z_0", "z_1", "z_2"]


def test_a_journal_that_was_cut_off_is_taken_as_far_as_it_goes(reels, tmp_path):
    root = tmp_path / "root"
    interrupt(reels, root, "d.reel", "1")
    journal = root / ".ward-7.importing" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-2]) + lines[-2][:10])
    result = run_import(reels, root, format="reels")
    assert sorted(path.stem for path in (result.folder / "images").iterdir()) == EVERY


def test_two_commands_do_not_write_the_same_cohort(reels, tmp_path):
    with staging(tmp_path / "root", "ward-7"), pytest.raises(DataError, match="E_IMPORT_RUNNING"):
        run_import(reels, tmp_path / "root", format="reels")
    run_import(reels, tmp_path / "root", format="reels")


def test_an_exchange_of_folders_that_a_crash_cut_is_undone(reels, tmp_path):
    root = tmp_path / "root"
    folder = run_import(reels, root, format="reels").folder
    before = snapshot(folder)
    (root / ".ward-7.importing").mkdir()
    folder.rename(root / ".ward-7.importing" / "former")
    with staging(root, "ward-7"):
        assert snapshot(folder) == before
    assert [path.name for path in root.iterdir()] == ["ward-7"]


def test_what_a_command_left_that_was_killed_after_publishing_is_cleared_by_the_next(reels, tmp_path):
    root = tmp_path / "root"
    folder = run_import(reels, root, format="reels").folder
    before = snapshot(folder)
    (root / ".ward-7.importing").mkdir()
    (root / ".ward-7.importing" / "journal.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="E_COHORT_EXISTS"):
        run_import(reels, root, format="reels")
    assert [path.name for path in root.iterdir()] == ["ward-7"] and snapshot(folder) == before
