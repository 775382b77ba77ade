"""A sum of methods in a real stage: resumed bit for bit, and what is used afterwards is the teacher."""

import pytest
import torch
from safetensors.torch import load_file
from support.painted import write_frames

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.errors import DataError
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.networks.registry import SegmenterSpec, build_segmenter, load_segmenter
from polypda.networks.weights import save_module
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import Compute, DataConfig, StageConfig
from polypda.training.progress import Silent
from polypda.training.stage import Stage, run_stage

SPEC = SegmenterSpec(architecture="deeplabv3plus", encoder="tu-mobilenetv3_small_050", levels=2)
NAME = "adaptsegnet+fda+polyp-mix+size-constraint"
OPTIONS = {"discriminator_width": 4, "discriminator_layers": 3, "learning_rate": 1e-2, "robust_entropy_from": 1}


class Crash(Silent):
    """Dies after a step, like a power cut: whatever was not saved is lost."""

    def __init__(self, after: int) -> None:
        self.after = after

    def advance(self, done, report):
        if done > self.after:
            raise KeyboardInterrupt


@pytest.fixture
def stage_of(tmp_path):
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    source = cache.labelled(write_frames(tmp_path / "source", 6, cohort="source"))
    targets = write_frames(tmp_path / "target", 6, cohort="target", tint=(150, 130, 60))
    torch.manual_seed(0)
    save_module(build_segmenter(SPEC), tmp_path / "initial.safetensors")

    def make(folder: str, count: int = 6) -> Stage:
        return Stage(
            name=NAME,
            folder=tmp_path / folder,
            config=StageConfig(
                method=NAME, options=OPTIONS, steps=3, checkpoint_every=1, batch_norm=BatchNormPolicy.FROZEN
            ),
            network=SPEC,
            data=DataConfig(size=64, batch_size=2),
            seed=3,
            labelled=source,
            target=cache.unlabelled(targets[:count]),
            initial=tmp_path / "initial.safetensors",
        )

    return make


def test_resuming_is_bit_exact_and_the_teacher_is_handed_out(stage_of):
    compute = Compute(device="cpu", threads=1)
    whole, cut = stage_of("whole"), stage_of("cut")
    run_stage(whole, compute)
    with pytest.raises(KeyboardInterrupt):
        run_stage(cut, compute, Crash(after=1))
    run_stage(cut, compute)
    ends = [list_checkpoints(stage.folder)[-1].folder for stage in (whole, cut)]
    names = sorted(path.name for path in ends[0].glob("*.safetensors"))
    assert "teacher.safetensors" in names and "size_priors.safetensors" in names
    for name in names:
        one, other = (load_file(end / name) for end in ends)
        assert all(torch.equal(value, other[key]) for key, value in one.items()), name
    assert whole.final_segmenter.name == "teacher.safetensors"
    adapted = load_segmenter(SPEC, whole.final_segmenter)
    student = load_file(ends[0] / "segmenter.safetensors")
    assert any(not torch.equal(value, student[key]) for key, value in adapted.state_dict().items())


def test_a_target_of_one_frame_is_refused_before_the_first_step(stage_of):
    stage = stage_of("single", count=1)
    with pytest.raises(DataError, match="E_TARGET_FRAMES"):
        run_stage(stage, Compute(device="cpu", threads=1))
    assert not list_checkpoints(stage.folder)
