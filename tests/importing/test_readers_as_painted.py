"""Every reader finds exactly what was painted, and recognises its own exports alone."""

from __future__ import annotations

import numpy as np
import pytest
from reader_fixtures import EXPORTS, Export, MemoryTree, differences, png, read_all

from polypda.importing.contract import Ledger
from polypda.importing.readers.cvat import CvatReader
from polypda.importing.registry import AUTO, READERS, reader_for

PAINTED = [(name, paint) for name, paints in EXPORTS.items() for paint in paints]


@pytest.mark.parametrize(("name", "paint"), PAINTED, ids=[paint.__name__ for _, paint in PAINTED])
def test_labels_are_those_that_were_painted(name, paint):
    export = paint()
    frames, _ = read_all(READERS[name](), export)
    assert frames and differences(frames, export) == []


@pytest.mark.parametrize(("name", "paint"), PAINTED, ids=[paint.__name__ for _, paint in PAINTED])
def test_a_label_that_is_off_by_a_pixel_would_be_seen(name, paint):
    export = paint()
    frames, _ = read_all(READERS[name](), export)
    export.masks = {frame: np.where(np.indices(mask.shape).sum(axis=0) == 0, 1 - mask, mask).astype(np.uint8)
                    for frame, mask in export.masks.items()}  # fmt: skip
    export.boxes = {frame: [(x0 + 1, *rest) for x0, *rest in boxes] for frame, boxes in export.boxes.items()}
    assert differences(frames, export) == sorted({*export.masks, *export.boxes})


@pytest.mark.parametrize(("name", "paint"), PAINTED, ids=[paint.__name__ for _, paint in PAINTED])
def test_auto_recognises_each_export_and_no_other_reader_does(name, paint):
    tree = paint().tree()
    assert reader_for(AUTO, tree, {}).name == name
    assert [other for other in EXPORTS if READERS[other]().recognises(tree)] == [name]


@pytest.mark.parametrize("name", EXPORTS)
def test_plain_images_are_recognised_by_none(name):
    assert not READERS[name]().recognises(MemoryTree({"images/a.png": png(), "masks/a.png": png()}))
    assert not READERS[name]().recognises(MemoryTree({}))


@pytest.mark.parametrize("name", EXPORTS)
def test_broken_annotation_files_are_recognised_by_none(name):
    damaged = {
        "a.json": b"\xff\xfe{",
        "b.xml": b"<",
        "c.csv": b"\x00",
        "d.json": b"[]",
        "e.json": b"{}",
        "f.json": b"3",
    }
    assert not READERS[name]().recognises(MemoryTree({**damaged, "a.png": png()}))


def test_reader_is_lazy():
    export = EXPORTS["cvat"][0]()
    opened = []

    class Watched(MemoryTree):
        def read(self, path):
            opened.append(path)
            return super().read(path)

    frames = CvatReader().frames(Watched(export.files), Ledger())
    next(frames)
    assert opened == ["annotations.xml"]


def test_gone_annotations_are_one_error():
    from polypda.errors import DataError

    for name in ("coco", "labelme", "cvat", "labelstudio"):
        with pytest.raises(DataError, match="E_ANNOTATION_ABSENT"):
            read_all(READERS[name](), Export({"a.png": png()}))
