import cv2
import numpy as np
import pytest
import torch
from support.painted import write_frames

from polypda.data.cache import NetworkGrid
from polypda.data.geometry import Fit
from polypda.data.inference import Inference
from polypda.errors import DataError
from polypda.evaluation.scoring.metrics import frame_metrics
from polypda.evaluation.scoring.predictions import predict_native
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
