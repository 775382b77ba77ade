"""The SUN database: folders ``caseN`` with frames, and ``annotation_txt/caseN.txt`` for those with a polyp.

A row names a frame and its boxes: ``name.jpg x0,y0,x1,y1,class x0,y0,x1,y1,class``. Coordinates are taken as edges,
half-open and from 0; SUN's text does not say. Positive and negative cases both count from ``case1``: a case is
negative when a folder above it (or the source itself) is called so (``sundatabase_negative_part1``), and is then named
``negative-case1``. Its frames show no polyp. A frame of a positive case without a row is taken without a label, and so
are all frames of a case that is not called negative and has no rows at all. Patient and sequence are the case.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn
from polypda.importing.annotations.annotation_files import number, read_text
from polypda.importing.annotations.meanings import FrameFacts
from polypda.importing.annotations.named_images import NamedImages, is_image, without_suffix
from polypda.importing.annotations.shapes import Box
from polypda.importing.contract import Ledger, NegativeLabel, Remark, SourceTree
from polypda.importing.readers.annotated import AnnotatedReader, Annotation

_CASE = re.compile(r"case_?\d+", re.IGNORECASE)
_ROWS = re.compile(r"(?:.*/)?annotation_txt/(?P<case>case_?\d+)\.txt", re.IGNORECASE)
_RELEASE = re.compile(r"sundatabase_(positive|negative)", re.IGNORECASE)

Rows = dict[str, list[Drawn]]
"""File name in lower case → the boxes of its row."""


class SunReader(AnnotatedReader):
    """See the module."""

    name = "sun"
    title = "SUN database: case folders with annotation_txt"
    what = "a frame of SUN"
    known_options = ()
    folders_tell = False

    def recognises(self, tree: SourceTree) -> bool:
        cases = any(_case_of(path) for path in tree.files() if is_image(path))
        rows = any(_ROWS.fullmatch(path) for path in tree.files())
        released = any(_RELEASE.search(path) for path in (tree.name, *tree.files()))
        return cases and (rows or released)

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        rows, text_files = _all_rows(tree, ledger)
        image_files = [(path, case) for path in images.paths if (case := _case_of(path))]
        if not image_files:
            raise DataError(
                "E_LAYOUT", "there is no folder case1, case2… with pictures.", where=tree.name, fix="unpack SUN there."
            )
        return Annotation(len(image_files), _annotated(tree, image_files, rows, text_files, ledger))


def _annotated(
    tree: SourceTree,
    image_files: list[tuple[str, str]],
    rows: dict[str, Rows],
    text_files: dict[str, str],
    ledger: Ledger,
) -> Iterator[AnnotatedImage]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path, case in image_files:
        negative = _is_negative(tree, path)
        if not negative:
            found[case].add(_name(path))
        boxes = None if negative else rows.get(case, {}).get(_name(path))
        missing = Remark("W_ANNOTATION_MISSING", f"{case} has no row for this frame; taken without a label.")
        group = f"negative-{case}" if negative else case
        yield AnnotatedImage(
            names=(path,),
            file=path,
            origin=path,
            shapes=tuple(boxes or ()),
            empty=NegativeLabel() if negative else None,
            withheld=missing if not negative and boxes is None else None,
            facts=FrameFacts(patient=group, sequence=group),
            frame=f"{group}_{without_suffix(path.rsplit('/', 1)[-1])}",
            polyps_alone=True,
        )
    for case, frames in rows.items():
        for name in frames:
            if name not in found[case]:
                what = f"the row's picture '{name}' is not in {case}."
                error = DataError("E_IMAGE_MISSING", what, fix="unpack all parts of SUN into one folder.")
                ledger.leave_out(text_files[case], error)


def _all_rows(tree: SourceTree, ledger: Ledger) -> tuple[dict[str, Rows], dict[str, str]]:
    """Case → its rows, and case → the text file they come from."""
    rows: dict[str, Rows] = {}
    files: dict[str, str] = {}
    for path in tree.files():
        match = _ROWS.fullmatch(path)
        if match is None:
            continue
        case = match["case"].casefold()
        if case in files:
            what = f"a second file of rows for {case} beside {files[case]}; the first counts."
            ledger.leave_out(path, DataError("E_ANNOTATION_TWICE", what, fix="keep one of them."))
            continue
        files[case] = path
        try:
            rows[case] = _rows(read_text(tree, path), path, ledger)
        except DataError as error:
            ledger.leave_out(path, error)
    return rows, files


def _rows(text: str, path: str, ledger: Ledger) -> Rows:
    found: Rows = {}
    for line, row in enumerate(text.splitlines(), start=1):
        name, *rest = row.split(None, 1) or [""]
        told = rest[0] if rest else ""
        if not name:
            continue
        boxes = [box for part in told.split() if (box := _box(part)) is not None]
        if not boxes or len(boxes) < len(told.split()):
            what = f"line {line} is no 'name.jpg x0,y0,x1,y1,class …' ({row.strip()[:80]})."
            ledger.leave_out(path, DataError("E_ANNOTATION_ROW", what, fix="correct the row."))
        elif name.casefold() in found:
            what = f"line {line} is a second row for {name}; the boxes of both count."
            ledger.remark(path, "W_ANNOTATION_TWICE", what)
            found[name.casefold()] += [box for box in boxes if box not in found[name.casefold()]]
        else:
            found[name.casefold()] = boxes
    return found


def _box(part: str) -> Drawn | None:
    values = part.split(",")
    if len(values) not in (4, 5):
        return None
    x0, y0, x1, y1 = map(number, values[:4])
    box = Box(x0, y0, x1, y1)
    return None if box.broken() else Drawn(box, values[4].strip() if len(values) == 5 else "")


def _case_of(path: str) -> str | None:
    """The case that a picture's own folder is, in lower case."""
    folders = path.split("/")[:-1]
    return folders[-1].casefold() if folders and _CASE.fullmatch(folders[-1]) else None


def _is_negative(tree: SourceTree, path: str) -> bool:
    above = path.split("/")[:-2]
    nearest_told = next(
        (part for part in (*reversed(above), tree.name) if re.search("negative|positive", part, re.I)), ""
    )
    return "negative" in nearest_told.casefold()


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].casefold()
