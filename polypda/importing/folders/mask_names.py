"""What the names of masks say of their class: an instrument's mask is not joined with the polyp's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from polypda.importing.annotations.polyp_classes import Meaning, PolypClasses
from polypda.importing.contract import Ledger
from polypda.importing.folders.folder_pairs import Pair, folded_stem
from polypda.importing.folders.folder_words import meaning_of, without_mask_affix, words_of


def keep_polyp_masks(pairs: Sequence[Pair], only: Collection[str] | None, ledger: Ledger, where: str) -> None:
    """Take masks of other classes, and instance images beside class images, from their pairs; the ledger is told.

    only: class names that the user gave. Where the names tell of polyps, names that are not understood are no polyps.
    """
    words = {mask: class_words(mask, pair.image) for pair in pairs for mask in pair.masks}
    classes = PolypClasses(only)
    meanings = {said: classes.meaning(said) for said in set(words.values()) if said}
    told = Meaning.POLYP in meanings.values()
    passed: Counter[str] = Counter()
    instances = 0
    for pair in pairs:
        kept = []
        for mask in pair.masks:
            said = words[mask]
            meaning = meanings.get(said, Meaning.POLYP)
            if meaning is Meaning.NONE or (meaning is Meaning.UNKNOWN and told):
                passed[said] += 1
            else:
                kept.append(mask)
        classed = [mask for mask in kept if not is_instance(mask)]
        instances += len(kept) - len(classed) if classed else 0
        pair.masks = classed or kept
        pair.joined &= bool(pair.masks)
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
    return meaning_of(PurePosixPath(mask).parts[:-1]).instance


def class_words(mask: str, image: str) -> str:
    """What a mask's folders and name say beyond its image's, in plain words: ``instrument``; mostly nothing."""
    here, there = (meaning_of(PurePosixPath(path).parts[:-1]).key for path in (mask, image))
    stem = without_mask_affix(folded_stem(mask))
    rest = stem.replace(folded_stem(image), " ", 1) if stem != folded_stem(image) else ""
    said = [part for part in here if part not in there] + [without_mask_affix(words_of(rest))]
    return re.sub(r"[\W\d_]+", " ", " ".join(said)).strip() if any(map(_speaks, said)) else ""


def _speaks(words: str) -> bool:
    """Whether there is a word in it: letters alone are numberings."""
    return re.search(r"[^\W\d_]{3}|[^\W\d_a-z]", words) is not None
