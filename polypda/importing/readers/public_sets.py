"""Public data sets with layouts of their own: the SUN database and PolypsSet."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn, FrameFacts
from polypda.importing.annotations.annotation_files import number, read_text, read_xml
from polypda.importing.annotations.shapes import Box
from polypda.importing.contract import Ledger, NegativeLabel, Remark, SourceTree
from polypda.importing.readers.annotated import (
    NOT_ANNOTATED,
    AnnotatedReader,
    Annotation,
    NamedImages,
    is_image,
    stem_of,
    without_suffix,
)
from polypda.importing.readers.beside_files import voc_image
from polypda.importing.readers.folder_words import split_of

_CASE = re.compile(r"case_?\d+", re.IGNORECASE)
_ROWS = re.compile(r"(?:.*/)?annotation_txt/(?P<case>case_?\d+)\.txt", re.IGNORECASE)
_RELEASE = re.compile(r"sundatabase_(positive|negative)", re.IGNORECASE)
Rows = dict[str, list[Drawn]]
"""File name in lower case → the boxes of its row."""


class SunReader(AnnotatedReader):
    """The SUN database: folders ``caseN`` with frames, and ``annotation_txt/caseN.txt`` for those with a polyp.

    A row names a frame and its boxes: ``name.jpg x0,y0,x1,y1,class x0,y0,x1,y1,class``. Coordinates are taken as edges,
    half-open and from 0; SUN's text does not say. Positive and negative cases both count from ``case1``: a case is
    negative when a folder above it (or the source itself) is called so (``sundatabase_negative_part1``), and is then
    named ``negative-case1``. Its frames show no polyp. A frame of another case without a row is taken without a label.
    Patient and sequence are the case.
    """

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
        files = _row_files(tree, ledger)
        image_files = [(path, case) for path in images.paths if (case := _case_of(path))]
        if not image_files:
            what = "there is no folder case1, case2… with pictures."
            raise DataError("E_LAYOUT", what, where=tree.name, fix="unpack SUN there.")
        return Annotation(len(image_files), _sun_images(tree, image_files, files, ledger))


def _sun_images(
    tree: SourceTree, image_files: list[tuple[str, str]], files: dict[str, tuple[str, Rows]], ledger: Ledger
) -> Iterator[AnnotatedImage]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path, case in image_files:
        negative = _is_negative(tree, path)
        name = path.rsplit("/", 1)[-1].casefold()
        if not negative:
            found[case].add(name)
        boxes = files[case][1].get(name) if case in files and not negative else None
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
            frame=f"{group}_{stem_of(path)}",
            polyps_alone=True,
        )
    for case, (file, rows) in files.items():
        for name in (name for name in rows if name not in found[case]):
            what = f"the row's picture '{name}' is not in {case}."
            fix = "unpack all parts of SUN into one folder."
            ledger.leave_out(file, DataError("E_IMAGE_MISSING", what, fix=fix))


def _row_files(tree: SourceTree, ledger: Ledger) -> dict[str, tuple[str, Rows]]:
    """Case → the text file of its rows, and these."""
    files: dict[str, tuple[str, Rows]] = {}
    for path in tree.files():
        match = _ROWS.fullmatch(path)
        if match is None:
            continue
        case = match["case"].casefold()
        if case in files:
            what = f"a second file of rows for {case} beside {files[case][0]}; the first counts."
            ledger.leave_out(path, DataError("E_ANNOTATION_TWICE", what, fix="keep one of them."))
            continue
        files[case] = path, {}
        try:
            files[case] = path, _rows(read_text(tree, path), path, ledger)
        except DataError as error:
            ledger.leave_out(path, error)
    return files


def _rows(content: str, path: str, ledger: Ledger) -> Rows:
    found: Rows = {}
    for line, row in enumerate(content.splitlines(), start=1):
        name, *parts = row.split() or [""]
        if not name:
            continue
        boxes = [box for part in parts if (box := _box(part)) is not None]
        if not boxes or len(boxes) < len(parts):
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
    box = Box(*map(number, values[:4]))
    return None if box.broken() else Drawn(box, values[4].strip() if len(values) == 5 else "")


def _case_of(path: str) -> str | None:
    """The case that an image's own folder is, in lower case."""
    folders = path.split("/")[:-1]
    return folders[-1].casefold() if folders and _CASE.fullmatch(folders[-1]) else None


