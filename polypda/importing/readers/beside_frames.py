"""Which label files belong to which image of a folder, what they say, and which of them nothing here understands."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from polypda.cohorts.image_files import suffix_of
from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, PolypClasses, require_classes
from polypda.importing.annotations.annotation_files import read_text, read_xml
from polypda.importing.annotations.shapes import Painted
from polypda.importing.contract import Label, Ledger, Remark, SourceTree, UnknownLabel
from polypda.importing.images.decoded_image import image_size
from polypda.importing.readers.beside_files import class_names_of, is_name_file, table_images, text_image, voc_image
from polypda.importing.readers.folder_pairs import Pair, folded_stem
from polypda.importing.readers.folder_words import Role, meaning_of, role_of, same_part

LABEL_SUFFIXES = (
    *(".json", ".xml", ".txt", ".csv", ".tsv", ".npy", ".npz", ".mat", ".pkl", ".h5", ".hdf5"),
    *(".yaml", ".yml", ".nii", ".gz", ".roi", ".svg", ".jsonl", ".geojson"),
)
"""Names that may promise labels, of any tool."""
TABLES = (".csv", ".tsv", ".json")
"""Names of files that may list labels of many images."""
ALWAYS_TOLD = (".json", ".xml", ".npy", ".npz", ".mat", ".nii")
"""Of these, those that are told wherever they lie when no frame has a label; a text may be a note or a licence."""


@dataclass
class LabelsBeside:
    """Every label file beside images that was understood. images: by the image's path; used: the files' paths."""

    tree: SourceTree
    images: dict[str, AnnotatedImage] = field(default_factory=dict)
    classes: PolypClasses = field(default_factory=PolypClasses)
    used: set[str] = field(default_factory=set)

    def label(self, image: str, notes: list[Remark]) -> Label | None:
        """The label of an image; None where no file says anything of it. Raises: DataError."""
        found = self.images.get(image)
        if found is None:
            return None
        if suffix_of(found.file) != ".xml":  # VOC gives the size itself
            found = found.sized(image_size(self.tree, image))
        return found.label(image, self.classes, notes, unannotated=UnknownLabel())

    def sequence(self, image: str) -> str | None:
        """The sequence of an image, where a label file tells it."""
        return self.images[image].facts.sequence if image in self.images else None


def find_labels_beside(
    tree: SourceTree, pairs: Sequence[Pair], only: tuple[str, ...] | None, ledger: Ledger, *, rows: bool = False
) -> LabelsBeside:
    """Read the label files of images that have no mask. only: names of classes that are polyps. rows: run lengths go
    along rows. What is damaged goes into the ledger. Raises: UsageError E_CLASS."""
    found = LabelsBeside(tree)
    by_stem: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_stem[folded_stem(pair.image)].append(pair)
    if all(pair.masks for pair in pairs):
        by_stem.clear()
    names = class_names_of(tree) if by_stem else {}
    annotated: dict[str, list[AnnotatedImage]] = {".xml": [], ".json": [], ".txt": []}
    for path in tree.files() if by_stem else ():
        try:
            images = _read(tree, path, by_stem, names, rows)
        except DataError as error:
            ledger.leave_out(path, error)
            continue
        if images is not None:
            annotated[".json" if suffix_of(path) in TABLES else suffix_of(path)] += images
            found.used.add(path)
    if all(image.listed for image in annotated[".txt"]):
        found.used -= {image.file for image in annotated.pop(".txt")}  # empty texts alone are no labels
    for images in annotated.values():  # of several for an image, VOC goes before lists, and these before texts
        meant = [(image, one) for image in images if (one := _meant(image.names[0], by_stem)) is not None]
        for image, pair in sorted(meant, key=lambda each: not _near(each[0].names[0], each[1])):
            if not pair.masks:
                found.images.setdefault(pair.image, image)
    shapes = [(image, each) for image in found.images.values() for each in image.shapes]
    used = {each.label for image, each in shapes if not image.polyps_alone}
    if only and used:
        require_classes(only, used)
    found.classes = PolypClasses(only, used)
    if any(isinstance(each.shape, Painted) for _, each in shapes):
        how = "along the rows" if rows else "down the columns, as in competitions (-O rle=rows: along the rows)"
        ledger.remark(tree.name, "N_RLE_ORDER", f"run lengths are read {how}. Look whether the masks fit.")
    return found


def _read(
    tree: SourceTree, path: str, by_stem: Mapping[str, list[Pair]], names: Mapping[int, str], rows: bool
) -> list[AnnotatedImage] | None:
    """What one file says of its image or of many; None where it is no label file of theirs."""
    suffix = suffix_of(path)
    if suffix in TABLES:
        return table_images(tree, path, rows)
    if suffix not in (".txt", ".xml") or is_name_file(path) or (pair := _meant(path, by_stem)) is None or pair.masks:
        return None
    if suffix == ".txt":
        image = text_image(read_text(tree, path), path, names)
        return None if image is None else [image]
    root = read_xml(tree, path)
    return [voc_image(root, path)] if root.tag == "annotation" else None


def tell_unread(tree: SourceTree, pairs: Sequence[Pair], used: set[str], unlabelled: set[str], ledger: Ledger) -> None:
    """Files that may hold labels and were not read: by the stem of an image, in folders of labels, or by their kind.

    unlabelled: images that have no label. Where one has none, the files are left out with a code, else remarked.
    """
    stems = {folded_stem(pair.image): pair.image for pair in pairs}
    everything = bool(pairs) and len(unlabelled) == len(pairs)
    beside: Counter[tuple[str, str]] = Counter()
    for path in tree.files():
        suffix = suffix_of(path)
        if {path, path.rsplit("/", 1)[-1]} & used or suffix not in LABEL_SUFFIXES or is_name_file(path):
            continue
        image = stems.get(folded_stem(path))
        promised = any(role_of(folder) in (Role.MASK, Role.DRAWING) for folder in PurePosixPath(path).parts[:-1])
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


def _meant(path: str, by_stem: Mapping[str, list[Pair]]) -> Pair | None:
    """The image of a label file, or of an image's name in one: its stem, of like folders where several have it, and of
    no other part of a split."""
    path = path.replace("\\", "/")
    same = by_stem.get(folded_stem(path)) or by_stem.get(path.rsplit("/", 1)[-1].casefold()) or []
    if len(same) > 1:
        same = [pair for pair in same if _near(path, pair)] or [
            pair for pair in same if PurePosixPath(pair.image).parent == PurePosixPath(path).parent
        ]
    lies = meaning_of(PurePosixPath(path).parts[:-1])
    return same[0] if len(same) == 1 and same_part(same[0].meaning, lies) else None


def _near(path: str, pair: Pair) -> bool:
    """Whether a label file, or what it names, lies in the like place as an image."""
    return meaning_of(PurePosixPath(path.replace("\\", "/")).parts[:-1]).key == pair.meaning.key
