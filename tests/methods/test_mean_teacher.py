"""The teacher, what the student sees and learns, masked blocks and pasted polyps: by hand and by their laws."""

import math

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods import mean_teacher
from polypda.methods.mean_teacher import (
    PolypMixOptions,
    PolypMixTerm,
    blur,
    pasted_regions,
    pseudo_labels,
    shown_blocks,
    student_view,
    weighted_cross_entropy,
)
from polypda.methods.moving_average import ema_decay, ema_update, make_teacher
from polypda.methods.registry import method_class, method_options
from polypda.methods.target_terms import TargetView
from polypda.training.checkpoints import list_checkpoints, load_checkpoint, save_checkpoint, thin_out
from polypda.training.engine import Engine

FABRIC = Fabric(accelerator="cpu", devices=1)


def build(name: str, seed: int = 0, **options):
    torch.manual_seed(seed)
    return method_class(name)(TinySegmenter().train(), method_options(name, options), steps=10)


def test_the_teacher_keeps_ever_more_of_itself_up_to_alpha():
    shares = [ema_decay(t, 0.9) for t in range(12)]
    assert shares[:4] == pytest.approx([0, 1 / 2, 2 / 3, 3 / 4])
    assert shares[9:] == pytest.approx([0.9, 0.9, 0.9])


def test_following_averages_weights_and_takes_statistics():
    torch.manual_seed(0)
    teacher, student = make_teacher(TinySegmenter()), TinySegmenter()
    before = [p.clone() for p in teacher.parameters()]
    student.first[1].running_mean.fill_(3.0)
    ema_update(teacher, student, 0.75)
    for now, old, its in zip(teacher.parameters(), before, student.parameters(), strict=True):
        assert torch.allclose(now, 0.75 * old + 0.25 * its)
    assert torch.allclose(teacher.first[1].running_mean, torch.full((8,), 0.25 * 3.0))  # statistics are averaged, too
    ema_update(teacher, student, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), student.parameters(), strict=True))
    assert not any(p.requires_grad for p in teacher.parameters())


def test_pseudo_labels_weigh_each_class_of_a_frame_by_its_confident_fraction():
    polyp = torch.tensor([[[0.99, 0.6], [0.01, 0.3]], [[0.5, 0.5], [0.4, 0.6]]])
    probabilities = torch.stack([1 - polyp, polyp], dim=1)
    valid = torch.ones(2, 1, 2, 2, dtype=torch.bool)
    valid[0, 0, 1, 1] = False
    pseudo = pseudo_labels(probabilities, valid, 0.9)
    assert pseudo.labels.tolist() == [[[1, 1], [0, IGNORED]], [[0, 0], [0, 1]]]
    # frame 0: one of two polyp pixels is sure, the background pixel is; frame 1 is sure of nothing. 7 pixels count, 3
    # of them polyp, 4 background: each class weighs 7/2 in all where it is sure throughout
    polyp_weight, background_weight = 0.5 * 7 / (2 * 3), 1.0 * 7 / (2 * 4)
    assert pseudo.weights[0].flatten().tolist() == pytest.approx([polyp_weight, polyp_weight, background_weight, 0])
    assert not pseudo.weights[1].any()


def test_a_missed_polyp_has_no_confidence_of_its_class_and_silence_earns_half():
    polyp = torch.full((1, 4, 4), 0.01)  # the teacher sees nothing, and is sure of it
    pseudo = pseudo_labels(torch.stack([1 - polyp, polyp], dim=1), torch.ones(1, 1, 4, 4, dtype=torch.bool), 0.9)
    assert not (pseudo.labels == 1).any()
    assert pseudo.weights.mean().item() == pytest.approx(0.5)  # one weight per image would be 1


def test_weighted_cross_entropy_is_the_mean_over_counted_pixels():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 2, 3, 3, dtype=torch.float64), torch.randint(0, 2, (2, 3, 3))
    labels[0, 0] = IGNORED
    values = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    weights = torch.tensor([0.5, 2.0], dtype=torch.float64)
    by_hand = (0.5 * values[0].sum() + 2 * values[1].sum()) / 15
    assert weighted_cross_entropy(logits, labels, weights[:, None, None]).item() == pytest.approx(by_hand.item())
    assert weighted_cross_entropy(logits, torch.full_like(labels, IGNORED), weights[:, None, None]).item() == 0


def test_the_view_is_seeded_differs_between_frames_and_stays_in_range():
    images = random_batches(3, batch=6)[1].images
    torch.manual_seed(5)
    one = student_view(images)
    torch.manual_seed(5)
    assert torch.equal(one, student_view(images))
    assert not torch.equal(one, student_view(images))
    assert one.min() >= 0 and one.max() <= 1 and one.shape == images.shape
    assert len({round(float(value), 4) for value in (one - images).mean(dim=(1, 2, 3))}) == 6
    torch.manual_seed(5)
    same_frame = student_view(images[:1].expand(6, -1, -1, -1))
    assert not torch.equal(same_frame[0], same_frame[1])


