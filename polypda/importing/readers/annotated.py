"""The one loop over annotated images: which file is meant, which classes are polyps, what the frame is called.

A format of annotations is a subclass of :class:`AnnotatedReader` that finds its files and tells of each image what is
said there (:class:`~polypda.importing.annotations.annotated.AnnotatedImage`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

from polypda.errors import DataError, UsageError, nearest
from polypda.importing.annotations.annotated import AnnotatedImage
from polypda.importing.annotations.meanings import PolypClasses, class_names, facts_of, require_classes
from polypda.importing.annotations.named_images import NamedImages
from polypda.importing.contract import (
    DecodedImage,
    ImportedFrame,
    Label,
    Ledger,
    NegativeLabel,
    Reader,
    Remark,
    SourceTree,
    UnknownLabel,
)
from polypda.importing.images.decoded_image import read_image

UNANNOTATED: dict[str, Label] = {"unknown": UnknownLabel(), "negative": NegativeLabel()}
DAMAGED_FILE = (
    *("E_FILE_UNREADABLE", "E_ANNOTATION_LARGE", "E_ANNOTATION_ENCODING", "E_ANNOTATION_PREDICTION"),
    *("E_JSON", "E_XML", "E_XML_ENTITIES"),
)
"""Codes of annotation files of which nothing could be read."""
NOT_ANNOTATED = Remark("W_ANNOTATION_MISSING", "no annotation names this picture; taken without a label.")
Content = TypeVar("Content")
SNIFFED_FILES = 20
"""How many files of a kind are looked into before a format is not recognised."""


@dataclass(frozen=True)
class Annotation:
    """What all files of a format say. files: how many are sound. classes: those declared, beside those drawn."""

    files: int
    images: Iterable[AnnotatedImage]
    classes: frozenset[str] = frozenset()


class AnnotatedReader(Reader):
    """A reader with the options ``classes`` (names of classes that are polyps) and, where the tool does not tell a
    frame without a polyp from one that nobody looked at, ``unannotated`` (``unknown`` or ``negative``)."""

    what: ClassVar[str]
    """What a file of this format is called in a message."""
    known_options: ClassVar[tuple[str, ...]] = ("classes", "unannotated")
    folders_tell: ClassVar[bool] = True
    """Whether names of folders tell patient, sequence, mode and split where the annotation does not."""

    def __init__(self, classes: tuple[str, ...] | None = None, unannotated: Label | None = None) -> None:
        self.classes = classes
        self.unannotated = unannotated or UnknownLabel()

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> AnnotatedReader:
        """Raises: UsageError E_OPTION."""
        for name in options:
            if name not in cls.known_options:
                what = f"format '{cls.name}' has no option '{name}'.{nearest(name, cls.known_options)}"
                fix = f"its options are {', '.join(cls.known_options)}." if cls.known_options else "leave -O out."
                raise UsageError("E_OPTION", what, fix=fix)
        unannotated = options.get("unannotated", "unknown")
        if unannotated not in UNANNOTATED:
            what = f"unannotated is '{unannotated}'.{nearest(unannotated, UNANNOTATED)}"
            raise UsageError("E_OPTION", what, fix=f"write one of {', '.join(UNANNOTATED)}.")
        return cls(class_names(options), UNANNOTATED[unannotated])

    @abstractmethod
    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        """What the tree's annotations say; files that cannot be read go into the ledger."""

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        images = NamedImages(tree)
        annotation = self.annotation(tree, images, ledger)
        annotated = list(annotation.images)
        _require_some(annotation.files, tree, self.what, ledger)
        # of the whole export: one file may hold an instrument alone
        used = {each.label for image in annotated if not image.polyps_alone for each in image.shapes}
        require_classes(self.classes, used | annotation.classes)
        classes = PolypClasses(self.classes, used)
        for image in annotated:
            try:
                yield self._frame(tree, images, image, classes)
            except DataError as error:
                if not (image.listed and error.code == "E_IMAGE_TWICE"):
                    ledger.leave_out(image.origin, error)
        for path in images.unannotated():
            yield ImportedFrame(images.names[path], path, partial(read_image, tree, path), remarks=(NOT_ANNOTATED,))

    def _frame(
        self, tree: SourceTree, images: NamedImages, image: AnnotatedImage, classes: PolypClasses
    ) -> ImportedFrame:
        if image.problem is not None:
            raise image.problem
        path, read = _image(tree, images, image)
        notes: list[Remark] = []
        label = image.label(path, classes, notes, unannotated=self.unannotated)
        facts = facts_of(image.facts, path) if self.folders_tell else image.facts
        return ImportedFrame(
            name=image.frame or images.names[path],
            origin=path,
            read=read,
            label=label,
            patient=facts.patient,
            sequence=facts.sequence,
            split=facts.split,
            mode=facts.mode,
            patient_by=facts.patient_by,
            remarks=tuple(notes),
        )


def _image(tree: SourceTree, images: NamedImages, image: AnnotatedImage) -> tuple[str, Callable[[], DecodedImage]]:
    """The path of the image and its decoder. Raises: DataError E_IMAGE_MISSING, E_IMAGE_AMBIGUOUS, E_IMAGE_TWICE."""
    problem = DataError("E_IMAGE_MISSING", "the annotation names no picture.", where=image.file)
    for name in image.names:
        try:
            path = images.find(name, beside=image.file)
        except DataError as error:
            problem = error
            if error.code != "E_IMAGE_MISSING":
                break
        else:
            return path, partial(read_image, tree, path)
    if image.stands_in is None or problem.code == "E_IMAGE_TWICE":
        raise problem
    return image.stands_in


def files_ending(tree: SourceTree, *suffixes: str) -> list[str]:
    """The tree's files with one of these suffixes, upper or lower case."""
    return [path for path in tree.files() if path.lower().endswith(suffixes)]


def first_bytes(tree: SourceTree, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The content of the first few files that can be read, for recognising a format."""
    for path, _ in zip(paths, range(SNIFFED_FILES), strict=False):
        try:
            yield path, tree.read(path)
        except DataError:
            continue


def sound_files(
    tree: SourceTree, suffix: str, read: Callable[[SourceTree, str], Content], ledger: Ledger
) -> Iterator[tuple[str, Content]]:
    """Every file of a suffix with what ``read`` makes of it; those that it cannot read go into the ledger."""
    for path in files_ending(tree, suffix):
        try:
            yield path, read(tree, path)
        except DataError as error:
            ledger.leave_out(path, error)


def _require_some(found: int, tree: SourceTree, what: str, ledger: Ledger) -> None:
    """Raises: DataError when the tree has no sound annotation of the format: the first damage that the ledger holds,
    else E_ANNOTATION_ABSENT."""
    if found:
        return
    damage = next((line for line in ledger.lines if not line.taken and line.code in DAMAGED_FILE), None)
    if damage is not None:
        raise DataError(damage.code, damage.what, where=damage.origin, fix=damage.fix)
    raise DataError(
        "E_ANNOTATION_ABSENT", f"no file here is {what}.", where=tree.name, fix="name the folder of the export."
    )
