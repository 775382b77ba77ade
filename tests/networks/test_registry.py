"""One description builds every segmenter, and a checkpoint needs nothing but the description."""

import pytest
import torch
from pydantic import ValidationError

from polypda.errors import DataError, UsageError
from polypda.networks.deeplab_v2 import DeepLabV2
from polypda.networks.registry import NETWORKS, SegmenterSpec, build_segmenter, load_segmenter, network_of
from polypda.networks.smp_library import import_smp
from polypda.networks.weights import save_module


def test_defaults_are_the_quick_two_level_network():
    spec = SegmenterSpec()
    assert (spec.architecture, spec.encoder, spec.encoder_weights) == (
        "deeplabv3plus",
        "tu-mobilenetv3_small_050",
        "none",
    )
    assert build_segmenter(spec).levels == ("main", "aux")


def test_deeplab_v2_by_any_spelling_with_its_quirk():
    spec = SegmenterSpec.from_mapping({"architecture": "DeepLab_V2", "levels": 1, "two_branch_quirk": True})
    assert (spec.architecture, spec.encoder) == ("deeplab-v2", "resnet101")
    with torch.device("meta"):
        network = build_segmenter(spec)
    assert isinstance(network, DeepLabV2) and network.levels == ("main",) and network.layer5.two_branch_quirk


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"encoderweights": "none"}, "Did you mean 'encoder_weights'?"),
        ({"levels": 3}, "levels"),
        ({"two_branch_quirk": "perhaps"}, "two_branch_quirk"),
    ],
)
def test_wrong_settings_have_a_code(settings, says):
    with pytest.raises(UsageError, match="E_SEGMENTER_OPTION") as caught:
        SegmenterSpec.from_mapping(settings)
    assert says in str(caught.value)
    with pytest.raises(ValidationError):
        SegmenterSpec.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"architecture": "unet", "two_branch_quirk": True}, "E_SEGMENTER_OPTION"),
        ({"architecture": "deeplab-v2", "decoder": {"decoder_channels": 64}}, "E_SEGMENTER_OPTION"),
        ({"architecture": "deeplab-v2", "encoder": "resnet34"}, "E_ENCODER_UNKNOWN"),
        ({"architecture": "deeplab-v2", "encoder_weights": "imagenet"}, "E_WEIGHTS_IMAGENET"),
        ({"architecture": "deeplabv4"}, "E_ARCHITECTURE_UNKNOWN"),
    ],
)
def test_what_cannot_be_built_has_a_code(settings, code):
    with torch.device("meta"), pytest.raises(UsageError, match=code):
        build_segmenter(SegmenterSpec.from_mapping(settings))


def test_a_run_is_loaded_without_the_pretrained_file(tmp_path):
    donor, encoder = tmp_path / "encoder.safetensors", "tu-mobilenetv3_small_050"
    save_module(import_smp().encoders.get_encoder(encoder, weights=None), donor, {"input": "RGB, x/127.5-1"})
    spec = SegmenterSpec(encoder=encoder, encoder_weights=str(donor))
    trained = build_segmenter(spec).eval()
    note = trained.describe_initial_weights()
    assert note["source"] == "encoder.safetensors" and str(tmp_path) not in str(note)
    save_module(trained, tmp_path / "run.safetensors")
    donor.unlink()

    assert spec.for_checkpoint() == SegmenterSpec(encoder=encoder)
    loaded = load_segmenter(spec, tmp_path / "run.safetensors").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        # a loaded network lies channels last in memory, which rounds otherwise
        assert torch.allclose(loaded(images).logits["main"], trained(images).logits["main"], atol=1e-6)
    with pytest.raises(DataError, match="E_WEIGHTS_KEYS"):
        load_segmenter(SegmenterSpec(encoder=encoder, levels=1), tmp_path / "run.safetensors")
    with pytest.raises(DataError, match="E_WEIGHTS_MISSING"):
        build_segmenter(spec)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
@pytest.mark.parametrize("levels", [1, 2])
def test_every_network_builds_what_its_description_says(network, levels):
    """The contract of a network: any spelling finds it, its own encoder is completed, its levels answer."""
    assert network_of(network.name.upper().replace("-", "_")) is network
    spec = SegmenterSpec.from_mapping({"architecture": network.name.upper(), "levels": levels})
    assert (spec.architecture, spec.encoder) == (network.name, network.encoder)
    torch.manual_seed(0)
    segmenter = build_segmenter(spec).eval()
    side = 2 * segmenter.stride
    with torch.no_grad():
        prediction = segmenter(torch.rand(1, 3, side, side))
    assert len(prediction.logits) == levels and all(logits.shape[:2] == (1, 2) for logits in prediction.logits.values())
    assert {level: maps.shape[1] for level, maps in prediction.features.items()} == segmenter.feature_channels
    assert segmenter.describe_initial_weights() == {}
    listed = [*segmenter.backbone_parameters(), *segmenter.head_parameters()]
    assert len({id(parameter) for parameter in listed}) == len(listed)
    if network.own_encoder:
        with pytest.raises(UsageError, match="E_ENCODER_UNKNOWN"):
            build_segmenter(SegmenterSpec(architecture=network.name, encoder="resnet34"))


def test_a_model_is_read_without_drawing_numbers_and_shares_nothing_with_the_one_before(tmp_path):
    spec = SegmenterSpec(architecture="fpn", encoder="tu-mobilenetv3_small_050", encoder_weights="none")
    torch.manual_seed(3)
    built = build_segmenter(spec)
    save_module(built, tmp_path / "w.safetensors")
    state = torch.random.get_rng_state()
    one, other = load_segmenter(spec, tmp_path / "w.safetensors"), load_segmenter(spec, tmp_path / "w.safetensors")
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.no_grad():
        for value in one.parameters():
            value.fill_(7.0)
    for name, value in built.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    again = load_segmenter(spec, tmp_path / "w.safetensors")
    assert all(torch.equal(again.state_dict()[name], value) for name, value in built.state_dict().items())