def test_the_view_moves_nothing():
    """A bright spot stays where it is: colours change, places do not."""
    images = torch.full((8, 3, 32, 32), 0.3)
    images[:, :, 10:14, 20:24] = 0.8
    torch.manual_seed(0)
    brightest = student_view(images).mean(dim=1).flatten(1).argmax(dim=1)
    assert all(10 <= index // 32 < 14 and 20 <= index % 32 < 24 for index in brightest.tolist())


def test_blur_is_scipys():
    from scipy.ndimage import gaussian_filter

    image = torch.rand(3, 20, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(image.numpy(), (0, 0.9, 0.9), mode="mirror", radius=4)
    assert torch.allclose(blur(image, 0.9), torch.from_numpy(expected), atol=1e-12)


def test_blocks_are_hidden_at_the_ratio_and_as_a_whole():
    torch.manual_seed(0)
    shown = shown_blocks(64, 48, 72, 8, 0.7)
    assert shown.shape == (64, 1, 48, 72)
    blocks = shown.unfold(2, 8, 8).unfold(3, 8, 8).flatten(-2)
    assert torch.equal(blocks.all(-1), blocks.any(-1))
    share = float(shown.float().mean())
    deviation = math.sqrt(0.7 * 0.3 / (64 * 6 * 9))
    assert abs(share - 0.3) < 4 * deviation
    assert not torch.equal(shown[0], shown[1])
    assert shown_blocks(1, 30, 45, 8, 0.5).shape == (1, 1, 30, 45)


def test_a_block_as_large_as_the_frame_is_refused_before_anything_is_stepped():
    method = build("mic", mask_block=64)
    before = [p.clone() for p in method.segmenter.parameters()]
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*mask_block=64"):
        Engine(FABRIC, method).step(*random_batches(0), 0)
    assert all(torch.equal(a, b) for a, b in zip(before, method.segmenter.parameters(), strict=True))


def test_the_teacher_is_the_mean_of_the_students_weights():
    method = build("mean-teacher")
    engine, history = Engine(FABRIC, method), []
    for step in range(4):
        torch.manual_seed(step)
        engine.step(*random_batches(step), step)
        history.append([p.detach().clone() for p in method.segmenter.parameters()])
    initial = [p.detach() for p in build("mean-teacher").segmenter.parameters()]
    for index, teacher in enumerate(method.adapted().parameters()):
        mean = (initial[index] + sum(weights[index] for weights in history)) / 5
        assert torch.allclose(teacher, mean, atol=1e-6)


@pytest.mark.parametrize("says", [0, 1])
def test_the_student_learns_what_the_teacher_says_on_its_own_view(says):
    method = build("mean-teacher", pseudo_threshold=0.0)
    with torch.no_grad():
        method.teacher.main.bias.copy_(torch.tensor([50.0, -50.0]) * (1 - 2 * says))
    source, target = random_batches(0)
    torch.manual_seed(3)
    report = Engine(FABRIC, method).step(source, target, 0)
    again = build("mean-teacher")
    torch.manual_seed(3)
    again.segmenter(source.images)  # draws the same dropout
    logits = again.segmenter(student_view(target.images)).logits["main"]
    logits = F.interpolate(logits, size=(64, 64), mode="bilinear", align_corners=True)
    expected = F.cross_entropy(logits, torch.full((2, 64, 64), says)) / 2  # one class of two
    assert report.losses["segmenter"]["pseudo_label"] == pytest.approx(expected.item(), rel=1e-5)
    assert all(p.grad is None for p in method.teacher.parameters())


def test_an_unsure_teacher_teaches_nothing():
    method = build("mean-teacher", pseudo_threshold=0.999)  # a fresh network is nowhere that sure
    report = Engine(FABRIC, method).step(*random_batches(0), 0)
    assert report.losses["segmenter"]["pseudo_label"] == 0


def test_checkpoints_hand_out_the_teacher_and_resume_the_student(tmp_path):
    method = build("mean-teacher")
    engine = Engine(FABRIC, method)
    for step in range(3):
        engine.step(*random_batches(step), step)
        checkpoint = save_checkpoint(tmp_path, method, step + 1)
    assert checkpoint.segmenter.name == "teacher.safetensors"
    thin_out(tmp_path, keep_segmenters=True, every=1)
    assert [path.name for path in sorted((tmp_path / "step-000001").iterdir())] == [
        "checkpoint.json",
        "checksums.sha256",
        "teacher.safetensors",
    ]
    assert all(checkpoint.segmenter.is_file() for checkpoint in list_checkpoints(tmp_path))
    resumed = build("mean-teacher", seed=3)
    load_checkpoint(list_checkpoints(tmp_path)[-1], resumed)
    for mine, theirs in ((method.segmenter, resumed.segmenter), (method.teacher, resumed.teacher)):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))


def test_the_teacher_remembers_a_fraction_of_the_training():
    alphas = [method_options("mean-teacher", {}).alpha(steps) for steps in (10, 100, 500, 100_000)]
    assert alphas == pytest.approx([0.9, 0.95, 0.99, 0.999])
    assert method_options("mean-teacher", {"ema_alpha": 0.5}).alpha(500) == 0.5


