"""LSD-seg's game against plain loops written from the formulas, its published figures, and what the judge may see."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.contract import SEGMENTER
from polypda.methods.lsd import (
    DISCRIMINATOR,
    GENERATOR,
    PUBLISHED,
    Lsd,
    Seen,
    class_labels,
    cross_entropy,
    domain_labels,
    l1_inside,
    seen_in_both,
)
from polypda.methods.registry import method_class, method_options
from polypda.networks.lsd_networks import FCN8sVGG16, PublishedGenerator
from polypda.networks.segmenter import Prediction
from polypda.training.engine import Engine

PLAYERS = (DISCRIMINATOR, GENERATOR, SEGMENTER)


def build(name: str = "lsd", segmenter=None, **options):
    torch.manual_seed(0)
    options = {"generator_width": 2, "discriminator_width": 4} | options
    segmenter = segmenter or TinySegmenter(dropout=0.0).double()
    method = method_class(name)(segmenter, method_options(name, options), steps=10)
    for network in method.modules().values():
        network.double().eval()  # dropout would draw differently in another order of the same sums
    return method


def doubled(seed: int = 0, **sizes):
    return tuple(batch.to(torch.device("cpu"), torch.float64) for batch in random_batches(seed, **sizes))


def engine(method) -> Engine:
    return Engine(Fabric(accelerator="cpu", devices=1, precision="64-true"), method)


def stepped_with(method, *batches) -> dict[str, list[torch.Tensor]]:
    """The gradients that each player steps with, one step of the engine."""
    seen: dict[str, list[torch.Tensor]] = {}
    for player in method.players():
        take = player.optimizer.step

        def step(player=player, take=take):
            seen[player.name] = [p.grad.clone() for p in player.parameters]
            take()

        player.optimizer.step = step
    engine(method).step(*batches, 0)
    return seen


def plain_losses(method, source, target) -> dict[str, torch.Tensor]:
    """L_D, L_G and L_F in sums divided by the batch, with λ = 0.1, 0.1, 0.1 and 1, written from the formulas."""
    f, g, d = (method.modules()[name] for name in (SEGMENTER, GENERATOR, DISCRIMINATOR))
    b, _, height, width = source.images.shape
    shown_s, shown_t = f(source.images), f(target.images)
    fake_s, fake_t = (g(shown.encoder, height, width) for shown in (shown_s, shown_t))
    real_s_domain, real_s_classes = d(source.images)
    fake_s_domain, fake_s_classes = d(fake_s)
    real_t_domain, fake_t_domain = d(target.images)[0], d(fake_t)[0]

    def ce(domain, label):
        return F.cross_entropy(domain, torch.full((b, height // 8, width // 8), label), reduction="sum") / b

    # One pixel stands for each 8×8 block: the one right below its centre.
    coarse = source.masks[:, 4::8, 4::8]

    def aux(classes):
        return F.cross_entropy(classes, coarse, reduction="sum") / b

    def seg(level):
        logits = F.interpolate(shown_s.logits[level], (height, width), mode="bilinear", align_corners=True)
        return F.cross_entropy(logits, source.masks, reduction="sum") / b

    return {
        DISCRIMINATOR: ce(real_s_domain, 0)
        + ce(fake_s_domain, 1)
        + ce(real_t_domain, 2)
        + ce(fake_t_domain, 3)
        + aux(real_s_classes),
        GENERATOR: aux(fake_s_classes)
        + 0.1 * (ce(fake_s_domain, 0) + ce(fake_t_domain, 2))
        + (fake_s - source.images).abs().mean()
        + (fake_t - target.images).abs().mean(),
        SEGMENTER: seg("main")
        + 0.1 * seg("aux")
        + 0.1 * (ce(fake_s_domain, 2) + ce(fake_t_domain, 0))
        + 0.1 * aux(fake_s_classes),
    }


def assert_same(ours, theirs, tolerance=1e-12):
    scale = max(float(gradient.abs().max()) for gradient in theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert float((mine - other).abs().max()) <= tolerance * scale


def test_l3_initial_losses_at_320_by_640_with_19_classes():
    full = torch.ones(1, 1, 320, 640, dtype=torch.bool)
    masks = torch.randint(0, 19, (1, 320, 640))
    mean, counted = cross_entropy(torch.zeros(1, 19, 320, 640), masks)
    assert float(mean) * counted == pytest.approx(204_800 * math.log(19), rel=1e-6)
    assert round(float(mean) * counted) == pytest.approx(603_021, abs=1)
    grid = torch.zeros(1, 4, 40, 80)
    per_domain, cells = cross_entropy(grid, domain_labels(Seen.TARGET, full, grid))
    assert round(0.1 * 2 * float(per_domain) * cells) == 887
    classes = torch.zeros(1, 19, 40, 80)
    aux, cells = cross_entropy(classes, class_labels(masks, full, classes))
    assert round(0.1 * float(aux) * cells) == 942


def test_l3_the_released_game_starts_with_these_losses_for_two_classes():
    """A fresh FCN-8s (narrow, with the published geometry) and a judge that answers alike, through the method."""
    method = build(segmenter=FCN8sVGG16(width=2, fc_width=8), **PUBLISHED["released"])
    assert isinstance(method.generator, PublishedGenerator)
    for head in (method.discriminator.domain, method.discriminator.segmentation):
        for parameter in head.parameters():
            torch.nn.init.zeros_(parameter)
    images, valid = torch.rand(2, 1, 3, 320, 640).double(), torch.ones(1, 1, 320, 640, dtype=torch.bool)
    source = LabelledBatch(images[0], valid, ("s",), (images[0][:, 0] > 0.5).long())
    totals = dict.fromkeys(("seg_main", "as_target", "as_source", "aux"), 0.0)
    with torch.no_grad():
        for losses in method.play(source, UnlabelledBatch(images[1], valid, ("t",)), 0):
            for term in losses[SEGMENTER]:
                totals[term.name] += term.weight * float(term.value)
    assert totals["seg_main"] == pytest.approx(204_800 * math.log(2))
    assert totals["as_target"] + totals["as_source"] == pytest.approx(0.1 * 2 * 3_200 * math.log(4))
    assert totals["aux"] == pytest.approx(0.1 * 3_200 * math.log(2))


def test_l4_the_simultaneous_engine_equals_three_hand_written_passes():
    method = build(reduction="sum")
    source, target = doubled()
    reference = copy.deepcopy(method)
    losses = plain_losses(reference, source, target)
    by_hand = {
        player.name: torch.autograd.grad(losses[player.name], player.parameters, retain_graph=True)
        for player in reference.players()
    }
    played = stepped_with(method, source, target)
    assert set(played) == set(PLAYERS)
    for name in PLAYERS:
        assert_same(played[name], by_hand[name])


def test_l4_a_naive_step_between_the_backward_passes_raises():
    method = build(reduction="sum")
    losses = plain_losses(method, *doubled())
    players = {player.name: player for player in method.players()}
    losses[DISCRIMINATOR].backward(retain_graph=True)
    players[DISCRIMINATOR].optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        losses[GENERATOR].backward(retain_graph=True)


def test_sequential_players_see_the_weights_of_those_before():
    method = build(reduction="sum", update="sequential", adversary_learning_rate=1e-2)
    source, target = doubled()
    reference = copy.deepcopy(method)
    by_hand = {}
    for player in reference.players():
        losses = plain_losses(reference, source, target)
        by_hand[player.name] = torch.autograd.grad(losses[player.name], player.parameters)
        for parameter, gradient in zip(player.parameters, by_hand[player.name], strict=True):
            parameter.grad = gradient
        player.set_learning_rates(0)
        player.optimizer.step()
    played = stepped_with(method, source, target)
    for name in PLAYERS:
        assert_same(played[name], by_hand[name])
    # … which is another game than the simultaneous one, from G on.
    together = stepped_with(build(reduction="sum", adversary_learning_rate=1e-2), source, target)
    assert_same(together[DISCRIMINATOR], played[DISCRIMINATOR])
    assert float((together[GENERATOR][0] - played[GENERATOR][0]).norm() / played[GENERATOR][0].norm()) > 1e-3


@pytest.mark.parametrize("update", ["simultaneous", "sequential"])
def test_running_statistics_move_once_per_domain(update):
    method = build(update=update)
    method.segmenter.train()
    engine(method).step(*doubled(), 0)
    assert int(method.segmenter.first[1].num_batches_tracked) == 2


def test_means_are_the_published_sums_divided_by_pixels_and_cells():
    """λ 0.0015625 between means is λ 0.1 between sums; G's L1 then needs 1/3,200 of its weight at 320×640."""
    batches = doubled(size=64)
    pixels, cells = 64 * 64, 8 * 8
    sums = stepped_with(build(reduction="sum"), *batches)
    means = stepped_with(build(lambda_l1=1 / cells), *batches)
    for name, share in ((DISCRIMINATOR, cells), (GENERATOR, cells), (SEGMENTER, pixels)):
        assert_same([share * gradient for gradient in means[name]], sums[name])
    explicit = stepped_with(build(lambda_adv=0.0015625, lambda_aux=0.0015625, lambda_l1=1 / cells), *batches)
    assert_same(explicit[SEGMENTER], means[SEGMENTER], 0.0)


