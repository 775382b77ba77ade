"""AdaBN and Tent: batch normalisation adapted without source frames, its statistics, then its scales and shifts.

Li, Wang, Shi, Liu, Hou, "Revisiting Batch Normalization For Practical Domain Adaptation", 2016. Every method with
moving batch-norm statistics must be compared with AdaBN: those adapt silently.

Wang, Shelhamer, Liu, Olshausen, Darrell, "Tent: Fully Test-Time Adaptation by Entropy Minimization", ICLR 2021:

    min over γ, β of all batch-norm layers of   mean over pixels of −Σ_c p_c log p_c   on target batches

Tent's statistics are the target's: of the batch under the batch-norm policy ``train`` (as published), of all target
training frames under ``frozen``, where each frame is then treated alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.contract import SEGMENTER, Losses, LossTerm, Method, Player, Preparation, Schedule
from polypda.methods.segmentation import SupervisedOptions, image_size_logits
from polypda.methods.target_terms import mean_inside
from polypda.networks.batch_norm import batch_norm_layers, recompute_statistics
from polypda.networks.segmenter import Segmenter


class AdaBN(Method):
    """The source model with its batch-norm statistics recomputed on unlabelled target frames."""

    name = "adabn"
    title = "AdaBN"
    paper = "Li et al., arXiv 1603.04779 (control)"
    plays_on_target = False
    reads_source = False
    takes_terms = False

    def prepare(self, data: Preparation) -> None:
        recompute_statistics(self.segmenter, (batch.images for batch in data.statistics()))

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        """Nothing is trained."""
        yield from ()


class TentOptions(SupervisedOptions):
    """The supervised options, which every run carries, have no effect here: nothing supervised is trained."""

    tent_learning_rate: float = Field(1e-3, gt=0, description="Adam's learning rate of the batch-norm parameters")


class Tent(Method):
    """The source model's batch-norm scales and shifts, learnt on unlabelled target batches; no source frame is used."""

    name = "tent"
    title = "Tent (source-free entropy minimisation)"
    paper = "Wang et al., ICLR 2021"
    Options = TentOptions
    reads_source = False
    source_free = True
    takes_terms = False
    options: TentOptions

    def __init__(self, segmenter: Segmenter, options: TentOptions, *, steps: int) -> None:
        super().__init__(segmenter, options, steps=steps)
        self.affine = affine_parameters(segmenter)
        adam = torch.optim.Adam(self.affine, lr=options.tent_learning_rate, betas=(0.9, 0.999))
        self._players = [Player(SEGMENTER, adam, Schedule(max(1, steps), power=0.0))]

    def prepare(self, data: Preparation) -> None:
        recompute_statistics(self.segmenter, (batch.images for batch in data.target()))

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        assert target is not None  # plays_on_target
        for parameter in self.affine:
            parameter.requires_grad_(True)  # a policy that freezes the statistics freezes these as well
        logits = image_size_logits(self.segmenter(target.images), target)["main"]
        yield {SEGMENTER: [LossTerm("entropy", shannon_entropy(logits, target.valid))]}


def affine_parameters(segmenter: Segmenter) -> list[nn.Parameter]:
    """Scale and shift of every batch-norm layer, set to be trained; of nothing else.

    Raises: UsageError E_METHOD_SEGMENTER where there is none.
    """
    found = [parameter for layer in batch_norm_layers(segmenter) for parameter in layer.parameters(recurse=False)]
    if not found:
        what = "tent learns batch-norm parameters, and this segmenter has no batch-norm layer."
        raise UsageError("E_METHOD_SEGMENTER", what, fix="choose another encoder (e.g. mobilenet_v2), or `minent`.")
    for parameter in found:
        parameter.requires_grad_(True)
    return found


def shannon_entropy(logits: Tensor, valid: Tensor) -> Tensor:
    """Mean entropy in nats over the field of view. logits: B×C×H×W; valid: bool B×1×H×W."""
    return mean_inside(-(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1), valid)


def adapt_online(
    segmenter: Segmenter,
    batches: Iterable[UnlabelledBatch],
    *,
    learning_rate: float = 1e-3,
    updates: int = 1,
    episodic: bool = False,
) -> Iterator[tuple[UnlabelledBatch, Tensor]]:
    """Adapt at test time and predict: yields each batch, learnt from, with its probabilities, B×C×H×W at image size.

    The given segmenter stays as it was. All batch-norm layers use the statistics of the batch in hand, so batches
    should hold several frames of different sequences. (The released code predicts by the pass that it learns from.)

    Args:
        learning_rate: of Adam; 0 learns nothing, which leaves AdaBN of each batch.
        updates: gradient steps per batch.
        episodic: begin each batch from the given segmenter instead of going on.
    Raises: UsageError E_METHOD_SEGMENTER.
    """
    affine_parameters(probe := copy.deepcopy(segmenter))
    online: Segmenter | None = None
    for batch in batches:
        if online is None or episodic:
            online = copy.deepcopy(probe).eval().requires_grad_(False)
            for layer in batch_norm_layers(online):
                layer.train().track_running_stats = False
                layer.running_mean = layer.running_var = None
            adam = torch.optim.Adam(affine_parameters(online), lr=learning_rate)
        for _ in range(updates if learning_rate else 0):
            adam.zero_grad(set_to_none=True)
            with torch.enable_grad():
                shannon_entropy(image_size_logits(online(batch.images), batch)["main"], batch.valid).backward()
            adam.step()
        with torch.no_grad():
            yield batch, image_size_logits(online(batch.images), batch)["main"].softmax(dim=1)
