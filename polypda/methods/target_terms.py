"""Target terms: what can be added to a method, and the sum of a method and terms, ``fcn-wild+mean-teacher+mic``.

A term turns what is known in one step (:class:`TargetView`) into losses of the segmenter, and holds no optimiser. One
moving average of the segmenter, the teacher, serves all terms that learn from one: Tarvainen and Valpola, "Mean
teachers are better role models", NeurIPS 2017.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.contract import SEGMENTER, Losses, LossTerm, Method, MethodOptions, Player, Preparation, StepNow
from polypda.methods.moving_average import ema_decay, ema_update, make_teacher
from polypda.methods.segmentation import SourceOnly, image_size_logits
from polypda.networks.segmenter import Prediction, Segmenter, to_image_size

TEACHER = "teacher"


class TeacherOptions(MethodOptions):
    """Shared by all terms that learn from the teacher."""

    ema_alpha: float | None = Field(
        None, ge=0, lt=1, description="the teacher keeps min(1 − 1/(t+1), this) of itself; default: 1 − 5/steps"
    )
    pseudo_threshold: float = Field(
        0.968,
        ge=0,
        lt=1,
        description="a class of a frame counts by its share of pixels that the teacher is this sure of",
    )

    def alpha(self, steps: int) -> float:
        """α of a training of ``steps`` steps: it remembers a fifth of them, within 0.9 and the published 0.999."""
        return self.ema_alpha if self.ema_alpha is not None else min(0.999, max(0.9, 1 - 5 / max(1, steps)))


@dataclass
class TargetView:
    """What a term may look at in one step.

    source: the labelled batch as the method sees it (stylized, if a term does so). teacher: where a term asked for one.
    """

    source: LabelledBatch
    target: UnlabelledBatch
    segmenter: Segmenter
    teacher: Segmenter | None
    step: int

    @cached_property
    def teacher_probabilities(self) -> Tensor:
        """The teacher's softmax on the unchanged target images: B×2×H×W, without a graph; one forward per step.

        Raises: LookupError where no term asked for a teacher (a mistake in the term).
        """
        if self.teacher is None:
            raise LookupError("a term without needs_teacher asked for the teacher")
        with torch.no_grad():
            logits = self.teacher.eval()(self.target.images).logits["main"]
            return to_image_size(logits, *self.target.images.shape[-2:]).softmax(dim=1)


class TargetTerm(ABC):
    """One addition to a method. Its options' names differ from every other part's, so that all are given flat."""

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    needs_teacher: ClassVar[bool] = False
    """True where the term learns from a moving average of the segmenter, which is then the adapted model."""

    def __init__(self, options: MethodOptions, segmenter: Segmenter) -> None:
        self.options = options

    def reads_prediction(self, step: int) -> bool:
        """Whether :meth:`on_prediction` is wanted in this step."""
        return False

    def stylize(self, source: LabelledBatch, target: UnlabelledBatch) -> LabelledBatch:
        """The source batch as the method is to see it; labels stay the source's."""
        return source

    def on_prediction(self, view: TargetView, logits: Mapping[str, Tensor]) -> list[LossTerm]:
        """Losses of the segmenter's answer to the unchanged target images.

        Args:
            logits: per level B×2×H×W at image size, with the graph of the method's own forward pass.
        """
        return []

    def on_own_forward(self, view: TargetView) -> list[LossTerm]:
        """Losses of a forward pass that the term makes itself (of masked, mixed or recoloured images)."""
        return []

    def prepare(self, data: Preparation) -> None:  # noqa: B027 - most terms prepare nothing
        """Do what is done once, before the first step; what stays belongs into :meth:`modules`."""

    def modules(self) -> dict[str, nn.Module]:
        """Networks and remembered tensors of the term, by name, for checkpoints and devices."""
        return {}


