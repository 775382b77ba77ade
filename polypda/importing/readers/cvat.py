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
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_xml
from polypda.importing.annotations.drawn_labels import Drawn, Sheet, label_of
from polypda.importing.annotations.frame_facts import facts_of
from polypda.importing.annotations.json_values import text
from polypda.importing.annotations.named_images import NamedImages
from polypda.importing.annotations.polyp_classes import PolypClasses, require_classes, says_no_polyp
from polypda.importing.contract import ImportedFrame, Label, Ledger, NegativeLabel, Remark, SourceTree, UnknownLabel
from polypda.importing.images.pictures import read_picture
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    files_ending,
    first_bytes,
    never_annotated,
    require_some,
)
from polypda.importing.readers.cvat_films import FramesOfFilm, film_of
from polypda.importing.readers.cvat_images import CvatImage, is_frame_name, listed_images, tracked_images
from polypda.importing.readers.cvat_shapes import SHAPES

_ROOT = re.compile(rb"<annotations[\s>]")
_KNOWN = re.compile(rb"<(image|track|meta)[\s>]")


class CvatReader(AnnotatedReader):
    """See the module."""

    name = "cvat"
    title = "CVAT XML 1.1, for images or for video, with its frames or its film"

    def recognises(self, tree: SourceTree) -> bool:
        return any(
            _ROOT.search(data[:4096]) and _KNOWN.search(data)
            for _, data in first_bytes(tree, files_ending(tree, ".xml"))
        )

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        images = NamedImages(tree)
        files = list(_files(tree, ledger))
        require_some(len(files), tree, "CVAT XML", ledger)
        require_classes(self.classes, {name for _, root in files for name in _class_names(root)})
        pictured = [(path, root, *self._pictured(images, path, root)) for path, root in files]
        used = {label for *_, annotated in pictured for image in annotated for label, _ in image.drawn}
        classes = PolypClasses(self.classes, used)  # of the whole export: one file may hold an instrument alone
        for path, root, tracked, annotated in pictured:
            film = film_of(tree, path, root) if tracked else None
            for image in annotated:
                try:
                    yield self._frame(tree, images, path, image, classes, film)
                except DataError as error:
                    ledger.leave_out(f"{path} image {image.written}", error)
        yield from never_annotated(tree, images)

    def _pictured(self, images: NamedImages, path: str, root: Element) -> tuple[bool, list[CvatImage]]:
        """Whether the file's frames must come from its film, and every picture that it speaks of."""
        folder = PurePosixPath(path).parent.as_posix()
        near = [each for each in images.paths if folder == "." or each.startswith(f"{folder}/")]
        tracked = tracked_images(root, near)
        return bool(tracked) and not any(map(is_frame_name, near)), [*listed_images(root), *tracked]

    def _frame(
        self,
        tree: SourceTree,
        images: NamedImages,
        path: str,
        image: CvatImage,
        classes: PolypClasses,
        film: FramesOfFilm | None,
    ) -> ImportedFrame:
        notes: list[Remark] = []
        if film is not None and image.number is not None:
            picture, name = film.path, f"{film.stem}_{image.number:06d}"
            read = partial(film.picture, image.number)
        else:
            # a project's subsets are folders, and may hold pictures of equal names
            subset = image.fields.get("subset", "")
            picture = images.find("/".join(filter(None, (subset, image.written))), beside=path)
            name, read = images.names[picture], partial(read_picture, tree, picture)
        drawn = [Drawn(shape, label) for label, shape in image.drawn]
        empty = NegativeLabel() if any(map(says_no_polyp, image.tags)) else self.unannotated
        label: Label = label_of(drawn, Sheet(picture, image.size), classes, notes, empty=empty)
        if image.gap:
            what = "a track passes through this frame, but how is not told: taken without a label."
            notes.append(Remark("W_TRACK_GAP", what))
            label = UnknownLabel()
        facts = facts_of(image.fields, picture)
        return ImportedFrame(
            name,
            picture,
            read,
            label,
            facts.patient,
            facts.sequence,
            split=facts.split,
            mode=facts.mode,
            patient_by=facts.patient_by,
            remarks=tuple(notes),
        )


def _files(tree: SourceTree, ledger: Ledger) -> Iterator[tuple[str, Element]]:
    for path in files_ending(tree, ".xml"):
        try:
            root = read_xml(tree, path)
        except DataError as error:
            ledger.leave_out(path, error)
            continue
        if root.tag == "annotations":
            yield path, root


def _class_names(root: Element) -> set[str]:
    """The classes that a file declares or uses."""
    used = {text(element.get("label")) for element in root.iter() if element.tag in (*SHAPES, "track")}
    return {text(element.text) for element in root.iterfind(".//labels/label/name")} | used - {""}
