"""Masks that lie beside pictures as arrays (``.npy``, ``.mat``): only those whose content can be one."""

from __future__ import annotations

from collections.abc import Sequence

from polypda.cohorts.picture_kinds import suffix_of
from polypda.cohorts.stored_arrays import ARRAY_SUFFIXES, decode_array, is_array
from polypda.errors import DataError
from polypda.importing.contract import SourceTree
from polypda.importing.folders.folder_pairs import Pair, pair_up
from polypda.importing.images.pictures import picture_size


def add_arrays(tree: SourceTree, pairs: Sequence[Pair]) -> None:
    """Give pictures without a mask the arrays that belong to them by name and have their size.

    An array of anything else (features, depths, a whole film) is left for what tells of files that are not read.
    """
    arrays = [path for path in tree.files() if suffix_of(path) in ARRAY_SUFFIXES]
    bare = {pair.image: pair for pair in pairs if not pair.masks}
    if not arrays or not bare:
        return
    for found in pair_up([*bare, *arrays], masks=frozenset(arrays)).pairs:
        fitting = [path for path in found.masks if path in arrays and _fits(tree, path, found.image)]
        bare[found.image].masks += fitting
        bare[found.image].joined |= found.joined and bool(fitting)


def _fits(tree: SourceTree, path: str, image: str) -> bool:
    data = tree.read(path)
    try:
        return is_array(data) and decode_array(data, path).pixels.shape == picture_size(tree, image)
    except DataError:
        return False
