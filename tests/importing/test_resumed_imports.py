"""An interrupted import of a resumable format is gone on with; nothing of the interrupted file is kept twice."""

import csv
import json
from functools import partial

import pytest
from importing.painted_sources import frame, put, run_import, snapshot

from polypda.errors import DataError
from polypda.importing import registry
from polypda.importing.contract import DecodedImage, ImportedFrame, Reader
from polypda.importing.deidentification.treatment import Choices
from polypda.importing.writing.staging import staging
from polypda.workflows.cohorts.deidentify import DeidentifyingImport, DeidentifyRequest
from polypda.workflows.cohorts.import_cohort import ImportRequest, import_cohort

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
            if path in ledger.finished or not path.endswith(".reel"):
                continue
            tree.read(path)
            if path.startswith("broken"):
                ledger.leave_out(path, DataError("E_VIDEO_BROKEN", "no film."))
                ledger.finish(path)
                continue
            for number in range(3):
                read = partial(self._decode, path, number)
                yield ImportedFrame(f"{path[:-5]}_{number}", path, read, patient="Li")
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


def test_another_source_of_the_same_name_starts_anew(reels, tmp_path):
    root = tmp_path / "root"
    interrupt(reels, root, "d.reel", "0")
    journal = (root / ".ward-7.importing" / "journal.jsonl").read_text()
    assert '"finished"' in journal and str(tmp_path) not in journal
    for path in reels.iterdir():
        put(tmp_path / "elsewhere" / "src" / path.name, path.read_bytes())
    decoded.clear()
    run_import(tmp_path / "elsewhere" / "src", root, format="reels")
    assert decoded == EVERY


@pytest.mark.parametrize("changed", ["c.reel", "gone", "table.csv"])
def test_what_changed_since_is_read_again_and_all_after_it(reels, tmp_path, changed):
    put(reels / "table.csv", b"video,patient\na,p1\n")
    interrupt(reels, tmp_path / "root", "d.reel", "0")
    if changed == "gone":
        (reels / "a.reel").unlink()
    else:
        put(reels / changed, (reels / changed).read_bytes()[::-1] + b" ")
    decoded.clear()
    result = run_import(reels, tmp_path / "root", format="reels")
    again = {"c.reel": EVERY[3:], "gone": EVERY[3:], "table.csv": EVERY}[changed]
    assert decoded == again
    every = again if changed == "gone" else EVERY
    assert sorted(path.stem for path in (result.folder / "images").iterdir()) == every
    assert json.loads((result.folder / "import.json").read_text())["left_out"] == {"E_VIDEO_BROKEN": 1}


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


def treatment(source, root, crosswalk):
    wanted = DeidentifyRequest(root.parent / "key", crosswalk, Choices(keep_without_field=True))
    return DeidentifyingImport(ImportRequest(source, "ward-7", root, format="reels"), wanted)


def rows_of(crosswalk):
    with crosswalk.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def import_without_names(source, root, crosswalk):
    return import_cohort(ImportRequest(source, "ward-7", root, format="reels"), treatment(source, root, crosswalk))


def test_a_crosswalk_tells_of_what_was_done_before_an_interruption(reels, tmp_path):
    root, crosswalk = tmp_path / "root", tmp_path / "private" / "crosswalk.csv"
    STOP[:] = "d.reel", "1"
    with pytest.raises(KeyboardInterrupt):
        import_without_names(reels, root, crosswalk)
    STOP.clear()
    kept = crosswalk.read_bytes()
    assert (
        crosswalk.stat().st_mode & 0o077 == 0 and b"Li" not in (root / ".ward-7.importing/journal.jsonl").read_bytes()
    )

    crosswalk.unlink()  # the names of six frames would be lost
    decoded.clear()
    with pytest.raises(DataError, match="E_CROSSWALK_INCOMPLETE") as caught:
        import_without_names(reels, root, crosswalk)
    assert "6 frames" in caught.value.what and not crosswalk.exists()

    crosswalk.write_bytes(kept)
    result = import_without_names(reels, root, crosswalk)
    assert decoded == EVERY[-3:]
    rows = rows_of(crosswalk)
    names = {row["original"]: row["pseudonym"] for row in rows if row["kind"] == "frame"}
    assert sorted(names) == EVERY and set(names.values()) == {record.frame for record in result.records}
    assert [row["original"] for row in rows if row["kind"] == "patient"] == ["Li"]
    assert sorted(names, key=names.__getitem__) == EVERY  # numbered on, in the order of the frames
    assert {row["original"] for row in rows if row["kind"] == "file"} == {f"{film}.reel" for film in "acd"} | {
        "broken.reel"
    }


@pytest.mark.parametrize("later", ["crosswalk.csv", "another.csv"])
def test_an_import_that_wrote_no_crosswalk_or_another_starts_anew(reels, tmp_path, later):
    root = tmp_path / "root"
    STOP[:] = "d.reel", "1"
    with pytest.raises(KeyboardInterrupt):
        import_without_names(reels, root, tmp_path / "crosswalk.csv" if later == "another.csv" else None)
    STOP.clear()
    decoded.clear()
    import_without_names(reels, root, tmp_path / later)
    assert decoded == EVERY
    assert sorted(row["original"] for row in rows_of(tmp_path / later) if row["kind"] == "frame") == EVERY
