"""The game engine: one training step of any method.

Each player's loss is differentiated with respect to that player's own parameters only, all from the same weights;
all players step at the end (simultaneous play). A method that alternates yields :class:`StepNow` and computes afresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import TrainingError
from polypda.methods.contract import Losses, LossTerm, Method, Player, StepNow
from polypda.networks.weights import SHOWN_KEYS, not_finite


@dataclass
class StepReport:
    """What happened in one step: unweighted loss values, gradient norms and base learning rates per player.

    shares_put_right: per discriminator, what each of its terms says of its accuracy (0–1).
    """

    losses: dict[str, dict[str, float]] = field(default_factory=dict)
    gradient_norms: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    shares_put_right: dict[str, list[float]] = field(default_factory=dict)

    @property
    def accuracies(self) -> dict[str, float]:
        """Accuracy per discriminator, 0–1; each domain counts alike."""
        return {player: sum(shares) / len(shares) for player, shares in self.shares_put_right.items()}


class Engine:
    """Plays a method's game step by step. Precision, device and processes are Fabric's."""

    def __init__(self, fabric: Fabric, method: Method, *, clip_norm: float | None = None) -> None:
        """Args: clip_norm: largest L2 norm of each player's gradient; None does not clip."""
        self.fabric = fabric
        self.method = method
        self.clip_norm = clip_norm
        self.players = {player.name: player for player in method.players()}

    def step(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> StepReport:
        """Play step number ``step`` (from 0).

        Raises: TrainingError E_NONFINITE before the player steps whose loss or gradient it is, naming the weights that
            were not finite before, else the frames.
        """
        report = StepReport()
        for player in self.players.values():
            player.set_rates(step)
            player.optimizer.zero_grad(set_to_none=True)
            report.rates[player.name] = player.optimizer.param_groups[0]["lr"]
        frames = source.frames + (target.frames if target else ())
        play = self.method.play(source, target, step)
        while True:
            with self.fabric.autocast():
                losses = next(play, None)
            if losses is None:
                break
            if isinstance(losses, StepNow):
                self._step_players(losses.players, report, frames)
            else:
                self._differentiate(losses, report, frames)
            del losses  # frees this domain's graph before the next forward
        self._step_players(tuple(self.players), report, frames)
        self.method.after_step(step)
        return report

    def _differentiate(self, losses: Losses, report: StepReport, frames: Sequence[str]) -> None:
        remaining = len(losses)
        for name, terms in losses.items():
            remaining -= 1
            total = self._total(name, terms, report, frames)
            self.fabric.backward(total, inputs=self.players[name].parameters, retain_graph=remaining > 0)

    def _total(self, player: str, terms: Sequence[LossTerm], report: StepReport, frames: Sequence[str]) -> Tensor:
        values = report.losses.setdefault(player, {})
        for term in terms:
            values[term.name] = float(term.value.detach())
            if not torch.isfinite(term.value.detach()):
                raise self._not_finite(f"the loss '{term.name}' of player '{player}' is {values[term.name]}", frames)
            if term.accuracy is not None:
                report.shares_put_right.setdefault(player, []).append(float(term.accuracy))
        return torch.stack([term.weight * term.value for term in terms]).sum()

    def _step_players(self, names: Sequence[str], report: StepReport, frames: Sequence[str]) -> None:
        due = [self.players[name] for name in names if _has_gradient(self.players[name])]
        for player in due:
            self._average_over_processes(player)
            norm = _gradient_norm(player, self.clip_norm)
            report.gradient_norms[player.name] = norm
            if not norm < float("inf"):
                raise self._not_finite(f"the gradient of player '{player.name}' is {norm}", frames)
        for player in due:
            player.optimizer.step()
            player.optimizer.zero_grad(set_to_none=True)

    def _average_over_processes(self, player: Player) -> None:
        """One all-reduce per player. Differentiating by ``inputs=`` bypasses DDP's hooks, so the engine does it."""
        if self.fabric.world_size == 1:
            return
        gradients = [parameter.grad for parameter in player.parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        joint = cast(Tensor, self.fabric.all_reduce(flat, reduce_op="mean"))
        for gradient, mean in zip(gradients, joint.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def _not_finite(self, what: str, frames: Sequence[str]) -> TrainingError:
        """No player has stepped on what was just computed: a parameter that is not finite was so before these frames.

        Running statistics prove nothing: this batch has moved them already.
        """
        broken = broken_weights(self.method)
        if broken:
            what = f"{what}, because weights are not finite already: {', '.join(broken[:SHOWN_KEYS])}"
            fix = "the frames are not at fault; the last good checkpoint is kept: lower the learning rate or λ_adv."
            return TrainingError("E_NONFINITE", f"{what}.", fix=fix)
        return TrainingError(
            "E_NONFINITE",
            f"{what}; that player did not step. Frames of this batch: {', '.join(frames)}.",
            fix="the last good checkpoint is kept; look at these frames, or lower the learning rate or λ_adv.",
        )


def broken_weights(method: Method) -> list[str]:
    """Names of a method's parameters that hold an infinity or no number: ``segmenter.encoder.conv1.weight``."""
    networks = method.modules().items()
    named = [(f"{name}.{key}", value) for name, network in networks for key, value in network.named_parameters()]
    own = {id(value) for _, value in named}
    others = [
        (player.name, value) for player in method.players() for value in player.parameters if id(value) not in own
    ]
    return not_finite([*named, *others])


def _has_gradient(player: Player) -> bool:
    return any(parameter.grad is not None for parameter in player.parameters)


def _gradient_norm(player: Player, clip_norm: float | None) -> float:
    if clip_norm is not None:
        return float(torch.nn.utils.clip_grad_norm_(player.parameters, clip_norm))
    gradients = [parameter.grad for parameter in player.parameters if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))
