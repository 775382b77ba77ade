"""FCAN's representation part: counts of its discriminator, the reversed gradient, the two stages, bad input."""

import pytest
import torch
from lightning_fabric import Fabric
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter, random_batches
from torch import nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.data.cache import FrameCache, NetworkGrid
from polypda.errors import DataError, UsageError
from polypda.methods.adversary import domain_loss
from polypda.methods.contract import SEGMENTER, Domain
from polypda.methods.fcan import FCAN, FCANOptions
from polypda.methods.segmentation import SegmentationLoss, image_size_logits, segmentation_loss
from polypda.networks.discriminators import AsppDiscriminator, GridDiscriminator
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.segmenter import Prediction
from polypda.networks.weights import save_module
from polypda.training.config import AdaptConfig, Compute, DataConfig
from polypda.training.engine import Engine
from polypda.training.run_folder import RunFolder
from polypda.training.stage import build_method, run_stage
from polypda.workflows.runs.stages import StagePlan, TrainingData

SMALL = {"discriminator_width": 4, "seg_loss": "ce"}


def fcan(segmenter=None, **options) -> FCAN:
    torch.manual_seed(0)
    segmenter = segmenter or TinySegmenter(dropout=0.0).train()
    return FCAN(segmenter.double(), FCANOptions.model_validate(SMALL | options), steps=10)


def doubled(seed: int = 0) -> tuple[LabelledBatch, UnlabelledBatch]:
    return tuple(batch.to(torch.device("cpu"), torch.float64) for batch in random_batches(seed))


def gradients_of_one_step(method: FCAN, target: UnlabelledBatch | None = None, step: int = 0):
    """What the engine hands to each optimiser; nothing is stepped."""
    found: dict[str, list[torch.Tensor]] = {}
    for player in method.players():
        player.optimizer.step = lambda p=player: found.setdefault(p.name, [v.grad.clone() for v in p.parameters])
    method.discriminator.double()
    source, drawn = doubled()
    Engine(Fabric(accelerator="cpu", devices=1, precision="64-true"), method).step(source, target or drawn, step)
    return found


@pytest.mark.parametrize(
    ("channels", "parameters"), [(2048, 9_438_209), (1024, 4_719_617), (512, 2_360_321), (256, 1_180_673)]
)
def test_f1_parameter_counts_of_the_published_discriminator(channels, parameters):
    network = AsppDiscriminator(channels)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (11, 8)])
def test_f1_one_logit_per_cell_and_the_grid_stays(size):
    assert AsppDiscriminator(6, width=4)(torch.randn(2, 6, *size)).shape == (2, 1, *size)


def test_each_branch_sees_as_far_as_its_rate():
    network = AsppDiscriminator(1, width=1, rates=(1, 2, 3, 4))
    cell = torch.zeros(1, 1, 15, 15, requires_grad=True)
    network(cell)[0, 0, 7, 7].backward()
    rows = torch.nonzero(cell.grad[0, 0, :, 7]).flatten().tolist()
    assert rows == [3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_the_discriminator_is_no_linear_map():
    torch.manual_seed(0)
    network, x = AsppDiscriminator(3, width=4).double(), torch.randn(1, 3, 5, 5).double()
    zero = network(torch.zeros_like(x))
    assert not torch.allclose(network(x) - zero, -(network(-x) - zero))


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def test_f2_one_backward_with_a_reversed_gradient_is_the_same_game():
    method = fcan()
    found = gradients_of_one_step(method)

    reference = fcan()
    reference.discriminator.double()
    source, target = doubled()
    total = torch.zeros((), dtype=torch.float64)
    for batch, domain in ((source, Domain.SOURCE), (target, Domain.TARGET)):
        prediction = reference.segmenter(batch.images)
        if domain is Domain.SOURCE:
            logits = image_size_logits(prediction, batch)
            total = total + 5 * segmentation_loss(logits["main"], batch.masks, SegmentationLoss.CE)
            total = total + 5 * 0.1 * segmentation_loss(logits["aux"], batch.masks, SegmentationLoss.CE)
        total = total + domain_loss(reference.discriminator(Reversed.apply(prediction.encoder[-1])), domain)
    total.backward()
    for player in reference.players():
        mine = torch.cat([g.flatten() for g in found[player.name]])
        theirs = torch.cat([p.grad.flatten() for p in player.parameters])
        assert theirs.norm() > 1e-3
        assert (mine - theirs).abs().max() <= 1e-15, player.name


def test_f3_the_segmenter_minimises_five_times_its_loss_minus_the_adversary():
    method = fcan()
    found = gradients_of_one_step(method)[SEGMENTER]
    source, target = doubled()
    reference = fcan()
    reference.discriminator.double()
    prediction = reference.segmenter(source.images)
    logits = image_size_logits(prediction, source)
    z_source = reference.discriminator(prediction.encoder[-1])
    z_target = reference.discriminator(reference.segmenter(target.images).encoder[-1])
    # D = σ(z) is the probability of the target
    adversarial = -(z_target.sigmoid().log().mean()) - (1 - z_source.sigmoid()).log().mean()
    supervised = sum(
        w * segmentation_loss(logits[level], source.masks, SegmentationLoss.CE)
        for level, w in (("main", 1), ("aux", 0.1))
    )
    by_hand = torch.autograd.grad(5 * supervised - adversarial, reference.players()[0].parameters)
    for mine, theirs in zip(found, by_hand, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-14)


def test_f3_the_source_only_stage_knows_no_discriminator_and_leaves_it_as_it_was(tmp_path):
    """Through the plan of a run: whatever the first stage made of F, the second begins with the very same D."""
    spec = SegmenterSpec(architecture="deeplabv3plus", encoder="tu-mobilenetv3_small_050")
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    frames = write_frames(tmp_path / "frames", 4)
    data = TrainingData("", cache.labelled(frames), cache.labelled(frames), cache.unlabelled(frames))
    save_module(build_segmenter(spec), tmp_path / "initial.safetensors")
    begun = {}
    for steps in (1, 3):
        config = AdaptConfig(
            source="zju2", target="haining", method="fcan", preset="quick", phantom=False, network=spec,
            data=DataConfig(size=64, batch_size=2), start_steps=steps, adapt_steps=1,
            options={"discriminator_width": 4}, compute=Compute(device="cpu", threads=1),
        )  # fmt: skip
        run = RunFolder.create(tmp_path / f"run-{steps}", config)
        plan = StagePlan(config, run, data, tmp_path / "initial.safetensors")
        first = plan.start()
        assert set(build_method(first).modules()) == {SEGMENTER}
        run_stage(first, config.compute)
        begun[steps] = build_method(plan.method(first.final_segmenter)).modules()
    one, three = ({name: module.state_dict() for name, module in begun[steps].items()} for steps in (1, 3))
    assert all(torch.equal(value, three["discriminator"][key]) for key, value in one["discriminator"].items())
    assert any(not torch.equal(value, three[SEGMENTER][key]) for key, value in one[SEGMENTER].items())


def test_dividing_both_weights_by_five_is_the_same_game_at_a_fifth_of_the_gradient():
    published = gradients_of_one_step(fcan())[SEGMENTER]
    divided = gradients_of_one_step(fcan(lambda_seg=1, lambda_adv=0.2))[SEGMENTER]
    for five, one in zip(published, divided, strict=True):
        assert torch.allclose(five, 5 * one, rtol=1e-10, atol=1e-14)


def test_the_ramp_silences_the_adversary_at_first():
    silent = gradients_of_one_step(fcan(ramp=10), step=0)[SEGMENTER]
    supervised = gradients_of_one_step(fcan(lambda_adv=0))[SEGMENTER]
    assert all(torch.equal(a, b) for a, b in zip(silent, supervised, strict=True))
    half = gradients_of_one_step(fcan(ramp=10), step=5)[SEGMENTER]
    expected = gradients_of_one_step(fcan(lambda_adv=0.5))[SEGMENTER]
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(half, expected, strict=True))


