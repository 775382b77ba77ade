"""The collapse watch: what a training's own events say of a game that has ended, while it runs and afterwards.

Every rule reads the event log alone, so a resumed training, a page and the training itself come to one answer. A rule
compares the median of the last window of steps with that of the first: it warns when it holds over a whole window and
stops the training when it holds over ``PATIENCE`` windows more. No label of the target is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from polypda.training.collapse_limits import (
    AREA_FACTOR,
    DEAD,
    FLOODED,
    KNOWS_ALL,
    LEAST_MARKED,
    NO_ENTROPY,
    SOURCE_RATIO,
    SOURCE_RISE,
    STILL,
    VANISHED,
)

WINDOW_FRACTION, LEAST_WINDOW = 0.05, 10
"""A window is so much of the steps, and so many at least."""
PATIENCE = 2
"""Windows in which a rule must hold after its warning before it stops the training."""


@dataclass(frozen=True)
class Alarm:
    """rule: its name. step: at which it was raised. what: in words, with figures. stops: whether training must end.
    sound: steps that were made before the first window in which a rule that stops was seen to hold."""

    rule: str
    step: int
    what: str
    stops: bool = False
    sound: int = 0

    @property
    def words(self) -> str:
        """For logs, done.json and pages."""
        return f"{'stopped' if self.stops else 'warned'} at step {self.step + 1}: {self.what}"


@dataclass(frozen=True)
class _Rule:
    """value: of an event; None where it says nothing. holds: last and first window's median → what is wrong, or ""."""

    name: str
    value: Callable[[Mapping[str, Any]], float | None]
    holds: Callable[[float, float], str]


def _target(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda event: event.get("target", {}).get(name)


def _foreground(last: float, first: float) -> str:
    if first >= LEAST_MARKED and last < VANISHED * first:
        return f"the target is no longer marked ({first:.2%} of it at first, {last:.2%} now)"
    if last > FLOODED and last > AREA_FACTOR * first:
        return f"nearly all of the target is marked ({first:.2%} of it at first, {last:.2%} now)"
    return ""


def _entropy(last: float, first: float) -> str:
    certain = last < NO_ENTROPY and first > 10 * NO_ENTROPY
    return (
        f"every pixel of the target is certain (entropy {first:.2g} at first, {last:.2g} nats now)" if certain else ""
    )


def _source(last: float, first: float) -> str:
    lost = last > SOURCE_RATIO * first and last - first > SOURCE_RISE
    return f"the source is being forgotten (its loss was {first:.3g} at first, is {last:.3g} now)" if lost else ""


def _pseudo(last: float, _first: float) -> str:
    if last == 0:
        return "the pseudo-labels mark no polyp"
    return f"the pseudo-labels mark nearly all ({last:.0%})" if last > FLOODED else ""


def _still(player: str) -> Callable[[float, float], str]:
    def holds(last: float, first: float) -> str:
        dead = last < STILL * first
        return f"the {player} no longer moves (gradient {first:.2g} at first, {last:.2g} now)" if dead else ""

    return holds


def _unmoved(player: str) -> Callable[[float, float], str]:
    def holds(last: float, first: float) -> str:
        dead = last < DEAD * first
        return f"the {player} answers alike whatever it sees (its loss no longer changes)" if dead else ""

    return holds


def _source_loss(event: Mapping[str, Any]) -> float | None:
    terms = [value for player in event["losses"].values() for name, value in player.items() if name == "seg_main"]
    return fmean(terms) if terms else None


_RULES = (
    _Rule("foreground", _target("foreground"), _foreground),
    _Rule("entropy", _target("entropy"), _entropy),
    _Rule("source", _source_loss, _source),
    _Rule("pseudo-labels", _target("pseudo"), _pseudo),
)


class CollapseWatch:
    """Hears of each step's event, in order, and raises alarms."""

    def __init__(self, steps: int) -> None:
        """Args: steps: of the whole training. One of less than four windows is too short to judge and never stopped."""
        self.window = max(LEAST_WINDOW, round(WINDOW_FRACTION * steps))
        self.alarms: list[Alarm] = []
        self._active = steps >= (PATIENCE + 2) * self.window
        self._seen: dict[str, _Series] = {}
        self._losses: dict[str, float] = {}

    @property
    def stopping(self) -> Alarm | None:
        """The alarm that ends the training."""
        return next((alarm for alarm in self.alarms if alarm.stops), None)

    def see(self, event: Mapping[str, Any]) -> Alarm | None:
        """The alarm that this step raises, if any; of several one that stops.

        event: a line of the event log (``step``, ``losses``, ``grad``, ``accuracy``, ``target``).
        """
        if not self._active:
            return None
        raised = None
        for name, value, holds in self._values(event):
            series = self._seen.setdefault(name, _Series(self.window))
            found = series.add(value, holds)
            if found and series.held in (1, 1 + PATIENCE * self.window):
                step = int(event["step"])
                sound = max(0, step + 1 - (PATIENCE + 1) * self.window)
                alarm = Alarm(name, step, found, stops=series.held > 1, sound=sound)
                self.alarms.append(alarm)
                raised = raised if raised and raised.stops else alarm
        return raised

    def _values(self, event: Mapping[str, Any]) -> Iterable[tuple[str, float, Callable[[float, float], str]]]:
        for rule in _RULES:
            if (value := rule.value(event)) is not None:
                yield rule.name, value, rule.holds
        accuracy = event.get("accuracy", {})
        for player, norm in event.get("grad", {}).items():
            if player not in accuracy:  # a discriminator that knows all has no gradient, and is told as that
                yield f"gradient of {player}", norm, _still(player)
        for player in accuracy:
            loss = sum(event["losses"].get(player, {}).values())
            if player in self._losses:
                yield f"loss of {player}", abs(loss - self._losses[player]), _unmoved(player)
            self._losses[player] = loss
        for player, value in accuracy.items():
            yield f"accuracy of {player}", value, _all_knowing(player)


def _all_knowing(player: str) -> Callable[[float, float], str]:
    def holds(last: float, _first: float) -> str:
        knows = last > KNOWS_ALL
        return f"the {player} tells the domains apart without error (accuracy {last:.3f})" if knows else ""

    return holds


class _Series:
    """One figure over the steps. held: for how many steps its rule has held without a break."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=window)
        self.held = 0

    def add(self, value: float, holds: Callable[[float, float], str]) -> str:
        """What is wrong now; "" where nothing is, or not enough was seen."""
        if len(self._first) < self._window:
            self._first.append(value)
            return ""
        self._last.append(value)
        if len(self._last) < self._window:
            return ""
        found = holds(median(self._last), median(self._first))
        self.held = self.held + 1 if found else 0
        return found


def alarms_of(events: Iterable[Mapping[str, Any]], steps: int) -> tuple[Alarm, ...]:
    """What the watch would have said of a training's events, in their order."""
    watch = CollapseWatch(steps)
    for event in events:
        watch.see(event)
    return tuple(watch.alarms)