def test_the_judge_sees_one_outline_in_all_four_kinds_of_frame():
    source, target = doubled()
    source.valid[:, :, :16] = False
    target.valid[:, :, :, 48:] = False
    method = build()
    outlines = []
    method.discriminator.register_forward_pre_hook(lambda _, given: outlines.append((given[0] != 0).any(1)))
    engine(method).step(source, target, 0)
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[16:, :48] = True
    assert len(outlines) == 4
    assert all(torch.equal(frame, inside) for outline in outlines for frame in outline)


def test_nothing_outside_the_field_of_view_teaches_the_judge_or_the_generator():
    source, target = doubled()
    source.valid[:, :, :16] = False
    source.masks[:, :16] = IGNORED
    noisy = source.images.clone()
    noisy[:, :, :16] = 0.7

    class BlindToCorners(TinySegmenter):
        def forward(self, images):
            images = images.clone()
            images[:, :, :16] = 0
            return super().forward(images)

    plain = build(segmenter=BlindToCorners(dropout=0.0))
    bright = copy.deepcopy(plain)
    one = stepped_with(plain, source, target)
    other = stepped_with(bright, LabelledBatch(noisy, source.valid, source.frames, source.masks), target)
    for name in PLAYERS:
        assert_same(one[name], other[name], 0.0)


