"""Run lengths of COCO, CVAT and Label Studio: round trips of odd sizes, other libraries, and damage."""

from __future__ import annotations

import numpy as np
import pycocotools.mask as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reader_fixtures import brush_stream, coco_counts, coco_text, cvat_window, runs_of

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import brush_mask, coco_mask, coco_runs, cvat_mask

sizes = st.tuples(st.integers(1, 23), st.integers(1, 31))
masks = sizes.flatmap(lambda size: arrays(np.uint8, size, elements=st.integers(0, 1)))


@settings(max_examples=150)
@given(masks)
def test_coco_round_trip_and_reference(mask):
    counts = coco_counts(mask)
    np.testing.assert_array_equal(coco_mask(counts, mask.shape, "x"), mask)
    np.testing.assert_array_equal(coco_mask(coco_text(counts), mask.shape, "x"), mask)
    packed = reference.encode(np.asfortranarray(mask))["counts"]
    np.testing.assert_array_equal(coco_mask(packed, mask.shape, "x"), mask)
    np.testing.assert_array_equal(coco_mask(packed.decode(), mask.shape, "x"), mask)


def test_large_coco_mask_as_the_reference_packs_it():
    mask = (np.add.outer(np.arange(1080) ** 2, np.arange(1921) ** 2) % 40000 < 9000).astype(np.uint8)
    packed = reference.encode(np.asfortranarray(mask))["counts"]
    np.testing.assert_array_equal(coco_mask(packed, mask.shape, "x"), mask)


def test_coco_walks_down_columns_and_begins_with_background():
    assert coco_mask([1, 2, 3], (3, 2), "x").tolist() == [[0, 0], [1, 0], [1, 0]]
    assert coco_mask([0, 2, 4], (3, 2), "x").tolist() == [[1, 0], [1, 0], [0, 0]]


@settings(max_examples=100)
@given(masks.filter(np.any))
def test_cvat_round_trip(mask):
    runs, window = cvat_window(mask)
    counts = [int(run) for run in runs.split(",")]
    np.testing.assert_array_equal(cvat_mask(counts, window, mask.shape, "x"), mask)


def test_cvat_walks_along_rows_of_its_window():
    assert cvat_mask([1, 3], (2, 1, 2, 2), (4, 5), "x").tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


@settings(max_examples=80, deadline=None)
@given(masks, st.tuples(*[st.integers(0, 255)] * 3), st.sampled_from([(3, 4, 8, 16), (2, 5, 9, 10), (16, 1, 2, 16)]))
def test_brush_round_trip(mask, colour, counters):
    stream = brush_stream(mask, colour, counters)
    np.testing.assert_array_equal(brush_mask(stream, mask.shape, "x"), mask)


def test_beginning_of_a_published_brush_is_understood():
    # an export of a picture of 3332×2527: length, 8 bits a value, counters 3, 4, 8, 16; then a run of 65,536 zeros
    beginning = [2, 1, 233, 240, 57, 27, 255, 255, 255, 0]
    with pytest.raises(DataError, match="breaks off after 65536 of 33679856 values"):
        brush_mask(beginning, (2527, 3332), "x")


def test_half_transparent_rim_counts_from_half():
    bits = f"{8:032b}{7:05b}" + "0010001101111111" + "000111"
    bits += "".join(f"{value:08b}" for value in (9, 9, 9, 127, 9, 9, 9, 128))
    bits += "0" * (-len(bits) % 8)
    stream = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    assert brush_mask(stream, (1, 2), "x").tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ([3, 4], "E_RLE_LENGTH"),
        ([3, 4, 6], "E_RLE_LENGTH"),
        ([], "E_RLE_LENGTH"),
        ("", "E_RLE_LENGTH"),
        ([10**30, 2], "E_RLE_LENGTH"),
        ([3, -1, 10], "E_RLE"),
        ([3, 4.5, 5], "E_RLE"),
        ([3, float("nan"), 5], "E_RLE"),
        ([3, float("inf"), 5], "E_RLE"),
        ("[3, 4", "E_RLE"),
        ([True, 11], "E_RLE"),
        (["3", 9], "E_RLE"),
        ({"3": 9}, "E_RLE"),
        (None, "E_RLE"),
        ("é0", "E_RLE"),
        ("~", "E_RLE"),
        ("P", "E_RLE"),  # says that more follows
        ("o" * 1000, "E_RLE"),
    ],
)
def test_damaged_coco_runs_are_told(counts, code):
    with pytest.raises(DataError) as caught:
        coco_mask(counts, (3, 4), "x")
    assert caught.value.code == code


@given(st.text(alphabet=[chr(code) for code in range(40, 120)], max_size=40))
def test_any_packed_text_gives_runs_or_an_error(packed):
    try:
        assert all(run >= 0 for run in coco_runs(packed, "x"))
    except DataError as error:
        assert error.code == "E_RLE"


@pytest.mark.parametrize("window", [(-1, 0, 2, 2), (0, 0, 0, 2), (4, 0, 2, 2), (0, 3, 2, 2), (0, 0, 10**12, 1)])
def test_cvat_window_outside_the_frame_is_told(window):
    with pytest.raises(DataError, match="E_RLE_WINDOW"):
        cvat_mask([4], window, (4, 5), "x")


def test_brush_of_another_image_is_told():
    with pytest.raises(DataError, match="E_RLE_LENGTH"):
        brush_mask(brush_stream(np.ones((3, 4), np.uint8)), (4, 4), "x")


@pytest.mark.parametrize("kept", range(0, 60, 3))
def test_brush_that_breaks_off_is_told(kept):
    mask = (np.random.default_rng(0).random((9, 7)) < 0.5).astype(np.uint8)
    stream = brush_stream(mask)
    assert len(stream) > 60
    with pytest.raises(DataError, match="E_RLE"):
        brush_mask(stream[:kept], mask.shape, "x")


@pytest.mark.parametrize("stream", [[256] * 20, [-1] * 20, ["0"] * 20, [None], [1.0] * 20, [True] * 20])
def test_brush_of_no_bytes_is_told(stream):
    with pytest.raises(DataError, match="E_RLE"):
        brush_mask(stream, (3, 4), "x")


def test_runs_of_a_mask_that_begins_with_polyp():
    assert runs_of([1, 1, 0]) == [0, 2, 1]
