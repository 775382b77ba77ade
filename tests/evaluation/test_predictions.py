"""Maps of a perfect model stored in every odd way: read as what they are, or refused with the scale named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from support.painted import write_frames

from polypda.cohorts.frames import Frame
from polypda.data.cache import NetworkGrid
from polypda.data.geometry import Fit
from polypda.data.inference import Inference
from polypda.errors import DataError, UsageError
from polypda.evaluation.scoring.map_scale import MapScale
from polypda.evaluation.scoring.metrics import frame_metrics
from polypda.evaluation.scoring.predictions import PredictionFolder, predict_native
from polypda.networks.averaged_prediction import Asked
from polypda.networks.segmenter import Prediction, Segmenter

CPU = torch.device("cpu")


class BrightIsPolyp(Segmenter):
    """Says polyp where the frame is bright: knows the truth of painted frames, on its own grid."""

    def forward(self, images):
        brightness = images.mean(dim=1, keepdim=True)
        logits = torch.cat([torch.zeros_like(brightness), 60 * (brightness - 0.54)], dim=1)
        return Prediction({"main": logits}, {"main": images})

    def backbone_parameters(self):
        yield from ()

    def head_parameters(self):
        yield from ()


@pytest.fixture
def frames(tmp_path):
    """Painted frames enlarged to another size than the network's, non-square, with a black border."""
    frames = write_frames(tmp_path / "cohort", 3)
    for frame in frames:
        for path, interpolation in ((frame.image, cv2.INTER_CUBIC), (frame.mask, cv2.INTER_NEAREST)):
            image = cv2.resize(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), (480, 360), interpolation=interpolation)
            if path == frame.image:
                image = cv2.GaussianBlur(image, (9, 9), 3)
            cv2.imwrite(str(path), image)
    return frames


@pytest.mark.parametrize("fit", list(Fit))
def test_predictions_lie_on_the_frames_own_grid(frames, fit):
    for prediction in predict_native(
        {"bright": BrightIsPolyp()}, frames, Asked(NetworkGrid(160, fit), Inference(), CPU)
    ):
        probability = prediction.probabilities["bright"]
        assert probability.shape == prediction.reference.shape == (360, 480)
        assert probability.dtype == np.float32 and probability.min() >= 0 and probability.max() <= 1
        assert not probability[:, :20].any(), "outside the crop nothing may be predicted"
        assert frame_metrics(probability, prediction.reference, prediction.view.mask).dice > 0.93


def test_models_are_put_into_evaluation_mode_and_fraction_one_reading(frames, monkeypatch):
    reads = []
    from polypda.data import cache

    real = cache.read_image
    monkeypatch.setattr(cache, "read_image", lambda path: reads.append(path) or real(path))
    models = {"one": BrightIsPolyp().train(), "two": BrightIsPolyp().train()}
    predictions = list(predict_native(models, frames, Asked(NetworkGrid(64), Inference(), CPU)))
    assert [p.frame.frame for p in predictions] == ["000", "001", "002"]
    assert len(reads) == 3
    assert not any(model.training for model in models.values())


def test_an_unlabelled_frame_cannot_be_scored(frames):
    with pytest.raises(DataError, match="E_NO_LABEL"):
        list(
            predict_native(
                {"one": BrightIsPolyp()}, [frames[0].without_label()], Asked(NetworkGrid(64), Inference(), CPU)
            )
        )


HEIGHT, WIDTH, COUNT = 24, 32, 4


def drawn(number):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return ((x - 12 - number) ** 2 + (y - 11) ** 2 < 36).astype(np.uint8)


def frame(number):
    return Frame("painted", f"{number:02d}", Path(f"images/{number:02d}.png"))


def png(pixels):
    return lambda path: cv2.imwrite(f"{path}.png", pixels)


def npy(values):
    return lambda path: np.save(path, values)


def grey_alpha(grey, alpha):
    return lambda path: Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha))).save(f"{path}.png")


def soft(mask, top):
    """Soft edges up to ``top``, many values."""
    return np.rint(cv2.GaussianBlur(mask.astype(np.float32), (9, 9), 2) ** 0.5 * top)


