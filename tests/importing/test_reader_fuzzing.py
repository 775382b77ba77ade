"""Damaged exports of every tool: frames, ledger lines or a coded error, never anything else, never without end."""

from __future__ import annotations

import json
import random
import time
from xml.etree import ElementTree

import pytest
from reader_fixtures import EXPORTS, MemoryTree

from polypda.errors import PolypdaError
from polypda.importing.contract import BoxLabel, Ledger, MaskLabel
from polypda.importing.registry import READERS

PAINTED = [(name, paint) for name, paints in EXPORTS.items() for paint in paints]
NUMBERS = (
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"99999999999",
    b"1" * 400,
    b"null",
    b"true",
    b'"x"',
    b"[]",
    b"{}",
)
ANNOTATIONS = (".json", ".xml", ".txt", ".csv")


def cut(data, chance):
    return data[: chance.randrange(len(data) + 1)]


def flipped(data, chance):
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 20))):
        if damaged:
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)


def renumbered(data, chance):
    """A number of the text replaced by one that nobody expects there."""
    indices = [index for index, byte in enumerate(data) if 48 <= byte <= 57 and not 48 <= data[index - 1] <= 57]
    if not indices:
        return data
    start = end = chance.choice(indices)
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return data[:start] + chance.choice(NUMBERS) + data[end:]


def repeated(data, chance):
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.randrange(1, 200)]
    return data[:start] + piece * chance.choice((2, 3, 50)) + data[start + len(piece) :]


def removed(data, chance):
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.randrange(1, 60) :]


def recoded(data, chance):
    text = data.decode("utf-8", "replace")
    return text.encode(chance.choice(("utf-16", "gb18030", "utf-8-sig", "utf-32-be", "utf-7")), "replace")


STRANGE = (
    None,
    True,
    -1,
    0,
    1e300,
    float("nan"),
    10**25,
    "",
    "x",
    "\ud800",
    "../../a.png",
    [],
    {},
    [[]],
    [None],
    {"a": []},
    [1, 2],
)


def retyped(data, chance):
    """A JSON value, or an attribute, tag or text of XML, replaced by one of another kind; the rest stays sound."""
    try:
        value = json.loads(data)
    except ValueError:
        return changed_element(data, chance)
    index = value
    while isinstance(index, (dict, list)) and index:
        key = chance.choice(list(index) if isinstance(index, dict) else range(len(index)))
        if chance.random() < 0.25 or not (isinstance(index[key], (dict, list)) and index[key]):
            index[key] = chance.choice(STRANGE)
            break
        index = index[key]
    return json.dumps(value).encode()


def changed_element(data, chance):
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):  # damaged before; LookupError: the encoding's name
        return data
    element = chance.choice(list(root.iter()))
    strange = chance.choice(("", "x", "nan", "-1", "1e300", "9" * 30, "0", "1,2;3", "outside", "../a.png"))
    if element.attrib and chance.random() < 0.6:
        element.set(chance.choice(list(element.attrib)), strange)
    elif chance.random() < 0.5:
        element.text = strange
    else:
        element.tag = chance.choice(("image", "track", "box", "polygon", "mask", "object", "size", "label", "a"))
    return ElementTree.tostring(root)


DAMAGE = (retyped, retyped, retyped, cut, flipped, renumbered, renumbered, repeated, removed, recoded)


def read_everything(name, tree):
    """As the writer does: each frame's picture and label; what they raise must be a coded error."""
    reader, ledger = READERS[name](), Ledger()
    reader.recognises(tree)
    for frame in reader.frames(tree, ledger):
        try:
            size = frame.read().pixels.shape[:2]
            if isinstance(frame.label, MaskLabel):
                mask = frame.label.read(size)
                assert mask.shape == size
                assert mask.any()
                assert mask.max() == 1
            elif isinstance(frame.label, BoxLabel):
                assert frame.label.boxes
                for box in frame.label.boxes:
                    assert 0 <= box.x0 < box.x1 < 2e6
                    assert 0 <= box.y0 < box.y1 < 2e6
        except PolypdaError as error:
            assert error.code.startswith("E_")
    for line in ledger.lines:
        line.what.encode("utf-8")  # can be written to the ledger's file
        assert line.code.split("_")[0] in ("E", "W", "N")


def damaged(export, chance):
    """One annotation, sometimes also a picture, is damaged or gone."""
    files = dict(export.files)
    targets = [path for path in files if path.endswith(ANNOTATIONS)]
    path = chance.choice(targets)
    for _ in range(chance.choice((1, 1, 2, 4))):
        files[path] = chance.choice(DAMAGE)(files[path], chance)
    if chance.random() < 0.2:
        image = chance.choice([other for other in files if other not in targets])
        files[image] = chance.choice((cut, flipped))(files[image], chance)
    if chance.random() < 0.1:
        del files[chance.choice(sorted(files))]
    return MemoryTree(files, export.name)


def fuzz(name, paint, seeds):
    export = paint()
    slowest = 0.0
    for seed in seeds:
        tree = damaged(export, random.Random(seed))
        started = time.process_time()
        try:
            read_everything(name, tree)
        except PolypdaError as error:
            assert error.code.startswith("E_"), seed
        except BaseException as error:
            raise AssertionError(f"{paint.__name__}, seed {seed}") from error
        slowest = max(slowest, time.process_time() - started)
    return slowest


@pytest.mark.parametrize(("name", "paint"), PAINTED, ids=[paint.__name__ for _, paint in PAINTED])
def test_damaged_exports_end_in_codes(name, paint):
    assert fuzz(name, paint, range(60)) < 5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "paint"), PAINTED, ids=[paint.__name__ for _, paint in PAINTED])
def test_many_damaged_exports_end_in_codes(name, paint):
    assert fuzz(name, paint, range(1000, 6000)) < 5


@pytest.mark.parametrize("name", EXPORTS)
def test_any_export_in_the_hands_of_another_reader_ends_in_codes(name):
    for _, paint in PAINTED:
        try:
            read_everything(name, paint().tree())
        except PolypdaError as error:
            assert error.code.startswith("E_")
