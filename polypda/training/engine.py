"""The game engine: one training step of any method, on the device that the user asked for.

Each player's loss is differentiated with respect to that player's own parameters only, all from the same weights;
all players step at the end (simultaneous play). A method that alternates yields :class:`StepNow` and computes afresh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from polypda.data.batches import IGNORED, LabelledBatch, PseudoLabelledBatch, UnlabelledBatch
from polypda.errors import TrainingError, UsageError
from polypda.methods.contract import SEGMENTER, Losses, Method, StepNow
from polypda.networks.segmenter import POLYP, Prediction
from polypda.networks.weights import LARGEST_WEIGHT, SHOWN_KEYS, not_finite
from polypda.processes import keep_freed_memory
from polypda.training.config import Compute
from polypda.training.local_group import LocalProcesses, ThisMachine

OF_TARGET, THINNED = "the target", 4
OVERFLOW = "without overflow"
"""What torch says where a learning rate is beyond what a number of the weights' type holds."""


@dataclass
class StepReport:
    """What happened in one step: unweighted loss values, gradient norms and base learning rates per player.

    fractions_put_right: per discriminator, what each of its terms says of its accuracy. target: of the target's frames
    as the segmenter saw them: fraction marked (``foreground``), entropy in nats per pixel, and the fraction that
    pseudo-labels mark (``pseudo``); what a method does not show is missing.
    """

    losses: dict[str, dict[str, float]] = field(default_factory=dict)
    gradient_norms: dict[str, float] = field(default_factory=dict)
    learning_rates: dict[str, float] = field(default_factory=dict)
    fractions_put_right: dict[str, list[float]] = field(default_factory=dict)
    target: dict[str, float] = field(default_factory=dict)

    @property
    def accuracies(self) -> dict[str, float]:
        """Accuracy per discriminator, 0–1; each domain counts alike."""
        return {player: sum(parts) / len(parts) for player, parts in self.fractions_put_right.items()}


