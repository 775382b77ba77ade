"""CVAT's own XML, version 1.1, "for images" and "for video".

* Polygons, ellipses and masks (run lengths, row by row in a window) are regions, boxes are boxes; a turned box becomes
  the upright box around it. Points, polylines, cuboids and skeletons enclose nothing.
* CVAT lists each image of a task, looked at or not. One without shapes is taken without a label, unless a tag of the
  image says that it shows no polyp or ``-O unannotated=negative`` says that everything was looked at.
* For video: a track's shapes count in the frames where they are not ``outside``. CVAT writes one for each frame; where
  some are missing between two, boxes are interpolated linearly, and of anything else nothing is known
  (W_TRACK_GAP). Images are ``frame_000000.png`` and so on; all are one sequence, named as the task. Where the video
  lies there instead of them (an export without images), the annotated frames are decoded from it, as they are coded.
* Attributes and tags tell patient, sequence and mode; ``subset`` of a project's images tells the split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from polypda.importing.annotations.annotated import AnnotatedImage, Drawn, facts_in, says_no_polyp
from polypda.importing.annotations.annotation_files import cvat_mask, number, read_xml, size_px, text, whole
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
from polypda.importing.contract import Ledger, NegativeLabel, Remark, SourceTree
from polypda.importing.readers.annotated import AnnotatedReader, Annotation, NamedImages, first_bytes, sound_files
from polypda.importing.readers.video import FramesOfVideo, only_video

_ROOT = re.compile(rb"<annotations[\s>]")
_KNOWN = re.compile(rb"<(image|track|meta)[\s>]")
_FRAME = re.compile(r"frame_(\d{1,9})")
SHAPES = ("box", "polygon", "mask", "ellipse", "polyline", "points", "cuboid", "skeleton")
"""The elements that draw something; ``tag`` says something of the whole image."""
VIDEO_NAMES = ("meta/task/source", "meta/job/source", "meta/source", "meta/task/name")
"""Where a CVAT file names its video."""
GAP = Remark("W_TRACK_GAP", "a track passes through this frame, but how is not told: taken without a label.")
Size = tuple[int, int] | None
"""(height, width) of the image as the XML says it."""


class CvatReader(AnnotatedReader):
    """See the module."""

    name = "cvat"
    title = "CVAT XML 1.1, for images or for video, with its frames or its film"
    what = "CVAT XML"

    def recognises(self, tree: SourceTree) -> bool:
        return any(_ROOT.search(data[:4096]) and _KNOWN.search(data) for _, data in first_bytes(tree, ".xml"))

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        found = sound_files(tree, ".xml", read_xml, ledger)
        files = [(path, root) for path, root in found if root.tag == "annotations"]
        declared = frozenset(name for _, root in files for name in _class_names(root))
        annotated = (image for path, root in files for image in _annotated(tree, images, path, root))
        return Annotation(len(files), annotated, declared)


@dataclass
class _Image:
    """One image: how the file names it, what is drawn on it, its tags, its free fields.

    gap: a track passes through it, but what it shows there is not told. number: of a video's frame, from 0.
    """

    written: str
    size: Size
    drawn: list[Drawn] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    gap: bool = False
    number: int | None = None

    def take_attributes(self, element: Element) -> None:
        """What an element says in attributes is taken as said of the image; the first of a name counts."""
        for attribute in element.iter("attribute"):
            self.fields.setdefault(text(attribute.get("name")), text(attribute.text))


def _annotated(tree: SourceTree, images: NamedImages, path: str, root: Element) -> Iterator[AnnotatedImage]:
    folder = PurePosixPath(path).parent.as_posix()
    near = [each for each in images.paths if folder == "." or each.startswith(f"{folder}/")]
    frames = {int(match[1]): each for each in near if (match := _FRAME.fullmatch(PurePosixPath(each).stem))}
    tracked = _tracked_images(root, frames)
    # where no frame lies there as an image, the video must
    video = _video_of(tree, path, root) if tracked and not frames else None
    for image in (*_listed_images(root), *tracked):
        of_video = video if image.number is not None else None
        # a project's subsets are folders, and may hold images of equal names
        written = "/".join(filter(None, (image.fields.get("subset", ""), image.written)))
        yield AnnotatedImage(
            names=() if of_video else (written,),
            file=path,
            origin=f"{path} image {image.written}",
            shapes=tuple(image.drawn),
            size=image.size,
            empty=NegativeLabel() if any(map(says_no_polyp, image.tags)) else None,
            withheld=GAP if image.gap else None,
            facts=facts_in(image.fields),
            frame=f"{of_video.stem}_{image.number:06d}" if of_video else "",
            stands_in=(of_video.path, partial(of_video.image, image.number or 0)) if of_video else None,
        )


def _video_of(tree: SourceTree, path: str, root: Element) -> FramesOfVideo | None:
    """The video that an annotation file is about: the one that it names, else the only one in its folder or below.

    None where there is no such video, and where only every n-th frame was annotated (``frame_filter``): how CVAT then
    counts is not told.
    """
    if text(root.findtext("meta/task/frame_filter")):
        return None
    return only_video(tree, path, {PurePosixPath(text(root.findtext(name))).name for name in VIDEO_NAMES})


def _class_names(root: Element) -> set[str]:
    """The classes that a file declares or uses."""
    used = {text(element.get("label")) for element in root.iter() if element.tag in (*SHAPES, "track")}
    return {text(element.text) for element in root.iterfind(".//labels/label/name")} | used - {""}


def _listed_images(root: Element) -> Iterator[_Image]:
    """The ``image`` elements."""
    for element in root.iter("image"):
        written = text(element.get("name"))
        image = _Image(written, size_px(element.get("width"), element.get("height")))
        image.fields["subset"] = text(element.get("subset"))
        for child in element:
            label = text(child.get("label"))
            if child.tag == "tag":
                image.tags.append(label)
            elif child.tag in SHAPES:
                image.drawn.append(Drawn(_shape(child, written, image.size), label))
            image.take_attributes(child)
        yield image


def _tracked_images(root: Element, paths: Mapping[int, str]) -> list[_Image]:
    """The frames of a video's task, in order: those of its tracks, and those that lie there (number → path)."""
    if root.find("track") is None:
        return []
    sequence = text(root.findtext("meta/task/name") or root.findtext("meta/job/name"))
    size = size_px(root.findtext(".//original_size/width"), root.findtext(".//original_size/height"))
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
                frame(index).drawn.append(Drawn(shape, label))
                frame(index).take_attributes(element)
        for index, shape in _between(seen, paths):
            if shape is None:
                frame(index).gap = True
            else:
                frame(index).drawn.append(Drawn(shape, label))
    return [frames[index] for index in sorted(frames)]


