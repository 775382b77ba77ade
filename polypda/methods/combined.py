"""A method with target terms: ``adaptsegnet+minent``, ``fcn-wild+mean-teacher+mic``.

The method plays as it always does. Where it asks the segmenter for the unchanged target images, the terms that want
that answer are added to the losses that come of it, so it costs no second forward pass; where it never does, one is
made. Where it asks and its segmenter does not move in this step (ADDA's warm-up and closed gate), terms do not either.
Terms with a forward pass of their own follow. One moving average of the segmenter serves all terms that learn from a
teacher.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.contract import (
    SEGMENTER,
    Losses,
    LossTerm,
    Method,
    MethodOptions,
    Player,
    Preparation,
    StepNow,
)
from polypda.methods.controls import SourceOnly
from polypda.methods.mean_teacher import TeacherOptions, ema_decay, follow, make_teacher
from polypda.methods.segmentation import image_size_logits
from polypda.methods.target_terms import TargetTerm, TargetView
from polypda.networks.segmenter import Prediction, Segmenter

TEACHER = "teacher"


class Combined(Method):
    """A base method and its terms; :func:`combined` makes the classes."""

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
            follow(self.teacher, self.segmenter, 0.0)

    def after_step(self, step: int) -> None:
        self.base.after_step(step)
        if self.teacher:
            assert isinstance(self.options, TeacherOptions)  # every term with a teacher has these options
            follow(self.teacher, self.segmenter, ema_decay(step + 1, self.options.alpha(self.steps)))

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
        logits: dict[str, Tensor] = image_size_logits(prediction, view.target)
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
    # Source-only is what every term is added to at least; it is no part that needs naming.
    told = [*([] if base is SourceOnly else [(base.title, base.paper)]), *((term.title, term.paper) for term in terms)]
    body = {
        "name": name,
        "title": " + ".join(title for title, _ in told),
        "paper": "; ".join(dict.fromkeys(paper for _, paper in told)),
        "Options": cast(type[MethodOptions], type("CombinedOptions", _most_derived(parts), {})),
        "labels_from": base.labels_from,
        "reads_source": base.reads_source,
        "chance_accuracy": base.chance_accuracy,
        "base_kind": base,
        "term_kinds": terms,
        "__doc__": f"{base.name} with {', '.join(term.name for term in terms)}.",
    }
    return cast(type[Combined], type("CombinedMethod", (Combined,), body))


def _most_derived(parts: tuple[type[MethodOptions], ...]) -> tuple[type[MethodOptions], ...]:
    """Without classes that another part inherits from, which Python could not order."""
    return tuple(part for part in parts if not any(other is not part and issubclass(other, part) for other in parts))
