"""Size projection against published figures, an independent primal solver and the general dual one; size priors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize
from support.tiny_segmenter import random_batches

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.errors import DataError, UsageError
from polypda.methods.registry import method_options
from polypda.methods.size_constraint import SizeBounds, project, projection_loss, size_shift
from polypda.methods.size_priors import (
    FrameGroups,
    SizeOptions,
    SizePrior,
    SizePriors,
    nearest_allowed,
    size_bounds,
    size_loss,
)
from polypda.networks.segmenter import BACKGROUND, POLYP
from polypda.networks.weights import not_finite

INF = math.inf


def wave() -> torch.Tensor:
    """The published fixture: one logit map of 64×64, as 4096 logits."""
    h, w = torch.meshgrid(*(torch.arange(64, dtype=torch.float64) for _ in range(2)), indexing="ij")
    return (2 * torch.sin(0.1 * h + 0.2 * w + 0.7) - 3).flatten()


def two_classes(z: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.zeros_like(z), z], dim=1)


def polyp_bounds(lower=0.0, upper=1.0, lower_slack=INF, upper_slack=INF, present=(True, True)) -> SizeBounds:
    return SizeBounds((0.0, lower), (1.0, upper), (INF, lower_slack), (INF, upper_slack), present)


def test_w2_published_figures_of_the_size_projection():
    z = wave()
    assert float(z.sigmoid().mean()) == pytest.approx(0.0918174142, abs=1e-10)
    shift = size_shift(z, 0.2, 1.0)
    assert shift == pytest.approx(1.0637960474, abs=1e-10)
    assert float((z + shift).sigmoid().mean()) == pytest.approx(0.2, abs=1e-12)
    slack = size_shift(z, 0.2, 1.0, lower_slack=1.0)
    assert slack == 1.0
    assert float((z + slack).sigmoid().mean()) == pytest.approx(0.1919415346, abs=1e-10)
    z.requires_grad_()
    loss = projection_loss(two_classes(z), two_classes(z.detach() + shift).softmax(dim=1))
    (gradient,) = torch.autograd.grad(loss, z)
    assert loss.item() == pytest.approx(0.062586452794, abs=1e-12)
    assert gradient.norm().item() == pytest.approx(2.183724607e-3, rel=1e-9)


@pytest.mark.parametrize("upper", [0.05, 0.01])
def test_upper_bounds_shift_down_within_their_slack(upper):
    z = wave()
    shift = size_shift(z, 0.0, upper)
    assert shift < 0 and float((z + shift).sigmoid().mean()) == pytest.approx(upper, abs=1e-12)
    assert size_shift(z, 0.0, upper, upper_slack=0.25) == -0.25


def test_w2_what_is_feasible_stays():
    z = wave()
    assert size_shift(z, 0.05, 0.5) == 0.0
    assert torch.allclose(project(two_classes(z), polyp_bounds(0.05, 0.5)), two_classes(z).softmax(dim=1), atol=1e-12)


@pytest.mark.parametrize(
    ("lower", "upper", "lower_slack", "upper_slack"),
    [(0.2, 1, INF, INF), (0.2, 1, 1.0, INF), (0, 0.05, INF, INF), (0, 0.05, INF, 0.3), (0.4, 0.9, 2.0, INF)],
)
def test_w2_the_shift_is_the_general_dual_solution(lower, upper, lower_slack, upper_slack):
    z = wave()
    shift = size_shift(z, lower, upper, lower_slack=lower_slack, upper_slack=upper_slack)
    general = project(two_classes(z), polyp_bounds(lower, upper, lower_slack, upper_slack))
    assert (general[:, 1] - (z + shift).sigmoid()).abs().max() <= 1e-6


@given(st.integers(0, 10_000), st.floats(0.02, 0.45), st.floats(0.5, 0.98), st.floats(-6, 6))
def test_the_shift_reaches_its_bound_for_any_logits(seed, lower, upper, offset):
    z = 4 * torch.randn(50, generator=torch.Generator().manual_seed(seed)).double() + offset
    mean, shift = float(z.sigmoid().mean()), size_shift(z, lower, upper)
    reached = float((z + shift).sigmoid().mean())
    assert reached == pytest.approx(min(max(mean, lower), upper), abs=1e-10)


def primal(logits: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """min KL(p‖q) over p itself, with hard bounds on the classes' means: no dual, no exponential form assumed."""
    pixels, classes = logits.shape
    log_q = torch.from_numpy(logits).log_softmax(dim=1).numpy().ravel()
    means = np.zeros((classes, pixels * classes))
    sums = np.zeros((pixels, pixels * classes))
    for pixel in range(pixels):
        for label in range(classes):
            means[label, pixel * classes + label] = 1 / pixels
            sums[pixel, pixel * classes + label] = 1
    found = minimize(
        lambda p: float(np.sum(p * (np.log(p) - log_q))),
        np.exp(log_q),
        jac=lambda p: np.log(p) - log_q + 1,
        bounds=[(1e-12, 1)] * (pixels * classes),
        constraints=[LinearConstraint(means, lower, upper), LinearConstraint(sums, 1, 1)],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert found.success, found.message
    return found.x.reshape(pixels, classes)


def test_three_classes_agree_with_a_primal_solver():
    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)).double() * 1.5
    lower, upper = (0.0, 0.45, 0.1), (1.0, 0.9, 0.2)
    mine = project(logits, SizeBounds(lower, upper, (INF,) * 3, (INF,) * 3, (True,) * 3))
    theirs = primal(logits.numpy(), np.array(lower), np.array(upper))
    before = logits.softmax(dim=1).mean(dim=0)
    assert not 0.45 <= before[1] <= 0.9 or not 0.1 <= before[2] <= 0.2  # something has to move
    assert np.abs(mine.numpy() - theirs).max() <= 1e-6


