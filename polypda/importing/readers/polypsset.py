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
from dataclasses import replace
from typing import NamedTuple

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage
from polypda.importing.annotations.annotation_files import read_xml
from polypda.importing.annotations.meanings import FrameFacts
from polypda.importing.annotations.named_images import NamedImages, is_image, without_suffix
from polypda.importing.contract import Ledger, SourceTree
from polypda.importing.folders.folder_words import split_of
from polypda.importing.readers.annotated import NOT_ANNOTATED, AnnotatedReader, Annotation
from polypda.importing.readers.voc import voc_image

_PLACE = re.compile(
    r"(?:.*/)?(?P<part>(?P<split>train|val|test)\d{0,4})/(?P<kind>Image|Annotation)/(?:(?P<sequence>[^/]+)/)?(?P<stem>[^/]+)",
    re.IGNORECASE,
)


class _Place(NamedTuple):
    part: str
    sequence: str | None
    stem: str


class PolypsSetReader(AnnotatedReader):
    """See the module."""

    name = "polypsset"
    title = "PolypsSet: VOC boxes in train2019, val2019, test2019"
    what = "a frame of PolypsSet"
    known_options = ()
    folders_tell = False

    def recognises(self, tree: SourceTree) -> bool:
        kinds = {match["kind"].casefold() for path in tree.files() if (match := _PLACE.fullmatch(path))}
        return kinds == {"image", "annotation"}

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        image_files, annotations = _sorted(tree, ledger)
        if not image_files:
            what = "there is no train2019/Image, val2019/Image or test2019/Image with pictures."
            raise DataError("E_LAYOUT", what, where=tree.name, fix="unpack PolypsSet and name its folder.")
        for index, path in annotations.items():
            if index not in image_files:
                what = "the annotation's picture is not there."
                ledger.leave_out(path, DataError("E_IMAGE_MISSING", what, fix="fetch the picture, or leave it so."))
        return Annotation(len(image_files), _annotated(tree, image_files, annotations, ledger))


def _annotated(
    tree: SourceTree, image_files: Mapping[_Place, str], annotations: Mapping[_Place, str], ledger: Ledger
) -> Iterator[AnnotatedImage]:
    for index, path in image_files.items():
        said = AnnotatedImage((path,), path, path, withheld=NOT_ANNOTATED)
        if index in annotations:
            try:
                said = voc_image(read_xml(tree, annotations[index]), annotations[index])
            except DataError as error:
                ledger.leave_out(annotations[index], error)
                continue
        facts = FrameFacts(
            sequence=f"{index.part}-{index.sequence}" if index.sequence else None,
            split=split_of(index.part.rstrip("0123456789")),
        )
        yield replace(said, names=(path,), facts=facts, frame="_".join(filter(None, index)), polyps_alone=True)


def _sorted(tree: SourceTree, ledger: Ledger) -> tuple[Mapping[_Place, str], Mapping[_Place, str]]:
    image_files: dict[_Place, str] = {}
    annotations: dict[_Place, str] = {}
    for path in tree.files():
        match = _PLACE.fullmatch(path)
        if match is None:
            continue
        index = _Place(match["part"].casefold(), match["sequence"], without_suffix(match["stem"]))
        wanted, fits = (
            (image_files, is_image(path))
            if match["kind"].casefold() == "image"
            else (annotations, path.lower().endswith(".xml"))
        )
        if fits and index in wanted:
            what = f"a second file for the frame of {wanted[index]}; the first counts."
            ledger.leave_out(path, DataError("E_IMAGE_TWICE", what, fix="keep one of them."))
        elif fits:
            wanted[index] = path
    return image_files, annotations
