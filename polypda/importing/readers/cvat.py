"""CVAT's own XML, version 1.1, "for images" and "for video".

* Polygons, ellipses and masks (run lengths, row by row in a window) are regions, boxes are boxes; a turned box becomes
  the upright box around it. Points, polylines, cuboids and skeletons enclose nothing.
* CVAT lists each picture of a task, looked at or not. One without shapes is taken without a label, unless a tag of the
  picture says that it shows no polyp or ``-O unannotated=negative`` says that everything was looked at.
* For video: a track's shapes count in the frames where they are not ``outside``. CVAT writes one for each frame; where
  some are missing between two, boxes are interpolated linearly, and of anything else nothing is known
  (W_TRACK_GAP). Pictures are ``frame_000000.png`` and so on; all are one sequence, named as the task. Where the film
  lies there instead of them (an export without images), the annotated frames are decoded from it, as they are coded.
* Attributes and tags tell patient, sequence and mode; ``subset`` of a project's pictures tells the split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from polypda.importing.annotations.annotated import AnnotatedImage, Drawn
from polypda.importing.annotations.annotation_files import number, read_xml, size_px, text, whole
from polypda.importing.annotations.meanings import facts_in, says_no_polyp
from polypda.importing.annotations.named_images import NamedImages
from polypda.importing.annotations.run_lengths import cvat_mask
from polypda.importing.annotations.shapes import (
    Box,
    Ellipse,
    Painted,
    Polygon,
    Shape,
    Unpaintable,
    ring_of_flat,
    turned_box,
)
from polypda.importing.contract import Ledger, MaskPixels, NegativeLabel, Remark, SourceTree
from polypda.importing.readers.annotated import AnnotatedReader, Annotation, files_ending, first_bytes, sound_files
from polypda.importing.readers.video import FramesOfVideo, only_video

_ROOT = re.compile(rb"<annotations[\s>]")
_KNOWN = re.compile(rb"<(image|track|meta)[\s>]")
_FRAME = re.compile(r"frame_(\d{1,9})")
SHAPES = ("box", "polygon", "mask", "ellipse", "polyline", "points", "cuboid", "skeleton")
"""The elements that draw something; ``tag`` says something of the whole picture."""
PLACES = ("meta/task/source", "meta/job/source", "meta/source", "meta/task/name")
"""Where a CVAT file names its film."""
GAP = Remark("W_TRACK_GAP", "a track passes through this frame, but how is not told: taken without a label.")


class CvatReader(AnnotatedReader):
    """See the module."""

    name = "cvat"
    title = "CVAT XML 1.1, for images or for video, with its frames or its film"
    what = "CVAT XML"

    def recognises(self, tree: SourceTree) -> bool:
        return any(
            _ROOT.search(data[:4096]) and _KNOWN.search(data)
            for _, data in first_bytes(tree, files_ending(tree, ".xml"))
        )

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        files: list[tuple[str, Element]] = []
        for path, root in sound_files(tree, ".xml", read_xml, ledger):
            if root.tag == "annotations":
                files.append((path, root))
        declared = frozenset(name for _, root in files for name in _class_names(root))
        found = (image for path, root in files for image in _annotated(tree, images, path, root))
        return Annotation(len(files), found, declared)


def _annotated(tree: SourceTree, images: NamedImages, path: str, root: Element) -> Iterator[AnnotatedImage]:
    folder = PurePosixPath(path).parent.as_posix()
    near = [each for each in images.paths if folder == "." or each.startswith(f"{folder}/")]
    tracked = _tracked_images(root, near)
    # where no frame lies there as a picture, the film must
    video = _video_of(tree, path, root) if tracked and not any(map(_is_frame_name, near)) else None
    for image in (*_listed_images(root), *tracked):
        of_video = video if image.number is not None else None
        # a project's subsets are folders, and may hold pictures of equal names
        written = "/".join(filter(None, (image.fields.get("subset", ""), image.written)))
        yield AnnotatedImage(
            names=() if of_video else (written,),
            file=path,
            origin=f"{path} image {image.written}",
            shapes=tuple(Drawn(shape, label) for label, shape in image.drawn),
            size=image.size,
            empty=NegativeLabel() if any(map(says_no_polyp, image.tags)) else None,
            withheld=GAP if image.gap else None,
            facts=facts_in(image.fields),
            frame=f"{of_video.stem}_{image.number:06d}" if of_video else "",
            stands_in=(of_video.path, partial(of_video.image, image.number or 0)) if of_video else None,
        )


def _video_of(tree: SourceTree, path: str, root: Element) -> FramesOfVideo | None:
    """The film that an annotation file is about: the one that it names, else the only one in its folder or below.

    None where there is no such film, and where only every n-th frame was annotated (``frame_filter``): how CVAT then
    counts is not told.
    """
    if text(root.findtext("meta/task/frame_filter")):
        return None
    return only_video(tree, path, {PurePosixPath(text(root.findtext(index))).name for index in PLACES})


def _class_names(root: Element) -> set[str]:
    """The classes that a file declares or uses."""
    used = {text(element.get("label")) for element in root.iter() if element.tag in (*SHAPES, "track")}
    return {text(element.text) for element in root.iterfind(".//labels/label/name")} | used - {""}


@dataclass
class _Image:
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


def _listed_images(root: Element) -> Iterator[_Image]:
    """The ``image`` elements; what one picture's tag or shape says in attributes is taken as said of the picture."""
    for element in root.iter("image"):
        written = text(element.get("name"))
        image = _Image(written, size_px(element.get("width"), element.get("height")))
        image.fields["subset"] = text(element.get("subset"))
        for child in element:
            label = text(child.get("label"))
            if child.tag == "tag":
                image.tags.append(label)
            elif child.tag in SHAPES:
                image.drawn.append((label, _shape(child, written, image.size)))
            _take_attributes(image, child)
        yield image


