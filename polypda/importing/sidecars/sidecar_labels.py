"""Which label files belong to which picture of a folder, what they say, and which of them nothing here understands."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

from PIL import Image

from polypda.cohorts.picture_kinds import suffix_of
from polypda.cohorts.stored_pixels import decode_stored
from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_text, read_xml
from polypda.importing.annotations.drawn_labels import Drawn, Sheet, label_of
from polypda.importing.annotations.polyp_classes import EveryClass, PolypClasses, require_classes
from polypda.importing.annotations.shapes import Painted
from polypda.importing.annotations.voc import VocFile, voc_file
from polypda.importing.contract import Label, Ledger, NegativeLabel, Remark, SourceTree, UnknownLabel
from polypda.importing.folders.folder_pairs import Pair, folded_stem
from polypda.importing.folders.folder_words import Role, meaning_of, role_of
from polypda.importing.sidecars.label_texts import LabelText, class_names_of, is_name_file, label_text
from polypda.importing.sidecars.listed_labels import Listed, read_listed, runs_mask

LABEL_SUFFIXES = (
    *(".json", ".xml", ".txt", ".csv", ".tsv", ".npy", ".npz", ".mat", ".pkl", ".h5", ".hdf5"),
    *(".yaml", ".yml", ".nii", ".gz", ".roi", ".svg", ".jsonl", ".geojson"),
)
"""Names that may promise labels, of any tool."""
ALWAYS_TOLD = (".json", ".xml", ".npy", ".npz", ".mat", ".nii")
"""Of these, those that are told wherever they lie when no frame has a label; a text may be a note or a licence."""


@dataclass
class Sidecars:
    """Every label file that was understood. used: their paths."""

    tree: SourceTree
    classes: PolypClasses
    names: Mapping[int, str]
    rows: bool
    texts: dict[str, tuple[str, LabelText]] = field(default_factory=dict)
    boxes: dict[str, tuple[str, VocFile]] = field(default_factory=dict)
    listed: dict[str, tuple[str, str, Listed]] = field(default_factory=dict)
    """Picture → the file, the picture's name there, and the file's content."""
    used: set[str] = field(default_factory=set)

    def label(self, image: str, notes: list[Remark]) -> Label | None:
        """The label of a picture; None where no file says anything of it. Raises: DataError."""
        if image in self.boxes:
            _, voc = self.boxes[image]
            return label_of(voc.drawn, Sheet(image, voc.size), self.classes, notes, empty=NegativeLabel())
        if image in self.listed:
            return self._listed(image, notes)
        if image not in self.texts:
            return None
        _, told = self.texts[image]
        if told.predicted:
            what = "its boxes have a confidence: what a model predicted is no ground truth; taken without a label."
            notes.append(Remark("W_PREDICTION", what))
            return UnknownLabel()
        size = picture_size(self.tree, image)
        classes = self.classes if told.kind == "yolo" or told.kind == "boxes" else EveryClass()
        return label_of(told.drawn(size, self.names), Sheet(image, size), classes, notes, empty=NegativeLabel())

    def _listed(self, image: str, notes: list[Remark]) -> Label:
        path, name, listed = self.listed[image]
        if name in listed.runs:
            size = picture_size(self.tree, image)
            drawn = [
                Drawn(Painted(partial(runs_mask, told, self.rows, path), size), kind)
                for told, kind in listed.runs[name]
            ]
            return label_of(drawn, Sheet(image, size), self.classes, notes, empty=NegativeLabel())
        size = picture_size(self.tree, image)
        return label_of(listed.drawn[name], Sheet(image, size), self.classes, notes, empty=UnknownLabel())


def find_sidecars(
    tree: SourceTree, pairs: Sequence[Pair], only: tuple[str, ...] | None, ledger: Ledger, *, rows: bool = False
) -> Sidecars:
    """Read the label files of pictures that have no mask. only: names of classes that are polyps. rows: run lengths go
    along rows. What is damaged goes into the ledger. Raises: UsageError E_CLASS."""
    found = Sidecars(tree, PolypClasses(), class_names_of(tree), rows)
    unmasked = [pair for pair in pairs if not pair.masks]
    by_stem: dict[str, list[Pair]] = defaultdict(list)
    for pair in unmasked:
        by_stem[folded_stem(pair.image)].append(pair)
    for path in tree.files() if unmasked else ():
        try:
            _take(tree, path, by_stem, found)
        except DataError as error:
            ledger.leave_out(path, error)
    if not any(text.kind != "empty" for _, text in found.texts.values()):
        found.texts.clear()  # empty texts alone are no labels
    found.used |= {path for path, _ in (*found.texts.values(), *found.boxes.values())}
    used = _classes(found)
    require_classes(only, used) if only and used else None
    found.classes = PolypClasses(only, used)
    if any(listed.runs for *_, listed in found.listed.values()):
        how = "along the rows" if rows else "down the columns, as in competitions (-O rle=rows: along the rows)"
        ledger.remark(tree.name, "N_RLE_ORDER", f"run lengths are read {how}. Look whether the masks fit.")
    return found


def tell_unread(tree: SourceTree, pairs: Sequence[Pair], used: set[str], unlabelled: set[str], ledger: Ledger) -> None:
    """Files that may hold labels and were not read: by the stem of a picture, in folders of labels, or by their kind.

    unlabelled: pictures that have no label. Where one has none, the files are left out with a code, else remarked.
    """
    stems = {folded_stem(pair.image): pair.image for pair in pairs}
    everything = bool(pairs) and len(unlabelled) == len(pairs)
    beside: Counter[tuple[str, str]] = Counter()
    for path in tree.files():
        suffix = suffix_of(path)
        if {path, path.rsplit("/", 1)[-1]} & used or suffix not in LABEL_SUFFIXES or is_name_file(path):
            continue
        image = stems.get(folded_stem(path))
        folders = PurePosixPath(path).parts[:-1]
        promised = any(role_of(folder) in (Role.MASK, Role.DRAWING) for folder in folders)
        if image in unlabelled or (everything and (promised or suffix in ALWAYS_TOLD)):
            what = "may hold annotations, in a form that nothing here knows, and "
            what += "its picture has no label." if image in unlabelled else "no frame has a label."
            fix = "export COCO, YOLO, VOC, LabelMe, CVAT or Label Studio, or masks; if it holds none, leave it out."
            ledger.leave_out(path, DataError("E_ANNOTATION_UNKNOWN", what, where=path, fix=fix))
        elif image is not None or promised:
            beside[path.rpartition("/")[0], suffix] += 1
    for (folder, suffix), number in beside.items():
        what = f"{number} {suffix} files beside frames that have another label were not read."
        ledger.remark(folder or ".", "W_ANNOTATION_UNREAD", what)


def picture_size(tree: SourceTree, path: str) -> tuple[int, int]:
    """A picture's (height, width) as stored, by its header where that tells. Raises: DataError."""
    data = tree.read(path)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.height, picture.width
    except Exception:  # a decoder that is fed foreign bytes raises anything; the whole decoding has its own errors
        height, width = decode_stored(data, path).pixels.shape[:2]
        return height, width


