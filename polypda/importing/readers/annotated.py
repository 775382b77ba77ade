"""The one loop over annotated images: which file is meant, which classes are polyps, what the frame is called.

A format of annotations is a subclass of :class:`AnnotatedReader` that finds its files and tells of each image what is
said there (:class:`~polypda.importing.annotations.annotated.AnnotatedImage`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from pathlib import PurePosixPath
from typing import ClassVar, TypeVar

from polypda.cohorts.image_files import IMAGE_SUFFIXES, suffix_of
from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, PolypClasses, class_names, facts_of, require_classes
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
    check_option_names,
    mode_unknown,
    option_choice,
)
from polypda.importing.images.decoded_image import read_image
from polypda.importing.readers.folder_words import meaning_of, same_part

UNANNOTATED: dict[str, Label] = {"unknown": UnknownLabel(), "negative": NegativeLabel()}
OPTIONS = {
    "classes": "names of classes that are polyps, e.g. polyp,adenoma",
    "unannotated": "what an image without annotations is: unknown (default) or negative",
}
DAMAGED_FILE = (
    *("E_FILE_UNREADABLE", "E_ANNOTATION_LARGE", "E_ANNOTATION_ENCODING", "E_ANNOTATION_PREDICTION"),
    *("E_JSON", "E_XML", "E_XML_ENTITIES"),
)
"""Codes of annotation files of which nothing could be read."""
NOT_ANNOTATED = Remark("W_ANNOTATION_MISSING", "no annotation names this picture; taken without a label.")
Content = TypeVar("Content")
SNIFFED_FILES = 20
"""How many files of a kind are looked into before a format is not recognised."""


def is_image(path: str) -> bool:
    """Whether a path ends as an image does."""
    return suffix_of(path) in IMAGE_SUFFIXES


def without_suffix(path: str) -> str:
    """A path without its last suffix; a dot within a folder's or a hidden file's name is none."""
    suffix = PurePosixPath(path).suffix
    return path[: -len(suffix)] if suffix else path


def stem_of(path: str) -> str:
    """A file's name without its suffix."""
    return without_suffix(path.rsplit("/", 1)[-1])


def wished_names(paths: Sequence[str]) -> dict[str, str]:
    """Path → the name for its frame: its stem, where no other path has it, else with its folders before it."""
    stems = Counter(stem_of(path).casefold() for path in paths)
    folders = [path.split("/")[:-1] for path in paths]
    shared = common_length(folders)  # folders that all have in common tell nothing
    return {
        path: stem_of(path) if stems[stem_of(path).casefold()] == 1 else "-".join((*above[shared:], stem_of(path)))
        for path, above in zip(paths, folders, strict=True)
    }


def common_length(sequences: Sequence[Sequence[str]]) -> int:
    """How many first items all sequences have in common."""
    return len(list(takewhile(lambda items: len(set(items)) == 1, zip(*sequences, strict=False))))


def shortest_names(paths: Iterable[str]) -> dict[str, str]:
    """Path → its stem, with as many folders before it, and at last its suffix, as it takes to be the only one."""
    parts = {path: PurePosixPath(path) for path in paths}
    names = {path: pure.stem for path, pure in parts.items()}
    for depth in range(1, max((len(pure.parts) for pure in parts.values()), default=1)):
        often = Counter(map(str.casefold, names.values()))
        for path, name in names.items():
            if often[name.casefold()] > 1:
                names[path] = "-".join([*parts[path].parts[:-1][-depth:], parts[path].stem])
    often = Counter(map(str.casefold, names.values()))  # v.mp4 beside v.avi
    return {
        path: f"{name}-{parts[path].suffix.lower()[1:] or 'file'}" if often[name.casefold()] > 1 else name
        for path, name in names.items()
    }


