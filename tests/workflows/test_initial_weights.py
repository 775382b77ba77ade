"""What a run starts from: the user's word, else the preset's, recorded in the same words everywhere."""

import copy

import pytest
from support.tiny_segmenter import TinySegmenter

from polypda.errors import DataError, UsageError
from polypda.networks import encoder_weights as bundled
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.configure import (
    record_initial_weights,
    recorded_note,
    resolve_config,
    told_weights,
    weights_to_load,
)
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.presets import PRESETS

LITE0 = "tu-tf_efficientnet_lite0"
TOLD = bundled.bundled_weights(LITE0).description
PLACES = {given: Paths(None, None, encoder_weights=given) for given in (None, "none", "bundled", "mine.safetensors")}


@pytest.fixture
def resolve(monkeypatch):
    """Resolve a configuration whose preset has the bundled encoder with its weights (or says ``weights``)."""

    def run(given=None, *, weights="bundled", **network):
        base = copy.deepcopy(PRESETS["quick"])
        base["network"]["encoder"] = LITE0
        base["encoder_weights"] = weights
        monkeypatch.setitem(PRESETS, "quick", base)
        return resolve_config(
            source="zju2",
            target="haining",
            method="adaptsegnet",
            preset_name="quick",
            phantom=True,
            top={"encoder_weights": given},
            sections={"network": network, "data": {}, "compute": {}},
            options={},
        )

    return run


@pytest.mark.parametrize(
    ("given", "network", "told"),
    [
        (None, {}, TOLD),
        (None, {"architecture": "unet"}, TOLD),
        (None, {"encoder": "TU-tf_efficientnet_lite0"}, TOLD),
        (None, {"encoder": "resnet18"}, "none"),
        (None, {"architecture": "deeplab-v2"}, "none"),
        ("none", {}, "none"),
        ("bundled", {}, TOLD),
        ("imagenet", {"encoder": "resnet18"}, "imagenet"),
        ("mine.safetensors (sha256 0123456789ab)", {}, "mine.safetensors (sha256 0123456789ab)"),
    ],
)
def test_the_users_word_comes_before_the_presets(resolve, given, network, told):
    assert resolve(given, **network).encoder_weights == told


def test_a_preset_that_says_nothing_starts_from_none(resolve):
    assert resolve(weights="none").encoder_weights == "none"
    assert told_weights(None, {}, LITE0) == "none"


def test_bundled_weights_that_were_asked_for_are_never_left_out_in_silence(resolve, monkeypatch):
    with pytest.raises(UsageError, match=f"E_WEIGHTS_BUNDLED.*resnet18.*{LITE0}"):
        resolve("bundled", encoder="resnet18")
    with pytest.raises(UsageError, match=r"E_WEIGHTS_BUNDLED.*resnet101"):
        resolve("bundled", architecture="deeplab-v2")
    monkeypatch.setitem(bundled.PACKAGES, LITE0, "efficientnet-lite8-pytorch-model")
    for given in ("bundled", None):  # nor where the preset asks for them
        with pytest.raises(DataError, match=r"E_WEIGHTS_PACKAGE.*not installed"):
            resolve(given)
    assert resolve("none").encoder_weights == "none"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(None, "bundled"), ("none", "none"), ("bundled", "bundled"), ("mine.safetensors", "mine.safetensors")],
)
def test_what_is_loaded_is_what_the_user_gave_or_the_configuration_says(resolve, given, wanted):
    assert weights_to_load(resolve(), PLACES[given]) == wanted
    assert weights_to_load(resolve("imagenet"), PLACES[None]) == "imagenet"
    # a file may be called so
    assert weights_to_load(resolve("bundled (1).safetensors (sha256 0123)"), PLACES["mine.safetensors"]) != "bundled"


@pytest.mark.parametrize(
    ("given", "encoder", "says"),
    [(None, "resnet18", f"random weights: the preset's bundled ones are of {LITE0}, not of resnet18"),
     (None, LITE0, ""), ("none", "resnet18", "")],
)  # fmt: skip
def test_a_run_records_why_the_presets_weights_are_not_its_own(resolve, tmp_path, given, encoder, says):
    run = RunFolder.create(tmp_path / "run", resolve(given, encoder=encoder))
    record_initial_weights(run, TinySegmenter(), PLACES[given])
    note = recorded_note(run)
    assert (says in note) if says else (note == "")


def test_a_run_from_a_source_package_has_no_such_record(resolve, tmp_path):
    assert recorded_note(RunFolder.create(tmp_path / "run", resolve())) == ""