def test_hidden_blocks_are_an_eighth_of_the_side_unless_asked_otherwise(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "polypda.methods.mean_teacher.shown_blocks",
        lambda *arguments: asked.append(arguments[3]) or shown_blocks(*arguments),
    )
    for options in ({}, {"mask_block": 16}):
        Engine(FABRIC, build("mic", **options)).step(*random_batches(0), 0)
    assert asked == [8, 16]


SIDE = 32


def disc(row: int, column: int, radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def batch_of(*masks: torch.Tensor) -> LabelledBatch:
    count = len(masks)
    valid = torch.ones(count, 1, SIDE, SIDE, dtype=torch.bool)
    images = torch.full((count, 3, SIDE, SIDE), 0.9)
    return LabelledBatch(images, valid, ("s",) * count, torch.stack(masks).long())


def test_one_of_two_polyps_is_taken_and_either_can_be():
    left, right = disc(8, 8, 3), disc(22, 22, 4)
    taken = set()
    for seed in range(20):
        torch.manual_seed(seed)
        (region,) = pasted_regions(batch_of(left | right), 0.0)[:, 0]
        taken.add("left" if torch.equal(region, left) else "right" if torch.equal(region, right) else "other")
    assert taken == {"left", "right"}


def test_the_margin_is_a_fraction_of_the_polyps_size():
    polyp = disc(16, 16, 5)
    (region,) = pasted_regions(batch_of(polyp), 0.3)[:, 0]
    margin = 0.3 * float(polyp.sum()) ** 0.5
    assert torch.equal(region & polyp, polyp)
    y, x = torch.nonzero(region & ~polyp, as_tuple=True)
    inside = torch.nonzero(polyp).float()
    distances = torch.cdist(torch.stack([y, x], 1).float(), inside).min(dim=1).values
    assert len(y) and distances.max() <= margin
    outside = torch.cdist(torch.nonzero(~region).float(), inside).min(dim=1).values
    assert outside.min() > margin


def test_nothing_is_pasted_without_a_polyp_or_from_pixels_that_do_not_count():
    empty, polyp = torch.zeros(SIDE, SIDE), disc(16, 16, 6).long()
    assert not pasted_regions(batch_of(empty), 0.5).any()
    batch = batch_of(polyp)
    batch.masks[:, :12] = IGNORED
    batch.valid[..., 20:] = False
    region = pasted_regions(batch, 0.5)
    assert region.any() and not region[..., :12, :].any() and not region[..., 20:].any()


@pytest.mark.parametrize("teacher_says", [0, 1])
def test_mixed_frames_have_the_sources_pixels_and_labels_inside_and_the_targets_outside(monkeypatch, teacher_says):
    seen = {}
    monkeypatch.setattr(mean_teacher, "student_view", lambda images: seen.setdefault("images", images))
    original = mean_teacher.weighted_cross_entropy

    def record(logits, labels, weights):
        seen.update(labels=labels, weights=weights)
        return original(logits, labels, weights)

    monkeypatch.setattr(mean_teacher, "weighted_cross_entropy", record)
    torch.manual_seed(0)
    segmenter = TinySegmenter()
    teacher = make_teacher(segmenter)
    with torch.no_grad():  # of a known opinion, not sure enough to count: every frame's weight is 0
        teacher.main.weight.zero_()
        teacher.main.bias.copy_(torch.tensor([0.0, 1.0 if teacher_says else -1.0]))
    polyp = disc(16, 16, 5)
    source = batch_of(polyp, torch.zeros(SIDE, SIDE))
    target = UnlabelledBatch(torch.full((2, 3, SIDE, SIDE), 0.2), torch.ones(2, 1, SIDE, SIDE).bool(), ("a", "b"))
    target.valid[..., :2] = False
    options = PolypMixOptions(mix_margin=0.2)
    (term,) = PolypMixTerm(options, segmenter).on_own_forward(TargetView(source, target, segmenter, teacher, 0))
    region = pasted_regions(source, 0.2)[:, 0]
    assert torch.equal(seen["images"][0, 0] > 0.5, region[0]) and not (seen["images"][1] > 0.5).any()
    inside = region[0]
    assert torch.equal(seen["labels"][0][inside], polyp.long()[inside])
    outside = ~inside
    outside[:, :2] = False
    assert (seen["labels"][0][outside] == teacher_says).all() and (seen["labels"][:, :, :2] == IGNORED).all()
    assert (seen["weights"][0][inside] == 1).all() and not seen["weights"][0][~inside].any()
    assert not seen["weights"][1].any()
    assert term.value.requires_grad and term.value > 0


def test_frames_with_hidden_blocks_move_no_running_statistic():
    moved = {}
    for name in ("source-only", "mic", "mean-teacher"):
        method = build(name)
        Engine(FABRIC, method).step(*random_batches(0), 0)
        moved[name] = method.modules()["segmenter"].first[1].running_mean
    assert torch.equal(moved["mic"], moved["source-only"]) and not torch.equal(moved["mean-teacher"], moved["mic"])
