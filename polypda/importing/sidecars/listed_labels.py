"""Labels of many pictures in one file, by the pictures' names: tables of run lengths, and VIA's projects.

* Run lengths as in competitions: a column for the picture and one called ``EncodedPixels``, ``rle`` or the like that
  holds starts (from 1) and lengths, down the columns of the picture (``-O rle=rows``: along its rows). Several rows of
  a picture are joined; an empty field says that the picture shows no polyp.
* VIA (VGG Image Annotator): ``_via_img_metadata``, or that alone; polygons, rectangles, circles and ellipses, whose
  class is the value of a region's first attribute. A picture without regions is one that nobody marked.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_json
from polypda.importing.annotations.drawn_labels import Drawn
from polypda.importing.annotations.json_values import items, mapping, mappings, number, text
from polypda.importing.annotations.shapes import Box, Ellipse, Polygon, Shape, Unpaintable, ring_of_pairs
from polypda.importing.contract import MaskPixels, SourceTree
from polypda.importing.folders.folder_words import words_of
from polypda.importing.folders.frame_tables import COLUMN_NAMES
from polypda.importing.folders.table_text import table_rows, table_text

RUN_HEADINGS = ("encoded pixels", "encodedpixels", "rle", "mask rle", "rle mask", "run lengths", "runs")
PICTURE_HEADINGS = (*COLUMN_NAMES["frame"], "id", "imageid")
CLASS_HEADINGS = ("class", "label", "class name", "class id", "classid")
NOTHING = ("", "-1", "nan", "none")


@dataclass
class Listed:
    """What one file says: picture as it names it → shapes. runs: also those that are painted by run lengths."""

    drawn: defaultdict[str, list[Drawn]] = field(default_factory=lambda: defaultdict(list))
    runs: defaultdict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """Picture → run lengths with the class of each; no run lengths where it shows nothing."""


def read_listed(tree: SourceTree, path: str) -> Listed | None:
    """Read a file that lists labels; None where it is none. Raises: DataError where it is one and damaged."""
    lower = path.lower()
    if lower.endswith((".csv", ".tsv")):
        return _run_table(tree.read(path), path)
    return _via(read_json(tree, path)) if lower.endswith(".json") else None


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


def _run_table(data: bytes, path: str) -> Listed | None:
    csv.field_size_limit(1 << 30)  # a mask's runs are longer than the module's own limit
    try:
        header, *rows = [row for row in table_rows(table_text(data, path)) if any(row)] or [[]]
    except csv.Error:
        return None
    plain = [words_of(heading) for heading in header]
    picture, runs, kind = (
        next((plain.index(heading) for heading in headings if heading in plain), None)
        for headings in (PICTURE_HEADINGS, RUN_HEADINGS, CLASS_HEADINGS)
    )
    if picture is None or runs is None:
        return None
    listed = Listed()
    for row in rows:
        if len(row) <= picture or not row[picture]:
            continue
        told = row[runs] if len(row) > runs else ""
        found = listed.runs[row[picture]]
        if told.casefold() not in NOTHING:
            found.append((told, row[kind] if kind is not None and len(row) > kind else "polyp"))
    return listed


def _via(value: object) -> Listed | None:
    project = mapping(value)
    entries = mapping(project.get("_via_img_metadata")) or project
    pictures = [mapping(entry) for entry in entries.values()]
    if not pictures or not all("filename" in entry and "regions" in entry for entry in pictures):
        return None
    listed = Listed()
    for entry in pictures:
        regions = entry["regions"]
        shapes = mappings(list(regions.values()) if isinstance(regions, dict) else regions)
        listed.drawn[text(entry["filename"])] += [Drawn(_region(each), _kind(each)) for each in shapes]
    return listed


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