def test_w3_gradient_is_the_difference_over_the_pixels():
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    p = torch.randn(9, 3, generator=torch.Generator().manual_seed(3)).double().softmax(dim=1)
    (gradient,) = torch.autograd.grad(projection_loss(logits, p), logits)
    expected = (logits.detach().softmax(dim=1) - p) / 9
    assert torch.allclose(gradient, expected, atol=1e-15)
    weights = torch.tensor([0.1, 1.0, 0.0], dtype=torch.float64)
    weighted = projection_loss(logits, p, weights)
    (scaled,) = torch.autograd.grad(weighted, logits)
    assert weighted.item() == pytest.approx(projection_loss(logits, p).item(), rel=1e-14)
    assert torch.allclose(scaled, expected * weights, atol=1e-15)


def test_w3_an_absent_class_gets_nothing():
    logits = torch.randn(20, 3, generator=torch.Generator().manual_seed(4)).double()
    bounds = SizeBounds((0.0, 0.8, 0.3), (1.0, 1.0, 1.0), (INF,) * 3, (INF,) * 3, (True, True, False))
    p = project(logits, bounds)
    assert not p[:, 2].any()
    assert float(p[:, 1].mean()) == pytest.approx(0.8, abs=1e-6)
    assert torch.allclose(p.sum(dim=1), torch.ones(20, dtype=torch.float64))
    assert torch.isfinite(projection_loss(logits, p))


def masks_with(shares: list[float], side: int = 20) -> torch.Tensor:
    masks = torch.zeros(len(shares), side * side, dtype=torch.int64)
    for mask, share in zip(masks, shares, strict=True):
        mask[: round(share * side * side)] = 1
    return masks.view(-1, side, side)


def labelled(shares: list[float], names: tuple[str, ...] | None = None) -> LabelledBatch:
    masks = masks_with(shares)
    names = names or tuple(f"c/{index:02d}" for index in range(len(shares)))
    return LabelledBatch(
        torch.zeros(len(shares), 3, 20, 20), torch.ones(len(shares), 1, 20, 20, dtype=torch.bool), names, masks
    )


def test_w4_statistics_count_only_frames_with_the_class():
    shares = [0.0, 0.01, 0.02, 0.05, 0.1, 0.0, 0.2, 0.4]
    priors = SizePriors(FrameGroups(""))
    priors.learn([labelled(shares[:3]), labelled(shares[3:])])
    with_polyp = np.array([share for share in shares if share > 0])
    prior = priors.of("any/frame")
    assert prior.q10[1] == pytest.approx(np.quantile(with_polyp, 0.1))
    assert prior.mean[1] == pytest.approx(with_polyp.mean())
    assert prior.q90[1] == pytest.approx(np.quantile(with_polyp, 0.9))
    assert prior.mean[0] == pytest.approx(1 - np.mean(shares))  # background is in every frame
    assert priors.frames.tolist() == [[8, 6]]


def test_pixels_outside_the_field_of_view_are_no_part_of_a_fraction():
    batch = labelled([0.1])
    batch.masks[0, 10:] = IGNORED  # the polyp's 40 pixels lie in the upper half
    priors = SizePriors(FrameGroups(""))
    priors.learn([batch])
    assert priors.of("c/00").mean[1] == pytest.approx(0.2)
    batch.masks[:] = IGNORED
    with pytest.raises(DataError, match=r"E_PRIOR_FIELD c/00"):
        priors.learn([batch])


@pytest.mark.parametrize(("excess", "present"), [(0.0, False), (1e-9, True)])
def test_w4_exactly_a_tenth_of_alpha_is_absent(excess, present):
    prior = SizePrior((0.5, 0.04), (0.8, 0.1), (0.95, 0.2))
    options = SizeOptions.model_validate({})
    found = size_bounds(prior, np.array([0.9, 0.1 * 0.04 + excess]), options)
    assert (found is not None) is present


def test_bounds_are_the_polyps_quantiles_by_default_and_as_published_on_demand():
    prior, shares = SizePrior((0.5, 0.04), (0.8, 0.1), (0.95, 0.2)), np.array([0.9, 0.1])
    found = size_bounds(prior, shares, SizeOptions.model_validate({}))
    assert (found.lower, found.upper, found.lower_slack[1], found.upper_slack[1]) == ((0, 0.04), (1, 0.2), 2.0, INF)
    published = SizeOptions.model_validate({"lower_stat": "mean", "constrain_background": "true"})
    found = size_bounds(prior, shares, published)
    assert (found.lower, found.upper) == ((0.8, 0.1), (0.95, 0.2))


