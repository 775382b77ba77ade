"""What a training step costs: frames per CPU second, each part's share of a step, peak memory; and against a revision.

    python benchmarks/step_cost.py steps                  # AdaptSegNet on the cases a and b, with shares
    python benchmarks/step_cost.py steps b --steps 5
    python benchmarks/step_cost.py methods                # source training and every method at 128, 192 and 256 px
    python benchmarks/step_cost.py against REVISION       # case b at 192 px, here and there in turn, with the ratio

(a) DeepLab-v2 ResNet-101, 256², batch 1+1, multi-level, published optimisers.
(b) DeepLabV3+-MobileNetV2, batch 4+4, multi-level, at 128², 192² and 256².

The steps are those of a real stage: painted frames from a cache, augmented, the stage's networks, its event log; one
thread. Each measurement runs in a process of its own (its peak memory is then its own); the first step is not counted.
Parts: what the names say; `network` is the segmenter forward and backward with the losses, `bookkeeping` what is left
(rates, finite checks, gradient norms, event log, moving batches).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
SIZES = {"a": (256,), "b": (128, 192, 256)}
NAMES = {"a": "DeepLab-v2 R101, 1+1", "b": "DeepLabV3+ MobileNetV2, 4+4"}
AGAINST_SIZE = {"a": 256, "b": 192}
METHODS = ("source-only", "adaptsegnet", "advent", "fcan", "fcn-wild", "adda", "lsd", "minent", "mean-teacher", "mic")
PARTS = ("loading", "augmentation", "network", "discriminators", "optimisers", "bookkeeping")
FRAMES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["steps", "methods", "against", "measure"])
    parser.add_argument("argument", nargs="*", help="a case (steps), methods (methods), a git revision (against)")
    parser.add_argument("--case", choices=["a", "b"], default="b", help="of methods and against")
    parser.add_argument("--size", type=int, help="network input in px, for one size only")
    parser.add_argument("--steps", type=int, default=6, help="counted steps of a measurement")
    parser.add_argument("--pairs", type=int, default=3, help="measurements of each side (against)")
    given = parser.parse_args()
    if given.what == "measure":
        method, case = given.argument
        print(json.dumps(measure(method, case, given.size, given.steps)))
    elif given.what == "steps":
        print("| case | CPU s per step (median, range) | frames per CPU s | peak GiB | " + " / ".join(PARTS) + " |")
        print("|---|---|---|---|---|")
        for case in given.argument or SIZES:
            for size in [given.size] if given.size else SIZES[case]:
                print(step_row(case, size, measured(HERE, "adaptsegnet", case, size, given.steps)), flush=True)
    elif given.what == "methods":
        sizes = [given.size] if given.size else SIZES[given.case]
        print(
            f"{NAMES[given.case]}: frames per CPU second\n\n| method | " + " | ".join(f"{s} px" for s in sizes) + " |"
        )
        print("|---|" + "---|" * len(sizes))
        for method in given.argument or METHODS:
            rates = [measured(HERE, method, given.case, size, given.steps)["frames_per_cpu_s"] for size in sizes]
            print(f"| {method} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |", flush=True)
    else:
        compare(given.argument[0], given.case, given.size or AGAINST_SIZE[given.case], given.steps, given.pairs)


def step_row(case: str, size: int, m: dict) -> str:
    spread = f"{m['cpu_s']:.2f} ({min(m['steps']):.2f}–{max(m['steps']):.2f})"
    shares = " / ".join(f"{m['shares'][part]:.1%}" for part in PARTS)
    return (
        f"| ({case}) {NAMES[case]}, {size}² | {spread} | {m['frames_per_cpu_s']:.1f} | {m['peak_gib']:.2f} | {shares} |"
    )


def compare(revision: str, case: str, size: int, steps: int, pairs: int) -> None:
    """Measure another revision and this tree in turn, and print the ratio of the medians."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision, "polypda"], cwd=HERE, capture_output=True, check=True)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        found: dict[str, list[dict]] = {"there": [], "here": []}
        for _ in range(pairs):
            for side, tree in (("there", Path(folder)), ("here", HERE)):
                found[side].append(measured(tree, "adaptsegnet", case, size, steps))
    medians = {side: statistics.median(s for m in runs for s in m["steps"]) for side, runs in found.items()}
    peaks = {side: max(m["peak_gib"] for m in runs) for side, runs in found.items()}
    pairwise = [here["cpu_s"] / there["cpu_s"] for there, here in zip(found["there"], found["here"], strict=True)]
    print(f"({case}) {NAMES[case]}, {size} px, AdaptSegNet, {pairs} × {steps} steps in turn, one thread")
    print(f"{revision}: {medians['there']:.3f} CPU s per step, {peaks['there']:.2f} GiB")
    print(f"here: {medians['here']:.3f} CPU s per step, {peaks['here']:.2f} GiB")
    print(f"ratio {medians['here'] / medians['there']:.3f} (pairs: {', '.join(f'{r:.3f}' for r in pairwise)})")


