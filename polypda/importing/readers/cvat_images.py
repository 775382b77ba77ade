"""The pictures that a CVAT file speaks of: those that it lists, and those that its tracks pass through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from polypda.importing.annotations.json_values import size_px, text, whole
from polypda.importing.annotations.shapes import Box, Shape
from polypda.importing.readers.cvat_shapes import SHAPES, shape_of

_FRAME = re.compile(r"frame_(\d{1,9})")


@dataclass
class CvatImage:
    """One picture: how the file names it, what is drawn on it (with its class), its tags, its free fields.

    gap: a track passes through it, but what it shows there is not told. number: of a film's frame, from 0.
    """

    written: str
    size: tuple[int, int] | None
    drawn: list[tuple[str, Shape]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    gap: bool = False
    number: int | None = None


def listed_images(root: Element) -> Iterator[CvatImage]:
    """The ``image`` elements; what one picture's tag or shape says in attributes is taken as said of the picture."""
    for element in root.iter("image"):
        written = text(element.get("name"))
        image = CvatImage(written, size_px(element.get("width"), element.get("height")))
        image.fields["subset"] = text(element.get("subset"))
        for child in element:
            label = text(child.get("label"))
            if child.tag == "tag":
                image.tags.append(label)
            elif child.tag in SHAPES:
                image.drawn.append((label, shape_of(child, written, image.size)))
            _take_attributes(image, child)
        yield image


def tracked_images(root: Element, pictures: list[str]) -> list[CvatImage]:
    """The frames of a video's task, in order: those of its tracks, and those that lie there as ``frame_000000``.

    pictures: the paths of pictures that may be frames.
    """
    if root.find("track") is None:
        return []
    sequence = text(root.findtext("meta/task/name") or root.findtext("meta/job/name"))
    size = size_px(root.findtext(".//original_size/width"), root.findtext(".//original_size/height"))
    paths = {int(match[1]): path for path in pictures if (match := _FRAME.fullmatch(PurePosixPath(path).stem))}
    frames: dict[int, CvatImage] = {}

    def frame(number: int) -> CvatImage:
        if number not in frames:
            written = paths.get(number, f"frame_{number:06d}.png")
            frames[number] = CvatImage(written, size, fields={"sequence": sequence}, number=number)
        return frames[number]

    for number in paths:
        frame(number)
    for track in root.iter("track"):
        label = text(track.get("label"))
        seen = _seen(track, size)
        for number, (element, shape) in seen.items():
            if shape is not None:
                frame(number).drawn.append((label, shape))
                _take_attributes(frame(number), element)
        for number, shape in _between(seen, paths):
            if shape is None:
                frame(number).gap = True
            else:
                frame(number).drawn.append((label, shape))
    return [frames[number] for number in sorted(frames)]


def is_frame_name(path: str) -> bool:
    """Whether a picture is called as CVAT calls a film's frames."""
    return _FRAME.fullmatch(PurePosixPath(path).stem) is not None


def _seen(track: Element, size: tuple[int, int] | None) -> dict[int, tuple[Element, Shape | None]]:
    """Frame → the track's element there and its shape, None while it is outside the picture; in order."""
    found: dict[int, tuple[Element, Shape | None]] = {}
    for element in track:
        number = whole(element.get("frame"))
        if element.tag in SHAPES and number is not None and 0 <= number < 10**9:
            outside = element.get("outside") == "1"
            found[number] = element, None if outside else shape_of(element, f"frame {number}", size)
    return dict(sorted(found.items()))


def _between(
    seen: Mapping[int, tuple[Element, Shape | None]], paths: Mapping[int, str]
) -> Iterator[tuple[int, Shape | None]]:
    """The frames between two shapes of a track for which CVAT wrote none; None where nothing is known of the shape.

    A shape stays as it is until the frame in which it leaves; a box moves linearly to the next box.
    """
    for (first, (_, shape)), (last, (_, following)) in pairwise(seen.items()):
        if shape is None or last - first < 2:
            continue
        for number in sorted(number for number in paths if first < number < last):
            if following is None:
                yield number, shape
            elif isinstance(shape, Box) and isinstance(following, Box):
                share = (number - first) / (last - first)
                corners = zip(shape.corners(), following.corners(), strict=True)
                yield number, Box(*((1 - share) * start + share * end for start, end in corners))
            else:
                yield number, None


def _take_attributes(image: CvatImage, element: Element) -> None:
    for attribute in element.iter("attribute"):
        image.fields.setdefault(text(attribute.get("name")), text(attribute.text))
