import pytest

from polypda.errors import UsageError
from polypda.networks.averaged_prediction import Inference


@pytest.mark.parametrize(
    ("text", "scales", "flips"),
    [
        ("scales=1,1.5,2,flips=yes", (1.0, 1.5, 2.0), True),
        ("flips=no,scales=2,1", (1.0, 2.0), False),
        ("scales=1", (1.0,), False),
        ("flips=true", (1.0,), True),
        (" scales=1 , 2 , flips=1", (1.0, 2.0), True),
    ],
)
def test_what_is_written_is_understood(text, scales, flips):
    assert Inference.model_validate(text) == Inference(scales=scales, flips=flips)


@pytest.mark.parametrize(
    "text", ["", "scale=1", "scales=", "scales=0", "scales=1,9", "scales=a", "flips=perhaps", "scales=1;2"]
)
def test_what_is_not_is_refused(text):
    with pytest.raises(UsageError, match="E_INFERENCE"):
        Inference.model_validate(text)


def test_a_peak_is_read_and_told():
    asked = Inference.model_validate("scales=1,2,flips=yes,peak=0.9")
    assert asked.peak == 0.9 and Inference().peak == 0.5
    assert asked.words == "mean of scales 1, 2, each mirrored as well; regions with a peak above 0.9"
    assert Inference(peak=0.9).key() != Inference().key() != Inference(peak=0.8).key()


@pytest.mark.parametrize("text", ["peak=0.4", "peak=1", "peak=high"])
def test_a_peak_below_the_threshold_or_of_certainty_is_refused(text):
    with pytest.raises(UsageError, match="E_INFERENCE"):
        Inference.model_validate(text)


def test_a_near_name_is_offered():
    with pytest.raises(UsageError, match="'scales'"):
        Inference.model_validate("scale=1")


def test_sizes_fit_the_network_and_come_once():
    assert Inference(scales=(1, 1.5, 2)).sizes(128, 32) == (128, 192, 256)
    assert Inference(scales=(1, 1.01, 0.25)).sizes(96, 32) == (32, 96)
    assert Inference(scales=(0.5,)).sizes(32, 32) == (32,)


def test_keys_and_words_tell_what_differs():
    kinds = [Inference(), Inference(flips=True), Inference(scales=(1, 2)), Inference(scales=(1, 2), flips=True)]
    assert len({kind.key() for kind in kinds}) == len({kind.words for kind in kinds}) == 4
    assert Inference(scales=(1, 1.5), flips=True).words == "mean of scales 1, 1.5, each mirrored as well"