def _tracked_images(root: Element, images: list[str]) -> list[_Image]:
    """The frames of a video's task, in order: those of its tracks, and those that lie there as ``frame_000000``.

    pictures: the paths of pictures that may be frames.
    """
    if root.find("track") is None:
        return []
    sequence = text(root.findtext("meta/task/name") or root.findtext("meta/job/name"))
    size = size_px(root.findtext(".//original_size/width"), root.findtext(".//original_size/height"))
    paths = {int(match[1]): path for path in images if (match := _FRAME.fullmatch(PurePosixPath(path).stem))}
    frames: dict[int, _Image] = {}

    def frame(index: int) -> _Image:
        if index not in frames:
            written = paths.get(index, f"frame_{index:06d}.png")
            frames[index] = _Image(written, size, fields={"sequence": sequence}, number=index)
        return frames[index]

    for index in paths:
        frame(index)
    for track in root.iter("track"):
        label = text(track.get("label"))
        seen = _seen(track, size)
        for index, (element, shape) in seen.items():
            if shape is not None:
                frame(index).drawn.append((label, shape))
                _take_attributes(frame(index), element)
        for index, shape in _between(seen, paths):
            if shape is None:
                frame(index).gap = True
            else:
                frame(index).drawn.append((label, shape))
    return [frames[index] for index in sorted(frames)]


def _is_frame_name(path: str) -> bool:
    """Whether a picture is called as CVAT calls a film's frames."""
    return _FRAME.fullmatch(PurePosixPath(path).stem) is not None


def _seen(track: Element, size: tuple[int, int] | None) -> dict[int, tuple[Element, Shape | None]]:
    """Frame → the track's element there and its shape, None while it is outside the picture; in order."""
    found: dict[int, tuple[Element, Shape | None]] = {}
    for element in track:
        index = whole(element.get("frame"))
        if element.tag in SHAPES and index is not None and 0 <= index < 10**9:
            outside = element.get("outside") == "1"
            found[index] = element, None if outside else _shape(element, f"frame {index}", size)
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
        for index in sorted(index for index in paths if first < index < last):
            if following is None:
                yield index, shape
            elif isinstance(shape, Box) and isinstance(following, Box):
                share = (index - first) / (last - first)
                corners = zip(shape.corners(), following.corners(), strict=True)
                yield index, Box(*((1 - share) * start + share * end for start, end in corners))
            else:
                yield index, None


def _take_attributes(image: _Image, element: Element) -> None:
    for attribute in element.iter("attribute"):
        image.fields.setdefault(text(attribute.get("name")), text(attribute.text))


def _shape(element: Element, where: str, size: tuple[int, int] | None) -> Shape:
    """What an element draws. where: the picture, for messages; size: its (height, width) as the XML says it."""
    if element.tag == "box":
        return _box(element)
    if element.tag == "polygon":
        values = element.get("points", "").replace(";", ",").split(",")
        return Polygon((ring_of_flat(values),))
    if element.tag == "ellipse":
        x, y, across, down = (number(element.get(name)) for name in ("cx", "cy", "rx", "ry"))
        return Ellipse(x, y, across, down, _turned_deg(element))
    if element.tag == "mask" and size is not None:
        return _mask(element, where, size)
    return Unpaintable(element.tag)


def _box(element: Element) -> Box:
    x0, y0, x1, y1 = (number(element.get(name)) for name in ("xtl", "ytl", "xbr", "ybr"))
    turned = _turned_deg(element)
    return turned_box(x0, y0, x1 - x0, y1 - y0, turned, about_centre=True) if turned else Box(x0, y0, x1, y1)


def _mask(element: Element, where: str, size: tuple[int, int]) -> Shape:
    left, top, width, height = (whole(element.get(name)) for name in ("left", "top", "width", "height"))
    if left is None or top is None or width is None or height is None:
        return Unpaintable("a mask without its window")
    counts = [whole(run) for run in element.get("rle", "").split(",")]
    return Painted(partial(_decode, counts, (left, top, width, height), where), size)


def _decode(
    counts: list[int | None], window: tuple[int, int, int, int], where: str, size: tuple[int, int]
) -> MaskPixels:
    return cvat_mask(counts, window, size, where)


def _turned_deg(element: Element) -> float:
    return number(element.get("rotation", "0"))
