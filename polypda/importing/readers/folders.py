"""Format ``folders``: images in folders, with masks beside them in any of the common ways, and tables of groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import PurePosixPath
from typing import ClassVar

from polypda.cohorts.image_files import is_image_name
from polypda.cohorts.polyp_values import PolypValues
from polypda.cohorts.stored_masks import FellowMasks
from polypda.errors import DataError
from polypda.importing.annotations.annotated import class_names
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
    check_option_names,
    option_choice,
)
from polypda.importing.images.decoded_image import read_image
from polypda.importing.images.masks import MaskColours, mask_colours, mask_label, source_masks
from polypda.importing.readers.annotated import common_length
from polypda.importing.readers.beside_frames import LabelsBeside, find_labels_beside, tell_unread
from polypda.importing.readers.folder_pairs import (
    Pair,
    add_arrays,
    folded_stem,
    is_instance,
    keep_polyp_masks,
    pair_up,
    several_channels,
    shown_stem,
    tell_elsewhere,
)
from polypda.importing.readers.folder_words import AUTO as PATIENTS_AUTO
from polypda.importing.readers.folder_words import PatientRule, meaning_of
from polypda.importing.readers.frame_tables import TableRow, Tables

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
    """What is known of all images: tables, which colour is polyp, label files; whether any has a mask, and whether
    the folders name one part of a split alone (a folder called ``train`` alone is no split)."""

    tables: Tables
    colours: MaskColours
    fellows: FellowMasks
    beside: LabelsBeside
    masked: bool
    one_part: bool


@dataclass(frozen=True)
class FoldersReader(Reader):
    """Images in folders. See ``OPTIONS`` for its fields."""

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
        check_option_names(cls.name, options, OPTIONS)
        return cls(
            polyp=PolypValues.parse(options["polyp"]) if "polyp" in options else None,
            negatives=options.get("negatives", ""),
            unmasked=option_choice(options, "unmasked", UNMASKED),
            classes=class_names(options),
            patients=PatientRule.parse(options.get("patients", PATIENTS_AUTO)),
            rle=option_choice(options, "rle", RUN_ORDERS),
        )

    def recognises(self, tree: SourceTree) -> bool:
        """Any image will do."""
        return any(map(is_image_name, tree.files()))

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        """Raises: DataError E_SOURCE_EMPTY."""
        pairs = self._pairs(tree, ledger)
        masks = [mask for pair in pairs for mask in pair.masks]
        colours = self._colours(tree, masks, ledger)
        tables = Tables(tree, ledger, [pair.image for pair in pairs])
        facts = _Facts(
            tables=tables,
            colours=colours,
            fellows=source_masks(tree, masks),
            beside=find_labels_beside(tree, pairs, self.classes, ledger, rows=self.rle == "rows"),
            masked=bool(masks),
            one_part=len({pair.meaning.split for pair in pairs}) <= 1,
        )
        channels = several_channels(pair.image for pair in pairs)
        names = _names(pairs)
        unlabelled = set()
        for pair in pairs:
            try:
                if pair.image in channels:
                    what = "one channel of a picture that lies in several files (nnU-Net's _0000, _0001…)."
                    fix = "export the pictures in colour, each as one file."
                    raise DataError("E_IMAGE_CHANNELS", what, where=pair.image, fix=fix)
                frame = self._frame(tree, pair, names[pair.image], facts)
            except DataError as error:
                ledger.leave_out(pair.image, error)
                continue
            if isinstance(frame.label, UnknownLabel):
                unlabelled.add(pair.image)
            yield frame
        used = {*facts.beside.used, *tables.read, *facts.fellows.names, *OWN_RECORDS}
        tell_unread(tree, pairs, used, unlabelled, ledger)
        for origin, problem in tables.unused():
            ledger.leave_out(origin, problem)

    def _pairs(self, tree: SourceTree, ledger: Ledger) -> list[Pair]:
        """Every image with its masks; what is neither goes into the ledger."""
        images = [path for path in tree.files() if is_image_name(path)]
        images = [path for path in images if not any(fnmatch(path, pattern) for pattern in OWN_FILES)]
        if not images:
            fix = "name the folder that holds the frames, or another --format."
            raise DataError("E_SOURCE_EMPTY", "there is no picture in it.", where=tree.name, fix=fix)
        found = pair_up(images)
        add_arrays(tree, found.pairs)
        for orphan in found.orphans:
            fix = BY_TASK if _TASK_MASK.match(PurePosixPath(orphan).name) else NAME_IT
            ledger.leave_out(orphan, DataError("E_MASK_ORPHAN", "no image belongs to this mask.", fix=fix))
        for folder, number in Counter(path.rpartition("/")[0] for path in found.drawings).items():
            what = f"{number} pictures are drawings (contours, overlays…), neither frames nor masks: passed over."
            ledger.remark(folder or ".", "N_DRAWINGS", what)
        keep_polyp_masks(found.pairs, self.classes, ledger, tree.name)
        tell_elsewhere(found.pairs, ledger)
        return found.pairs

    def _colours(self, tree: SourceTree, masks: list[str], ledger: Ledger) -> MaskColours:
        """Which colour is the polyp. Raises: UsageError E_CLASS; DataError E_MASK_CLASS when the user must say."""
        colours = mask_colours(tree, masks, self.polyp, self.classes, ledger)
        instances = [mask for mask in masks if is_instance(mask)]
        if not instances or self.polyp is not None:
            return colours
        if not all(map(colours.polyps_alone, instances)):
            what = "a picture of instances: its colours tell objects apart, and which are polyps is not told."
            fix = "lay the pictures of classes beside it, or say -O polyp=any where every object is a polyp."
            raise DataError("E_MASK_CLASS", what, where=instances[0], fix=fix)
        return MaskColours((), PolypValues.parse("any"), self.classes)

    def _frame(self, tree: SourceTree, pair: Pair, name: str, facts: _Facts) -> ImportedFrame:
        _refuse_second(pair)
        meaning, outer = pair.meaning, meaning_of((tree.name,))  # SRC itself may be the folder "negative" or "seq3"
        notes: list[Remark] = []
        row = facts.tables.row(pair.image)
        if row is None and facts.tables.anything:
            what = "no table tells its patient or sequence: it could leak from train into test."
            notes.append(Remark("W_TABLE_NO_ROW", what))
        row = row or TableRow(name)
        patient, clip, by = self.patients.of(pair.image, tree.name)
        label = self._label(tree, pair, row, facts, notes)
        return ImportedFrame(
            name=name,
            origin=pair.image,
            read=partial(read_image, tree, pair.image),
            label=label,
            patient=row.patient or patient,
            patient_by=None if row.patient else by,
            sequence=row.sequence or meaning.sequence or facts.beside.sequence(pair.image) or clip or outer.sequence,
            t_s=row.t_s,
            split=row.split or (None if facts.one_part else meaning.split),
            mode=row.mode or meaning.mode or outer.mode,
            remarks=tuple(notes),
        )

    def _label(self, tree: SourceTree, pair: Pair, row: TableRow, facts: _Facts, notes: list[Remark]) -> Label:
        outer = meaning_of((tree.name,))
        if row.label_state == "none":
            return UnknownLabel()
        if pair.masks and row.label_state != "box":
            if pair.joined:
                what = f"masks whose names only begin like the image's were joined ({len(pair.masks)})."
                notes.append(Remark("W_MASK_JOINED", what))
            return mask_label(tree, pair.masks, facts.fellows, facts.colours.of(pair.masks[0]))
        if boxes := facts.tables.boxes(pair.image):
            return BoxLabel(boxes)
        if (beside := facts.beside.label(pair.image, notes)) is not None:
            return beside
        named = bool(self.negatives) and fnmatch(pair.image, self.negatives)
        if row.label_state == "negative" or pair.meaning.negative or outer.negative or named:
            return NegativeLabel()
        if row.label_state in ("mask", "box"):
            what = f"its label state is '{row.label_state}', but there is none."
            raise DataError("E_LABEL_MISSING", what, where=pair.image, fix="add it, or write none.")
        if not facts.masked or pair.meaning.unlabelled or outer.unlabelled:
            return UnknownLabel()
        if self.unmasked == "negative":
            return NegativeLabel()
        what = "no mask belongs to it: taken as unlabelled. Where such frames show no polyp: -O unmasked=negative."
        notes.append(Remark("W_MASK_MISSING", what))
        return UnknownLabel()


def _refuse_second(pair: Pair) -> None:
    """Raise DataError E_FRAME_TWICE where two masks of one folder have one stem: one drawing in two formats, or two."""
    seen: dict[tuple[str, str], str] = {}
    for mask in pair.masks:
        key = mask.rpartition("/")[0], folded_stem(mask)
        if key in seen:
            what = f"frame '{shown_stem(pair.image)}' has a second mask, {seen[key]}."
            raise DataError("E_FRAME_TWICE", what, where=mask, fix="keep one of them.")
        seen[key] = mask


def _names(pairs: list[Pair]) -> dict[str, str]:
    """Image → the name that its frame wishes for: its stem, where no other image has it, else its folders as well."""
    stems = Counter(folded_stem(pair.image) for pair in pairs)
    if max(stems.values(), default=0) <= 1:
        return {pair.image: shown_stem(pair.image) for pair in pairs}
    keys = [pair.meaning.key for pair in pairs]
    shared = common_length(keys)  # folders that all images have in common tell nothing
    return {
        pair.image: "-".join((*(word.replace(" ", "_") for word in key[shared:]), shown_stem(pair.image)))
        for pair, key in zip(pairs, keys, strict=True)
    }