def measured(tree: Path, method: str, case: str, size: int, steps: int) -> dict:
    """One measurement in a process of its own, with the package of a source tree."""
    command = [sys.executable, __file__, "measure", method, case, "--size", str(size), "--steps", str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tree)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, case: str, size: int, steps: int) -> dict:
    import torch

    from polypda.networks.batch_norm import BatchNormPolicy
    from polypda.networks.registry import SegmenterSpec, build_segmenter
    from polypda.networks.weights import save_module
    from polypda.training import stage as stages
    from polypda.training.config import Compute, DataConfig, StageConfig
    from polypda.training.engine import Engine, open_fabric
    from polypda.training.stage_batches import StagePreparation

    try:  # a revision before this module trains as its tensors happen to lie
        from polypda.networks.segmenter import channels_last
    except ImportError:
        channels_last = None

    fabric = open_fabric(Compute(device="cpu", threads=1))
    architecture, encoder = ("deeplab-v2", "resnet101") if case == "a" else ("deeplabv3plus", "mobilenet_v2")
    batch = 1 if case == "a" else 4
    with tempfile.TemporaryDirectory() as folder:
        spec = SegmenterSpec(architecture=architecture, encoder=encoder, levels=2)
        torch.manual_seed(0)
        save_module(build_segmenter(spec), Path(folder) / "initial.safetensors")
        policy = BatchNormPolicy.AFFINE_FROZEN if case == "a" else BatchNormPolicy.TRAIN
        stage = stages.Stage(
            name="cost",
            folder=Path(folder) / "stage",
            config=StageConfig(method=name, steps=1000, batch_norm=policy),
            network=spec,
            data=DataConfig(size=size, batch_size=batch),
            seed=0,
            labelled=painted(Path(folder), "source", size, labels=True),
            target=painted(Path(folder), "target", size, labels=False),
            initial=Path(folder) / "initial.safetensors",
        )
        method = stages.build_method(stage)
        for module in method.modules().values():
            module.to(fabric.device, torch.float32)
            if channels_last is not None:
                channels_last(module)
        method.prepare(StagePreparation(stage.labelled, stage.target, fabric.device, torch.float32))
        stages.training_mode(method, stage)
        engine = Engine(fabric, method, clip_norm=stage.config.clip_norm)
        dataset = stages.step_dataset(stage, method, stages.Fraction(0, 1))
        clock = PartClock(method, fabric, dataset)
        cpu = []
        with stages.EventLog(stage.folder, 0, writes=True) as log:
            for step in range(steps + 1):
                if step == 1:
                    clock.reset()
                began = time.process_time()
                source, target = dataset[step]
                clock.since(began, "loading")
                moved = target.to(fabric.device, torch.float32) if target else None
                report = engine.step(source.to(fabric.device, torch.float32), moved, step)
                log.write(step, report, 0.0)
                cpu.append(time.process_time() - began)
    total = sum(cpu[1:])
    seconds = clock.exclusive()
    frames = len(source.frames) + (len(target.frames) if target else 0)
    return {
        "steps": cpu[1:],
        "cpu_s": statistics.median(cpu[1:]),
        "frames_per_cpu_s": frames / statistics.median(cpu[1:]),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "shares": {part: s / total for part, s in seconds.items()} | {"bookkeeping": 1 - sum(seconds.values()) / total},
    }


