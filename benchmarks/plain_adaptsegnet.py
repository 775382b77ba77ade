"""AdaptSegNet's step by the engine beside a plain loop in the released training's order: CPU time and memory.

    python benchmarks/plain_adaptsegnet.py                        # three pairs of three steps, one thread
    python benchmarks/plain_adaptsegnet.py --pairs 1 --steps 2
    python benchmarks/plain_adaptsegnet.py --frozen               # batch norm frozen in both, folded in ours

DeepLab-v2 ResNet-101, two levels, 256², batch 1+1, vanilla objective, SGD and Adam. The plain loop is what the authors'
training does in its order: source forward and backward; target forward and backward through frozen discriminators; then
the discriminators on the detached source and target predictions. Its network is written in the direct way (a
classifier's branches are convolutions, tensors lie as PyTorch makes them). Both start from the same weights and see the
same batch; the first step's losses must agree, or nothing is printed. Sides alternate, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

SIZE = 256
SIDES = ("plain", "ours")
AGREE = 1e-3
"""Largest relative difference of a loss between the sides in the first step, in float32."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="counted steps of a measurement, after one that is not")
    parser.add_argument("--frozen", action="store_true", help="running statistics: ours by --batch-norm folded")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given.side, given.steps, given.frozen)))
        return
    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(given.pairs):
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--steps", str(given.steps)]
            command += ["--frozen"] if given.frozen else []
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            if done.returncode:
                sys.exit(done.stderr)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
        check(found["plain"][-1]["losses"], found["ours"][-1]["losses"])
    medians = {side: statistics.median(s for m in runs for s in m["cpu_s"]) for side, runs in found.items()}
    for side, runs in found.items():
        print(f"{side}: {medians[side]:.2f} CPU s per step, {max(m['peak_gib'] for m in runs):.2f} GiB")
    pairs = [
        statistics.median(o["cpu_s"]) / statistics.median(p["cpu_s"]) for p, o in zip(*found.values(), strict=True)
    ]
    print(f"ours / plain {medians['ours'] / medians['plain']:.3f} (pairs: {', '.join(f'{r:.3f}' for r in pairs)})")


def check(plain: dict[str, float], ours: dict[str, float]) -> None:
    for name, value in plain.items():
        if abs(ours[name] - value) > AGREE * abs(value):
            sys.exit(f"the sides do not do the same: {name} is {value} in the plain loop and {ours[name]} here")


def measure(side: str, steps: int, frozen: bool) -> dict:
    import torch

    torch.set_num_threads(1)
    step = ours(frozen) if side == "ours" else plain(frozen)
    cpu, losses = [], {}
    for number in range(steps + 1):
        began = time.process_time()
        found = step(number)
        cpu.append(time.process_time() - began)
        losses = losses or found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"cpu_s": cpu[1:], "peak_gib": peak, "losses": losses}


def material():
    """Both sides' start and batch: a network's weights, two discriminators' weights, images and a mask."""
    import torch

    from polypda.networks.deeplab_v2 import DeepLabV2
    from polypda.networks.discriminators import PatchDiscriminator

    torch.manual_seed(0)
    segmenter = DeepLabV2(2)
    discriminators = {level: PatchDiscriminator() for level in ("main", "aux")}
    images = torch.rand(2, 1, 3, SIZE, SIZE)
    return segmenter, discriminators, images, (images[0, :, 0] > 0.5).long()


def ours(frozen: bool):
    import torch

    from polypda.data.batches import LabelledBatch, UnlabelledBatch
    from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
    from polypda.networks.batch_norm import BatchNormPolicy, apply_policy
    from polypda.networks.segmenter import channels_last
    from polypda.training.config import Compute
    from polypda.training.engine import Engine, open_fabric

    segmenter, discriminators, images, masks = material()
    policy = BatchNormPolicy.FOLDED if frozen else BatchNormPolicy.AFFINE_FROZEN
    apply_policy(segmenter, policy)
    method = AdaptSegNet(segmenter, AdaptSegNetOptions(), steps=1000)
    for level, start in discriminators.items():
        method.discriminators[level].load_state_dict(start.state_dict())
    for module in method.modules().values():
        channels_last(module.train())
    apply_policy(segmenter, policy)
    del discriminators, start
    valid = torch.ones(1, 1, SIZE, SIZE, dtype=torch.bool)
    lying = [image.contiguous(memory_format=torch.channels_last) for image in images]
    source = LabelledBatch(lying[0], valid, ("s",), masks)
    target = UnlabelledBatch(lying[1], valid, ("t",))
    engine = Engine(open_fabric(Compute(device="cpu", threads=1)), method)

    def step(number: int) -> dict[str, float]:
        report = engine.step(source, target, number)
        return {name: value for losses in report.losses.values() for name, value in losses.items()}

    return step