def mean_inside(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of B×H×W values over the field of view (bool B×1×H×W); 0 where nothing is inside."""
    inside = valid[:, 0].to(values.dtype)
    return (values * inside).sum() / inside.sum().clamp_min(1)


class Combined(Method):
    """A base method and its terms; :func:`combined` makes the classes.

    The method plays as it always does. Where it asks the segmenter for the unchanged target images, the terms that want
    that answer join the losses that come of it, without a second forward pass; where it never does, one is made. Where
    it asks and its segmenter does not move in this step (ADDA's warm-up and closed gate), terms do not either.
    """

    base_kind: ClassVar[type[Method]]
    term_kinds: ClassVar[tuple[type[TargetTerm], ...]]
    plays_on_target = True

    def __init__(self, segmenter: Segmenter, options: MethodOptions, *, steps: int) -> None:
        self.base = self.base_kind(segmenter, options, steps=steps)
        # A method may have made the segmenter that is adapted from the one it was given.
        adapted = cast(Segmenter, self.base.modules()[SEGMENTER])
        super().__init__(adapted, options, steps=steps)
        self.terms = [kind(options, adapted) for kind in self.term_kinds]
        self.teacher = make_teacher(adapted) if any(term.needs_teacher for term in self.terms) else None

    def players(self) -> list[Player]:
        return self.base.players()

    def modules(self) -> dict[str, nn.Module]:
        networks = dict(self.base.modules())
        for term in self.terms:
            networks |= term.modules()
        return networks | ({TEACHER: self.teacher} if self.teacher else {})

    def adapted(self) -> Segmenter:
        """The teacher, where there is one."""
        return self.teacher or self.base.adapted()

    def prepare(self, data: Preparation) -> None:
        self.base.prepare(data)
        for term in self.terms:
            term.prepare(data)
        if self.teacher:
            ema_update(self.teacher, self.segmenter, 0.0)

    def after_step(self, step: int) -> None:
        self.base.after_step(step)
        if self.teacher:
            assert isinstance(self.options, TeacherOptions)  # every term with a teacher has these options
            ema_update(self.teacher, self.segmenter, ema_decay(step + 1, self.options.alpha(self.steps)))

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses | StepNow]:
        assert target is not None  # plays_on_target
        for term in self.terms:
            source = term.stylize(source, target)
        view = TargetView(source, target, self.segmenter, self.teacher, step)
        added, prediction = False, None
        with _answers_to(self.segmenter, target.images) as answers:
            for losses in self.base.play(source, target if self.base.plays_on_target else None, step):
                prediction = answers.pop() if answers else prediction
                answers.clear()
                moves = SEGMENTER in (losses.players if isinstance(losses, StepNow) else losses)
                if added or not moves:
                    yield losses
                elif isinstance(losses, StepNow):  # now or never: its step is due
                    added = True
                    yield from self._alone(view)
                    yield losses
                elif prediction is None:
                    yield losses
                else:
                    added = True
                    yield {**losses, SEGMENTER: [*losses[SEGMENTER], *self._on_prediction(view, prediction)]}
                    prediction, losses = None, {}  # frees the graph before the terms' own forward passes
                    yield from self._on_own_forward(view)
                losses = {}  # frees the graph before the method's next forward pass
        if not added and prediction is None:  # else the method looked at the target and lets its segmenter rest
            yield from self._alone(view)

    def _alone(self, view: TargetView) -> Iterator[Losses]:
        """The terms of a method that does not ask for the target: with a forward pass for them, if any wants it."""
        if any(term.reads_prediction(view.step) for term in self.terms):
            yield {SEGMENTER: self._on_prediction(view, self.segmenter(view.target.images))}
        yield from self._on_own_forward(view)

    def _on_prediction(self, view: TargetView, prediction: Prediction) -> list[LossTerm]:
        logits = image_size_logits(prediction, view.target)
        wanting = [term for term in self.terms if term.reads_prediction(view.step)]
        return [loss for term in wanting for loss in term.on_prediction(view, logits)]

    def _on_own_forward(self, view: TargetView) -> Iterator[Losses]:
        for term in self.terms:
            if losses := term.on_own_forward(view):
                yield {SEGMENTER: losses}
                del losses


@contextmanager
def _answers_to(segmenter: Segmenter, images: Tensor) -> Iterator[list[Prediction]]:
    """Collects the segmenter's differentiable predictions for exactly these images while the context is open."""
    answers: list[Prediction] = []

    def remember(_: nn.Module, given: tuple[Any, ...], prediction: Prediction) -> None:
        if given and given[0] is images and all(logits.requires_grad for logits in prediction.logits.values()):
            answers.append(prediction)

    hook = segmenter.register_forward_hook(remember)
    try:
        yield answers
    finally:
        hook.remove()


def combined(name: str, base: type[Method], terms: tuple[type[TargetTerm], ...]) -> type[Combined]:
    """The class of a method with terms. Its options are those of all parts, flat: no two parts share a name.

    Raises: TypeError where two parts give one name to different options (a mistake in a part).
    """
    parts = tuple(dict.fromkeys((base.Options, *(term.Options for term in terms))))
    known: dict[str, str] = {}
    for part in parts:
        for field, described in part.model_fields.items():
            if known.setdefault(field, repr(described)) != repr(described):
                raise TypeError(f"'{name}': two parts have different options named '{field}'")
    # Without classes that another part inherits from, which Python could not order.
    most_derived = tuple(p for p in parts if not any(other is not p and issubclass(other, p) for other in parts))
    # Source-only is what every term is added to at least; it is no part that needs naming.
    named: list[type[Method] | type[TargetTerm]] = [*([] if base is SourceOnly else [base]), *terms]
    body = {
        "name": name,
        "title": " + ".join(part.title for part in named),
        "paper": "; ".join(dict.fromkeys(part.paper for part in named)),
        "Options": type("CombinedOptions", most_derived, {}),
        "labels_from": base.labels_from,
        "reads_source": base.reads_source,
        "chance_accuracy": base.chance_accuracy,
        "base_kind": base,
        "term_kinds": terms,
        "__doc__": f"{base.name} with {', '.join(term.name for term in terms)}.",
    }
    return cast(type[Combined], type("CombinedMethod", (Combined,), body))
