"""Planted copies of every kind are found, strangers are not, and the search is that of plain counting."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.planted_copies import KINDS, copy_of

from polypda.cohorts.catalogue import manifest
from polypda.phantom.renderer import render_frame
from polypda.quality import near_duplicates
from polypda.quality.fingerprints import Fingerprint, StoredFingerprints, fingerprint, lit_image
from polypda.quality.near_duplicates import AlikePair, Likeness, Mirroring, find_alike, likeness, mirrored, near_pairs

SCENES = 4
ROOT = Path(os.environ.get("POLYPDA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def scene(number, size=(288, 384)):
    """A painted frame: folds, vessels and a polyp in an octagon on black, different from number to number."""
    rng = np.random.default_rng(number)
    height, width = size
    plane = sum(
        cv2.resize(rng.normal(0, 1, (side, side)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        * gain
        for side, gain in ((5, 26), (11, 16), (30, 7))
    )
    image = np.clip(np.array((170, 95, 75)) + plane[..., None], 45, 255)
    for _ in range(6):
        points = rng.integers(0, max(size), (5, 2)).astype(np.int32)
        cv2.polylines(image, [points], False, (120, 50, 45), 2, cv2.LINE_AA)
    centre = tuple(int(v) for v in rng.integers(100, 190, 2))
    cv2.ellipse(image, centre, (int(rng.integers(20, 50)), int(rng.integers(20, 50))), 0, 0, 360, (225, 140, 120), -1)
    cut = 70
    for corner in ([[0, 0], [cut, 0], [0, cut]], [[width, 0], [width - cut, 0], [width, cut]],
                   [[0, height], [cut, height], [0, height - cut]],
                   [[width, height], [width - cut, height], [width, height - cut]]):  # fmt: skip
        cv2.fillPoly(image, [np.array(corner, np.int32)], (0, 0, 0))
    return image.astype(np.uint8)


@pytest.fixture(scope="module")
def phantoms():
    looks = [manifest(name).phantom.model_copy(update={"frames_per_sequence": 1}) for name in ("zju2", "polypgen-c4")]
    return [render_frame(look, seed=1, index=index)[0] for look in looks for index in range(SCENES)]


@pytest.mark.parametrize("kind", KINDS)
def test_planted_copies_of_painted_and_rendered_frames_are_found(kind, phantoms):
    originals = [*(scene(number) for number in range(12)), *phantoms]
    copies = [copy_of(image, kind) for image in originals]
    found = find_alike([fingerprint(image) for image in (*originals, *copies)]).copies
    assert {(pair.first, pair.second) for pair in found} == {(k, k + len(originals)) for k in range(len(originals))}


def test_mirroring_is_told():
    image = scene(3)
    for how, copy in (("HORIZONTAL", image[:, ::-1]), ("VERTICAL", image[::-1]), ("BOTH", image[::-1, ::-1])):
        (pair,) = find_alike([fingerprint(image), fingerprint(np.ascontiguousarray(copy))]).copies
        assert pair.mirroring is Mirroring[how] and pair.likeness.fine > 0.9


def test_strangers_are_not_taken_for_copies(phantoms):
    prints = [fingerprint(image) for image in (*(scene(number) for number in range(100, 160)), *phantoms)]
    assert find_alike(prints).copies == ()


def test_pairs_within_a_group_are_not_looked_for():
    prints = [fingerprint(scene(number)) for number in (1, 1, 1)]
    assert [(p.first, p.second) for p in find_alike(prints, ["s", "s", None]).pairs] == [(0, 2), (1, 2)]
    assert len(find_alike(prints, [None] * 3).pairs) == 3


def test_frames_without_a_fingerprint_are_in_no_pair():
    prints = [None, fingerprint(scene(1)), None, fingerprint(scene(1))]
    assert [(p.first, p.second) for p in find_alike(prints).copies] == [(1, 3)]
    assert find_alike([None, None]).pairs == () and find_alike([]).pairs == ()


@pytest.mark.parametrize("diagonal", [False, True])
def test_search_equals_counting_bit_by_bit(diagonal):
    rng = np.random.default_rng(5)
    left = rng.integers(0, 2**63, (300, 4), dtype=np.uint64)
    right = left if diagonal else rng.integers(0, 2**63, (170, 4), dtype=np.uint64)
    bits = [np.unpackbits(table.view(np.uint8), axis=1).astype(int) for table in (left, right)]
    counted = (bits[0][:, None] != bits[1][None]).sum(axis=2)
    expected = {(i, j, int(counted[i, j])) for i, j in np.argwhere(counted <= 112) if not diagonal or i < j}
    found = {
        (int(i), int(j), int(d))
        for rows, columns, different in near_pairs(left, right, 112, above_diagonal=diagonal)
        for i, j, d in zip(rows, columns, different, strict=True)
    }
    assert found == expected and len(found) > 20


def test_likeness_is_one_with_itself_and_symmetric_in_mirroring():
    relief = fingerprint(scene(7)).relief
    assert likeness(relief, relief).coarse == pytest.approx(1, abs=1e-4)
    for how in Mirroring:
        assert np.array_equal(mirrored(mirrored(relief, how), how), relief)


def test_lit_image_leaves_border_inset_and_text_out():
    image = np.zeros((200, 300, 3), np.uint8)
    image[20:180, 100:280] = scene(1, (160, 180)).clip(60)
    image[150:200, 0:60] = (40, 200, 150)
    cv2.putText(image, "ID 123", (5, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    box, inside = lit_image(image)
    assert abs(box.left - 100) <= 4 and abs(box.right - 280) <= 4 and abs(box.top - 20) <= 4 and inside.mean() > 0.9


def test_hash_bits_are_packed():
    entry = fingerprint(scene(2))
    assert isinstance(entry, Fingerprint) and entry.bits.shape == (4,) and entry.bits.dtype == np.uint64
    assert entry.relief.shape == (64, 64) and entry.relief.dtype == np.int8


@pytest.mark.slow
def test_planted_copies_of_real_frames_are_found():
    from polypda.cohorts.images import read_image
    from polypda.cohorts.opening import open_cohort, present

    ids = [
        name
        for name in ("cvc-clinicdb", "kvasir", "bkai-neopolyp", "polypgen-c2", "polypgen-c4")
        if present(name, ROOT)
    ]
    if not ids:
        pytest.skip("no real frames: set POLYPDA_TEST_DATA to a data root that holds them")
    images = [read_image(frame.image) for name in ids for frame in open_cohort(name, ROOT, labels=False).frames[::11]]
    originals = [fingerprint(image) for image in images]
    for kind in KINDS:
        copies = [fingerprint(copy_of(image, kind)) for image in images]
        found = {(p.first, p.second) for p in find_alike([*originals, *copies]).copies}
        recall = np.mean([(k, k + len(images)) in found for k in range(len(images))])
        assert recall >= 0.99, (kind, recall)


@pytest.mark.parametrize(
    ("mirroring", "fine", "same"),
    [
        (Mirroring.NONE, 0.66, True),
        (Mirroring.VERTICAL, 0.66, False),  # two smooth walls with a fold, of two centres, agree so far
        (Mirroring.VERTICAL, 0.79, True),  # a turned, reduced and recompressed copy agrees at least so far
        (Mirroring.NONE, 0.59, False),
    ],
)
def test_mirrored_frames_must_agree_in_more_detail(mirroring, fine, same):
    assert AlikePair(0, 1, mirroring, Likeness(0.86, fine), 70).same_image is same


def test_the_search_does_not_depend_on_how_many_columns_are_compared_at_once(monkeypatch):
    table = np.random.default_rng(6).integers(0, 2**63, (300, 4), dtype=np.uint64)
    whole = [part.tolist() for block in near_pairs(table, table, 112, above_diagonal=True) for part in block]
    monkeypatch.setattr(near_duplicates, "COLUMNS_AT_ONCE", 7)
    assert [part.tolist() for block in near_pairs(table, table, 112, above_diagonal=True) for part in block] == whole


def test_stored_fingerprints_are_those_that_were_given_and_find_the_same(monkeypatch):
    monkeypatch.setattr("polypda.quality.fingerprints.RELIEF_BYTES_IN_MEMORY", 5000)  # the third goes to the disk
    given = [fingerprint(scene(number)) for number in (1, 2, 3, 1)]
    given.insert(2, None)
    stored = StoredFingerprints()
    for entry in given:
        stored.append(entry)
    for one, other in zip(stored, given, strict=True):
        assert one is other is None or (np.array_equal(one.relief, other.relief) and (one.bits == other.bits).all())
    assert find_alike(stored).pairs == find_alike(given).pairs != ()
    part = stored[1:]
    assert len(part) == 4 and part[1] is None and np.array_equal(part[-1].relief, given[-1].relief)
    assert find_alike(part).pairs == find_alike(given[1:]).pairs


def test_of_many_candidates_the_nearest_are_looked_at_and_few_are_held(monkeypatch):
    prints = [fingerprint(scene(number % 3)) for number in range(24)]
    monkeypatch.setattr(near_duplicates, "ROWS_AT_ONCE", 4)
    everything = find_alike(prints)
    monkeypatch.setattr(near_duplicates, "MOST_CANDIDATES", 20)
    most, nearest = 0, near_duplicates._nearest

    def watched(parts):
        nonlocal most
        most = max(most, sum(len(part.first) for part in parts))
        return nearest(parts)

    monkeypatch.setattr(near_duplicates, "_nearest", watched)
    found = find_alike(prints)
    assert len(everything.pairs) == 84 and everything.unconfirmed == 0
    assert found.pairs == everything.pairs[: len(found.pairs)] and len(found.pairs) == 20 and found.unconfirmed >= 64
    assert 40 < most < 84
