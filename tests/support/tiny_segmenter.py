"""A segmenter of a few thousand parameters with batch-norm, dropout and two levels: enough for every contract."""

import torch
from torch import nn

from polypda.data.batches import LabelledBatch, PseudoLabelledBatch
from polypda.networks.segmenter import Prediction, Segmenter


class TinySegmenter(Segmenter):
    levels = ("aux", "main")
    stride = 4

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.feature_channels = {"aux": 8, "main": 12}
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.Dropout(dropout))
        self.aux = nn.Conv2d(8, 2, 1)
        self.main = nn.Conv2d(12, 2, 1)

    def forward(self, images):
        first = self.first(images - 0.5)
        second = self.second(first)
        logits = {"aux": self.aux(first), "main": self.main(second)}
        return Prediction(logits, {"aux": first, "main": second}, (first, second))

    def encoder_modules(self):
        return self.first, self.second

    def backbone_parameters(self):
        yield from self.first.parameters()
        yield from self.second.parameters()

    def head_parameters(self):
        yield from self.aux.parameters()
        yield from self.main.parameters()


def random_batches(seed: int = 0, batch: int = 2, size: int = 64) -> tuple[LabelledBatch, PseudoLabelledBatch]:
    generator = torch.Generator().manual_seed(seed)
    source, target = (torch.rand(batch, 3, size, size, generator=generator) for _ in range(2))
    valid = torch.ones(batch, 1, size, size, dtype=torch.bool)
    masks = (source[:, 0] > 0.6).long()
    names = tuple(f"frame-{seed}-{number}" for number in range(batch))
    pseudo = (target[:, 0] > 0.6).long()  # what only self-training looks at
    others = tuple(f"t-{name}" for name in names)
    return LabelledBatch(source, valid, names, masks), PseudoLabelledBatch(target, valid, others, pseudo)
