"""Which masks belong to which image, by the common ways of naming them.

A mask whose name tells another class (an instrument's) is not joined with the polyp's. Arrays (``.npy``, ``.mat``) are
masks only where their content can be one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from polypda.cohorts.image_files import suffix_of
from polypda.cohorts.stored_pixels import ARRAY_SUFFIXES, decode_array, is_array
from polypda.errors import DataError
from polypda.importing.annotations.annotated import Meaning, PolypClasses
from polypda.importing.contract import Ledger, SourceTree
from polypda.importing.images.decoded_image import image_size
from polypda.importing.readers.folder_words import (
    FolderMeaning,
    meaning_of,
    same_part,
    without_image_affix,
    without_mask_affix,
    words_of,
)

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_LETTERED = re.compile(r"([pcsPCS])(\d+)")
_NNUNET = re.compile(r"images[TV][rsal]+")
_CHANNEL = re.compile(r"(.+)_\d{4}")
_SEPARATOR = re.compile(r"[_\-. ]")
Key = tuple[tuple[str, ...], str]
"""Folders that tell places apart, and the stem."""


@dataclass
class Pair:
    """An image with its masks. joined: they were found by the beginning of their names or by their folder alone.
    elsewhere: those of them that lie in another place, and were taken since no other image is called so."""

    image: str
    meaning: FolderMeaning
    masks: list[str] = field(default_factory=list)
    joined: bool = False
    elsewhere: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Pairs:
    """All images in order, the masks that belong to none, and the drawings that are neither."""

    pairs: list[Pair]
    orphans: list[str]
    drawings: list[str] = field(default_factory=list)


def pair_up(images: Sequence[str], masks: Collection[str] = ()) -> Pairs:
    """Pair the images of a folder tree. masks: those of them that are masks whatever they are called.

    Masks are those in folders named so, those whose names say so (``a_mask``), and, where two files of a folder share
    a stem, the lossless one beside a JPEG. They belong to the image of the same stem or number (``mask_1``,
    ``image_1``) of the like place; else to the only one of the same stem anywhere, unless it has a mask of its own
    place or its folders name another part of a split; else to that whose name theirs begins with; else to the only
    image of their place.

    ``p7`` beside ``7`` is its mask, as CVC names them, and then ``c7`` (contour) and ``s7`` (specular) are drawings, as
    are images in folders of edges, scribbles, overlays and the like.
    """
    lettered, beside = _lettered(images)
    drawings = [path for path in images if path in beside or _meaning(path).drawing]
    passed = set(drawings)
    images = [path for path in images if path not in passed]
    sure = _twin_masks(images) | lettered | set(masks)
    masks = [path for path in images if path in sure or _says_mask(path)]
    taken = set(masks)
    pairs = [Pair(path, _meaning(path)) for path in images if path not in taken]
    by_key: dict[Key, list[Pair]] = defaultdict(list)
    by_stem: dict[str, list[Pair]] = defaultdict(list)
    by_number: dict[Key, list[Pair]] = defaultdict(list)
    by_place: dict[tuple[str, ...], list[Pair]] = defaultdict(list)
    for pair in pairs:
        stem = folded_stem(shown_stem(pair.image) + ".x")
        by_key[pair.meaning.key, stem].append(pair)
        by_stem[stem].append(pair)
        by_number[pair.meaning.key, without_image_affix(stem)].append(pair)
        by_place[pair.meaning.key].append(pair)
    strangers = []
    for mask in masks:
        key, stem = _meaning(mask).key, folded_stem(mask)
        alike = [pair for pair in by_key.get((key, stem), []) if _stem(pair.image) == _stem(mask)]  # of ``a`` and ``A``
        near = next((by_key[key, each] for each in _wanted(stem) if (key, each) in by_key), None)
        found = _only(alike) or _only(near or []) or _only(by_number.get((key, without_mask_affix(stem)), []))
        if found is None:
            strangers.append((mask, key, stem, near is not None))
        else:
            found.masks.append(mask)
    own = {id(pair) for pair in pairs if pair.masks}
    left = []
    for mask, key, stem, several in strangers:
        found = None if several else _anywhere(by_stem, mask, stem)
        if found is None or id(found) in own:
            left.append((mask, key, stem))
        else:
            found.masks.append(mask)
            found.elsewhere.add(mask)
    exact = {id(pair) for pair in pairs if pair.masks}
    orphans = []
    for mask, key, stem in left:
        alone = by_place.get(key, []) if key or len(pairs) == 1 else []
        found = _begun(by_key, key, stem) or _only(alone)
        if found is None or id(found) in exact:
            orphans.append(mask)
        else:
            found.masks.append(mask)
            found.joined = True
    return Pairs(pairs, orphans, drawings)


def folded_stem(path: str) -> str:
    """A file's stem for comparison: composed, without regard to case."""
    return unicodedata.normalize("NFC", PurePosixPath(path).stem).casefold()


