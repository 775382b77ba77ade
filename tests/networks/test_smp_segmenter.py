"""Every architecture of segmentation_models_pytorch behind the segmenter's contract."""

import copy

import pytest
import torch

from polypda.errors import UsageError
from polypda.networks.smp_library import architectures, find_architecture, find_encoder
from polypda.networks.smp_segmenter import build_smp_segmenter
from polypda.networks.taps import AUX_TAPS

QUICK = "tu-mobilenetv3_small_050"
GRID_AT_128_PX = {
    "unet": (128, 64), "unetplusplus": (128, 64), "manet": (128, 64), "linknet": (128, 64), "fpn": (32, 32),
    "pspnet": (16, 16), "deeplabv3": (16, 16), "deeplabv3plus": (32, 8), "pan": (32, 16), "upernet": (32, 32),
    "segformer": (32, 4),
}  # fmt: skip
"""Sides of the main and the aux logits, from each architecture's published strides."""
NEEDS_TWO = {"deeplabv3", "deeplabv3plus", "pan", "upernet"}


def test_every_architecture_has_a_tap():
    assert set(architectures()) == set(AUX_TAPS)


@pytest.mark.parametrize("architecture", sorted(GRID_AT_128_PX))
def test_contract(architecture):
    torch.manual_seed(0)
    segmenter = build_smp_segmenter(architecture, QUICK, levels=2).train()
    images = torch.rand(2, 3, 128, 128)
    prediction = segmenter(images)

    assert segmenter.levels == ("main", "aux")
    sides = {level: logits.shape[-1] for level, logits in prediction.logits.items()}
    assert sides == dict(zip(("main", "aux"), GRID_AT_128_PX[architecture], strict=True))
    for level in segmenter.levels:
        assert prediction.logits[level].shape[:2] == (2, 2)
        assert prediction.features[level].shape[1] == segmenter.feature_channels[level]
        assert prediction.features[level].shape[2:] == prediction.logits[level].shape[2:]

    backbone, heads = list(segmenter.backbone_parameters()), list(segmenter.head_parameters())
    everything = [id(p) for p in (*backbone, *heads)]
    assert len(everything) == len(set(everything))
    assert set(everything) == {id(p) for p in segmenter.parameters()}

    prediction.logits["aux"].sum().backward()
    assert segmenter.aux_head.weight.grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in backbone)
    assert all(p.grad is None for p in segmenter.segmentation_head.parameters())

    if architecture in NEEDS_TWO:
        with pytest.raises(UsageError, match="E_BATCH_TOO_SMALL"):
            segmenter(images[:1])
    else:
        segmenter(images[:1])
    segmenter.eval()
    with torch.no_grad():
        assert segmenter(images[:1]).logits["main"].shape[0] == 1


@pytest.mark.parametrize("architecture", ["deeplabv3plus", "unet", "fpn"])
def test_main_logits_are_the_librarys_answer_before_its_resizing(architecture):
    from polypda.networks.smp_library import import_smp

    network = import_smp().create_model(architecture, QUICK, encoder_weights=None, classes=2).eval()
    segmenter = build_smp_segmenter(architecture, QUICK).eval()
    segmenter.load_state_dict(network.state_dict() | {k: v for k, v in segmenter.state_dict().items() if "normal" in k})
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        whole = network((images - segmenter.normalisation.mean) / segmenter.normalisation.std)
        ours = segmenter(images).logits["main"]
        resized = torch.nn.functional.interpolate(ours, size=(64, 64), mode="bilinear", align_corners=True)
    torch.testing.assert_close(resized, whole, rtol=1e-4, atol=1e-5)


def test_a_vision_transformer_through_dpt():
    torch.manual_seed(0)
    segmenter = build_smp_segmenter("dpt", "tu-vit_tiny_patch16_224", levels=2).eval()
    with torch.no_grad():
        prediction = segmenter(torch.rand(1, 3, 224, 224))
    assert (prediction.logits["main"].shape[-1], prediction.logits["aux"].shape[-1]) == (112, 56)
    classifier = segmenter.segmentation_head.head[-1]
    assert torch.equal(classifier(prediction.features["main"]), prediction.logits["main"])


def test_a_seed_builds_the_same_network_twice_and_a_copy_predicts_alike():
    built = []
    for _ in range(2):
        torch.manual_seed(11)
        built.append(build_smp_segmenter("deeplabv3plus", QUICK, levels=2).eval())
    first, second = (segmenter.state_dict() for segmenter in built)
    assert all(torch.equal(first[key], second[key]) for key in first)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(built[0](images).logits["aux"], copy.deepcopy(built[0])(images).logits["aux"])


def test_one_level_has_no_aux_and_starts_as_two_levels_do():
    torch.manual_seed(5)
    one = build_smp_segmenter("deeplabv3plus", QUICK, levels=1)
    torch.manual_seed(5)
    two = build_smp_segmenter("deeplabv3plus", QUICK, levels=2)
    assert one.levels == ("main",) and one.aux_head is None and set(one.feature_channels) == {"main"}
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())


def test_names_in_any_case_and_punctuation():
    assert find_architecture("DeepLabV3+") == find_architecture("deeplab-v3-plus") == "deeplabv3plus"
    assert find_architecture("UNet++") == "unetplusplus"
    assert find_encoder("MobileNet_V2") == "mobilenet_v2"
    assert find_encoder("TU-mobilenetv3_small_050.LAMB_in1k") == "tu-mobilenetv3_small_050.lamb_in1k"


@pytest.mark.parametrize(
    ("architecture", "encoder", "levels", "code", "says"),
    [
        ("deeplabv3pluss", QUICK, 1, "E_ARCHITECTURE_UNKNOWN", "Did you mean 'deeplabv3plus'?"),
        ("unet", "mobilenetv2", 1, "E_ENCODER_UNKNOWN", "Did you mean 'mobilenet_v2'?"),
        ("unet", "mobilenetv3_small_050", 1, "E_ENCODER_UNKNOWN", "Did you mean 'tu-mobilenetv3_small_050'?"),
        ("linknet", "mit_b0", 1, "E_NETWORK_COMBINATION", "mit_b0"),
        ("dpt", "resnet34", 1, "E_NETWORK_COMBINATION", "tu-vit"),
        ("unet", QUICK, 3, "E_LEVELS", "1 or 2"),
    ],
)
def test_wrong_requests_have_codes_and_say_what_is_near(architecture, encoder, levels, code, says):
    with pytest.raises(UsageError, match=code) as caught:
        build_smp_segmenter(architecture, encoder, levels=levels)
    assert says in str(caught.value)


def test_an_architecture_without_a_tap_says_which_have_one(monkeypatch):
    monkeypatch.delitem(AUX_TAPS, "unet")
    with pytest.raises(UsageError, match="E_AUX_LEVEL") as caught:
        build_smp_segmenter("unet", QUICK, levels=2)
    assert "deeplabv3plus" in caught.value.fix
    assert build_smp_segmenter("unet", QUICK, levels=1).levels == ("main",)


def test_sizes_off_the_stride_name_the_next_that_fits():
    segmenter = build_smp_segmenter("deeplabv3plus", QUICK)
    assert segmenter.stride == 16
    with pytest.raises(UsageError, match="E_INPUT_SIZE") as caught:
        segmenter(torch.zeros(1, 3, 100, 128))
    assert "128×112" in caught.value.fix
