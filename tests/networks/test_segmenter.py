"""Networks compute channels last and are saved plainly; neither changes a value."""

import pytest
import torch
from safetensors.torch import load_file

from polypda.networks.registry import SegmenterSpec, build_segmenter, load_segmenter
from polypda.networks.segmenter import channels_last
from polypda.networks.weights import save_module, training_identity

SPEC = SegmenterSpec(architecture="deeplabv3plus", encoder="tu-mobilenetv3_small_050", levels=2)


def lies_channels_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_segmenter(SPEC).double().eval()


def test_every_convolution_is_turned_and_keeps_its_values(network):
    before, identity = {k: v.clone() for k, v in network.state_dict().items()}, training_identity(network)
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    expected = network(images).logits
    turned = channels_last(network)
    assert turned is network
    assert all(lies_channels_last(p) for p in network.parameters() if p.ndim == 4)
    assert not all(p.is_contiguous() for p in network.parameters())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert training_identity(network) == identity
    for level, logits in network(images.contiguous(memory_format=torch.channels_last)).logits.items():
        torch.testing.assert_close(logits, expected[level], rtol=1e-10, atol=1e-12)


def test_a_saved_network_lies_plainly_and_is_read_back_channels_last(network, tmp_path):
    save_module(channels_last(network.float()), tmp_path / "saved.safetensors")
    assert all(value.is_contiguous() for value in load_file(tmp_path / "saved.safetensors").values())
    read = load_segmenter(SPEC, tmp_path / "saved.safetensors")
    assert all(lies_channels_last(p) for p in read.parameters() if p.ndim == 4)
    assert training_identity(read) == training_identity(network)