def _is_negative(tree: SourceTree, path: str) -> bool:
    above = (*reversed(path.split("/")[:-2]), tree.name)
    nearest = next((part for part in above if re.search("negative|positive", part, re.I)), "")
    return "negative" in nearest.casefold()


_INDEX = re.compile(
    r"(?:.*/)?(?P<part>(?P<split>train|val|test)\d{0,4})/(?P<kind>Image|Annotation)/(?:(?P<sequence>[^/]+)/)?(?P<stem>[^/]+)",
    re.IGNORECASE,
)


class _Index(NamedTuple):
    """What PolypsSet's folders and names say of a file."""

    part: str
    sequence: str | None
    stem: str


class PolypsSetReader(AnnotatedReader):
    """PolypsSet (doi 10.7910/DVN/FCBUOR): VOC boxes of adenomatous and hyperplastic polyps in three folders.

    ``train2019/Image/N.jpg`` with ``train2019/Annotation/N.xml``; in ``val2019`` and ``test2019`` one folder for each
    sequence between (``Image/7/12.jpg``, ``Annotation/7/12.xml``). So the split is the publishers', and the sequence is
    known for validation and test, not for training. Public copies hold several hundred annotations without an image in
    validation and test: one line of the ledger each. A file without an object is a frame without a polyp; frames
    without a file are taken without a label. Names and paths within the XML are those of other machines and are not
    read. Coordinates are taken as VOC's own (from 1, the last pixel included); the paper does not say.
    """

    name = "polypsset"
    title = "PolypsSet: VOC boxes in train2019, val2019, test2019"
    what = "a frame of PolypsSet"
    known_options = ()
    folders_tell = False

    def recognises(self, tree: SourceTree) -> bool:
        kinds = {match["kind"].casefold() for path in tree.files() if (match := _INDEX.fullmatch(path))}
        return kinds == {"image", "annotation"}

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        image_files, annotations = _indexed(tree, ledger)
        if not image_files:
            what = "there is no train2019/Image, val2019/Image or test2019/Image with pictures."
            raise DataError("E_LAYOUT", what, where=tree.name, fix="unpack PolypsSet and name its folder.")
        for index, path in annotations.items():
            if index not in image_files:
                what = "the annotation's picture is not there."
                ledger.leave_out(path, DataError("E_IMAGE_MISSING", what, fix="fetch the picture, or leave it so."))
        return Annotation(len(image_files), _polypsset_images(tree, image_files, annotations, ledger))


def _polypsset_images(
    tree: SourceTree, image_files: dict[_Index, str], annotations: dict[_Index, str], ledger: Ledger
) -> Iterator[AnnotatedImage]:
    for index, path in image_files.items():
        found = AnnotatedImage((path,), path, path, withheld=NOT_ANNOTATED)
        if index in annotations:
            try:
                found = voc_image(read_xml(tree, annotations[index]), annotations[index])
            except DataError as error:
                ledger.leave_out(annotations[index], error)
                continue
        facts = FrameFacts(
            sequence=f"{index.part}-{index.sequence}" if index.sequence else None,
            split=split_of(index.part.rstrip("0123456789")),
        )
        yield replace(found, names=(path,), facts=facts, frame="_".join(filter(None, index)), polyps_alone=True)


def _indexed(tree: SourceTree, ledger: Ledger) -> tuple[dict[_Index, str], dict[_Index, str]]:
    """Images and annotations by what their paths say."""
    found: dict[str, dict[_Index, str]] = {"image": {}, "annotation": {}}
    for path in tree.files():
        match = _INDEX.fullmatch(path)
        if match is None:
            continue
        index = _Index(match["part"].casefold(), match["sequence"], without_suffix(match["stem"]))
        kind = match["kind"].casefold()
        if not (is_image(path) if kind == "image" else path.lower().endswith(".xml")):
            continue
        if index in found[kind]:
            what = f"a second file for the frame of {found[kind][index]}; the first counts."
            ledger.leave_out(path, DataError("E_IMAGE_TWICE", what, fix="keep one of them."))
        else:
            found[kind][index] = path
    return found["image"], found["annotation"]