def _take(tree: SourceTree, path: str, by_stem: Mapping[str, list[Pair]], found: Sidecars) -> None:
    suffix = suffix_of(path)
    if suffix in (".csv", ".tsv", ".json"):
        listed = read_listed(tree, path)
        if listed is None:
            return
        found.used.add(path)
        for name in (*listed.runs, *listed.drawn):
            image = _meant(name.replace("\\", "/"), by_stem)
            if image is not None:
                found.listed.setdefault(image, (path, name, listed))
        return
    image = _meant(path, by_stem) if suffix in (".txt", ".xml") and not is_name_file(path) else None
    if image is None:
        return
    if suffix == ".txt":
        told = label_text(read_text(tree, path))
        if told is not None:
            found.texts.setdefault(image, (path, told))
        return
    root = read_xml(tree, path)
    if root.tag == "annotation":
        found.boxes.setdefault(image, (path, voc_file(root, path)))


def _meant(path: str, by_stem: Mapping[str, list[Pair]]) -> str | None:
    """The picture of a label file, or of a picture's name in one: its stem, of like folders where several have it."""
    same = by_stem.get(folded_stem(path)) or by_stem.get(path.rsplit("/", 1)[-1].casefold()) or []
    if len(same) > 1:
        key = meaning_of(PurePosixPath(path).parts[:-1]).key
        same = [pair for pair in same if pair.meaning.key == key] or [
            pair for pair in same if PurePosixPath(pair.image).parent == PurePosixPath(path).parent
        ]
    return same[0].image if len(same) == 1 else None


def _classes(found: Sidecars) -> set[str]:
    """The classes of all that is drawn."""
    used = {name for _, told in found.texts.values() if told.kind != "counted" for name in told.classes(found.names)}
    used |= {each.label for _, voc in found.boxes.values() for each in voc.drawn}
    for _, name, listed in found.listed.values():
        used |= {kind for _, kind in listed.runs.get(name, [])} | {each.label for each in listed.drawn.get(name, [])}
    return used
