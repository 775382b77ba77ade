"""PolypsSet (doi 10.7910/DVN/FCBUOR): VOC boxes of adenomatous and hyperplastic polyps in three folders.

``train2019/Image/N.jpg`` with ``train2019/Annotation/N.xml``; in ``val2019`` and ``test2019`` one folder for each
sequence between (``Image/7/12.jpg``, ``Annotation/7/12.xml``). So the split is the publishers', and the sequence is
known for validation and test, not for training. Public copies hold several hundred annotations without a picture in
validation and test: one line of the ledger each. A file without an object is a frame without a polyp; frames without
a file are taken without a label. Names and paths within the XML are those of other machines and are not read.
Coordinates are taken as VOC's own (from 1, the last pixel included); the paper does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_xml
from polypda.importing.annotations.drawn_labels import Sheet, label_of
from polypda.importing.annotations.frame_facts import split_named
from polypda.importing.annotations.named_images import is_image, without_suffix
from polypda.importing.annotations.polyp_classes import EveryClass
from polypda.importing.annotations.voc import voc_file
from polypda.importing.contract import (
    ImportedFrame,
    Label,
    Ledger,
    NegativeLabel,
    Reader,
    Remark,
    SourceTree,
    UnknownLabel,
)
from polypda.importing.images.pictures import read_picture
from polypda.importing.readers.annotated import NOT_ANNOTATED

_PLACE = re.compile(
    r"(?:.*/)?(?P<part>(?P<split>train|val|test)\d{0,4})/(?P<kind>Image|Annotation)/(?:(?P<sequence>[^/]+)/)?(?P<stem>[^/]+)",
    re.IGNORECASE,
)


class _Place(NamedTuple):
    part: str
    sequence: str | None
    stem: str


class PolypsSetReader(Reader):
    """See the module."""

    name = "polypsset"
    title = "PolypsSet: VOC boxes in train2019, val2019, test2019"

    def recognises(self, tree: SourceTree) -> bool:
        kinds = {match["kind"].casefold() for path in tree.files() if (match := _PLACE.fullmatch(path))}
        return kinds == {"image", "annotation"}

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        pictures, annotations = _sorted(tree, ledger)
        if not pictures:
            what = "there is no train2019/Image, val2019/Image or test2019/Image with pictures."
            raise DataError("E_LAYOUT", what, where=tree.name, fix="unpack PolypsSet and name its folder.")
        for place, path in annotations.items():
            if place not in pictures:
                what = "the annotation's picture is not there."
                ledger.leave_out(path, DataError("E_IMAGE_MISSING", what, fix="fetch the picture, or leave it so."))
        for place, path in pictures.items():
            try:
                yield _frame(tree, place, path, annotations.get(place))
            except DataError as error:
                ledger.leave_out(annotations[place], error)


def _sorted(tree: SourceTree, ledger: Ledger) -> tuple[Mapping[_Place, str], Mapping[_Place, str]]:
    pictures: dict[_Place, str] = {}
    annotations: dict[_Place, str] = {}
    for path in tree.files():
        match = _PLACE.fullmatch(path)
        if match is None:
            continue
        place = _Place(match["part"].casefold(), match["sequence"], without_suffix(match["stem"]))
        wanted, fits = (
            (pictures, is_image(path))
            if match["kind"].casefold() == "image"
            else (annotations, path.lower().endswith(".xml"))
        )
        if fits and place in wanted:
            what = f"a second file for the frame of {wanted[place]}; the first counts."
            ledger.leave_out(path, DataError("E_IMAGE_TWICE", what, fix="keep one of them."))
        elif fits:
            wanted[place] = path
    return pictures, annotations


def _frame(tree: SourceTree, place: _Place, path: str, annotation: str | None) -> ImportedFrame:
    label: Label = UnknownLabel()
    notes: list[Remark] = []
    if annotation is None:
        notes.append(NOT_ANNOTATED)
    else:
        voc = voc_file(read_xml(tree, annotation), annotation)
        label = label_of(voc.drawn, Sheet(path, voc.size), EveryClass(), notes, empty=NegativeLabel())
    return ImportedFrame(
        "_".join(filter(None, place)),
        path,
        partial(read_picture, tree, path),
        label,
        sequence=f"{place.part}-{place.sequence}" if place.sequence else None,
        split=split_named(place.part.rstrip("0123456789")),
        remarks=tuple(notes),
    )
