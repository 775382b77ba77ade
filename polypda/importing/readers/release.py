"""Format ``release``: a catalogued cohort as its public release lies on disk, by the layouts of its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from typing import ClassVar

from polypda.cohorts.frames import Split
from polypda.cohorts.image_files import is_image_name
from polypda.cohorts.layouts import ranged_sequence, scenes_of
from polypda.cohorts.manifest import ANY_STEM, Layout, Manifest, Unmasked
from polypda.cohorts.stored_masks import FellowMasks
from polypda.errors import DataError, UsageError
from polypda.importing.contract import ImportedFrame, Label, Ledger, NegativeLabel, Reader, Remark, SourceTree
from polypda.importing.contract import UnknownLabel as Unknown
from polypda.importing.images.decoded_image import read_image
from polypda.importing.images.masks import mask_label, source_masks
from polypda.importing.readers.frame_tables import TableRow, Tables

Groups = dict[str, str | None]
"""The named groups of a path."""


@dataclass(frozen=True)
class Fit:
    """A layout that fits a tree. base: the folder in the tree that it counts from; images: path → its named groups."""

    layout: Layout
    base: str
    images: dict[str, Groups]
    score: tuple[bool, bool, bool]


class ReleaseReader(Reader):
    """Reads one layout of one manifest; made by :func:`release_reader`."""

    name: ClassVar[str] = "release"
    title: ClassVar[str] = "a catalogued cohort as its release lies on disk"

    def __init__(self, cohort_id: str, fit: Fit) -> None:
        self.cohort_id, self.fit = cohort_id, fit

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> Reader:
        """Raises: UsageError E_FORMAT; the reader is made of a manifest."""
        raise UsageError("E_FORMAT", "'release' is for catalogued ids.", fix="use --format folders.")

    def recognises(self, tree: SourceTree) -> bool:
        """Whether an image is where the layout says."""
        return bool(self.fit.images)

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        """Every frame that the layout does not exclude; what a table beside it says goes before the layout."""
        layout = self.fit.layout
        masks = self._masks(tree, ledger)
        fellows = source_masks(tree, masks.values())
        tables = Tables(tree, ledger, list(self.fit.images))
        excluded = {exclusion.frame: exclusion.why for exclusion in layout.exclude}
        scenes = scenes_of(layout)
        for path, groups in self.fit.images.items():
            frame = str(groups["frame"])
            mask = masks.pop(frame, None)
            if frame in excluded:
                ledger.leave_out(path, DataError("N_EXCLUDED", f"the manifest leaves it out: {excluded[frame]}."))
                continue
            try:
                row = tables.row(path) or TableRow(frame)
                sequence = row.sequence or groups.get("sequence") or ranged_sequence(frame, layout, self.cohort_id)
            except DataError as error:
                ledger.leave_out(path, error)
                continue
            label, remarks = self._label(tree, mask, fellows)
            split = groups.get("split")
            yield ImportedFrame(
                name=frame,
                origin=path,
                read=partial(read_image, tree, path),
                label=label,
                patient=row.patient or groups.get("patient"),
                sequence=sequence or scenes.get(frame),
                split=row.split or (Split(split) if split else None),
                mode=row.mode,
                t_s=row.t_s,
                remarks=remarks,
            )
        for path in masks.values():
            fix = "give the mask its image's name, or take it out."
            ledger.leave_out(path, DataError("E_MASK_ORPHAN", "no image belongs to this mask.", fix=fix))

    def _label(self, tree: SourceTree, mask: str | None, fellows: FellowMasks) -> tuple[Label, tuple[Remark, ...]]:
        if mask is not None:
            return mask_label(tree, [mask], fellows), ()
        if self.fit.layout.unmasked is Unmasked.NEGATIVE:
            return NegativeLabel(), ()
        if self.fit.layout.masks is None:
            return Unknown(), ()
        return Unknown(), (Remark("W_MASK_MISSING", "no mask belongs to it: taken as unlabelled."),)

    def _masks(self, tree: SourceTree, ledger: Ledger) -> dict[str, str]:
        """Frame → mask file."""
        if self.fit.layout.masks is None:
            return {}
        found: dict[str, str] = {}
        for path, groups in _matching(tree, self.fit.base, self.fit.layout.masks.files, self.fit.layout.masks.frame):
            frame = str(groups["frame"]) if groups is not None else ""
            if groups is None:
                what = "the mask's name does not tell its frame."
                ledger.leave_out(path, DataError("E_FRAME_NAME", what, fix="correct its name, or take it out."))
            elif frame in found:
                what = f"a second mask of frame '{frame}', beside {found[frame]}."
                ledger.leave_out(path, DataError("E_MASK_TWICE", what, fix="keep one of them."))
            else:
                found[frame] = path
        return found


def release_reader(tree: SourceTree, manifest: Manifest) -> ReleaseReader | None:
    """The reader of the layout that fits a tree best; None where none fits every image.

    A layout whose folder has the tree's name goes first, then one of as many frames, then one whose names tell more.
    """
    fits = [fit for layout in manifest.layouts for base in _bases(tree, layout) if (fit := _fit(tree, layout, base))]
    best = max(fits, key=lambda fit: fit.score, default=None)
    return ReleaseReader(manifest.id, best) if best is not None else None


def _bases(tree: SourceTree, layout: Layout) -> list[str]:
    """Folders of the tree that a layout may count from: the tree itself, its only folder, the layout's own."""
    tops = {path.split("/", 1)[0] if "/" in path else "" for path in tree.files()}
    outer = ["", *(f"{top}/" for top in tops if top and len(tops) == 1)]
    inner = [f"{start}{folder}/" for start in outer for folder in layout.folders]
    return [*outer, *(base for base in inner if any(path.startswith(base) for path in tree.files()))]


def _fit(tree: SourceTree, layout: Layout, base: str) -> Fit | None:
    matched = list(_matching(tree, base, layout.images, layout.frame))
    images = {path: groups for path, groups in matched if groups is not None}
    if not images or len(images) < len(matched):
        return None
    try:
        for groups in images.values():
            ranged_sequence(str(groups["frame"]), layout, "")
    except DataError:
        return None
    folder = PurePosixPath(base).name or tree.name
    named = folder in {PurePosixPath(name).name for name in layout.folders}
    return Fit(layout, base, images, (named, layout.frames == len(images), layout.frame != ANY_STEM))


def _matching(tree: SourceTree, base: str, globs: Sequence[str], pattern: str) -> Iterator[tuple[str, Groups | None]]:
    """Images below ``base`` that a glob names, each with the groups of its path; None where it does not fit."""
    compiled = re.compile(pattern)
    for path in tree.files():
        inner = path.removeprefix(base)
        if not path.startswith(base) or not is_image_name(path) or not any(_globbed(inner, glob) for glob in globs):
            continue
        match = compiled.fullmatch(PurePosixPath(inner).with_suffix("").as_posix())
        yield path, None if match is None else match.groupdict()


def _globbed(path: str, glob: str) -> bool:
    parts, wanted = path.split("/"), glob.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
