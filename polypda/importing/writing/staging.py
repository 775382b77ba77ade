"""A cohort folder that appears whole or not at all: staged beside its place, renamed at the end.

Everything of an import lies in the hidden folder ``.ID.importing`` until then: the cohort, unpacked archives, the
journal. It is removed when an import fails or is stopped, but for readers that can go on: then the cohort and the
journal stay, and a repeated command starts after the last file whose frames were complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from polypda.errors import DataError
from polypda.files import whole_file

COHORT, UNPACKED, FORMER, JOURNAL = "cohort", "unpacked", "former", "journal.jsonl"
Entry = dict[str, Any]
"""A line of the journal: ``identity``; ``row`` with ``files``, a frame; ``line``, of the ledger; ``finished``, a file
of the source, with the ``digest`` of its content."""


def staging_folder(root: Path, cohort_id: str) -> Path:
    """Where a cohort is staged."""
    return root / f".{cohort_id}.importing"


class Staging:
    """The staging folder of one cohort, held against a second import of it.

    target: the cohort folder that ``cohort`` becomes. unpacked: for archives; does not exist until it is made, and
    never outlives the command.
    """

    def __init__(self, root: Path, cohort_id: str) -> None:
        self.target = root / cohort_id
        self.folder = staging_folder(root, cohort_id)
        self.cohort = self.folder / COHORT
        self.unpacked = self.folder / UNPACKED
        self.journal: Journal | None = None
        self._begun = False

    def begin(self, identity: dict[str, str], *, resumable: bool, digest: Callable[[str], str]) -> list[Entry]:
        """Clear what an earlier attempt left, or take it up.

        identity: what an interrupted import must have in common to be gone on with. digest: of a file of the source:
        what came of one whose content is another by now is not taken up, nor what came after it.
        Returns: the journal of what is complete already, empty for a new start.
        """
        self._begun = True
        entries = self._resumed(identity, digest) if resumable else []
        if not entries:
            shutil.rmtree(self.cohort, ignore_errors=True)
        self.cohort.mkdir(exist_ok=True)
        if resumable:
            self.journal = Journal(self.folder / JOURNAL, identity, entries, digest)
        return entries

    def write(self, relative: str, data: bytes) -> None:
        """Write a file of the cohort."""
        path = self.cohort / relative
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def publish(self) -> None:
        """Put the staged cohort into its place; a former one there is kept until the new one is."""
        former = self.folder / FORMER
        if self.target.exists():
            self.target.rename(former)
        try:
            self.cohort.rename(self.target)
        except OSError:
            if former.exists():
                former.rename(self.target)
            raise

    def can_be_resumed(self) -> bool:
        """Whether a later command can go on with what is staged: now, or, where nothing was begun, since earlier."""
        if self.journal is not None:
            self.journal.close()
            return self.journal.anything_finished and self.cohort.exists()
        return not self._begun and (self.folder / JOURNAL).is_file() and self.cohort.exists()

    def discard(self) -> None:
        """Give up what is staged, also what a later command could have gone on with."""
        if self.journal is not None:
            self.journal.close()
        shutil.rmtree(self.cohort, ignore_errors=True)

    def restore_former(self) -> None:
        """Undo an exchange of folders that a crash cut in half."""
        former = self.folder / FORMER
        if former.exists() and not self.target.exists():
            former.rename(self.target)
        shutil.rmtree(former, ignore_errors=True)

    def _resumed(self, identity: dict[str, str], digest: Callable[[str], str]) -> list[Entry]:
        """The journal's entries up to the last finished file; what came after is removed from the folder."""
        entries = complete_part(self.folder / JOURNAL, identity, digest)
        files = {file for entry in entries for file in entry.get("files", ())}
        for path in [path for path in self.cohort.rglob("*") if path.is_file()]:
            if path.relative_to(self.cohort).as_posix() not in files:
                path.unlink()
        return entries


@contextmanager
def staging(root: Path, cohort_id: str) -> Iterator[Staging]:
    """Stage a cohort for the length of the block; :meth:`Staging.publish` puts it in its place.

    Raises: DataError E_IMPORT_RUNNING, E_WRITE_FAILED.
    """
    staged = Staging(root, cohort_id)
    new_root = not root.exists()
    try:
        staged.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot be written to ({error.strerror})."
        raise DataError("E_WRITE_FAILED", what, where=root, fix="choose another folder with --out.") from error
    lock = _locked(staged.folder)
    try:
        staged.restore_former()
        shutil.rmtree(staged.unpacked, ignore_errors=True)
        yield staged
    finally:
        shutil.rmtree(staged.unpacked, ignore_errors=True)
        if not staged.can_be_resumed():
            shutil.rmtree(staged.folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)
        if new_root:
            with suppress(OSError):  # a root that holds something by now stays
                root.rmdir()


def clear_published(root: Path, cohort_id: str) -> None:
    """Remove what a command left of its staging folder that was killed after it had published the cohort."""
    folder = staging_folder(root, cohort_id)
    if folder.is_dir() and not (folder / COHORT).exists() and (root / cohort_id).is_dir():
        with suppress(DataError, OSError), staging(root, cohort_id):  # another command's stays
            pass


def link_tree(source: Path, target: Path, leave: frozenset[str]) -> None:
    """The files of one folder in another, as links where the file system has them, else as copies."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or relative.as_posix() in leave:
            continue
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target / relative)
        except OSError:
            shutil.copy2(path, target / relative)


def _locked(folder: Path) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows: a second import is not noticed
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        what = "another command is importing this cohort."
        raise DataError("E_IMPORT_RUNNING", what, where=folder.name, fix="wait until it has ended.") from error
    except OSError:  # a network disk without locks
        os.close(handle)
        return None
    return handle


class Journal:
    """What is complete of an import: one JSON value a line, flushed per file; begun anew with entries taken over."""

    def __init__(
        self, path: Path, identity: dict[str, str], entries: list[Entry], digest: Callable[[str], str]
    ) -> None:
        self._digest = digest
        self.anything_finished = any("finished" in entry for entry in entries)
        with whole_file(path) as temporary:
            lines = [json.dumps(entry) + "\n" for entry in [{"identity": identity}, *entries]]
            temporary.write_text("".join(lines), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def note(self, entry: Entry) -> None:
        """Add an entry; it counts once a file is finished after it."""
        self._file.write(json.dumps(entry) + "\n")

    def finish(self, path: str) -> None:
        """A file of the source is complete, with all entries so far."""
        self.note({"finished": path, "digest": self._digest(path)})
        self._file.flush()
        os.fsync(self._file.fileno())
        self.anything_finished = True

    def close(self) -> None:
        """Close the file; what came after the last finished one is dropped by whoever goes on."""
        with suppress(OSError):
            self._file.close()


def complete_part(path: Path, identity: dict[str, str], digest: Callable[[str], str]) -> list[Entry]:
    """A journal's entries up to the last finished file whose content, as that of all before, is still the same; none
    where it is another import's."""
    entries: list[Entry] = []
    with suppress(OSError, ValueError):  # a crash may leave half a line at the end
        for text in path.read_text(encoding="utf-8").splitlines():
            entries.append(json.loads(text))
    if not entries or entries[0].get("identity") != identity:
        return []
    end = 0
    for index, entry in enumerate(entries):
        if "finished" not in entry:
            continue
        if not entry.get("digest") or entry["digest"] != digest(entry["finished"]):
            break
        end = index
    return entries[1 : end + 1]
