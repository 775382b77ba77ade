"""FCNs in the Wild: confusion, alternation, when sizes are constrained, the discriminator's counts, bad input."""

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.errors import DataError
from polypda.methods.adversary import confusion_loss, domain_loss
from polypda.methods.contract import SEGMENTER, Domain
from polypda.methods.fcn_wild import DISCRIMINATOR, FCNWild, FCNWildOptions
from polypda.methods.segmentation import SupervisedOptions, image_size_logits, supervised_terms
from polypda.methods.size_priors import FrameGroups
from polypda.networks.discriminators import GridDiscriminator
from polypda.networks.taps import FeatureTap, read_tap
from polypda.training.engine import Engine

SMALL = {"discriminator_width": 4, "discriminator_dropout": 0.0}


class Frames:
    def __init__(self, *, polyps: bool = True, names: tuple[str, ...] = ()):
        self.polyps, self.names = polyps, names

    def source(self):
        for seed in range(2):
            batch, _ = random_batches(seed)
            if not self.polyps:
                batch.masks[:] = 0
            yield batch

    def target(self):
        yield random_batches(0)[1]

    def target_names(self):
        return random_batches(0)[1].frames


def wild(prepared: bool = True, **options) -> FCNWild:
    torch.manual_seed(0)
    method = FCNWild(
        TinySegmenter(dropout=0.0).train().double(), FCNWildOptions.model_validate(SMALL | options), steps=10
    )
    method.discriminator.double()
    if prepared:
        method.prepare(Frames())
    return method


def engine(method) -> Engine:
    return Engine(Fabric(accelerator="cpu", devices=1, precision="64-true"), method)


def doubled(seed: int = 0):
    return tuple(batch.to(torch.device("cpu"), torch.float64) for batch in random_batches(seed))


