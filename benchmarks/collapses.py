"""How many seeded collapses the watch catches, and how many healthy trainings it stops.

    python benchmarks/collapses.py            # each collapse once, twenty healthy trainings
    python benchmarks/collapses.py --healthy 6 --steps 80

Trainings are real stages on small painted frames, one thread. A collapse is seeded at a fifth of the steps: something
is done to the game from there on, and nothing to the watch. Caught: the watch stopped the training, and says why.
Healthy: methods and seeds as they come; one that is stopped is counted against the watch.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.painted import write_frames

from polypda.data.cache import ConstantPixels, FrameCache, NetworkGrid
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.weights import save_module
from polypda.training import stage as stages
from polypda.training.config import Compute, DataConfig, StageConfig
from polypda.training.engine import Engine
from polypda.training.stage import Stage, run_stage, stopped_by_collapse

SPEC = SegmenterSpec(architecture="fpn", encoder="tu-mobilenetv3_small_050", levels=1,
                     decoder={"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32})  # fmt: skip
ADVERSARIAL = {"discriminator_width": 4, "discriminator_layers": 3}
HEALTHY = ("adaptsegnet", "minent", "advent", "mean-teacher", "adda")
SIZE, START_STEPS, MOST_CERTAIN = 64, 60, 50
Seed = Callable[[Engine, int], None]


def _head(engine: Engine) -> torch.nn.Conv2d:
    head = engine.method.segmenter.segmentation_head
    return [part for part in head.modules() if isinstance(part, torch.nn.Conv2d)][-1]


def no_polyp(engine: Engine, _step: int) -> None:
    with torch.no_grad():
        _head(engine).bias += torch.tensor([1.0, -1.0])


def certain(engine: Engine, _step: int) -> None:
    with torch.no_grad():
        if _head(engine).weight.abs().max() < MOST_CERTAIN:
            _head(engine).weight *= 1.5
            _head(engine).bias *= 1.5


def forgetting(engine: Engine, _step: int) -> None:
    with torch.no_grad():
        for value in engine.method.segmenter.parameters():
            value += 0.15 * value.std().nan_to_num(0.0) * torch.randn_like(value)


def dead(engine: Engine, _step: int) -> None:
    with torch.no_grad():
        for name, values in engine.parameters.items():
            for value in values if name != "segmenter" else ():
                value.zero_()


def all_knowing(engine: Engine, _step: int) -> None:
    engine.told_accuracy = 1.0


def flat(engine: Engine, _step: int) -> None:
    engine.told_scale = 1e-9


@dataclass(frozen=True)
class Collapse:
    """seed: done before every step from a fifth on. pseudo: what pseudo-labels say throughout."""

    name: str
    seed: Seed | None
    method: str = "adaptsegnet"
    pseudo: int | None = None


COLLAPSES = (
    Collapse("foreground share", no_polyp),
    Collapse("discriminator dead", dead),
    Collapse("discriminator all-knowing", all_knowing),
    Collapse("entropy 0", certain, "minent"),
    Collapse("source drop", forgetting, "minent"),
    Collapse("generator flat", flat),
    Collapse("pseudo-labels empty", None, "adaptsegnet+self-training", 0),
    Collapse("pseudo-labels flooding", None, "adaptsegnet+self-training", 1),
)


class SeededEngine(Engine):
    """The engine, to whose game something is done from a step on."""

    seed: Seed | None = None
    begins = 0
    told_accuracy: float | None = None
    told_scale = 1.0

    def step(self, source, target, step):
        if type(self).seed is not None and step >= self.begins:
            type(self).seed(self, step)
        report = super().step(source, target, step)
        if self.told_accuracy is not None:
            report.fractions_put_right = {name: [self.told_accuracy] for name in report.fractions_put_right}
        return report

    def _differentiate(self, losses):
        if self.told_scale != 1.0:
            scaled = [replace(term, weight=term.weight * self.told_scale) for term in losses.get("segmenter", ())]
            losses = {name: scaled if name == "segmenter" else terms for name, terms in losses.items()}
        super()._differentiate(losses)


@contextmanager
def seeded(seed: Seed | None, begins: int) -> Iterator[None]:
    former = stages.Engine
    stages.Engine = type("Seeded", (SeededEngine,), {"seed": staticmethod(seed) if seed else None, "begins": begins})
    try:
        yield
    finally:
        stages.Engine = former


class Bench:
    """Painted frames, and a start that has learnt to segment them a little."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, steps
        cache = FrameCache(folder / "cache", NetworkGrid(SIZE))
        self.source = cache.labelled(write_frames(folder / "source", 24, cohort="source"))
        self.target = cache.unlabelled(write_frames(folder / "target", 24, cohort="target", tint=(150, 130, 60)))
        torch.manual_seed(0)
        save_module(build_segmenter(SPEC), folder / "initial.safetensors")
        start = self.stage("start", "source-only", START_STEPS, 0, folder / "initial.safetensors")
        run_stage(start, self.compute)
        self.start = start.final_segmenter

    compute = Compute(device="cpu", threads=1)

    def stage(self, name: str, method: str, steps: int, seed: int, initial: Path | None = None, pseudo=None) -> Stage:
        known = ADVERSARIAL if method.startswith(("adaptsegnet", "advent")) else {}
        rates = {} if method == "adda" else {"learning_rate": 5e-3 if method == "source-only" else 1e-3}
        config = {
            "method": method,
            "options": known | rates,
            "steps": steps,
            "checkpoint_every": max(10, steps // 4),
            "batch_norm": BatchNormPolicy.TRAIN if method == "source-only" else BatchNormPolicy.FROZEN,
        }
        target = self.target
        if pseudo is not None:
            target = target.with_pseudo_labels(range(len(target)), ConstantPixels(pseudo, (SIZE, SIZE)))
        return Stage(
            name=name, folder=self.folder / name, config=StageConfig.model_validate(config), network=SPEC,
            data=DataConfig.model_validate({"size": SIZE, "batch_size": 4}), seed=seed, labelled=self.source,
            target=target, initial=initial or self.start,
        )  # fmt: skip

    def collapsed(self, one: Collapse) -> str:
        """What stopped a seeded training; "" where nothing did."""
        stage = self.stage(one.name.replace(" ", "-"), one.method, self.steps, 1, pseudo=one.pseudo)
        with seeded(one.seed, self.steps // 5):
            run_stage(stage, self.compute)
        return stopped_by_collapse(stage.folder)

    def healthy(self, method: str, seed: int) -> str:
        stage = self.stage(f"{method}-{seed}", method, self.steps, seed)
        run_stage(stage, self.compute)
        return stopped_by_collapse(stage.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="of each training")
    parser.add_argument("--healthy", type=int, default=20, help="how many healthy trainings")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.steps)
        caught = 0
        for one in COLLAPSES:
            told = bench.collapsed(one)
            caught += bool(told)
            print(f"{one.name}: {told or 'NOT CAUGHT'}", flush=True)
        stopped = 0
        for number in range(given.healthy):
            method, seed = HEALTHY[number % len(HEALTHY)], number // len(HEALTHY)
            told = bench.healthy(method, seed)
            stopped += bool(told)
            print(f"healthy {method}, seed {seed}: {told or 'went to its end'}", flush=True)
    print(f"{caught}/{len(COLLAPSES)} seeded collapses caught; {stopped}/{given.healthy} healthy trainings stopped.")


if __name__ == "__main__":
    main()