def test_a_frame_without_a_polyp_is_left_alone_or_suppressed():
    prior, nothing = SizePrior((0.5, 0.04), (0.8, 0.1), (0.95, 0.2)), np.array([1.0, 0.0])
    assert size_bounds(prior, nothing, SizeOptions.model_validate({})) is None
    suppressed = size_bounds(prior, nothing, SizeOptions.model_validate({"absent": "suppress"}))
    assert suppressed.present == (True, False)
    assert not nearest_allowed(two_classes(wave()), suppressed)[:, 1].any()


def constrained_gradient(options: dict, logits: torch.Tensor, shares: list[float]):
    priors = SizePriors(FrameGroups(""))
    priors.learn([labelled(shares)])
    valid = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    valid[..., :8] = False
    batch = UnlabelledBatch(torch.zeros(1, 3, 64, 64), valid, ("t/0",))
    loss = size_loss(logits, batch, priors, SizeOptions.model_validate(options))
    return loss, torch.autograd.grad(loss, logits)[0]


def test_the_loss_moves_the_predicted_size_towards_the_prior_and_nothing_outside():
    z = wave().view(64, 64) + 1.5  # some of it is called polyp
    logits = torch.stack([-z / 2, z / 2]).unsqueeze(0).requires_grad_()
    loss, gradient = constrained_gradient({"lower_slack": "50"}, logits, [0.3, 0.35, 0.4, 0.4])
    assert loss.item() > 0
    assert not gradient[..., :8].any() and (gradient[0, 1, :, 8:] < 0).all()
    # down the gradient the predicted share grows
    smaller = (logits - 50 * gradient).softmax(dim=1)[0, 1].mean()
    assert smaller > logits.softmax(dim=1)[0, 1].mean()


def test_large_classes_count_a_tenth():
    z = wave().view(64, 64) + 1.5  # some of it is called polyp
    logits = torch.stack([-z / 2, z / 2]).unsqueeze(0).requires_grad_()
    shares = [0.3, 0.35, 0.4, 0.4]  # both classes' 10 % quantiles are above 0.1
    _, plain = constrained_gradient({"large_factor": "1"}, logits, shares)
    _, less = constrained_gradient({}, logits, shares)
    assert plain.abs().max() > 0 and torch.allclose(less, 0.1 * plain, rtol=1e-12)
    _, small = constrained_gradient({"large_fraction": "0.9"}, logits, shares)
    assert torch.equal(small, plain)


def test_groups_of_frames_have_priors_of_their_own():
    groups = FrameGroups("(?P<nbi>_nbi)|(?P<wl>_wl)")
    priors = SizePriors(groups)
    priors.learn([labelled([0.02, 0.3, 0.04], ("c/a_wl", "c/b_nbi", "c/c_wl"))])
    assert priors.of("t/x_wl").mean[1] == pytest.approx(0.03, abs=2e-3)
    assert priors.of("t/y_nbi").mean[1] == pytest.approx(0.3)
    with pytest.raises(DataError, match=r"E_PRIOR_GROUP t/plain"):
        priors.of("t/plain")
    again = SizePriors(groups)
    again.load_state_dict(priors.state_dict())
    assert again.of("t/y_nbi") == priors.of("t/y_nbi")


def test_a_group_without_a_polyp_is_refused():
    with pytest.raises(DataError, match=r"E_PRIOR_EMPTY: none of the 2 labelled source frames shows"):
        SizePriors(FrameGroups("")).learn([labelled([0.0, 0.0])])
    with pytest.raises(DataError, match=r"E_PRIOR_EMPTY.*group 'nbi'"):
        SizePriors(FrameGroups("(?P<nbi>_nbi)|(?P<wl>_wl)")).learn([labelled([0.1], ("c/a_wl",))])
    with pytest.raises(DataError, match="E_PRIOR_EMPTY"):
        SizePriors(FrameGroups("")).of("never/learnt")


@pytest.mark.parametrize("pattern", ["(", "_nbi"])
def test_a_pattern_without_groups_is_refused(pattern):
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*frame_groups"):
        method_options("fcn-wild", {"frame_groups": pattern})


def test_an_image_of_which_nothing_is_demanded_counts_as_zero():
    priors = SizePriors(FrameGroups(""))
    priors.learn([labelled([0.3, 0.4])])
    _, target = random_batches(0)
    logits = torch.zeros(2, 2, 64, 64)
    logits[:, 0] = 30.0  # background everywhere
    logits.requires_grad_()
    loss = size_loss(logits, target, priors, SizeOptions.model_validate({}))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0 and not gradient.any()


def test_priors_that_nobody_learnt_can_be_written_to_a_checkpoint():
    """λ = 0, as the error of an empty prior advises, learns none; and a class may be in no frame."""
    priors = SizePriors(FrameGroups(""))
    assert not not_finite(priors.state_dict().items())
    priors.frames[0, POLYP] = 3
    assert math.isnan(priors.of("f").mean[BACKGROUND]) and not math.isnan(priors.of("f").mean[POLYP])
