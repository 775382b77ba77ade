"""Pascal VOC annotations: one XML file for each picture, with its size and a box for each object."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn
from polypda.importing.annotations.annotation_files import number, size_px, text
from polypda.importing.annotations.shapes import Box
from polypda.importing.contract import NegativeLabel

VOC_FIRST_PX = 1
"""VOC counts pixels from 1 and names the last pixel of a box: half-open, from 0, that is [xmin − 1, xmax)."""
ZERO_BASED = 0
"""As some sets write it: from 0, with xmax behind the last pixel: already half-open."""


def voc_image(root: Element, path: str, first_px: int = VOC_FIRST_PX) -> AnnotatedImage:
    """What the file at ``path`` says; its image is the one of its own name.

    The size is missing or 0 in what some writers leave. ``folder``, ``filename`` and ``path`` are other machines', and
    are not read. Raises: DataError E_VOC when the root is not VOC's ``annotation``.
    """
    if root.tag != "annotation":
        what = f"the XML's root is '{root.tag[:80]}', not 'annotation'."
        raise DataError("E_VOC", what, where=path, fix="lay only VOC files there.")
    return AnnotatedImage(
        names=(path,),
        file=path,
        origin=path,
        shapes=tuple(Drawn(_box(each, first_px), text(each.findtext("name"))) for each in root.iterfind("object")),
        size=size_px(root.findtext("size/width"), root.findtext("size/height")),
        empty=NegativeLabel(),
    )


def _box(element: Element, first_px: int) -> Box:
    x0, y0, x1, y1 = (number(element.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax"))
    return Box(x0 - first_px, y0 - first_px, x1, y1)
