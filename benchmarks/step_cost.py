"""What one AdaptSegNet training step costs: CPU seconds, peak memory, and each part's share.

    python benchmarks/step_cost.py            # (a) and (b), one thread, about four minutes
    python benchmarks/step_cost.py a --steps 5

(a) DeepLab-v2 ResNet-101, 256², batch 1+1, multi-level, published optimisers.
(b) DeepLabV3+-MobileNetV2, batch 4+4, multi-level, at 128², 192² and 256².

Each case runs in a process of its own (its peak memory is then its own). The first step is not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

SIZES = {"a": (256,), "b": (128, 192, 256)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", choices=["a", "b"], help="default: both")
    parser.add_argument("--steps", type=int, default=6, help="counted steps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measure(arguments.case, arguments.size, arguments.steps, arguments.threads)))
        return
    print("| case | CPU s per step (median, range) | wall s | peak GiB | segmenter / discriminators / optimisers |")
    print("|---|---|---|---|---|")
    for case in [arguments.case] if arguments.case else ["a", "b"]:
        for size in SIZES[case]:
            command = [sys.executable, __file__, case, "--size", str(size), "--steps", str(arguments.steps)]
            output = subprocess.run([*command, "--threads", str(arguments.threads)], capture_output=True, text=True)
            if output.returncode:
                sys.exit(output.stderr)
            print(row(case, size, json.loads(output.stdout.splitlines()[-1])))


def row(case: str, size: int, m: dict) -> str:
    name = "DeepLab-v2 R101, 1+1" if case == "a" else "DeepLabV3+ MobileNetV2, 4+4"
    shares = " / ".join(f"{m['shares'][part]:.0%}" for part in ("segmenter", "discriminators", "optimisers"))
    spread = f"{m['cpu_s']:.2f} ({m['cpu_s_least']:.2f}–{m['cpu_s_most']:.2f})"
    return f"| ({case}) {name}, {size}² | {spread} | {m['wall_s']:.2f} | {m['peak_gib']:.2f} | {shares} |"


def measure(case: str, size: int, steps: int, threads: int) -> dict:
    import torch

    torch.set_num_threads(threads)
    from lightning_fabric import Fabric

    from polypda.data.batches import LabelledBatch, UnlabelledBatch
    from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
    from polypda.networks.batch_norm import BatchNormPolicy, apply_policy
    from polypda.networks.registry import SegmenterSpec, build_segmenter
    from polypda.training.engine import Engine

    torch.manual_seed(0)
    architecture, encoder = ("deeplab-v2", "resnet101") if case == "a" else ("deeplabv3plus", "mobilenet_v2")
    segmenter = build_segmenter(SegmenterSpec(architecture=architecture, encoder=encoder, levels=2)).train()
    apply_policy(segmenter, BatchNormPolicy.AFFINE_FROZEN if case == "a" else BatchNormPolicy.TRAIN)
    method = AdaptSegNet(segmenter, AdaptSegNetOptions(), steps=1000)
    clock = PartClock(method)
    batch = 1 if case == "a" else 4
    images = torch.rand(2, batch, 3, size, size)
    valid = torch.ones(batch, 1, size, size, dtype=torch.bool)
    source = LabelledBatch(images[0], valid, ("s",) * batch, (images[0, :, 0] > 0.5).long())
    target = UnlabelledBatch(images[1], valid, ("t",) * batch)
    engine = Engine(Fabric(accelerator="cpu", devices=1), method)
    cpu, wall = [], []
    for step in range(steps + 1):
        if step == 1:
            clock.reset()
        cpu_before, wall_before = time.process_time(), time.perf_counter()
        engine.step(source, target, step)
        cpu.append(time.process_time() - cpu_before)
        wall.append(time.perf_counter() - wall_before)
    total = sum(cpu[1:])
    parts = {name: seconds / total for name, seconds in clock.seconds.items()}
    return {
        "cpu_s": statistics.median(cpu[1:]),
        "cpu_s_least": min(cpu[1:]),
        "cpu_s_most": max(cpu[1:]),
        "wall_s": statistics.median(wall[1:]),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "shares": {**parts, "segmenter": 1 - sum(parts.values())},
    }


class PartClock:
    """CPU seconds spent in the discriminators (forward and backward) and in the optimisers; the rest is the segmenter.

    The discriminators' backward time is taken between the hooks at a discriminator's output and input gradients.
    """

    def __init__(self, method) -> None:
        self.reset()
        for discriminator in method.discriminators.values():
            self._wrap(discriminator, "forward", "discriminators")
            discriminator.register_full_backward_pre_hook(self._backward_begins)
            discriminator.register_full_backward_hook(self._backward_ends)
        for player in method.players():
            self._wrap(player.optimizer, "step", "optimisers")

    def reset(self) -> None:
        self.seconds = {"discriminators": 0.0, "optimisers": 0.0}

    def _backward_begins(self, module, grad_output) -> None:
        self._began = time.process_time()

    def _backward_ends(self, module, grad_input, grad_output) -> None:
        self.seconds["discriminators"] += time.process_time() - self._began

    def _wrap(self, owner, name: str, part: str) -> None:
        original = getattr(owner, name)

        def timed(*args, **kwargs):
            began = time.process_time()
            result = original(*args, **kwargs)
            self.seconds[part] += time.process_time() - began
            return result

        setattr(owner, name, timed)


if __name__ == "__main__":
    main()
