"""Format ``folders``: pictures in folders, with masks beside them in any of the common ways, and tables of groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import ClassVar

from polypda.cohorts.image_files import is_image_name
from polypda.cohorts.polyp_values import PolypValues
from polypda.cohorts.stored_masks import FellowMasks
from polypda.errors import DataError, UsageError, nearest
from polypda.importing.annotations.meanings import class_names
from polypda.importing.contract import (
    BoxLabel,
    ImportedFrame,
    Label,
    Ledger,
    NegativeLabel,
    Reader,
    Remark,
    SourceTree,
    UnknownLabel,
)
from polypda.importing.folders.folder_pairs import (
    Pair,
    add_arrays,
    folded_stem,
    is_instance,
    keep_polyp_masks,
    pair_up,
    several_channels,
    shown_stem,
)
from polypda.importing.folders.folder_words import meaning_of
from polypda.importing.folders.frame_tables import TableRow
from polypda.importing.folders.patient_names import AUTO as PATIENTS_AUTO
from polypda.importing.folders.patient_names import PatientRule
from polypda.importing.folders.table_lookup import Tables
from polypda.importing.images.decoded_image import read_image
from polypda.importing.images.masks import MaskColours, mask_colours, mask_label, source_masks
from polypda.importing.readers.beside_frames import LabelsBeside, find_labels_beside, tell_unread

OPTIONS = {
    "polyp": "mask values or colours that are polyp, e.g. 1,2 or #ff0000; any: whatever is drawn",
    "classes": "names of classes that are polyps, where a table beside the masks or their names tell classes",
    "negatives": "pattern of images that show no polyp, e.g. normal/*",
    "patients": "what names tell of them: auto (case1_2 is a clip of case1), whole, none, or a pattern such as P(\\d+)",
    "rle": "how run lengths in a table go: columns (default) or rows",
    "unmasked": "what an image without a mask is: unlabelled (default) or negative",
}
PATIENTS_BY_NAME = PatientRule()
UNMASKED = ("unlabelled", "negative")
OWN_FILES = ("contact-sheet.png", "ignore/*")
"""What an ordinary cohort folder may hold beside its frames and masks."""
OWN_RECORDS = ("import.json", "deidentification.json", "PHANTOM.json", "manifest.yaml")
"""What this software writes into a cohort folder."""
RUN_ORDERS = ("columns", "rows")
NAME_IT = "give the mask its image's name, or take it out."
BY_TASK = "Label Studio numbers such masks by task: export the project as JSON, which tells the image, and import that."
_TASK_MASK = re.compile(r"task-\d+-annotation-\d+")


@dataclass(frozen=True)
class _Facts:
    """What is known of all pictures: tables, which colour is polyp, label files; whether any has a mask, and whether
    the folders name one part of a split alone."""

    tables: Tables
    colours: MaskColours
    fellows: FellowMasks
    beside: LabelsBeside
    masked: bool
    one_part: bool


@dataclass(frozen=True)
class FoldersReader(Reader):
    """Pictures in folders. See ``OPTIONS`` for its fields."""

    name: ClassVar[str] = "folders"
    title: ClassVar[str] = "pictures and masks in folders"

    polyp: PolypValues | None = None
    negatives: str = ""
    unmasked: str = UNMASKED[0]
    classes: tuple[str, ...] | None = None
    patients: PatientRule = PATIENTS_BY_NAME
    rle: str = RUN_ORDERS[0]

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> FoldersReader:
        """Raises: UsageError E_OPTION."""
        for name in options:
            if name not in OPTIONS:
                told = "; ".join(f"{known}: {meaning}" for known, meaning in OPTIONS.items())
                what = f"format 'folders' has no option '{name}'.{nearest(name, OPTIONS)}"
                raise UsageError("E_OPTION", what, fix=told)
        unmasked = options.get("unmasked", UNMASKED[0])
        if unmasked not in UNMASKED:
            raise UsageError("E_OPTION", f"unmasked is '{unmasked}'.", fix=f"one of {', '.join(UNMASKED)}.")
        rle = options.get("rle", RUN_ORDERS[0])
        if rle not in RUN_ORDERS:
            raise UsageError("E_OPTION", f"rle is '{rle}'.", fix=f"one of {', '.join(RUN_ORDERS)}.")
        polyp = PolypValues.parse(options["polyp"]) if "polyp" in options else None
        patients = PatientRule.parse(options.get("patients", PATIENTS_AUTO))
        return cls(polyp, options.get("negatives", ""), unmasked, class_names(options), patients, rle)

    def recognises(self, tree: SourceTree) -> bool:
        """Any picture will do."""
        return any(map(is_image_name, tree.files()))

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        """Raises: DataError E_SOURCE_EMPTY."""
        images = [path for path in tree.files() if is_image_name(path) and not _own(path)]
        if not images:
            fix = "name the folder that holds the frames, or another --format."
            raise DataError("E_SOURCE_EMPTY", "there is no picture in it.", where=tree.name, fix=fix)
        found = pair_up(images)
        add_arrays(tree, found.pairs)
        for orphan in found.orphans:
            fix = BY_TASK if _TASK_MASK.match(PurePosixPath(orphan).name) else NAME_IT
            ledger.leave_out(orphan, DataError("E_MASK_ORPHAN", "no image belongs to this mask.", fix=fix))
        _tell_drawings(found.drawings, ledger)
        keep_polyp_masks(found.pairs, self.classes, ledger, tree.name)
        colours = self._colours(tree, found.pairs, ledger)
        tables = Tables.of(tree, ledger)
        beside = find_labels_beside(tree, found.pairs, self.classes, ledger, rows=self.rle == "rows")
        channels = several_channels(pair.image for pair in found.pairs)
        names = _names(found.pairs, tree.name)
        one_part = _only_split(found.pairs)
        masked = any(pair.masks for pair in found.pairs)
        fellows = source_masks(tree, [mask for pair in found.pairs for mask in pair.masks])
        unlabelled = set()
        for pair in found.pairs:
            try:
                if pair.image in channels:
                    what = "one channel of a picture that lies in several files (nnU-Net's _0000, _0001…)."
                    fix = "export the pictures in colour, each as one file."
                    raise DataError("E_IMAGE_CHANNELS", what, where=pair.image, fix=fix)
                facts = _Facts(tables, colours, fellows, beside, masked, one_part)
                frame = self._frame(tree, pair, names[pair.image], facts)
            except DataError as error:
                ledger.leave_out(pair.image, error)
                continue
            if isinstance(frame.label, UnknownLabel):
                unlabelled.add(pair.image)
            yield frame
        used = {*beside.used, *tables.read, *fellows.names, *OWN_RECORDS}
        tell_unread(tree, found.pairs, used, unlabelled, ledger)
        for index, nowhere in tables.unused():
            ledger.leave_out(index, nowhere)

    def _colours(self, tree: SourceTree, pairs: list[Pair], ledger: Ledger) -> MaskColours:
        """Which colour is the polyp. Raises: UsageError E_CLASS; DataError E_MASK_CLASS when the user must say."""
        masks = [mask for pair in pairs for mask in pair.masks]
        colours = mask_colours(tree, masks, self.polyp, self.classes, ledger)
        alone = [mask for mask in masks if is_instance(mask)]
        if alone and self.polyp is None:
            if not all(colours.polyps_alone(mask) for mask in alone):
                what = "a picture of instances: its colours tell objects apart, and which are polyps is not told."
                fix = "lay the pictures of classes beside it, or say -O polyp=any where every object is a polyp."
                raise DataError("E_MASK_CLASS", what, where=alone[0], fix=fix)
            return MaskColours((), PolypValues.parse("any"), self.classes)
        return colours

    def _frame(self, tree: SourceTree, pair: Pair, name: str, facts: _Facts) -> ImportedFrame:
        meaning = pair.meaning
        outer = meaning_of((tree.name,))  # SRC itself may be the folder "negative" or "seq3"
        remarks = []
        row = facts.tables.row(pair.image)
        if row is None and facts.tables.anything:
            what = "no table tells its patient or sequence: it could leak from train into test."
            remarks.append(Remark("W_TABLE_NO_ROW", what))
        told = row or TableRow(name)
        patient, clip, by = self.patients.of(pair.image, tree.name)
        label, notes = self._label(tree, pair, told, facts)
        return ImportedFrame(
            name=name,
            origin=pair.image,
            read=lambda: read_image(tree, pair.image),
            label=label,
            patient=told.patient or patient,
            patient_by=None if told.patient else by,
            sequence=told.sequence or meaning.sequence or facts.beside.sequence(pair.image) or clip or outer.sequence,
            t_s=told.t_s,
            split=told.split or (None if facts.one_part else meaning.split),
            mode=told.mode or meaning.mode or outer.mode,
            remarks=(*remarks, *notes),
        )

    def _label(self, tree: SourceTree, pair: Pair, row: TableRow, facts: _Facts) -> tuple[Label, tuple[Remark, ...]]:
        outer = meaning_of((tree.name,))
        if row.label_state == "none":
            return UnknownLabel(), ()
        if pair.masks and row.label_state != "box":
            what = f"masks whose names only begin like the image's were joined ({len(pair.masks)})."
            joined = (Remark("W_MASK_JOINED", what),) if pair.joined else ()
            return mask_label(tree, pair.masks, facts.fellows, facts.colours.of(pair.masks[0])), joined
        boxes = facts.tables.boxes(pair.image)
        if boxes:
            return BoxLabel(boxes, pair.image), ()
        notes: list[Remark] = []
        said = facts.beside.label(pair.image, notes)
        if said is not None:
            return said, tuple(notes)
        named = bool(self.negatives) and fnmatch(pair.image, self.negatives)
        if row.label_state == "negative" or pair.meaning.negative or outer.negative or named:
            return NegativeLabel(), ()
        if row.label_state in ("mask", "box"):
            what = f"its label state is '{row.label_state}', but there is none."
            raise DataError("E_LABEL_MISSING", what, where=pair.image, fix="add it, or write none.")
        if not facts.masked or pair.meaning.unlabelled or outer.unlabelled:
            return UnknownLabel(), ()
        if self.unmasked == "negative":
            return NegativeLabel(), ()
        what = "no mask belongs to it: taken as unlabelled. Where such frames show no polyp: -O unmasked=negative."
        return UnknownLabel(), (Remark("W_MASK_MISSING", what),)


def _tell_drawings(drawings: list[str], ledger: Ledger) -> None:
    """One line for each folder of pictures that are neither frames nor masks."""
    for folder, number in Counter(path.rpartition("/")[0] for path in drawings).items():
        what = f"{number} pictures are drawings (contours, overlays…), neither frames nor masks: passed over."
        ledger.remark(folder or ".", "N_DRAWINGS", what)


def _own(path: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in OWN_FILES)


def _names(pairs: list[Pair], tree_name: str) -> dict[str, str]:
    """Image → the name that its frame wishes for: its stem, where no other image has it, else its place as well."""
    stems = Counter(folded_stem(pair.image) for pair in pairs)
    if max(stems.values(), default=0) <= 1:
        return {pair.image: shown_stem(pair.image) for pair in pairs}
    keys = [pair.meaning.key for pair in pairs]
    shared = 0  # folders that all images have in common tell nothing
    while all(len(key) > shared and key[shared] == keys[0][shared] for key in keys):
        shared += 1
    return {
        pair.image: "-".join((*(word.replace(" ", "_") for word in key[shared:]), shown_stem(pair.image)))
        for pair, key in zip(pairs, keys, strict=True)
    }


def _only_split(pairs: list[Pair]) -> bool:
    """Whether the folders put every image into the same part: a folder called ``train`` alone is no split."""
    return len({pair.meaning.split for pair in pairs}) <= 1
