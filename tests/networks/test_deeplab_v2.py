"""DeepLab-v2: published counts, geometry, figures, quirks, and released state dicts."""

from collections import Counter

import pytest
import torch
from support.sines import fill_with_sines, sine_maps
from torch.nn import BatchNorm2d

from polypda.errors import DataError, UsageError
from polypda.networks.deeplab_v2 import Bottleneck, DeepLabV2, DilatedClassifier, load_released
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.weights import read_state_dict


def _count(parameters):
    return sum(parameter.numel() for parameter in parameters)


@pytest.fixture(scope="module")
def skeleton():
    """Return a function that builds the network without memory (meta tensors), for counts and shapes."""

    def build(levels=2, **options):
        with torch.device("meta"):
            return DeepLabV2(levels, **options)

    return build


@pytest.fixture(scope="module")
def empty(skeleton):
    """Return a function that builds the network with memory but no values: drawing 42 million takes time."""
    return lambda levels: skeleton(levels).to_empty(device="cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DeepLabV2(2).eval()


@pytest.mark.parametrize(
    ("levels", "classes", "total", "trainable"),
    [(2, 2, 42_721_360, 42_616_016), (1, 2, 42_647_624, 42_542_280), (2, 19, 44_601_560, 44_496_216)],
)
def test_published_parameter_counts(skeleton, levels, classes, total, trainable):
    network = skeleton(levels, classes=classes)
    assert _count(network.parameters()) == total
    assert _count(p for p in network.parameters() if p.requires_grad) == trainable
    assert _count(network.backbone_parameters()) + _count(network.head_parameters()) == trainable


def test_head_counts_and_the_single_levels_nineteen_classes(skeleton):
    two, one = skeleton(2), skeleton(1, classes=19)
    assert (_count(two.layer5.parameters()), _count(two.layer6.parameters())) == (73_736, 147_464)
    # 19 classes: four branches of 9·2048·19 weights and 19 biases, in place of the two classes' 147,464 parameters.
    assert _count(one.parameters()) == 42_647_624 - 147_464 + 4 * (9 * 2048 * 19 + 19)


@pytest.mark.parametrize(
    ("size", "grid"), [((256, 256), (33, 33)), ((320, 320), (41, 41)), ((352, 352), (45, 45)), ((512, 1024), (65, 129))]
)
def test_grid_is_an_eighth_plus_one(skeleton, size, grid):
    prediction = skeleton(2)(torch.empty(1, 3, *size, device="meta"))
    assert {name: tuple(value.shape) for name, value in prediction.logits.items()} == {
        "main": (1, 2, *grid),
        "aux": (1, 2, *grid),
    }
    assert prediction.features["main"].shape == (1, 2048, *grid)
    assert prediction.features["aux"].shape == (1, 1024, *grid)


def test_published_figures_in_float64():
    network = fill_with_sines(DeepLabV2(2, two_branch_quirk=True).double().eval())
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(1)
                module.bias.fill_(0)
        logits = network.forward_normalised(sine_maps(3) * 20).logits
    assert logits["main"].shape == (1, 2, 9, 9)
    assert logits["aux"].mean().item() == pytest.approx(3.1679604e-3, rel=2e-8)
    assert logits["main"].mean().item() == pytest.approx(8.3817841e-3, rel=2e-8)


@pytest.mark.parametrize("quirk", [False, True])
def test_classifier_equals_the_sum_of_dilated_convolutions(quirk):
    torch.manual_seed(1)
    classifier = DilatedClassifier(12, 3, two_branch_quirk=quirk).double()
    features = torch.randn(2, 12, 9, 14, dtype=torch.float64, requires_grad=True)
    branches = list(classifier.conv2d_list)[: 2 if quirk else 4]
    expected, logits = sum(branch(features) for branch in branches), classifier(features)
    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)
    slope = torch.randn_like(logits)
    inputs = [features, *(p for branch in branches for p in branch.parameters())]
    for ours, theirs in zip(*(torch.autograd.grad(o, inputs, slope) for o in (logits, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("quirk", "reached"), [(False, [0, 1, 2, 3]), (True, [0, 1])])
def test_the_quirk_leaves_the_last_branches_without_gradient(quirk, reached):
    classifier = DilatedClassifier(4, 2, two_branch_quirk=quirk)
    classifier(torch.ones(1, 4, 5, 5)).sum().backward()
    with_gradient = [
        k for k, branch in enumerate(classifier.conv2d_list) if all(p.grad is not None for p in branch.parameters())
    ]
    without = [k for k, branch in enumerate(classifier.conv2d_list) if all(p.grad is None for p in branch.parameters())]
    assert (with_gradient, without) == (reached, [k for k in range(4) if k not in reached])


def test_the_quirk_reaches_both_heads(skeleton):
    network = skeleton(2, two_branch_quirk=True)
    assert network.layer5.two_branch_quirk and network.layer6.two_branch_quirk


def test_published_optimiser_lists_tensors_as_often_as_modules_enclose_them(skeleton):
    network = skeleton(2)
    listed = list(network.duplicated_backbone_parameters())
    times = Counter(Counter(id(p) for p in listed).values())
    assert (len(listed), times) == (314, {3: 99, 4: 4, 1: 1})
    assert {id(p) for p in listed} == {id(p) for p in network.backbone_parameters()}
    assert len(list(network.backbone_parameters())) == 104


def test_input_is_rgb_in_unit_range_and_becomes_bgr_grey_levels_less_the_mean(network):
    images = torch.rand(1, 3, 32, 32)
    by_hand = images[:, [2, 1, 0]] * 255 - torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network(images).logits["main"], network.forward_normalised(by_hand).logits["main"])


def test_sizes_off_the_grid_have_a_code_and_a_remedy(network):
    with pytest.raises(UsageError, match="E_INPUT_SIZE") as caught:
        network(torch.zeros(1, 3, 250, 256))
    assert "256×256" in caught.value.fix
    with pytest.raises(UsageError, match="E_INPUT_SIZE"):
        network(torch.zeros(3, 64, 64))
    with pytest.raises(UsageError, match="E_LEVELS"):
        DeepLabV2(3)


def test_training_mode_moves_statistics_but_the_affine_parameters_do_not_learn(skeleton):
    network = skeleton(1)
    affine = [p for module in network.modules() if isinstance(module, BatchNorm2d) for p in module.parameters()]
    assert len(affine) == 2 * 104 and not any(p.requires_grad for p in affine)
    block = Bottleneck(8, 4, stride=1, dilation=2, project=True).train()
    block(torch.rand(1, 8, 9, 9))
    assert block.bn3.running_mean.abs().sum() > 0


@pytest.mark.parametrize(("stride", "project"), [(1, False), (2, True)])
def test_bottleneck_in_place_equals_out_of_place(stride, project):
    torch.manual_seed(2)
    block = Bottleneck(16, 4, stride=stride, dilation=2, project=project).double().train()
    x = torch.randn(2, 16, 8, 10, dtype=torch.float64, requires_grad=True)
    out = block.bn1(block.conv1(x)).clamp(min=0)
    out = block.bn2(block.conv2(out)).clamp(min=0)
    shortcut = block.downsample(x) if project else x
    expected = (block.bn3(block.conv3(out)) + shortcut).clamp(min=0)
    ours, slope = block(x), torch.randn_like(expected)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    inputs = [x, *block.parameters()]
    for a, b in zip(*(torch.autograd.grad(o, inputs, slope) for o in (ours, expected)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


class TestReleasedStateDicts:
    def test_names_are_the_released_ones(self, skeleton):
        keys = skeleton(2).state_dict().keys()
        released = {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.1.bias", "layer3.22.conv3.weight"}
        assert released | {"layer5.conv2d_list.3.bias", "layer6.conv2d_list.0.weight"} <= keys
        assert all(key.split(".")[0] in {"conv1", "bn1", *(f"layer{k}" for k in range(1, 7))} for key in keys)

    def test_whole_state_dict_comes_back_and_the_run_can_record_it(self, network, tmp_path):
        torch.save(network.state_dict(), tmp_path / "released.pth")
        other = build_segmenter(
            SegmenterSpec(architecture="deeplab-v2", encoder_weights=str(tmp_path / "released.pth"))
        )
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())
        note = other.describe_initial_weights()
        assert (note["source"], note["loaded_heads"], note["fresh_heads"]) == ("released.pth", ("main", "aux"), ())

    def test_a_prefix_of_any_depth_is_no_obstacle(self, network, empty):
        other = empty(2)
        loaded = load_released(
            other, {f"_orig_mod.module.Scale.{key}": value for key, value in network.state_dict().items()}
        )
        assert loaded.loaded_heads == ("main", "aux")
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())

    def test_initial_file_with_other_classes_keeps_the_fresh_heads_and_says_so(self, network, empty):
        state = {f"Scale.{key}": value for key, value in network.state_dict().items()}
        state = {key: value for key, value in state.items() if "num_batches" not in key and ".layer6." not in key}
        state |= {f"Scale.layer5.conv2d_list.{k}.weight": torch.ones(21, 2048, 3, 3) for k in range(4)}
        state |= {f"Scale.layer5.conv2d_list.{k}.bias": torch.ones(21) for k in range(4)}
        other = empty(2)
        for head in other.head_parameters():
            torch.nn.init.normal_(head)
        heads = [p.detach().clone() for p in other.head_parameters()]
        report = load_released(other, state)
        assert (report.loaded_heads, report.fresh_heads) == ((), ("main", "aux"))
        assert all(torch.equal(a, b) for a, b in zip(heads, other.head_parameters(), strict=True))
        assert torch.equal(other.layer4[2].conv3.weight, network.layer4[2].conv3.weight)

    def test_main_classifier_is_found_by_its_width_between_one_and_two_levels(self, network, empty):
        single = empty(1)
        report = load_released(single, network.state_dict())
        assert (report.loaded_heads, report.fresh_heads) == (("main",), ())
        assert torch.equal(single.layer5.conv2d_list[2].weight, network.layer6.conv2d_list[2].weight)

    def test_incomplete_backbone_is_refused_and_changes_nothing(self, network, empty):
        state = dict(network.state_dict())
        del state["layer3.7.conv2.weight"]
        other = empty(1)
        torch.nn.init.normal_(other.conv1.weight)
        before = other.conv1.weight.detach().clone()
        with pytest.raises(DataError, match=r"E_WEIGHTS_KEYS .*released\.pth.*1 missing \(first: layer3\.7\.conv2"):
            load_released(other, state, where="released.pth")
        assert torch.equal(other.conv1.weight, before)

    @pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 cut short"])
    def test_unreadable_file_has_a_code(self, tmp_path, content):
        path = tmp_path / "released.pth"
        path.write_bytes(content)
        with pytest.raises(DataError, match="E_WEIGHTS_UNREADABLE"):
            read_state_dict(path)
        with pytest.raises(DataError, match="E_WEIGHTS_MISSING"):
            read_state_dict(tmp_path / "none.pth")