def palette(mask):
    def write(path):
        image = Image.fromarray(mask, mode="P")
        image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
        image.save(f"{path}.png")

    return write


def written(folder, kind, count=COUNT):
    folder.mkdir()
    for number in range(count):
        kind(drawn(number))(folder / f"{number:02d}")
    return folder


READ = {
    "0-255": (lambda m: png(m * 255), "0–255"),
    "0-1": (png, "0–1"),
    "16-bit, 0-65535": (lambda m: png(m.astype(np.uint16) * 65535), "0–65535"),
    "16-bit, 0-255": (lambda m: png(m.astype(np.uint16) * 255), "0–255"),
    "16-bit, 0-1": (lambda m: png(m.astype(np.uint16)), "0–1"),
    "16-bit, soft in 8 bits": (lambda m: png(soft(m, 255).astype(np.uint16)), "0–255"),
    "16-bit colour, 0-255": (lambda m: png(np.dstack([m.astype(np.uint16) * 255] * 3)), "0–255"),
    "per cent": (lambda m: png(m * 100), "0–100"),
    "soft, per cent": (lambda m: png(soft(m, 100).astype(np.uint8)), "0–100"),
    "soft": (lambda m: png(soft(m, 255).astype(np.uint8)), "0–255"),
    "white in alpha": (lambda m: png(np.dstack([np.full_like(m, 255)] * 3 + [m * 255])), "alpha"),
    "white in alpha of grey": (lambda m: grey_alpha(np.full_like(m, 255), m * 255), "alpha"),
    "grey behind an opaque alpha": (lambda m: grey_alpha(m * 255, np.full_like(m, 255)), "0–255"),
    "one bit": (lambda m: lambda path: Image.fromarray(m > 0).save(f"{path}.png"), "0–255"),
    "bool": (lambda m: npy(m > 0), "boolean"),
    "half": (lambda m: npy((m * 0.98 + 0.01).astype(np.float16)), "floating-point"),
    "big-endian, fortran": (lambda m: npy(np.asfortranarray((m * 0.98 + 0.01).astype(">f4"))), "floating-point"),
}


@pytest.mark.parametrize("kind", READ)
def test_perfect_maps_are_perfect_and_their_scale_is_told(tmp_path, kind):
    write, told = READ[kind]
    folder = PredictionFolder.open("ours", written(tmp_path / "maps", write))
    for number in range(COUNT):
        probability = folder.probability(frame(number))
        inside = drawn(number) > 0
        assert probability.dtype == np.float32 and probability.shape == (HEIGHT, WIDTH)
        assert (probability[inside] > 0.5).all() and probability[inside].max() >= 0.98
        assert probability.max() <= 1
        if "soft" not in kind:
            assert (probability[~inside] < 0.5).all()
    assert any(told in note for note in folder.notes), folder.notes