def _seen(track: Element, size: Size) -> dict[int, tuple[Element, Shape | None]]:
    """Frame → the track's element there and its shape, None while it is outside the image; in order."""
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
                done = (index - first) / (last - first)
                corners = zip(shape.corners(), following.corners(), strict=True)
                yield index, Box(*((1 - done) * start + done * end for start, end in corners))
            else:
                yield index, None


def _shape(element: Element, where: str, size: Size) -> Shape:
    """What an element draws. where: the image, for messages."""
    turned_deg = number(element.get("rotation", "0"))
    if element.tag == "box":
        x0, y0, x1, y1 = (number(element.get(name)) for name in ("xtl", "ytl", "xbr", "ybr"))
        return (
            turned_box(x0, y0, x1 - x0, y1 - y0, turned_deg, about_centre=True) if turned_deg else Box(x0, y0, x1, y1)
        )
    if element.tag == "polygon":
        return Polygon((ring_of_flat(element.get("points", "").replace(";", ",").split(",")),))
    if element.tag == "ellipse":
        x, y, across, down = (number(element.get(name)) for name in ("cx", "cy", "rx", "ry"))
        return Ellipse(x, y, across, down, turned_deg)
    if element.tag == "mask" and size is not None:
        left, top, width, height = (whole(element.get(name)) for name in ("left", "top", "width", "height"))
        if left is None or top is None or width is None or height is None:
            return Unpaintable()
        counts = [whole(run) for run in element.get("rle", "").split(",")]
        window = (left, top, width, height)
        return Painted(lambda size: cvat_mask(counts, window, size, where), size)
    return Unpaintable()
