"""Image files: what kind they are by their bytes, which lie below a folder, in which order, and how a path tells its
frame."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from polypda.cohorts.tables import is_formula
from polypda.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Of images that are written here, and that other tools' annotations name."""
IMPORTED_SUFFIXES = (
    *(*IMAGE_SUFFIXES, ".apng", ".jpe", ".jfif", ".gif", ".webp"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pnm"),
)
"""Names that promise an image, to an import and below a data root. What a file is, its bytes decide."""
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
SYSTEM_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", "@eadir"}
LARGEST_IMAGE_BYTES = 1 << 30
LONGEST_MATCHING_S = 10
_MATCHING = """
import json, re, sys
pattern, *names = json.load(sys.stdin)
matches = map(re.compile(pattern).fullmatch, names)
json.dump([match.groupdict() if match else None for match in matches], sys.stdout)
"""
MOST_DIGITS = 18
MOST_NAMED = 5
"""How many frames a message names before it says how many more there are."""


@dataclass(frozen=True)
class Kind:
    """An image format: its name for messages and the suffixes that fit it, the usual one first."""

    name: str
    suffixes: tuple[str, ...]


JPEG = Kind("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"))
PNG = Kind("PNG", (".png", ".apng"))
TIFF = Kind("TIFF", (".tif", ".tiff"))
GIF = Kind("GIF", (".gif",))
BMP = Kind("BMP", (".bmp",))
WEBP = Kind("WebP", (".webp",))
JPEG_2000 = Kind("JPEG 2000", (".jp2", ".j2k"))
PORTABLE = Kind("portable pixmap", (".ppm", ".pgm", ".pnm"))
_BEGINNINGS: dict[Kind, tuple[bytes, ...]] = {
    JPEG: (b"\xff\xd8\xff",),
    PNG: (b"\x89PNG\r\n\x1a\n",),
    TIFF: (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    GIF: (b"GIF87a", b"GIF89a"),
    BMP: (b"BM",),
    JPEG_2000: (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    PORTABLE: (b"P5", b"P6"),
}


def kind_of(data: bytes) -> Kind | None:
    """The kind of image that the bytes begin as; None when they are none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    return next((kind for kind, beginnings in _BEGINNINGS.items() if data.startswith(beginnings)), None)


def suffix_of(path: str) -> str:
    """A path's suffix in lower case, with its dot; empty where there is none."""
    return PurePosixPath(path).suffix.lower()


def is_image_name(path: str) -> bool:
    """Whether a file's name promises an image to an import."""
    return suffix_of(path) in IMPORTED_SUFFIXES


def natural_key(name: str) -> tuple[tuple[int, int, str, str], ...]:
    """Sort key that compares runs of ASCII digits as numbers, however long, and the rest as text: img2 before img10."""
    parts = [(part, part.lstrip("0")) for part in re.split(r"([0-9]+)", name) if part]
    return tuple(
        (0, len(digits), digits, part) if part[0] in "0123456789" else (1, 0, part, "") for part, digits in parts
    )


def number_of(text: str) -> int | None:
    """The number that a text of ASCII digits alone is; None for any other, and where no frame has such a number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


def is_hidden(path: str) -> bool:
    """Whether a path with forward slashes is an operating system's own: hidden (macOS leaves "._name.jpg" beside each
    file on other disks), a folder's thumbnails, a recycle bin."""
    parts = path.split("/")
    if any(part.startswith(".") or part.lower() in SYSTEM_FOLDERS for part in parts):
        return True
    return parts[-1].lower() in SYSTEM_FILES


def name_some(frames: Sequence[str]) -> str:
    """The first few of many ids, and how many more there are."""
    more = f" and {len(frames) - MOST_NAMED} more" if len(frames) > MOST_NAMED else ""
    return ", ".join(frames[:MOST_NAMED]) + more


def stays_inside(path: str) -> bool:
    """Whether a path that stands in a file is a relative one that leads nowhere outside, on every system."""
    drive = re.match(r"[A-Za-z]:", path) is not None
    return bool(path) and not (
        path.startswith(("/", "\\", "~")) or ".." in re.split(r"[/\\]", path) or drive or "\0" in path
    )


def image_files(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """The image files that match the globs, as the disk lists them."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.suffix.lower() in IMPORTED_SUFFIXES and not is_hidden(path.relative_to(folder).as_posix()):
                yield path


def _is_file(path: Path, relative: str) -> bool:
    """Whether a path is a file that can be read to its end; False for a folder.

    Raises: DataError E_LINK_BROKEN, E_FILE_SPECIAL (a pipe, a device: reading would wait without end),
        E_FILE_TOO_LARGE.
    """
    if path.is_file():
        if path.stat().st_size > LARGEST_IMAGE_BYTES:
            what = f"{path.stat().st_size / 1e9:.1f} GB: no frame is so large."
            raise DataError("E_FILE_TOO_LARGE", what, where=relative, fix="take it out, or export it again.")
        return True
    if path.is_dir():
        return False
    if path.is_symlink() and not path.exists():
        what, fix = "a link that leads nowhere, or in a circle.", "remove it, or mount the disk that it leads to."
        raise DataError("E_LINK_BROKEN", what, where=relative, fix=fix)
    what = "neither a file nor a folder (a pipe, a device)."
    raise DataError("E_FILE_SPECIAL", what, where=relative, fix="remove it.")


def groups_of(pattern: str, names: Sequence[str]) -> list[dict[str, str | None] | None]:
    """The named groups of each name that a regular expression fits as a whole; None for the others.

    A pattern that may try without end (repetitions within or beside one another) is tried in another process, which is
    given ``LONGEST_MATCHING_S``. Raises: DataError E_FRAME_PATTERN.
    """
    if not may_try_without_end(pattern):
        compiled = re.compile(pattern)
        return [match.groupdict() if match else None for match in map(compiled.fullmatch, names)]
    command = [sys.executable, "-I", "-c", _MATCHING]
    try:
        done = subprocess.run(
            command, input=json.dumps([pattern, *names]), capture_output=True, text=True, encoding="ascii",
            timeout=LONGEST_MATCHING_S, check=True,
        )  # fmt: skip
    except subprocess.SubprocessError as error:
        what = f"the pattern {pattern} was not through with {len(names)} names after {LONGEST_MATCHING_S} s."
        fix = "write it with fewer * and +, and none of them within another."
        raise DataError("E_FRAME_PATTERN", what, fix=fix) from error
    return json.loads(done.stdout)


def may_try_without_end(pattern: str) -> bool:
    """Whether a regular expression repeats a group, or holds more than two open repetitions: the time that it takes
    may then grow beyond all bounds with a name's length. Classes of characters and what is escaped do not count."""
    plain = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "x", pattern)
    repeats = re.findall(r"(?<!\()[*+]|\{\d*,\d*\}", plain)
    return len(repeats) > 2 or re.search(r"\)(?:[*+]|\{)", plain) is not None


_NOTHING_TOLD: dict[str, str | None] = {}
"""One for all files whose names tell the frame alone."""


def files_by_frame(
    folder: Path, patterns: Iterable[str], name: str, what: str
) -> dict[str, tuple[Path, dict[str, str | None]]]:
    """Frame → (file, what further named groups of its path tell), for all image files that match the globs.

    Raises: DataError E_FRAME_NAME, E_FRAME_PATTERN, E_FRAME_TWICE, E_LINK_BROKEN, E_FILE_SPECIAL, E_FILE_TOO_LARGE.
    """
    found: dict[str, tuple[Path, dict[str, str | None]]] = {}
    beginning = f"{folder.as_posix()}/"
    # by their names: what a path keeps once it was hashed or compared, of 200,000 takes 80 MB
    unique = {path.as_posix(): path for path in image_files(folder, patterns)}
    paths = [unique[name] for name in sorted(unique, key=lambda name: natural_key(name.removeprefix(beginning)))]
    paths = [path for path in paths if _is_file(path, path.relative_to(folder.parent).as_posix())]
    stems = [path.relative_to(folder).with_suffix("").as_posix() for path in paths]
    for path, groups in zip(paths, groups_of(name, stems), strict=True):
        relative = path.relative_to(folder.parent).as_posix()
        if groups is None:
            fix = "take the file out of the folder, or correct its name."
            raise DataError("E_FRAME_NAME", f"the {what}'s name does not fit {name}", where=relative, fix=fix)
        frame_id = groups["frame"] or ""
        if is_formula(frame_id):
            fix = "rename the file: a spreadsheet that opens a report would run it."
            raise DataError("E_FRAME_NAME", f"the {what}'s name is a formula.", where=relative, fix=fix)
        if frame_id in found:
            other = found[frame_id][0].relative_to(folder.parent).as_posix()
            what_twice = f"frame '{frame_id}' has a second {what}, {other}."
            raise DataError("E_FRAME_TWICE", what_twice, where=relative, fix="keep one of them.")
        told: dict[str, str | None] = {
            group: text for group, text in groups.items() if group != "frame" and text is not None
        }
        found[frame_id] = path, told or _NOTHING_TOLD
    return found