AMBIGUOUS = {
    "class 2": (lambda m: png(m * 2), "class:2"),
    "classes 1 and 2": (lambda m: png(np.maximum(m, np.roll(m, 9, axis=1) * 2)), "class:1"),
    "VOC's dark red as grey": (lambda m: png(m * 38), "class:38"),
    "a class beside the void": (lambda m: png(np.maximum(m, np.roll(m, 9, axis=1) * 255)), "class:1"),
    "two classes beside the void": (
        lambda m: png(np.maximum(np.maximum(m, np.roll(m, 9, axis=1) * 2), np.roll(m, 9, axis=0) * 255)),
        "class:2",
    ),
    "12 bits": (lambda m: png(m.astype(np.uint16) * 4095), "0-4095"),
    "soft and nowhere certain": (lambda m: png(soft(m, 90).astype(np.uint8)), "0-90"),
    "16-bit, soft, per mille": (lambda m: png(soft(m, 1000).astype(np.uint16)), "0-1000"),
    "divided twice": (lambda m: npy((m / 255).astype(np.float32)), "0-1"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_what_is_ambiguous_is_refused_with_the_scales_named(tmp_path, kind):
    write, scale = AMBIGUOUS[kind]
    with pytest.raises(DataError, match="E_PREDICTION_SCALE") as caught:
        PredictionFolder.open("ours", written(tmp_path / "maps", write))
    assert f"{scale}" in caught.value.fix and "--scale" in caught.value.fix


@pytest.mark.parametrize(
    ("write", "scale"),
    [
        (lambda m: png(m * 2), "class:2"),
        (lambda m: png(m * 38), "0-38"),
        (lambda m: png(np.maximum(m, np.roll(m, 9, axis=1) * 2)), "class:1"),
        (lambda m: png(m.astype(np.uint16) * 4095), "0-4095"),
        (lambda m: npy((m * 255).astype(np.float32)), "0-255"),
        (lambda m: npy((m / 255).astype(np.float32)), "0-0.00392157"),
    ],
)
def test_a_scale_that_is_said_is_followed(tmp_path, write, scale):
    folder = PredictionFolder.open("ours", written(tmp_path / "maps", write), MapScale.parse(scale))
    for number in range(COUNT):
        found = folder.probability(frame(number)) >= 0.5
        if "class:1" in scale:  # another class may lie over it
            assert (drawn(number)[found] == 1).all() and found.any()
        else:
            assert np.array_equal(found, drawn(number) > 0)
    assert "as --scale says" in folder.notes[0]


def test_values_beyond_the_scale_that_was_said_are_refused(tmp_path):
    folder = written(tmp_path / "maps", lambda m: png(m * 255))
    with pytest.raises(DataError, match=r"E_PREDICTION_SCALE.*up to 255"):
        PredictionFolder.open("ours", folder, MapScale.parse("0-100"))


@pytest.mark.parametrize("text", ["255", "0-0", "1-255", "0-x", "class:", "class:a", "class:-1", "", "0-inf"])
def test_words_that_are_no_scale(text):
    with pytest.raises(UsageError, match="E_SCALE"):
        MapScale.parse(text)


def test_drawings_in_black_or_in_two_channels_are_refused(tmp_path):
    black = written(tmp_path / "black", lambda m: grey_alpha(np.zeros_like(m), m * 255))
    both = written(tmp_path / "both", lambda m: grey_alpha(m * 200 + 20, soft(m, 255).astype(np.uint8)))
    for folder in (black, both):
        with pytest.raises(DataError, match="E_PREDICTION_ALPHA"):
            PredictionFolder.open("ours", folder)


def test_a_colour_image_is_no_map(tmp_path):
    with pytest.raises(DataError, match="E_PREDICTION_FORMAT"):
        PredictionFolder.open("ours", written(tmp_path / "maps", palette))


def test_one_dark_map_among_soft_ones_is_told(tmp_path):
    folder = written(tmp_path / "maps", lambda m: png(soft(m, 255).astype(np.uint8)))
    png(drawn(0))(folder / "00")
    found = PredictionFolder.open("ours", folder)
    assert found.probability(frame(0)).max() == pytest.approx(1 / 255)
    assert any("1 maps have no value above 1" in note for note in found.notes)


def test_blank_maps_say_nothing_of_the_scale(tmp_path):
    folder = written(tmp_path / "maps", lambda m: png(m * 0))
    found = PredictionFolder.open("ours", folder)
    assert found.probability(frame(1)).max() == 0


def test_hidden_files_and_thumbnails_are_passed_over(tmp_path):
    folder = written(tmp_path / "maps", lambda m: png(m * 255))
    apple = b"\0\x05\x16\x07\0\2\0\0Mac OS X        "
    (folder / "._00.png").write_bytes(apple)
    for index in ("__MACOSX", ".ipynb_checkpoints"):
        (folder / index).mkdir()
        (folder / index / "00.png").write_bytes(apple)
    assert len(PredictionFolder.open("ours", folder).files) == COUNT


def test_a_pointer_of_git_lfs_is_called_one(tmp_path):
    folder = written(tmp_path / "maps", lambda m: png(m * 255))
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    (folder / "01.png").write_text(pointer)
    with pytest.raises(DataError, match=r"E_PREDICTION_LFS_POINTER.*01\.png"):
        PredictionFolder.open("ours", folder)