class Engine:
    """Plays a method's game step by step. Precision, device and processes are Fabric's."""

    def __init__(self, fabric: Fabric, method: Method, *, clip_norm: float | None = None) -> None:
        """Args: clip_norm: largest L2 norm of each player's gradient; None does not clip."""
        self.fabric = fabric
        self.method = method
        self.clip_norm = clip_norm
        self.players = {player.name: player for player in method.players()}
        self.parameters = {name: player.parameters for name, player in self.players.items()}
        self._unread: list[_Unread] = []
        self._batches: tuple[UnlabelledBatch, ...] = ()
        self._target_images: Tensor | None = None
        self._sizes: dict[str, Tensor] = {}

    def _look_at_target(self, _network: object, inputs: tuple, prediction: Prediction) -> None:
        """Note what the segmenter says of the target's frames, thinned out, for the collapse watch."""
        if not inputs or inputs[0] is not self._target_images or not isinstance(prediction, Prediction):
            return
        logits = prediction.logits["main"].detach()[..., ::THINNED, ::THINNED].float()
        margin = logits[:, 1] - logits[:, 0]
        probability = margin.sigmoid()
        entropy = torch.nn.functional.softplus(margin) - probability * margin  # of both classes, in nats
        self._unread.append(_Unread(OF_TARGET, "foreground", (margin > 0).float().mean()))
        self._unread.append(_Unread(OF_TARGET, "entropy", entropy.mean()))

    def step(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> StepReport:
        """Play step number ``step`` (from 0).

        Raises: TrainingError E_NONFINITE before the player steps whose loss or gradient it is, or whose weights went
            beyond what a number holds in their last step; naming such weights, else the frames that are not finite,
            else the rates.
        """
        report = StepReport()
        for player in self.players.values():
            player.set_learning_rates(step)
            player.optimizer.zero_grad(set_to_none=True)
            report.learning_rates[player.name] = player.optimizer.param_groups[0]["lr"]
        self._unread.clear()
        self._batches = (source, target) if target else (source,)
        self._target_images = target.images if target else None
        if isinstance(target, PseudoLabelledBatch):
            sure = target.pseudo != IGNORED
            marked = ((target.pseudo == POLYP) & sure).sum() / sure.sum().clamp(min=1)
            self._unread.append(_Unread(OF_TARGET, "pseudo", marked.to(source.images.dtype)))
        hook = self.method.modules()[SEGMENTER].register_forward_hook(self._look_at_target)
        try:
            self._play(source, target, step, report)
        finally:
            hook.remove()
        self.method.after_step(step)
        return report

    def _play(
        self,
        source: LabelledBatch,
        target: UnlabelledBatch | None,
        step: int,
        report: StepReport,
    ) -> None:
        play = self.method.play(source, target, step)
        while True:
            with self.fabric.autocast():
                losses = next(play, None)
            if losses is None:
                break
            if isinstance(losses, StepNow):
                self._step_players(losses.players, report)
            else:
                self._differentiate(losses)
            del losses  # frees this domain's graph before the next forward
        self._step_players(tuple(self.players), report)

    def _differentiate(self, losses: Losses) -> None:
        remaining = len(losses)
        for name, terms in losses.items():
            remaining -= 1
            for term in terms:
                self._unread.append(_Unread(name, term.name, term.value.detach()))
                if term.accuracy is not None:
                    self._unread.append(_Unread(name, None, term.accuracy.detach()))
            total = torch.stack([term.weight * term.value for term in terms]).sum()
            self.fabric.backward(total, inputs=self.parameters[name], retain_graph=remaining > 0)

    def _step_players(self, names: Sequence[str], report: StepReport) -> None:
        gradients = {name: self._gradients(name) for name in names}
        due = [name for name, found in gradients.items() if found]
        norms = [self._gradient_norm(name, gradients[name]) for name in due]
        # The only place where a step waits for the device: everything that is logged is read at once.
        read = _read([*(unread.value for unread in self._unread), *self._sizes.values(), *norms])
        terms, sizes = len(self._unread), len(self._sizes)
        self._note(read[:terms], report)
        for name, size in zip(self._sizes, read[terms : terms + sizes], strict=True):
            if not size < LARGEST_WEIGHT:
                raise self._not_finite(f"the last step of player '{name}' went beyond what a number holds")
        self._sizes.clear()
        for name, norm in zip(due, read[terms + sizes :], strict=True):
            report.gradient_norms[name] = norm
            if not math.isfinite(norm):
                raise self._not_finite(f"the gradient of player '{name}' is {norm}")
        for name in due:
            try:
                self.players[name].optimizer.step()
            except RuntimeError as error:
                if OVERFLOW not in str(error):
                    raise
                what = f"the step of player '{name}' is beyond what a number holds, at {self._rates()}."
                fix = "the last good checkpoint is kept; lower that learning rate."
                raise TrainingError("E_NONFINITE", what, fix=fix) from error
            self.players[name].optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():  # read with the next step's losses
                self._sizes[name] = torch.nn.utils.get_total_norm(self.parameters[name])

    def _note(self, values: Sequence[float], report: StepReport) -> None:
        """Report the terms that were differentiated since the last reading."""
        for (player, term, _), value in zip(self._unread, values, strict=True):
            if player == OF_TARGET and term is not None:
                report.target[term] = value
                continue
            if term is None:
                report.fractions_put_right.setdefault(player, []).append(value)
                continue
            report.losses.setdefault(player, {})[term] = value
            if not math.isfinite(value):
                raise self._not_finite(f"the loss '{term}' of player '{player}' is {value}")
        self._unread.clear()

    def _gradients(self, name: str) -> list[Tensor]:
        """A player's gradients, averaged over processes by one all-reduce: ``inputs=`` bypasses DDP's hooks."""
        gradients = [parameter.grad for parameter in self.parameters[name] if parameter.grad is not None]
        if gradients and self.fabric.world_size > 1:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            joint = cast(Tensor, self.fabric.all_reduce(flat, reduce_op="mean"))
            for gradient, mean in zip(gradients, joint.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(mean.view_as(gradient))
        return gradients

    def _gradient_norm(self, name: str, gradients: list[Tensor]) -> Tensor:
        if self.clip_norm is not None:
            return torch.nn.utils.clip_grad_norm_(self.parameters[name], self.clip_norm)
        return torch.nn.utils.get_total_norm(gradients)

    def _not_finite(self, what: str) -> TrainingError:
        """No player has stepped on what was just computed: a parameter that is not finite was so before these frames.

        Running statistics prove nothing: this batch has moved them already.
        """
        broken = broken_weights(self.method)
        if broken:
            named = ", ".join(broken[:SHOWN_KEYS])
            what = f"{what}, because weights are not finite already: {named}; {self._rates()}"
            fix = "the frames are not at fault; the last good checkpoint is kept: lower the learning rate or λ_adv."
            return TrainingError("E_NONFINITE", f"{what}.", fix=fix)
        frames = [name for batch in self._batches for name in batch.frames]
        spoilt = [
            name
            for batch in self._batches
            for name, image in zip(batch.frames, batch.images, strict=True)
            if not bool(image.isfinite().all())
        ]
        if spoilt:
            what = f"{what}; that player did not step. Frames that hold no numbers: {', '.join(spoilt)}."
            fix = "the last good checkpoint is kept; look at these frames."
            return TrainingError("E_NONFINITE", what, fix=fix)
        what = f"{what}, though weights and frames are finite: what the networks make of them is not; {self._rates()}."
        what = f"{what} That player did not step. Frames of this batch: {', '.join(frames)}."
        fix = "the last good checkpoint is kept; lower the learning rate or λ_adv, or look at these frames."
        return TrainingError("E_NONFINITE", what, fix=fix)

    def _rates(self) -> str:
        """The learning rates of this step, in words."""
        rates = (f"{name} {player.optimizer.param_groups[0]['lr']:g}" for name, player in self.players.items())
        return f"learning rates: {', '.join(rates)}"


def broken_weights(method: Method) -> list[str]:
    """Names of a method's parameters that hold an infinity or no number: ``segmenter.encoder.conv1.weight``."""
    networks = method.modules().items()
    named = [(f"{name}.{key}", value) for name, network in networks for key, value in network.named_parameters()]
    known = {id(value) for _, value in named}
    players = ((player.name, value) for player in method.players() for value in player.parameters)
    return not_finite([*named, *((name, value) for name, value in players if id(value) not in known)])


class _Unread(NamedTuple):
    """A loss term's value, or a discriminator's fraction put right (``term`` None), that nobody has waited for yet."""

    player: str
    term: str | None
    value: Tensor


def _read(scalars: Sequence[Tensor]) -> list[float]:
    if not scalars:
        return []
    dtype = scalars[-1].dtype  # of losses and norms; what was seen of the target may be narrower
    return torch.stack([scalar.to(dtype) for scalar in scalars]).tolist()


def open_fabric(compute: Compute, *, one_process: bool = False, meeting: Path | None = None) -> Fabric:
    """Fabric on the configured device, with the configured number of CPU threads from here on (for scoring, too).

    Args: meeting: the file that several processes meet in (:class:`LocalProcesses`); None: they are not to be launched.
    Raises: UsageError E_DEVICE when this machine does not have the device.
    """
    keep_freed_memory()
    if compute.threads:
        torch.set_num_threads(compute.threads)
    several = compute.processes > 1 and not one_process
    try:
        return Fabric(
            accelerator=compute.device,
            devices=compute.processes if several else 1,
            precision=compute.precision.value,
            strategy=LocalProcesses(meeting or Path("nowhere")) if several else "auto",
            plugins=None if several else [ThisMachine()],
        )
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            "E_DEVICE",
            f"device '{compute.device}' cannot be used here: {str(error).splitlines()[0]}",
            fix="choose --device auto or cpu.",
        ) from error