def test_labels_outside_are_ignored_and_batches_of_other_sizes_share_one_outline():
    inside = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    inside[..., :8] = False
    grid = torch.zeros(1, 4, 2, 2)
    assert domain_labels(Seen.SOURCE_PAINTED, inside, grid).tolist() == [[[IGNORED, 1], [IGNORED, 1]]]
    assert class_labels(torch.ones(1, 16, 16).long(), inside, grid).tolist() == [[[IGNORED, 1], [IGNORED, 1]]]
    one, three = torch.ones(1, 1, 2, 2, dtype=torch.bool), torch.ones(3, 1, 2, 2, dtype=torch.bool)
    one[..., 0, 0] = three[1, :, 1, 1] = False
    first, second = seen_in_both(one, three)
    assert first.shape == one.shape and second.shape == three.shape
    assert first[0].tolist() == second[2].tolist() == [[[False, True], [True, False]]]


def test_frames_without_any_common_view_teach_nothing():
    nowhere = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    logits = torch.zeros(1, 4, 2, 2)
    mean, counted = cross_entropy(logits, domain_labels(Seen.TARGET, nowhere, logits))
    assert (float(mean), counted) == (0.0, 0)
    assert float(l1_inside(torch.ones(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), nowhere)) == 0.0


def test_l1_is_the_mean_over_the_pixels_inside():
    painted, real = torch.rand(2, 2, 3, 8, 8)
    inside = torch.rand(2, 1, 8, 8) > 0.5
    expected = torch.stack([(painted - real)[:, c][inside[:, 0]].abs().mean() for c in range(3)]).mean()
    assert float(l1_inside(painted, real, inside)) == pytest.approx(float(expected), rel=1e-6)


def test_the_swap_pulls_source_paintings_towards_the_target_label():
    """F's adversarial gradient alone makes D's answer to x̂_s more 'target' (before D answers)."""
    method = build(lambda_adv=1.0, lambda_aux=0.0, learning_rate=1e-3, head_factor=1.0, weight_decay=0.0, momentum=0.0)
    source, target = doubled()
    source.masks.fill_(IGNORED)  # nothing supervised

    def fraction_called(seen: Seen) -> float:
        with torch.no_grad():
            painted = method.generator(method.segmenter(source.images).encoder, 64, 64)
            return float(method.discriminator(painted)[0].softmax(1)[:, seen].mean())

    before = fraction_called(Seen.TARGET)
    for player in method.players():
        if player.name != SEGMENTER:
            player.optimizer.step = lambda: None
    for step in range(3):
        engine(method).step(source, target, step)
    assert fraction_called(Seen.TARGET) > before


def test_released_and_papers_options_are_valid_and_differ_only_in_the_adversaries_rate():
    released, paper = (method_options("lsd", values).model_dump() for values in PUBLISHED.values())
    assert {key for key in released if released[key] != paper[key]} == {"adversary_learning_rate"}
    method = build(**PUBLISHED["released"])
    rates = {player.name: player.optimizer.param_groups[0]["lr"] for player in method.players()}
    assert rates == {DISCRIMINATOR: 1e-4, GENERATOR: 1e-4, SEGMENTER: 1e-5}
    betas = {player.name: player.optimizer.param_groups[0]["betas"] for player in method.players()}
    assert betas == {DISCRIMINATOR: (0.7, 0.999), GENERATOR: (0.7, 0.999), SEGMENTER: (0.9, 0.999)}
    assert all(player.schedule.factor(9) == 1.0 for player in method.players())


def test_a_segmenter_without_encoder_maps_is_refused_when_the_method_is_built():
    class Closed(TinySegmenter):
        def forward(self, images):
            shown = super().forward(images)
            return Prediction(shown.logits, shown.features)

    with pytest.raises(UsageError, match=r"E_FEATURE_TAP.*Closed"):
        build(segmenter=Closed())


def test_too_small_frames_stop_before_the_first_step():
    method = build()
    before = copy.deepcopy(method.segmenter.state_dict())
    with pytest.raises(UsageError, match="E_INPUT_SIZE"):
        engine(method).step(*doubled(size=4), 0)
    assert all(torch.equal(before[key], value) for key, value in method.segmenter.state_dict().items())


@pytest.mark.parametrize("update", ["simultaneous", "sequential"])
def test_target_terms_can_be_added(update):
    report = engine(build("lsd+minent", update=update)).step(*doubled(), 0)
    assert any("entropy" in name for name in report.losses[SEGMENTER])
    assert isinstance(build("lsd+minent").base, Lsd)
