"""Features that stand for source frames: written once, refused with other weights, enough for ADDA's second stage."""

import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import DataError
from polypda.methods.contract import SEGMENTER
from polypda.methods.registry import method_class, method_options
from polypda.methods.source_features import load_source_features, save_source_features
from polypda.networks.taps import FeatureTap
from polypda.networks.weights import save_module
from polypda.training.checkpoints import list_checkpoints, load_checkpoint, save_checkpoint
from polypda.training.engine import Engine


def model(seed: int = 0) -> TinySegmenter:
    torch.manual_seed(seed)
    return TinySegmenter()


def frames(count: int = 6, size: int = 64) -> list[UnlabelledBatch]:
    return [random_batches(10 + number, size=size)[0] for number in range(count // 2)]


def build(path, segmenter=None, **options):
    values = {"discriminator_width": 6, "gate": 0.0, "source_features": path} | options
    return method_class("adda")(segmenter or model(), method_options("adda", values), steps=5)


def play(method, steps: int, *, start: int = 0, source=None):
    engine = Engine(Fabric(accelerator="cpu", devices=1), method)
    for step in range(start, start + steps):
        torch.manual_seed(step)  # as the training loop seeds every step
        labelled, target = random_batches(step)
        report = engine.step(source or labelled, target, step)
    return report


def state(method) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": v.clone() for n, m in method.modules().items() for k, v in m.state_dict().items()}


@pytest.fixture
def bank(tmp_path):
    path = tmp_path / "source_features.safetensors"
    assert save_source_features(model(), frames(), path) == 6
    return path


def test_features_are_those_of_the_model_in_evaluation_mode_and_its_modes_are_kept(tmp_path):
    segmenter = model().train()
    segmenter.second[1].eval()
    save_source_features(segmenter, frames(2), tmp_path / "bank.safetensors", FeatureTap.LOGITS)
    assert segmenter.training and segmenter.first[1].training and not segmenter.second[1].training
    stored = load_source_features(tmp_path / "bank.safetensors", segmenter, FeatureTap.LOGITS)
    with torch.no_grad():
        expected = segmenter.eval()(frames(2)[0].images).logits["main"]
    assert torch.equal(stored.features, expected)
    assert stored.cells.shape == (2, 16, 16) and stored.cells.all()


def test_black_corners_are_remembered(tmp_path):
    batch = frames(2)[0]
    batch.valid[:, :, :32] = False
    save_source_features(model(), [batch], tmp_path / "bank.safetensors")
    stored = load_source_features(tmp_path / "bank.safetensors", model(), FeatureTap.BOTTLENECK)
    assert not stored.cells[:, :8].any() and stored.cells[:, 8:].all()


def test_the_second_stage_needs_no_source_frame(bank):
    """Source images and masks of NaN and nonsense change nothing: they are not looked at."""
    one, other = build(bank), build(bank)
    assert not one.plays_on_source and build(None).plays_on_source
    labelled = random_batches(0)[0]
    gone = LabelledBatch(torch.full((2, 3, 64, 64), float("nan")), labelled.valid, ("", ""), labelled.masks - 9)
    torch.manual_seed(0)
    play(one, 3)
    play(other, 3, source=gone)
    assert all(torch.equal(value, state(other)[key]) for key, value in state(one).items())
    before = state(build(bank))
    assert any(not torch.equal(before[key], value) for key, value in state(one).items() if key.startswith(SEGMENTER))


def test_features_give_the_step_that_the_frames_would_have_given(tmp_path):
    """One frame in the bank and in the batch: the same discriminator loss, drawn or computed."""
    labelled, target = (
        type(batch)(**{key: value if value is None else value[:1] for key, value in vars(batch).items()})
        for batch in random_batches(0)
    )
    path = tmp_path / "bank.safetensors"
    save_source_features(model(), [labelled], path)
    reports = []
    for source_features in (path, None):
        method = build(source_features, model())
        method.discriminator.load_state_dict(build(None, model()).discriminator.state_dict())
        engine = Engine(Fabric(accelerator="cpu", devices=1), method)
        torch.manual_seed(0)
        reports.append(engine.step(labelled, target, 0).losses["discriminator"]["d_source"])
    assert reports[0] == pytest.approx(reports[1], rel=1e-6)


def test_resuming_with_features_is_bit_exact(bank, tmp_path):
    torch.manual_seed(1)
    whole = build(bank)
    play(whole, 4)
    first = build(bank)
    play(first, 2)
    save_checkpoint(tmp_path / "stage", first, 2)
    resumed = build(bank)
    load_checkpoint(list_checkpoints(tmp_path / "stage")[-1], resumed)
    play(resumed, 2, start=2)
    assert all(torch.equal(value, state(resumed)[key]) for key, value in state(whole).items())


def test_frames_are_drawn_by_the_step_and_all_of_them_in_the_end(bank):
    stored = load_source_features(bank, model(), FeatureTap.BOTTLENECK)
    like = torch.zeros(1, dtype=torch.float64)
    drawn = []
    for step in (3, 3, 4):
        torch.manual_seed(step)
        drawn.append(stored.draw(4, like)[0])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert drawn[0].dtype is torch.float64
    seen = {index for _ in range(50) for frame in stored.draw(4, like)[0] for index in _place_of(frame, stored)}
    assert seen == set(range(6))


def _place_of(frame, stored):
    return [index for index in range(len(stored)) if torch.equal(stored.features[index].double(), frame)]


def test_features_of_other_weights_or_another_tap_are_refused(bank):
    with pytest.raises(DataError, match=r"E_SOURCE_FEATURES.*another model"):
        build(bank, model(1))
    with pytest.raises(DataError, match=r"E_SOURCE_FEATURES.*tap 'bottleneck', not 'logits'"):
        build(bank, tap="logits")


def test_files_that_hold_no_features_are_refused(tmp_path):
    weights = tmp_path / "weights.safetensors"
    save_module(model(), weights)
    with pytest.raises(DataError, match=r"E_SOURCE_FEATURES weights.safetensors.*no file of source features"):
        build(weights)
    with pytest.raises(DataError, match="E_WEIGHTS_MISSING"):
        build(tmp_path / "none.safetensors")


def test_features_that_are_not_finite_are_refused(tmp_path):
    batch = frames(2)[0]
    batch.images[0, 0, 0, 0] = float("nan")
    save_source_features(model(), [batch], tmp_path / "bank.safetensors")
    with pytest.raises(DataError, match=r"E_SOURCE_FEATURES.*not finite"):
        build(tmp_path / "bank.safetensors")


def test_no_frame_and_frames_of_different_sizes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"E_SOURCE_FEATURES.*no source frame"):
        save_source_features(model(), [], tmp_path / "bank.safetensors")
    with pytest.raises(DataError, match=r"E_SOURCE_FEATURES.*different sizes"):
        save_source_features(model(), frames(2) + frames(2, size=32), tmp_path / "bank.safetensors")
    assert not (tmp_path / "bank.safetensors").exists()
