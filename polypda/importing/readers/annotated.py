"""What readers of annotation files have in common: their options, the pictures that nothing was said of, the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import ClassVar

from polypda.errors import DataError, UsageError, nearest
from polypda.importing.annotations.named_images import NamedImages
from polypda.importing.annotations.polyp_classes import class_names
from polypda.importing.contract import (
    ImportedFrame,
    Label,
    Ledger,
    NegativeLabel,
    Reader,
    Remark,
    SourceTree,
    UnknownLabel,
)
from polypda.importing.images.pictures import read_picture

UNANNOTATED: dict[str, Label] = {"unknown": UnknownLabel(), "negative": NegativeLabel()}
DAMAGED_FILE = (
    "E_FILE_UNREADABLE",
    "E_ANNOTATION_LARGE",
    "E_ANNOTATION_ENCODING",
    "E_ANNOTATION_PREDICTION",
    "E_JSON",
    "E_XML",
    "E_XML_ENTITIES",
)
"""Codes of annotation files of which nothing could be read."""
NOT_ANNOTATED = Remark("W_ANNOTATION_MISSING", "no annotation names this picture; taken without a label.")
SNIFFED_FILES = 20
"""How many files of a kind are looked into before a format is not recognised."""


class AnnotatedReader(Reader):
    """A reader with the options ``classes`` (names of classes that are polyps) and, where the tool does not tell a
    frame without a polyp from one that nobody looked at, ``unannotated`` (``unknown`` or ``negative``)."""

    tells_negatives: ClassVar[bool] = False
    """Whether an annotation without any polyp means that somebody looked and found none."""

    def __init__(self, classes: tuple[str, ...] | None = None, unannotated: Label | None = None) -> None:
        self.classes = classes
        self.unannotated = unannotated or UnknownLabel()

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> AnnotatedReader:
        """Raises: UsageError E_OPTION."""
        known = ["classes"] if cls.tells_negatives else ["classes", "unannotated"]
        for name in options:
            if name not in known:
                what = f"format '{cls.name}' has no option '{name}'.{nearest(name, known)}"
                raise UsageError("E_OPTION", what, fix=f"its options are {', '.join(known)}.")
        unannotated = options.get("unannotated", "unknown")
        if unannotated not in UNANNOTATED:
            what = f"unannotated is '{unannotated}'.{nearest(unannotated, UNANNOTATED)}"
            raise UsageError("E_OPTION", what, fix=f"write one of {', '.join(UNANNOTATED)}.")
        return cls(class_names(options), UNANNOTATED[unannotated])


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


def never_annotated(tree: SourceTree, images: NamedImages) -> Iterator[ImportedFrame]:
    """Pictures beside annotated ones that no annotation names: taken without a label, each with a remark."""
    for path in images.unannotated():
        yield ImportedFrame(images.names[path], path, partial(read_picture, tree, path), remarks=(NOT_ANNOTATED,))


def require_some(found: int, tree: SourceTree, what: str, ledger: Ledger) -> None:
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
