"""What one file beside images says: of one image (VOC, texts), or of many by their names (run lengths, VIA)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn, FrameFacts
from polypda.importing.annotations.annotation_files import (
    decoded_text,
    items,
    mapping,
    mappings,
    number,
    read_json,
    read_text,
    size_px,
    text,
    whole,
)
from polypda.importing.annotations.shapes import (
    Box,
    Ellipse,
    Painted,
    Polygon,
    Shape,
    Unpaintable,
    ring_of_flat,
    ring_of_pairs,
)
from polypda.importing.contract import Label, MaskPixels, NegativeLabel, Remark, SourceTree, UnknownLabel
from polypda.importing.readers.frame_tables import COLUMN_NAMES, table_of
from polypda.yaml_text import YamlError, load_yaml

VOC_FIRST_PX = 1
"""VOC counts pixels from 1 and names the last pixel of a box: half-open, from 0, that is [xmin − 1, xmax)."""
ZERO_BASED = 0
"""As some sets write it: from 0, with xmax behind the last pixel: already half-open."""
PREDICTED = Remark(
    "W_PREDICTION", "its boxes have a confidence: what a model predicted is no ground truth; taken without a label."
)
BEYOND = 0.01
"""How far a fraction may lie outside 0–1 by rounding."""
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")
VIA_FIELDS = {"region shape attributes": "shape_attributes", "region attributes": "region_attributes"}
"""Headings of VIA's table, and what its projects call the same."""
RUN_HEADINGS = ("encoded pixels", "encodedpixels", "rle", "mask rle", "rle mask", "run lengths", "runs")
IMAGE_HEADINGS = (*COLUMN_NAMES["frame"], "id", "imageid")
CLASS_HEADINGS = ("class", "label", "class name", "class id", "classid")
NOTHING = ("", "-1", "nan", "none")


