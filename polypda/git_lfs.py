"""Pointers that lie where a file should be: a repository was cloned without its large files."""

from __future__ import annotations

from pathlib import Path

from polypda.errors import DataError

BEGINNINGS = (
    b"version https://git-lfs.github.com/spec/",
    b"/annex/objects/",
    b"../.git/annex/",
    b".git/annex/objects/",
)
"""How pointer files of Git LFS and of git-annex begin."""
LONGEST_POINTER_BYTES = 1024


def is_pointer(data: bytes) -> bool:
    """Whether a file's bytes (its first thousand suffice) are a pointer to the file that is meant."""
    return len(data) <= LONGEST_POINTER_BYTES and data.startswith(BEGINNINGS)


def is_pointer_file(path: Path) -> bool:
    """Likewise, of a file; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return is_pointer(file.read(LONGEST_POINTER_BYTES + 1))
    except OSError:
        return False


def pointer_error(code: str, where: str | Path) -> DataError:
    """The error for such a file; ``code`` is how its code begins (``E_IMAGE``)."""
    what = "a pointer of Git LFS (or git-annex) lies here, not the file itself."
    fix = "fetch the large files: `git lfs pull` (or `git annex get .`) in the repository."
    return DataError(f"{code}_LFS_POINTER", what, where=where, fix=fix)