class NamedImages:
    """The images of a tree by the ends of their paths, since tools write paths of other machines or nothing but a name.

    An annotation's path is matched from its file name up: the images that share the most of the last parts with it
    are meant. Upper and lower case are told apart only where that decides. Nothing outside the tree is ever looked at.

    used: the images that an annotation named so far. names: path → the name for its frame.
    """

    def __init__(self, tree: SourceTree) -> None:
        self.paths = tuple(path for path in tree.files() if is_image(path))
        self.used: set[str] = set()
        self.names = wished_names(self.paths)
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            self._by_name[path.rsplit("/", 1)[-1].casefold()].append(path)

    def find(self, written: str, *, beside: str = "") -> str:
        """The image that ``written`` means; ``beside``: the annotation file, whose folder goes before others.

        Raises: DataError E_IMAGE_MISSING, E_IMAGE_AMBIGUOUS, E_IMAGE_TWICE (annotated before).
        """
        where = beside or written
        parts = [part for part in written.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        candidates = self._by_name.get(parts[-1].casefold(), []) if parts else []
        candidates = [path for path in candidates if _may_mean(path, parts, beside)]
        if len(candidates) > 1:
            ranks = {path: _rank(path, parts, beside) for path in candidates}
            candidates = [path for path in candidates if ranks[path] == max(ranks.values())]
        if len(candidates) > 1:
            what = f"the annotation's '{written}' could be any of {', '.join(candidates[:3])}."
            fix = "import each folder by itself, or export with paths."
            raise DataError("E_IMAGE_AMBIGUOUS", what, where=where, fix=fix)
        if not candidates:
            what = f"the annotation names '{written[:200]}', which is not there."
            raise DataError("E_IMAGE_MISSING", what, where=where, fix="lay the pictures (or the film) beside it.")
        if candidates[0] in self.used:
            what = f"'{written[:200]}' means {candidates[0]}, which was annotated before; the first counts."
            raise DataError("E_IMAGE_TWICE", what, where=where, fix="keep one annotation of it.")
        self.used.add(candidates[0])
        return candidates[0]

    def unannotated(self) -> list[str]:
        """Images in the folders of those that were named which no annotation names."""
        folders = {path.rpartition("/")[0] for path in self.used}
        return [path for path in self.paths if path not in self.used and path.rpartition("/")[0] in folders]


def _may_mean(path: str, parts: list[str], beside: str) -> bool:
    """Whether an annotation may mean an image of its name: one of another part of the split only where it writes the
    image's folder."""
    here, there = path.split("/")[:-1], beside.split("/")[:-1]
    return _rank(path, parts, beside)[0] > 1 or same_part(meaning_of(tuple(here)), meaning_of(tuple(there)))


def _rank(path: str, parts: list[str], beside: str) -> tuple[int, bool, int, int]:
    """How well an image fits: shared last parts, same case, nearness to the annotation file."""
    here = path.split("/")
    return (
        common_length([[part.casefold() for part in reversed(each)] for each in (here, parts)]),
        here[-1] == parts[-1],
        common_length([here[:-1], beside.split("/")[:-1]]),
        -len(here),
    )


@dataclass(frozen=True)
class Annotation:
    """What all files of a format say. files: how many are sound. classes: those declared, beside those drawn."""

    files: int
    images: Iterable[AnnotatedImage]
    classes: frozenset[str] = frozenset()


class AnnotatedReader(Reader):
    """A reader with the options ``classes`` (names of classes that are polyps) and, where the tool does not tell a
    frame without a polyp from one that nobody looked at, ``unannotated`` (``unknown`` or ``negative``).

    what: what a file of this format is called in a message. folders_tell: whether names of folders tell patient,
    sequence, mode and split where the annotation does not.
    """

    what: ClassVar[str]
    known_options: ClassVar[tuple[str, ...]] = ("classes", "unannotated")
    folders_tell: ClassVar[bool] = True

    def __init__(self, classes: tuple[str, ...] | None = None, unannotated: Label | None = None) -> None:
        self.classes = classes
        self.unannotated = unannotated or UnknownLabel()

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> AnnotatedReader:
        """Raises: UsageError E_OPTION."""
        check_option_names(cls.name, options, {name: OPTIONS[name] for name in cls.known_options})
        return cls(class_names(options), UNANNOTATED[option_choice(options, "unannotated", tuple(UNANNOTATED))])

    @abstractmethod
    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        """What the tree's annotations say; files that cannot be read go into the ledger."""

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        images = NamedImages(tree)
        annotation = self.annotation(tree, images, ledger)
        annotated = list(annotation.images)
        if not annotation.files:
            raise self._no_annotation(tree, ledger)
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
        if image.facts.other_mode is not None:
            notes.append(mode_unknown(image.facts.other_mode))
        facts = facts_of(image.facts, path) if self.folders_tell else image.facts
        return ImportedFrame(
            name=image.frame or images.names[path],
            origin=path,
            read=read,
            label=label,
            remarks=tuple(notes),
            patient=facts.patient,
            patient_by=facts.patient_by,
            sequence=facts.sequence,
            mode=facts.mode,
            split=facts.split,
        )

    def _no_annotation(self, tree: SourceTree, ledger: Ledger) -> DataError:
        """The first damage that the ledger holds, else E_ANNOTATION_ABSENT."""
        damage = next((line for line in ledger.lines if not line.taken and line.code in DAMAGED_FILE), None)
        if damage is not None:
            return DataError(damage.code, damage.what, where=damage.origin, fix=damage.fix)
        fix = "name the folder of the export."
        return DataError("E_ANNOTATION_ABSENT", f"no file here is {self.what}.", where=tree.name, fix=fix)


def _image(tree: SourceTree, images: NamedImages, image: AnnotatedImage) -> tuple[str, Callable[[], DecodedImage]]:
    """The path of the image and its decoder. Raises: DataError E_IMAGE_MISSING, E_IMAGE_AMBIGUOUS, E_IMAGE_TWICE."""
    problem = DataError("E_IMAGE_MISSING", "the annotation names no picture.", where=image.file)
    for name in image.names:
        try:
            path = images.find(name, beside=image.file)
            return path, partial(read_image, tree, path)
        except DataError as error:
            problem = error
            if error.code != "E_IMAGE_MISSING":
                break
    if image.stands_in is None or problem.code == "E_IMAGE_TWICE":
        raise problem
    return image.stands_in


def files_ending(tree: SourceTree, *suffixes: str) -> list[str]:
    """The tree's files with one of these suffixes, upper or lower case."""
    return [path for path in tree.files() if path.lower().endswith(suffixes)]


def first_bytes(tree: SourceTree, suffix: str) -> Iterator[tuple[str, bytes]]:
    """The content of the first few files of a suffix that can be read, for recognising a format."""
    for path in islice(files_ending(tree, suffix), SNIFFED_FILES):
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