def voc_image(root: Element, path: str, first_px: int = VOC_FIRST_PX) -> AnnotatedImage:
    """What a VOC file says; its image is the one of its own name.

    The size is missing or 0 in what some writers leave. ``folder``, ``filename`` and ``path`` are other machines', and
    are not read. Raises: DataError E_VOC when the root is not VOC's ``annotation``.
    """
    if root.tag != "annotation":
        what = f"the XML's root is '{root.tag[:80]}', not 'annotation'."
        raise DataError("E_VOC", what, where=path, fix="lay only VOC files there.")

    def box(element: Element) -> Box:
        x0, y0, x1, y1 = (number(element.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax"))
        return Box(x0 - first_px, y0 - first_px, x1, y1)

    return AnnotatedImage(
        names=(path,),
        file=path,
        origin=path,
        shapes=tuple(Drawn(box(each), text(each.findtext("name"))) for each in root.iterfind("object")),
        size=size_px(root.findtext("size/width"), root.findtext("size/height")),
        empty=NegativeLabel(),
    )


def text_image(content: str, path: str, names: Mapping[int, str]) -> AnnotatedImage | None:
    """What a text file of one image says; None where it is none of these forms.

    * YOLO: ``class x y width height``, centre and size in fractions of the image, or ``class x y x y…``, an outline; a
      sixth number beside a box is a model's confidence. names: YOLO's classes by their numbers.
    * PolypGen: ``polyp x0 y0 x1 y1`` in px.
    * LDPolypVideo: the number of boxes, then ``x0 y0 x1 y1`` in px, a line each.

    An empty file is ``listed``: alone it says nothing.
    """
    rows = tuple(tuple(line.replace(",", " ").split()) for line in content.splitlines() if line.strip())
    found = AnnotatedImage((path,), path, path, empty=NegativeLabel())
    if not rows:
        return replace(found, listed=True)
    if all(map(_is_yolo, rows)):
        predicted = any(len(row) == 6 for row in rows)
        shapes = tuple(Drawn(_yolo(row), names.get(int(float(row[0])), f"class {row[0]}")) for row in rows)
        return replace(found, shapes=shapes, in_fractions=True, withheld=PREDICTED if predicted else None)
    if len(rows[0]) == 1 and whole(rows[0][0]) == len(rows) - 1 and all(map(_is_box, rows[1:])):
        video = FrameFacts(sequence=PurePosixPath(path).parent.name or None)
        boxes = tuple(Drawn(Box(*map(number, row)), "polyp") for row in rows[1:])
        return replace(found, shapes=boxes, facts=video, polyps_alone=True)
    if all(len(row) >= 5 and _is_box(row[-4:]) and not np.isfinite(number(row[0])) for row in rows):
        return replace(found, shapes=tuple(Drawn(Box(*map(number, row[-4:])), " ".join(row[:-4])) for row in rows))
    return None


def _is_yolo(row: Sequence[str]) -> bool:
    kind = whole(row[0])
    if kind is None or kind < 0 or not (len(row) in (5, 6) or (len(row) >= 7 and len(row) % 2)):
        return False
    return all(-BEYOND <= number(value) <= 1 + BEYOND for value in row[1:])


def _is_box(row: Sequence[str]) -> bool:
    return len(row) == 4 and all(np.isfinite(number(value)) for value in row)


def _yolo(row: Sequence[str]) -> Shape:
    if len(row) in (5, 6):
        x, y, across, down = map(number, row[1:5])
        return Box(x - across / 2, y - down / 2, x + across / 2, y + down / 2)
    ring = ring_of_flat(row[1:])
    return Polygon((ring,)) if len(ring) >= 3 else Unpaintable()


def class_names_of(tree: SourceTree) -> dict[int, str]:
    """YOLO's names of classes by their numbers (``data.yaml``, ``classes.txt``…); of several files, the first that has
    any."""
    for path in tree.files():
        name = path.rsplit("/", 1)[-1].casefold()
        try:
            if name in NAME_FILES:
                listed = dict(enumerate(filter(None, map(str.strip, read_text(tree, path).splitlines()))))
            elif name in ("data.yaml", "data.yml", "dataset.yaml"):
                names = mapping(load_yaml(read_text(tree, path))).get("names")
                pairs = enumerate(names) if isinstance(names, list) else mapping(names).items()
                listed = {key: text(value) for key, value in pairs if isinstance(key, int)}
            else:
                continue
        except (DataError, YamlError):
            continue
        if listed:
            return listed
    return {}


def is_name_file(path: str) -> bool:
    """Whether a file holds YOLO's names of classes, and no labels."""
    return path.rsplit("/", 1)[-1].casefold() in NAME_FILES


def table_images(tree: SourceTree, path: str, rows: bool) -> list[AnnotatedImage] | None:
    """What a file that lists labels of many images says; None where it is none. rows: run lengths go along rows.

    * Run lengths as in competitions: a column for the image and one called ``EncodedPixels``, ``rle`` or the like that
      holds starts (from 1) and lengths. Several rows of an image are joined; an empty field: it shows no polyp.
    * VIA (VGG Image Annotator): a project's ``_via_img_metadata``, that alone, or its table (CSV) of regions, whose
      class is the value of a region's first attribute. An image without regions is one that nobody annotated.

    Raises: DataError where it is one and damaged.
    """
    if path.lower().endswith(".json"):
        return _via_project(read_json(tree, path), path)
    content = decoded_text(tree.read(path), path, "E_TABLE")
    try:
        header, lines = table_of(content, path)
    except DataError:
        return None
    found = [dict(zip(header, line, strict=False)) for _, line in lines]
    return _via_table(found, path) or _run_table(found, path, rows)


def _images(found: Mapping[str, list[Drawn]], path: str, empty: Label) -> list[AnnotatedImage]:
    return [AnnotatedImage((name,), path, path, tuple(drawn), empty=empty) for name, drawn in found.items()]


def runs_mask(runs: str, rows: bool, where: str, size: tuple[int, int]) -> MaskPixels:
    """The mask of starts and lengths, uint8 of ``size`` (height, width). Raises: DataError E_RLE, E_RLE_LENGTH."""
    words = runs.split()
    if len(words) % 2 or not all(word.isascii() and word.isdecimal() for word in words):
        raise DataError("E_RLE", "run lengths are no pairs of start and length.", where=where, fix="export it again.")
    starts, lengths = np.array(words, np.float64).reshape(-1, 2).T
    height, width = size
    if len(starts) and (starts.min() < 1 or (starts - 1 + lengths).max() > height * width):
        what = f"a run ends beyond the {height * width} pixels of the {width}×{height} picture."
        raise DataError("E_RLE_LENGTH", what, where=where, fix="find the pictures that were annotated.")
    flat = np.zeros(height * width, np.uint8)
    for start, length in zip(starts.astype(int), lengths.astype(int), strict=True):
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape(size) if rows else np.ascontiguousarray(flat.reshape(width, height).T)


def _run_table(lines: list[dict[str, str]], path: str, rows: bool) -> list[AnnotatedImage] | None:
    columns = lines[0] if lines else {}
    image, runs, kind = (
        next((heading for heading in headings if heading in columns), None)
        for headings in (IMAGE_HEADINGS, RUN_HEADINGS, CLASS_HEADINGS)
    )
    if image is None or runs is None:
        return None
    found: defaultdict[str, list[Drawn]] = defaultdict(list)
    for line in lines:
        drawn = found[line[image]] if line.get(image) else []
        encoded = line.get(runs, "")
        if encoded.casefold() not in NOTHING:
            decode = partial(runs_mask, encoded, rows, path)
            drawn.append(Drawn(Painted(decode), line.get(kind, "polyp") if kind else "polyp"))
    return _images(found, path, NegativeLabel())


def _via_project(value: object, path: str) -> list[AnnotatedImage] | None:
    project = mapping(value)
    entries = [mapping(entry) for entry in (mapping(project.get("_via_img_metadata")) or project).values()]
    if not entries or not all("filename" in entry and "regions" in entry for entry in entries):
        return None
    found: defaultdict[str, list[Drawn]] = defaultdict(list)
    for entry in entries:
        regions = entry["regions"]
        shapes = mappings(list(regions.values()) if isinstance(regions, dict) else regions)
        found[text(entry["filename"])] += map(_via_region, shapes)
    return _images(found, path, UnknownLabel())


def _via_table(lines: list[dict[str, str]], path: str) -> list[AnnotatedImage] | None:
    """VIA's CSV: a line for each region, whose shape and attributes are JSON in their fields."""
    if not lines or not lines[0].keys() >= {"filename", *VIA_FIELDS}:
        return None
    found: defaultdict[str, list[Drawn]] = defaultdict(list)
    for line in lines:
        drawn = found[line["filename"]]
        try:
            region = {name: json.loads(line.get(heading) or "{}") for heading, name in VIA_FIELDS.items()}
        except ValueError as error:
            what = f"a region's attributes are no JSON ({str(error)[:80]})."
            raise DataError("E_JSON", what, where=path, fix="export the annotation again.") from error
        if mapping(region["shape_attributes"]):
            drawn.append(_via_region(region))
    return _images(found, path, UnknownLabel())


def _via_region(region: dict[str, Any]) -> Drawn:
    """Polygon, rectangle, circle or ellipse, with the value of its first attribute."""
    attributes = [value for value in mapping(region.get("region_attributes")).values() if value]
    first = attributes[0] if attributes else ""
    label = next(iter(first), "") if isinstance(first, dict) else text(first) or "polyp"
    return Drawn(_via_shape(mapping(region.get("shape_attributes"))), label)


def _via_shape(shape: dict[str, Any]) -> Shape:
    kind = text(shape.get("name"))

    def values(*names: str) -> list[float]:
        return [number(shape.get(name)) for name in names]

    if kind == "polygon":
        across, down = items(shape.get("all_points_x")), items(shape.get("all_points_y"))
        ring = ring_of_pairs([list(pair) for pair in zip(across, down, strict=False)])
        return Polygon((ring,)) if len(ring) and len(across) == len(down) else Unpaintable()
    if kind == "rect":
        x, y, width, height = values("x", "y", "width", "height")
        return Box(x, y, x + width, y + height)
    if kind == "circle":
        x, y, radius = values("cx", "cy", "r")
        return Ellipse(x, y, radius, radius)
    if kind == "ellipse":
        x, y, across_r, down_r = values("cx", "cy", "rx", "ry")
        return Ellipse(x, y, across_r, down_r, float(np.rad2deg(number(shape.get("theta", 0.0)))))
    return Unpaintable()