def test_w1_confusion_is_cross_entropy_against_the_uniform_label():
    z = torch.randn(3, 1, 4, 5, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    two_way = torch.cat([torch.zeros_like(z), z], dim=1)
    uniform = -two_way.log_softmax(dim=1).mean(dim=1).mean()
    loss = confusion_loss(z)
    assert loss.item() == pytest.approx(uniform.item(), rel=1e-14)
    (gradient,) = torch.autograd.grad(loss, z)
    assert torch.allclose(gradient, (z.detach().sigmoid() - 0.5) / z.numel(), atol=1e-16)
    halves = 0.5 * (domain_loss(z, Domain.SOURCE) + domain_loss(z, Domain.TARGET))
    assert loss.item() == halves.item()


def test_figures_of_both_domains_confused_and_discriminated():
    """The published two-logit rows: source rows, then target rows; L_D and the mean of true and swapped labels."""
    w = torch.arange(8, dtype=torch.float64)
    rows = [torch.stack([2 * torch.sin(0.2 * w + c + phase) for c in range(2)]) for phase in (0.0, 0.7)]
    both = torch.cat(rows, dim=1).T
    labels = torch.tensor([0] * 8 + [1] * 8)
    assert F.cross_entropy(both, labels).item() == pytest.approx(1.099533976241, abs=1e-11)
    z = both[:, 1] - both[:, 0]
    mean = 0.5 * (domain_loss(z[:8], Domain.SOURCE) + domain_loss(z[8:], Domain.TARGET))
    assert mean.item() == pytest.approx(1.099533976241, abs=1e-11)
    swapped = 0.5 * (domain_loss(z[:8], Domain.TARGET) + domain_loss(z[8:], Domain.SOURCE))
    assert swapped.item() == pytest.approx(0.509032737678, abs=1e-11)
    assert confusion_loss(z).item() == pytest.approx((1.099533976241 + 0.509032737678) / 2, abs=1e-11)


@pytest.mark.parametrize(
    ("channels", "widths", "parameters"), [(4096, (1024, 512), 4_721_154), (2, (512, 256), 133_378)]
)
def test_w5_parameter_counts_of_the_grid_discriminator(channels, widths, parameters):
    network = GridDiscriminator(channels, widths)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_the_grid_discriminator_judges_each_cell_alone():
    torch.manual_seed(0)
    network, x = GridDiscriminator(3, (8, 4)).eval().double(), torch.randn(1, 3, 4, 6).double()
    whole = network(x)
    assert whole.shape == (1, 1, 4, 6)
    assert torch.allclose(whole[..., 2:3, 3:4], network(x[..., 2:3, 3:4]))
    two = network.stack(x)
    cross_entropy = F.cross_entropy(two, torch.ones(1, 4, 6, dtype=torch.long))
    assert domain_loss(whole, Domain.TARGET).item() == pytest.approx(cross_entropy.item(), rel=1e-14)


def gradients_by_hand(method: FCNWild, step: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """One step in a plain loop: D's gradient, D's step, then the segmenter's gradient against the new D."""
    source, target = doubled()
    predictions = method.segmenter(source.images), method.segmenter(target.images)
    cells = [read_tap(p, FeatureTap.BOTTLENECK) for p in predictions]
    losses = [domain_loss(method.discriminator(c.detach()), d) for c, d in zip(cells, Domain, strict=True)]
    parameters = list(method.discriminator.parameters())
    of_d = torch.autograd.grad(sum(losses), parameters)
    for parameter, gradient in zip(parameters, of_d, strict=True):
        parameter.grad = gradient.clone()
    method.players()[1].optimizer.step()
    logits = image_size_logits(predictions[0], source)
    total = sum(t.weight * t.value for t in supervised_terms(logits, source, SupervisedOptions()))
    total = total + method.options.lambda_adv * sum(confusion_loss(method.discriminator(c)) for c in cells)
    return list(of_d), list(torch.autograd.grad(total, method.players()[0].parameters))


def test_the_segmenter_plays_against_the_discriminator_that_has_just_stepped():
    options = {"lambda_size": 0, "lambda_adv": 0.7, "discriminator_learning_rate": 0.05}
    of_d, of_segmenter = gradients_by_hand(wild(**options), 0)
    method, found = wild(**options), {}
    for player in method.players():
        stepped = player.optimizer.step

        def remember(player=player, stepped=stepped):
            found[player.name] = [p.grad.clone() for p in player.parameters]
            if player.name == DISCRIMINATOR:
                stepped()

        player.optimizer.step = remember
    engine(method).step(*doubled(), 0)
    assert list(found) == [DISCRIMINATOR, SEGMENTER]
    for mine, theirs in zip(found[DISCRIMINATOR] + found[SEGMENTER], of_d + of_segmenter, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-14)


def test_batch_norm_moves_once_per_domain_and_step():
    method = wild()
    engine(method).step(*doubled(), 0)
    assert int(method.segmenter.first[1].num_batches_tracked) == 2


def test_sizes_are_constrained_from_their_step_on():
    method = wild(size_start=1)
    played = engine(method)
    names = [set(played.step(*doubled(step), step).losses[SEGMENTER]) for step in range(2)]
    assert "size" not in names[0] and "size" in names[1]
    assert wild().size_start == 5  # half of the steps
    assert not wild(size_start=0, lambda_size=0).constrains(9)


def test_the_size_term_pulls_towards_the_sources_sizes():
    """A segmenter that calls nearly everything polyp: with the constraint its mean polyp probability falls further."""
    shares = {}
    for weight in (0.0, 1.0):
        method = wild(size_start=0, lambda_size=weight, lambda_adv=0, large_factor=1, learning_rate=1e-2)
        with torch.no_grad():
            method.segmenter.main.bias[:] = torch.tensor([-0.5, 0.5])
        source, target = doubled()
        source.masks[:] = 255  # nothing is taught: only the constraint moves
        engine(method).step(source, target, 0)
        shares[weight] = method.segmenter(target.images).logits["main"].softmax(dim=1)[:, 1].mean().item()
    assert shares[1.0] < shares[0.0] - 1e-3


def test_a_source_without_polyps_is_refused_before_the_first_step():
    with pytest.raises(DataError, match="E_PRIOR_EMPTY"):
        wild(prepared=False).prepare(Frames(polyps=False))
    wild(prepared=False, lambda_size=0).prepare(Frames(polyps=False))  # needs no prior


def test_a_constraint_without_priors_is_refused():
    with pytest.raises(DataError, match="E_PRIOR_EMPTY"):
        engine(wild(prepared=False, size_start=0)).step(*doubled(), 0)


def test_target_frames_of_no_group_are_refused_before_the_first_step():
    with pytest.raises(DataError, match=r"E_PRIOR_GROUP frame-|E_PRIOR_GROUP t-frame"):
        wild(prepared=False, frame_groups="(?P<zero>^frame-0)|(?P<one>^frame-1)").prepare(Frames())


def test_one_group_may_have_any_name_and_still_has_to_match():
    groups = FrameGroups("(?P<all>^zju2/)")
    assert groups.of("zju2/001") == 0
    with pytest.raises(DataError, match="E_PRIOR_GROUP"):
        groups.of("haining/001")