def test_permitted_target_labels_add_their_loss_and_unlabelled_frames_nothing():
    _, target = doubled()
    masks = (target.images[:, 0] > 0.7).long()
    labelled = LabelledBatch(target.images, target.valid, target.frames, masks)
    plain = gradients_of_one_step(fcan())[SEGMENTER]
    trained_on = gradients_of_one_step(fcan(lambda_target_seg=2.0), labelled)[SEGMENTER]
    assert any(not torch.equal(a, b) for a, b in zip(plain, trained_on, strict=True))
    unknown = LabelledBatch(target.images, target.valid, target.frames, torch.full_like(masks, 255))
    untaught = gradients_of_one_step(fcan(lambda_target_seg=2.0), unknown)[SEGMENTER]
    assert all(torch.allclose(a, b, atol=1e-15) for a, b in zip(plain, untaught, strict=True))


class Frames:
    def __init__(self, target_frames: int = 2):
        self.target_frames = target_frames

    def source(self):
        yield random_batches(0)[0]

    def target(self):
        if self.target_frames:
            yield random_batches(0, batch=self.target_frames)[1]


def test_target_labels_without_permission_are_refused_before_the_first_step():
    fcan().prepare(Frames())
    with pytest.raises(UsageError, match="E_TARGET_LABELS"):
        fcan(lambda_target_seg=1.0).prepare(Frames())


@pytest.mark.parametrize("frames", [0, 1])
def test_a_target_of_one_frame_is_refused(frames):
    with pytest.raises(DataError, match=f"E_TARGET_FRAMES.*{frames} training frame"):
        fcan().prepare(Frames(frames))


class WithoutEncoderMaps(TinySegmenter):
    def forward(self, images):
        whole = super().forward(images)
        return Prediction(whole.logits, whole.features)


def test_a_missing_tap_is_refused_and_another_tap_works():
    with pytest.raises(UsageError, match="E_FEATURE_TAP"):
        fcan(WithoutEncoderMaps())
    assert fcan(WithoutEncoderMaps(), tap="decoder").discriminator.in_channels == 12
    assert fcan(tap="logits").discriminator.in_channels == 2


@pytest.mark.parametrize("wrong", [{"in_channels": 0}, {"in_channels": 2, "width": 0}, {"in_channels": 2, "rates": ()}])
def test_impossible_discriminators_are_refused(wrong):
    with pytest.raises(UsageError, match="E_DISCRIMINATOR:"):
        AsppDiscriminator(**wrong)
    with pytest.raises(UsageError, match="E_DISCRIMINATOR_INPUT"):
        AsppDiscriminator(3)(torch.zeros(1, 4, 5, 5))
    with pytest.raises(UsageError, match="E_DISCRIMINATOR_INPUT"):
        GridDiscriminator(3)(torch.zeros(1, 4, 5, 5))


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("unet", "tu-mobilenetv3_small_050"), ("segformer", "tu-mobilenetv3_small_050"), ("pspnet", "mobilenet_v2")],
)
def test_any_encoder_plays(architecture, encoder):
    segmenter = build_segmenter(SegmenterSpec(architecture=architecture, encoder=encoder, levels=1)).train()
    method = FCAN(segmenter, FCANOptions.model_validate(SMALL), steps=2)
    report = Engine(Fabric(accelerator="cpu", devices=1), method).step(*random_batches(0), 0)
    assert report.gradient_norms["discriminator"] > 0 and isinstance(method.discriminator.branches[0], nn.Conv2d)