def shown_stem(image: str) -> str:
    """An image's stem without nnU-Net's number of the channel: ``x`` of ``imagesTr/x_0000.png``."""
    stem = PurePosixPath(image).stem
    in_nnunet = any(_NNUNET.fullmatch(folder) for folder in PurePosixPath(image).parts[:-1])
    return stem.removesuffix("_0000") if in_nnunet else stem


def several_channels(images: Iterable[str]) -> set[str]:
    """The files of images whose channels nnU-Net keeps apart: each alone is no frame."""
    by_image: dict[str, list[str]] = defaultdict(list)
    for image in images:
        *folders, name = PurePosixPath(image).parts
        match = _CHANNEL.fullmatch(PurePosixPath(name).stem)
        if match and any(map(_NNUNET.fullmatch, folders)):
            by_image["/".join((*folders, match[1]))].append(image)
    return {image for files in by_image.values() if len(files) > 1 for image in files}


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _meaning(path: str) -> FolderMeaning:
    """What the folders of a file say."""
    return meaning_of(PurePosixPath(path).parts[:-1])


def _says_mask(path: str) -> bool:
    return _meaning(path).mask or without_mask_affix(_stem(path)) != _stem(path)


def _twin_masks(images: Sequence[str]) -> set[str]:
    """Of files of one folder that share a stem, a JPEG and one that is lossless: the latter."""
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in images:
        by_place[PurePosixPath(path).parent.as_posix(), folded_stem(path)].append(path)
    twins = [paths for paths in by_place.values() if len(paths) == 2]
    lossless = [[path for path in paths if suffix_of(path) not in LOSSY_SUFFIXES] for paths in twins]
    return {found[0] for found in lossless if len(found) == 1}


def _lettered(images: Sequence[str]) -> tuple[set[str], set[str]]:
    """CVC's masks ``p7`` beside their frames ``7``, and the contours and highlights that lie with them."""
    numbered = {(path.rpartition("/")[0], PurePosixPath(path).stem) for path in images}
    found: dict[str, set[str]] = defaultdict(set)
    for path in images:
        match = _LETTERED.fullmatch(PurePosixPath(path).stem)
        if match and (path.rpartition("/")[0], match[2]) in numbered:
            found[match[1].lower()].add(path)
    return (found["p"], found["c"] | found["s"]) if found["p"] else (set(), set())


def _wanted(stem: str) -> tuple[str, ...]:
    """What the image of a mask may be called."""
    match = _LETTERED.fullmatch(stem)
    return (stem, without_mask_affix(stem), *([match[2]] if match and match[1] == "p" else []))


def _anywhere(by_stem: dict[str, list[Pair]], mask: str, stem: str) -> Pair | None:
    """The only image of a mask's stem, wherever it lies, but for another part of a split."""
    found = next(filter(None, (_only(by_stem.get(each, [])) for each in _wanted(stem))), None)
    return found if found is not None and same_part(found.meaning, _meaning(mask)) else None


def _begun(by_key: dict[Key, list[Pair]], key: tuple[str, ...], stem: str) -> Pair | None:
    """The image whose stem the mask's begins with, the longest first: ``a_1`` and ``a_2`` belong to ``a``."""
    ends = reversed([match.start() for match in _SEPARATOR.finditer(stem)])
    return next(filter(None, (_only(by_key.get((key, stem[:end]), [])) for end in ends)), None)


def _only(pairs: list[Pair]) -> Pair | None:
    return pairs[0] if len(pairs) == 1 else None


