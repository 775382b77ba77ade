"""Threads between decoding, network and writing: order, errors, early ends; and smoothing over time."""

import threading
import time
import weakref

import numpy as np
import pytest
from support.models import write_model
from support.painted import paint

from polypda.cohorts.field_of_view import Box, FieldOfView
from polypda.data.cache import NativeFrame
from polypda.data.geometry import Geometry
from polypda.errors import DataError, UsageError
from polypda.importing.contract import DecodedImage, Remark
from polypda.prediction.inputs import InputFrame
from polypda.prediction.model import read_model
from polypda.prediction.pipeline import QUEUED, TemporalSmoothing, ahead, predicted_frames


def test_items_come_in_order_and_only_so_many_wait():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    with ahead(items(), 4) as taken:
        assert next(taken) == 0
        time.sleep(0.3)
        assert len(made) <= 7, "one was taken, four wait, one is about to"
        assert list(taken) == list(range(1, 50))


def test_what_making_raises_is_raised_where_items_are_taken():
    def items():
        yield 1
        raise KeyError("lost")

    with ahead(items(), 2) as taken:
        assert next(taken) == 1
        with pytest.raises(KeyError, match="lost"):
            next(taken)


def test_leaving_early_ends_the_threads(tmp_path):
    model = read_model(write_model(tmp_path / "model.safetensors"))
    before = threading.active_count()
    image = paint(0)[0]

    def endless():
        number = 0
        while True:
            yield InputFrame(str(number), number, lambda: DecodedImage(image))
            number += 1

    found = predicted_frames(model, endless(), 2)
    assert [next(found).frame.index for _ in range(3)] == [0, 1, 2]
    found.close()
    assert threading.active_count() == before


def test_broken_and_blank_frames_stand_between_the_others(tmp_path):
    model = read_model(write_model(tmp_path / "model.safetensors"))
    image = paint(0)[0]

    def broken():
        raise ValueError("foreign bytes")

    def blank():
        return DecodedImage(np.full((40, 50, 3), 80, np.uint8), remarks=(Remark("W_IMAGE_BLANK", "flat"),))

    reads = [lambda: DecodedImage(image), broken, blank, lambda: DecodedImage(image)]
    frames = [InputFrame(str(number), number, read) for number, read in enumerate(reads)]
    first, second, third, fourth = predicted_frames(model, iter(frames), 3)
    assert second.prediction is None and isinstance(second.error, DataError) and second.error.code == "E_FRAME_FAILED"
    assert third.prediction.probability.shape == (40, 50) and not third.prediction.probability.any()
    np.testing.assert_allclose(first.prediction.probability, fourth.prediction.probability, atol=1e-6)
    assert first.prediction.mask.any()


def test_a_missing_module_ends_the_job(tmp_path):
    model = read_model(write_model(tmp_path / "model.safetensors"))

    def missing():
        raise UsageError("E_EXTRA_MISSING", "not installed")

    with pytest.raises(UsageError, match="E_EXTRA_MISSING"):
        list(predicted_frames(model, iter([InputFrame("a", 0, missing)]), 1))


def test_a_long_video_holds_no_more_frames_than_a_short_one(tmp_path):
    model = read_model(write_model(tmp_path / "model.safetensors"))
    image = paint(0)[0]
    made, freed = [], []

    def frames():
        for number in range(120):
            pixels = image.copy()
            made.append(number)
            weakref.finalize(pixels, freed.append, number)
            yield InputFrame(str(number), number, lambda pixels=pixels: DecodedImage(pixels), t_s=number / 25)

    held = []
    for found in predicted_frames(model, frames(), 4, TemporalSmoothing(0.2)):
        held.append(len(made) - len(freed))
        assert found.prediction is not None
    assert len(held) == 120
    assert max(held) <= 2 * QUEUED + 3 * 4 + 4, "two queues, a batch at either end of the network, those in hand"


def native(crop: Box, size=(4, 6)) -> NativeFrame:
    whole = FieldOfView(np.ones(size, bool), crop, found=True)
    return NativeFrame(np.zeros((*size, 3), np.uint8), whole, Geometry.of(size, crop, 32))


def test_maps_fade_by_time_and_begin_anew_after_a_gap_or_in_another_field():
    field = native(Box(0, 0, 6, 4))
    one, zero = np.ones((4, 6), np.float32), np.zeros((4, 6), np.float32)
    smooth = TemporalSmoothing(0.1)
    assert smooth(one, 0.0, field)[0, 0] == 1
    assert smooth(zero, 0.1, field)[0, 0] == pytest.approx(np.exp(-1))
    assert smooth(zero, 0.3, field)[0, 0] == pytest.approx(np.exp(-3))
    assert smooth(one, 2.0, field)[0, 0] == 1, "a gap"
    assert smooth(zero, 2.1, native(Box(3, 0, 6, 4)))[0, 0] == 0, "another field of view"
    assert smooth(one, 2.2, native(Box(0, 0, 6, 4), (8, 6)))[0, 0] == 1