def plain(frozen: bool):
    """The released order, by hand."""
    import torch
    from torch.nn import functional as F

    segmenter, discriminators, images, masks = material()
    network = plain_network()
    network.load_state_dict(segmenter.state_dict())
    mean = segmenter.normalisation.mean
    heads = [*network.layer5.parameters(), *network.layer6.parameters()]
    first = {id(parameter) for parameter in heads}
    trunk = [p for p in network.parameters() if p.requires_grad and id(p) not in first]
    del segmenter
    groups = [{"params": trunk, "lr": 2.5e-4}, {"params": heads, "lr": 2.5e-3}]
    sgd = torch.optim.SGD(groups, lr=2.5e-4, momentum=0.9, weight_decay=5e-4)
    adams = {level: torch.optim.Adam(d.parameters(), lr=1e-4, betas=(0.9, 0.99)) for level, d in discriminators.items()}
    seen = [image.flip(1) * 255 - mean for image in images]
    weights = {"main": (1.0, 1e-3), "aux": (0.1, 2e-4)}
    network.train()
    for module in network.modules():
        if frozen and isinstance(module, torch.nn.BatchNorm2d):
            module.eval()

    def predict(image):
        logits = dict(zip(("aux", "main"), network(image), strict=True))
        return {
            level: F.interpolate(z, (SIZE, SIZE), mode="bilinear", align_corners=True) for level, z in logits.items()
        }

    def judged(level, logits, label: float):
        answer = discriminators[level](logits.softmax(dim=1))
        return F.binary_cross_entropy_with_logits(answer, torch.full_like(answer, label))

    def step(number: int) -> dict[str, float]:
        losses = {}
        factor = (1 - number / 1000) ** 0.9
        for optimiser, rates in ((sgd, (2.5e-4, 2.5e-3)), *((adam, (1e-4,)) for adam in adams.values())):
            optimiser.zero_grad()
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        for discriminator in discriminators.values():
            discriminator.requires_grad_(False)
        source = predict(seen[0])
        terms = {level: F.cross_entropy(source[level], masks) for level in weights}
        sum(weights[level][0] * term for level, term in terms.items()).backward()
        losses |= {f"seg_{level}": float(term) for level, term in terms.items()}
        target = predict(seen[1])
        terms = {level: judged(level, target[level], 0.0) for level in weights}
        sum(weights[level][1] * term for level, term in terms.items()).backward()
        losses |= {f"adv_{level}": float(term) for level, term in terms.items()}
        for discriminator in discriminators.values():
            discriminator.requires_grad_(True)
        for domain, label, predictions in (("source", 0.0, source), ("target", 1.0, target)):
            for level in weights:
                term = judged(level, predictions[level].detach(), label)
                (term / 2).backward()
                losses[f"d_{level}_{domain}"] = float(term)
        for optimiser in (sgd, *adams.values()):
            optimiser.step()
        return losses

    return step


def plain_network():
    """DeepLab-v2 on ResNet-101 in the direct way, under the released names, affine batch-norm parameters fixed."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inside: int, width: int, stride: int, dilation: int, project: bool) -> None:
            super().__init__()
            outside = 4 * width
            self.conv1 = nn.Conv2d(inside, width, 1, stride=stride, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, outside, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outside)
            self.relu = nn.ReLU(inplace=True)
            shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside))
            self.downsample = shortcut if project else None

        def forward(self, x):
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.relu(self.bn2(self.conv2(out)))
            out = self.bn3(self.conv3(out))
            out += x if self.downsample is None else self.downsample(x)
            return self.relu(out)

    class Classifier(nn.Module):
        def __init__(self, inside: int) -> None:
            super().__init__()
            self.conv2d_list = nn.ModuleList(
                nn.Conv2d(inside, 2, 3, padding=dilation, dilation=dilation) for dilation in (6, 12, 18, 24)
            )

        def forward(self, x):
            return sum(branch(x) for branch in self.conv2d_list)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.stem = nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True))
            layers = ((64, 64, 3, 1, 1), (256, 128, 4, 2, 1), (512, 256, 23, 1, 2), (1024, 512, 3, 1, 4))
            for number, (inside, width, blocks, stride, dilation) in enumerate(layers, 1):
                rest = (Block(4 * width, width, 1, dilation, False) for _ in range(blocks - 1))
                layer = nn.Sequential(Block(inside, width, stride, dilation, True), *rest)
                setattr(self, f"layer{number}", layer)
            self.layer5, self.layer6 = Classifier(1024), Classifier(2048)
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.requires_grad_(False)

        def forward(self, x):
            x = self.layer3(self.layer2(self.layer1(self.stem(self.bn1(self.conv1(x))))))
            return self.layer5(x), self.layer6(self.layer4(x))

    return Network()


if __name__ == "__main__":
    main()