def painted(folder: Path, cohort: str, size: int, *, labels: bool):
    """Cached frames of smooth noise; where labelled, the brighter third is polyp."""
    import cv2
    import numpy as np

    from polypda.cohorts.frames import Frame
    from polypda.data.cache import CachedArray, CachedFrames

    draws = np.random.default_rng(len(cohort) + labels)
    coarse = draws.integers(0, 256, (FRAMES, 12, 12, 3), dtype=np.uint8)
    images = np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in coarse])
    grey = images.mean(axis=3)
    arrays = {"images": images, "valid": np.ones_like(grey, np.uint8)}
    if labels:
        arrays["masks"] = (grey > np.quantile(grey, 2 / 3)).astype(np.uint8)
    for name, array in arrays.items():
        np.save(folder / f"{cohort}-{name}.npy", array)
    frames = tuple(Frame(cohort, f"{number:02d}", folder / f"{number:02d}.png") for number in range(FRAMES))
    held = {name: CachedArray(folder / f"{cohort}-{name}.npy") for name in arrays}
    return CachedFrames(frames, held["images"], held["valid"], held.get("masks"))


class PartClock:
    """CPU seconds of a step's parts.

    A discriminator's backward time is taken between the hooks at its output's and its input's gradients; where its own
    parameters alone are differentiated, the latter is never reached, and the time counts until the pass is over.
    """

    def __init__(self, method, fabric, dataset) -> None:
        from torch import nn

        self.reset()
        for name, module in method.modules().items():
            if name.startswith("d") and isinstance(module, nn.Module) and module is not method.segmenter:
                self._wrap(module, "forward", "discriminators")
                module.register_full_backward_pre_hook(self._backward_begins)
                module.register_full_backward_hook(lambda *_: self._backward_ends())
        for player in method.players():
            self._wrap(player.optimizer, "step", "optimisers")
        for part in (dataset.source, dataset.target):
            if part is not None:
                part.augmentation = self._timed(part.augmentation, "augmentation")
        self._wrap(fabric, "backward", "passes")
        play = method.play

        def timed_play(*given):
            game = play(*given)
            timed_next = self._timed(lambda: next(game, None), "passes")
            while (losses := timed_next()) is not None:
                yield losses
                del losses

        method.play = timed_play

    def reset(self) -> None:
        self.seconds = dict.fromkeys(("loading", "augmentation", "passes", "discriminators", "optimisers"), 0.0)
        self._began: list[float] = []

    def since(self, began: float, part: str) -> None:
        self.seconds[part] += time.process_time() - began

    def exclusive(self) -> dict[str, float]:
        """Seconds per part, none counted twice: augmentation is inside loading, discriminators inside the passes."""
        seconds = dict(self.seconds)
        seconds["loading"] -= seconds["augmentation"]
        seconds["network"] = seconds.pop("passes") - seconds["discriminators"]
        return seconds

    def _backward_begins(self, module, grad_output) -> None:
        self._backward_ends()
        self._began.append(time.process_time())

    def _backward_ends(self) -> None:
        while self._began:
            self.since(self._began.pop(), "discriminators")

    def _timed(self, function, part: str):
        def timed(*given, **named):
            began = time.process_time()
            result = function(*given, **named)
            if part == "passes":
                self._backward_ends()  # a backward pass that ended inside a discriminator
            self.since(began, part)
            return result

        return timed

    def _wrap(self, owner, name: str, part: str) -> None:
        setattr(owner, name, self._timed(getattr(owner, name), part))


if __name__ == "__main__":
    main()
