import pytest

from polypda.cohorts.pairs import check_pair
from polypda.errors import LeakageError, UsageError
from polypda.methods.registry import method_options
from polypda.options import parse_options
from polypda.training.config import AdaptConfig
from polypda.workflows.runs.configure import resolve_config
from polypda.workflows.runs.presets import PRESETS


def resolve(method="adaptsegnet", preset="quick", options=None, network=None, data=None, **top):
    return resolve_config(
        source="zju2",
        target="haining",
        method=method,
        preset_name=preset,
        phantom=True,
        top=top,
        sections={"network": network or {}, "data": data or {}, "compute": {}},
        options=options or {},
    )


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("method", ["adaptsegnet", "adaptsegnet-feature", "adabn", "source-only"])
def test_every_preset_serves_every_method(preset, method):
    config = resolve(method, preset)
    assert AdaptConfig.model_validate_json(config.model_dump_json()) == config
    method_options("source-only", {**config.supervised, **config.start})


def test_options_of_the_supervised_part_reach_the_control_too():
    """An equal-budget control with another learning rate or loss would be no control."""
    config = resolve(options={"learning_rate": "0.01", "seg_loss": "ce", "lambda_adv_main": "0.5"})
    assert config.supervised["learning_rate"] == 0.01 and config.supervised["seg_loss"] == "ce"
    assert config.options["lambda_adv_main"] == 0.5  # of the option's own type, however it was given
    assert not set(config.options) & {"learning_rate", "seg_loss"}


def test_another_architecture_brings_its_own_encoder():
    assert resolve(network={"architecture": "deeplab-v2"}).network.encoder == "resnet101"


def test_the_oracle_needs_permission():
    for wish in ({"oracle": True}, {}):
        with pytest.raises(UsageError, match="E_TARGET_LABELS"):
            resolve("oracle" if not wish else "adaptsegnet", **wish)
    assert resolve("oracle", target_labels=True).target_labels


def test_options_are_pairs():
    assert parse_options(["a=1", " b = x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(UsageError, match="NAME=VALUE"):
        parse_options(["a"])


def test_cohorts_that_share_frames_are_refused():
    with pytest.raises(LeakageError, match="E_SHARED_FRAMES"):
        check_pair("cvc-colondb", "polypsset")


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("method", ["lsd", "adda", "fcan", "fcn-wild", "advent", "mic", "adaptsegnet+minent+mic"])
def test_every_preset_suits_every_method(name, method):
    config = resolve(method, name)
    wanted = {key: value for part in method.split("+") for key, value in PRESETS[name]["options"].get(part, {}).items()}
    resolved = method_options(method, {**config.supervised, **config.options}).model_dump(mode="json")
    assert {key: resolved[key] for key in wanted} == wanted


def test_the_selector_oracle_needs_permission():
    with pytest.raises(UsageError, match="E_TARGET_LABELS"):
        resolve(selector="oracle")
    assert resolve(selector="oracle", target_labels=True).selector == "oracle"
    assert resolve(selector="snd").selector == "snd"


def test_pseudo_labels_and_permitted_labels_are_not_learnt_at_once():
    with pytest.raises(UsageError, match=r"E_METHOD_COMBINATION.*pseudo-labels and its labels at once"):
        resolve("fcan+self-training", options={"lambda_target_seg": 1}, target_labels=True)
    assert resolve("fcan+self-training").method == "fcan+self-training"


@pytest.mark.parametrize(
    ("method", "top", "data", "words"),
    [
        ("tent", {"frozen_stages": 2}, {}, "--frozen-stages: tent"),
        ("adabn", {}, {"polyp_free": 0.2, "box_supervision": "projection"}, "--polyp-free: a box"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(method, top, data, words):
    with pytest.raises(UsageError, match=f"E_OPTION.*nothing would come of {words}"):
        resolve(method, data=data, **top)


def test_a_preset_adds_held_out_phantoms_unless_the_user_says_how_many():
    assert (resolve().phantom_frames, resolve().phantom_test_frames) == (300, 100)
    few = resolve(phantom_frames=9)
    assert (few.phantom_frames, few.phantom_test_frames) == (9, 0)
    assert resolve(phantom_frames=9, phantom_test_frames=4).phantom_test_frames == 4
