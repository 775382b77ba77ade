"""Text files of labels, one for each picture, in the three forms that are in use.

* YOLO: ``class x y width height``, centre and size in shares of the picture, or ``class x y x y…``, an outline; a
  sixth number beside a box is a model's confidence. Names of classes stand in ``data.yaml``, ``classes.txt`` or
  ``obj.names``.
* PolypGen: ``polyp x0 y0 x1 y1`` in px.
* LDPolypVideo: the number of boxes, then ``x0 y0 x1 y1`` in px, a line each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import yaml

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn
from polypda.importing.annotations.annotation_files import mapping, number, read_text, text, whole
from polypda.importing.annotations.meanings import FrameFacts
from polypda.importing.annotations.shapes import Box, Polygon, Shape, Unpaintable
from polypda.importing.contract import NegativeLabel, Remark, SourceTree

PREDICTED = Remark(
    "W_PREDICTION", "its boxes have a confidence: what a model predicted is no ground truth; taken without a label."
)
BEYOND = 0.01
"""How far a share may lie outside 0–1 by rounding."""
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")


def text_image(content: str, path: str, names: Mapping[int, str]) -> AnnotatedImage | None:
    """What a text file of one picture says; None where it is none of these forms.

    names: YOLO's classes by their numbers. An empty file is ``listed``: alone it says nothing.
    """
    rows = tuple(tuple(line.replace(",", " ").split()) for line in content.splitlines() if line.strip())
    said = AnnotatedImage((path,), path, path, empty=NegativeLabel())
    if not rows:
        return replace(said, listed=True)
    if all(map(_is_yolo, rows)):
        predicted = any(len(row) == 6 for row in rows)
        shapes = tuple(Drawn(_fraction(row), names.get(int(float(row[0])), f"class {row[0]}")) for row in rows)
        return replace(said, shapes=shapes, in_fractions=True, withheld=PREDICTED if predicted else None)
    if len(rows[0]) == 1 and whole(rows[0][0]) == len(rows) - 1 and all(map(_is_box, rows[1:])):
        video = FrameFacts(sequence=PurePosixPath(path).parent.name or None)
        boxes = tuple(Drawn(Box(*map(number, row)), "polyp") for row in rows[1:])
        return replace(said, shapes=boxes, facts=video, polyps_alone=True)
    if all(len(row) >= 5 and _is_box(row[-4:]) and not np.isfinite(number(row[0])) for row in rows):
        return replace(said, shapes=tuple(Drawn(Box(*map(number, row[-4:])), " ".join(row[:-4])) for row in rows))
    return None


def class_names_of(tree: SourceTree) -> dict[int, str]:
    """YOLO's names of classes by their numbers; of several files, the first that has any."""
    for path in tree.files():
        name = path.rsplit("/", 1)[-1].casefold()
        try:
            if name in NAME_FILES:
                listed = dict(enumerate(filter(None, map(str.strip, read_text(tree, path).splitlines()))))
            elif name in ("data.yaml", "data.yml", "dataset.yaml"):
                told = mapping(yaml.safe_load(read_text(tree, path))).get("names")
                pairs = enumerate(told) if isinstance(told, list) else mapping(told).items()
                listed = {key: text(value) for key, value in pairs if isinstance(key, int)}
            else:
                continue
        except (DataError, yaml.YAMLError):
            continue
        if listed:
            return listed
    return {}


def is_name_file(path: str) -> bool:
    """Whether a file holds YOLO's names of classes, and no labels."""
    return path.rsplit("/", 1)[-1].casefold() in NAME_FILES


def _is_yolo(row: Sequence[str]) -> bool:
    kind = whole(row[0])
    if kind is None or kind < 0 or not (len(row) in (5, 6) or (len(row) >= 7 and len(row) % 2)):
        return False
    return all(-BEYOND <= number(value) <= 1 + BEYOND for value in row[1:])


def _is_box(row: Sequence[str]) -> bool:
    return len(row) == 4 and all(np.isfinite(number(value)) for value in row)


def _fraction(row: Sequence[str]) -> Shape:
    """A box or an outline in shares of the picture."""
    values = list(map(number, row[1:]))
    if len(values) in (4, 5):
        x, y, across, down = values[:4]
        return Box(x - across / 2, y - down / 2, x + across / 2, y + down / 2)
    ring = np.array(values, np.float64).reshape(-1, 2)
    return Polygon((ring,)) if len(ring) >= 3 else Unpaintable("an outline of two points")
