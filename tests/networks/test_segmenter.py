"""Networks compute channels last and are saved plainly, which changes no value; frozen stages learn nothing."""

import pytest
import torch
from safetensors.torch import load_file

from polypda.errors import UsageError
from polypda.networks.batch_norm import BatchNormPolicy, apply_policy, batch_norm_layers
from polypda.networks.registry import SegmenterSpec, build_segmenter, load_segmenter
from polypda.networks.segmenter import channels_last, freeze_encoder, trainable
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


@pytest.mark.parametrize("stages", [1, 3])
def test_what_makes_the_finest_maps_learns_nothing_and_all_else_does(network, stages):
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    freeze_encoder(network, stages)
    assert not network.training  # modes are put back
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    finest, next_finer = (network(images).encoder[index].detach() for index in (stages - 1, stages))
    optimizer = torch.optim.SGD(list(trainable(network)), lr=0.1)
    sum(logits.square().mean() for logits in network(images).logits.values()).backward()
    optimizer.step()
    after = network(images).encoder
    assert torch.equal(after[stages - 1], finest) and not torch.equal(after[stages], next_finer)
    heads = [name for name, value in network.named_parameters() if "head" in name]
    assert heads and not any(
        torch.equal(network.state_dict()[name], before[name]) for name in heads if "weight" in name
    )


@pytest.mark.parametrize("policy", list(BatchNormPolicy))
def test_stages_stay_frozen_after_every_change_of_mode(network, policy):
    learning = []
    for _ in range(2):
        network.train()
        apply_policy(network, policy)
        freeze_encoder(network, 2)
        learning.append([name for name, value in network.named_parameters() if value.requires_grad])
    assert learning[0] == learning[1] and 0 < len(learning[0]) < len(list(network.parameters()))


def test_statistics_of_frozen_stages_move_as_their_policy_says(network):
    freeze_encoder(network.train(), 2)
    first = batch_norm_layers(network)[0]
    before = first.running_mean.clone()
    network(torch.rand(2, 3, 64, 64, dtype=torch.float64))
    assert network.training and not first.weight.requires_grad and not torch.equal(first.running_mean, before)


def test_more_frozen_stages_than_the_encoder_has_are_refused(network):
    with pytest.raises(UsageError, match="E_FROZEN_STAGES"):
        freeze_encoder(network, 9)
    freeze_encoder(network, 0)
    assert all(parameter.requires_grad for parameter in network.parameters())