def keep_polyp_masks(pairs: Sequence[Pair], only: Collection[str] | None, ledger: Ledger, where: str) -> None:
    """Take masks of other classes, and instance images beside class images, from their pairs; the ledger is told.

    only: class names that the user gave. Where the names tell of polyps, names that are not understood are no polyps.
    """
    words = {mask: class_words(mask, pair.image) for pair in pairs for mask in pair.masks}
    classes = PolypClasses(only)
    meanings = {said: classes.meaning(said) for said in set(words.values()) if said}
    polyps_named = Meaning.POLYP in meanings.values()
    passed: Counter[str] = Counter()
    instances = 0
    for pair in pairs:
        polyps = []
        for mask in pair.masks:
            meaning = meanings.get(words[mask], Meaning.POLYP)
            if meaning is Meaning.NONE or (meaning is Meaning.UNKNOWN and polyps_named):
                passed[words[mask]] += 1
            else:
                polyps.append(mask)
        classed = [mask for mask in polyps if not is_instance(mask)]
        instances += len(polyps) - len(classed) if classed else 0
        pair.masks = classed or polyps
        pair.joined &= bool(pair.masks)
        pair.elsewhere &= set(pair.masks)
    for said, number in passed.items():
        known = meanings[said] is Meaning.NONE
        what = f"{number} masks of '{said}' were passed over" + (": that is no polyp." if known else ".")
        fix = "" if known else " If it is a polyp: -O classes=…"
        ledger.remark(where, "N_MASK_OTHER" if known else "W_CLASS_UNKNOWN", what + fix)
    if instances:
        what = f"{instances} pictures of instances were passed over: the class pictures beside them tell the polyp."
        ledger.remark(where, "N_MASK_INSTANCES", what)


def is_instance(mask: str) -> bool:
    """Whether a mask lies in a folder of instances, whose colours tell objects apart and no classes."""
    return _meaning(mask).instance


def class_words(mask: str, image: str) -> str:
    """What a mask's folders and name say beyond its image's, in plain words: ``instrument``; mostly nothing."""
    here, there = _meaning(mask).key, _meaning(image).key
    stem = without_mask_affix(folded_stem(mask))
    rest = stem.replace(folded_stem(image), " ", 1) if stem != folded_stem(image) else ""
    said = [part for part in here if part not in there] + [without_mask_affix(words_of(rest))]
    speaks = any(re.search(r"[^\W\d_]{3}|[^\W\d_a-z]", words) for words in said)  # letters alone are numberings
    return re.sub(r"[\W\d_]+", " ", " ".join(said)).strip() if speaks else ""


def add_arrays(tree: SourceTree, pairs: Sequence[Pair]) -> None:
    """Give images without a mask the arrays that belong to them by name and have their size.

    An array of anything else (features, depths, a whole video) is left for what tells of files that are not read.
    """
    arrays = [path for path in tree.files() if suffix_of(path) in ARRAY_SUFFIXES]
    bare = {pair.image: pair for pair in pairs if not pair.masks}
    if not arrays or not bare:
        return
    for found in pair_up([*(pair.image for pair in pairs), *arrays], masks=frozenset(arrays)).pairs:
        if found.image not in bare:
            continue
        fitting = [path for path in found.masks if path in arrays and _fits(tree, path, found.image)]
        bare[found.image].masks += fitting
        bare[found.image].joined |= found.joined and bool(fitting)
        bare[found.image].elsewhere |= found.elsewhere & set(fitting)


def tell_elsewhere(pairs: Sequence[Pair], ledger: Ledger) -> None:
    """A remark for each folder whose masks were taken for images of another place."""
    taken: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for pair in pairs:
        for mask in sorted(pair.elsewhere):
            taken[mask.rpartition("/")[0], pair.image.rpartition("/")[0]].append(mask)
    for (folder, place), masks in taken.items():
        number, place = len(masks), place or "."
        what = f"{number} masks were taken for images in '{place}', the only ones called so: look whether they fit."
        ledger.remark(folder or ".", "W_MASK_ELSEWHERE", what)


def _fits(tree: SourceTree, path: str, image: str) -> bool:
    data = tree.read(path)
    try:
        return is_array(data) and decode_array(data, path).pixels.shape == image_size(tree, image)
    except DataError:
        return False
