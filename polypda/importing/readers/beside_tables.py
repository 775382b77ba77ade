"""Labels of many pictures in one file, by the pictures' names: tables of run lengths, and VIA's projects.

* Run lengths as in competitions: a column for the picture and one called ``EncodedPixels``, ``rle`` or the like that
  holds starts (from 1) and lengths, down the columns of the picture (``-O rle=rows``: along its rows). Several rows of
  a picture are joined; an empty field says that the picture shows no polyp.
* VIA (VGG Image Annotator): a project's ``_via_img_metadata``, that alone, or its table (CSV) of regions; polygons,
  rectangles, circles and ellipses, whose class is the value of a region's first attribute. A picture without regions is
  one that nobody marked.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn
from polypda.importing.annotations.annotation_files import (
    decoded_text,
    items,
    mapping,
    mappings,
    number,
    read_json,
    text,
)
from polypda.importing.annotations.shapes import Box, Ellipse, Painted, Polygon, Shape, Unpaintable, ring_of_pairs
from polypda.importing.contract import MaskPixels, NegativeLabel, SourceTree, UnknownLabel
from polypda.importing.folders.folder_words import words_of
from polypda.importing.folders.frame_tables import COLUMN_NAMES, table_rows

VIA_FIELDS = {"region shape attributes": "shape_attributes", "region attributes": "region_attributes"}
"""Headings of VIA's table, and what its projects call the same."""
RUN_HEADINGS = ("encoded pixels", "encodedpixels", "rle", "mask rle", "rle mask", "run lengths", "runs")
IMAGE_HEADINGS = (*COLUMN_NAMES["frame"], "id", "imageid")
CLASS_HEADINGS = ("class", "label", "class name", "class id", "classid")
NOTHING = ("", "-1", "nan", "none")


def table_images(tree: SourceTree, path: str, rows: bool) -> list[AnnotatedImage] | None:
    """What a file that lists labels says; None where it is none. rows: run lengths go along rows.

    Raises: DataError where it is one and damaged.
    """
    if path.lower().endswith(".json"):
        return _via_project(read_json(tree, path), path)
    csv.field_size_limit(1 << 30)  # a mask's runs are longer than the module's own limit
    try:
        header, *lines = [row for row in table_rows(decoded_text(tree.read(path), path, "E_TABLE")) if any(row)] or [[]]
    except csv.Error:
        return None
    found = [dict(zip([words_of(heading) for heading in header], line, strict=False)) for line in lines]
    return _via_table(found, path) or _run_table(found, path, rows)


def runs_mask(told: str, rows: bool, where: str, size: tuple[int, int]) -> MaskPixels:
    """The mask of starts and lengths, uint8 of ``size`` (height, width). Raises: DataError E_RLE, E_RLE_LENGTH."""
    words = told.split()
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
        told = line.get(runs, "")
        if told.casefold() not in NOTHING:
            decode = partial(runs_mask, told, rows, path)
            drawn.append(Drawn(Painted(decode), line.get(kind, "polyp") if kind else "polyp"))
    return [AnnotatedImage((name,), path, path, tuple(drawn), empty=NegativeLabel()) for name, drawn in found.items()]


def _via_project(value: object, path: str) -> list[AnnotatedImage] | None:
    project = mapping(value)
    entries = [mapping(entry) for entry in (mapping(project.get("_via_img_metadata")) or project).values()]
    if not entries or not all("filename" in entry and "regions" in entry for entry in entries):
        return None
    found: defaultdict[str, list[Drawn]] = defaultdict(list)
    for entry in entries:
        regions = entry["regions"]
        shapes = mappings(list(regions.values()) if isinstance(regions, dict) else regions)
        found[text(entry["filename"])] += [Drawn(_region(each), _kind(each)) for each in shapes]
    return _of_via(found, path)


def _via_table(lines: list[dict[str, str]], path: str) -> list[AnnotatedImage] | None:
    """VIA's CSV: a line for each region, whose shape and attributes are JSON in their fields."""
    if not lines or not lines[0].keys() >= {"filename", *VIA_FIELDS}:
        return None
    found: defaultdict[str, list[Drawn]] = defaultdict(list)
    for line in lines:
        drawn = found[line["filename"]]
        region = {name: _json(line.get(heading, ""), path) for heading, name in VIA_FIELDS.items()}
        if mapping(region["shape_attributes"]):
            drawn.append(Drawn(_region(region), _kind(region)))
    return _of_via(found, path)


def _of_via(found: dict[str, list[Drawn]], path: str) -> list[AnnotatedImage]:
    return [AnnotatedImage((name,), path, path, tuple(drawn), empty=UnknownLabel()) for name, drawn in found.items()]


def _json(content: str, path: str) -> object:
    try:
        return json.loads(content or "{}")
    except ValueError as error:
        what = f"a region's attributes are no JSON ({str(error)[:80]})."
        raise DataError("E_JSON", what, where=path, fix="export the annotation again.") from error


def _kind(region: dict[str, Any]) -> str:
    said = [value for value in mapping(region.get("region_attributes")).values() if value]
    first = said[0] if said else ""
    return next(iter(first), "") if isinstance(first, dict) else text(first) or "polyp"


def _region(region: dict[str, Any]) -> Shape:
    told = mapping(region.get("shape_attributes"))
    kind = text(told.get("name"))
    value = {key: number(each) for key, each in told.items() if not isinstance(each, (list, dict))}

    def of(*names: str) -> list[float]:
        return [value.get(name, np.nan) for name in names]

    if kind == "polygon":
        across, down = items(told.get("all_points_x")), items(told.get("all_points_y"))
        ring = ring_of_pairs([list(pair) for pair in zip(across, down, strict=False)])
        return Polygon((ring,)) if len(ring) and len(across) == len(down) else Unpaintable(kind)
    if kind == "rect":
        x, y, width, height = of("x", "y", "width", "height")
        return Box(x, y, x + width, y + height)
    if kind == "circle":
        x, y, radius = of("cx", "cy", "r")
        return Ellipse(x, y, radius, radius)
    if kind == "ellipse":
        x, y, across_r, down_r = of("cx", "cy", "rx", "ry")
        return Ellipse(x, y, across_r, down_r, float(np.rad2deg(value.get("theta", 0.0))))
    return Unpaintable(kind or "a shape without a name")
