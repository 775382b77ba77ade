"""What a run has before it: its trainings and phases in order, what each is expected to cost, and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

from polypda.cohorts.frames import Split
from polypda.methods.contract import FirstLabeller
from polypda.training.checkpoints import DONE
from polypda.training.config import AdaptConfig
from polypda.training.engine import StepReport
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.cohort_pair import CohortPair
from polypda.workflows.runs.stages import ORACLE, SOURCE_ONLY, START, adapts, round_name
from polypda.workflows.runs.trained_models import part_config, trained_parts, wants_oracle
from polypda.workflows.runs.trainings import several_at_once

ADAPTING, BESIDE = 2.0, 0.7
"""An adaptation's step costs two of source-only; a step beside another training takes so much of its time alone."""
LABELLED, SCORED = 0.04, 0.08
"""A frame through one network at one scale, without and with its figures, in steps of source-only (measured with the
preset `quick` on two cores; elsewhere these are guesses, and the time left is corrected as the run goes)."""
CHOOSE, SNAPSHOTS = "choosing the checkpoint", "scoring snapshots"
CHOOSING, REPORTING = 50.0, 85.0
LEAST_EARNED = 0.03
"""So much of a run must be done before its speed says anything."""


@dataclass
class Part:
    """A training or phase.

    cost: in steps of source-only. done: 0–1. skipped: as much of it as this process did not do. alone: it begins when
    all before it have ended.
    """

    name: str
    cost: float
    done: float = 0.0
    skipped: float = 0.0
    begun: bool = False
    alone: bool = False


@dataclass
class Outline:
    """The parts in the order in which they are expected to begin."""

    parts: list[Part]
    began: float = field(default_factory=monotonic)

    def begin(self, name: str) -> tuple[int, Part] | None:
        """The next part of this name that has not begun, with its number from 1; None where there is none."""
        for number, part in enumerate(self.parts, 1):
            if part.name == name and not part.begun:
                part.begun = True
                if part.alone:
                    for earlier in self.parts[: number - 1]:
                        earlier.skipped, earlier.done = earlier.skipped + 1 - earlier.done, 1.0
                return number, part
        return None

    def left_s(self) -> float | None:
        """Seconds that the rest takes at the speed so far; None as long as too little is done."""
        earned = sum(part.cost * (part.done - part.skipped) for part in self.parts)
        left = sum(part.cost * (1 - part.done) for part in self.parts)
        if earned < LEAST_EARNED * (earned + left):
            return None
        return (monotonic() - self.began) / earned * left

    def __str__(self) -> str:
        return ", ".join(f"{number} {part.name}" for number, part in enumerate(self.parts, 1))


class Outlined:
    """A progress whose stages are numbered as parts of an outline, and which tells the time left of the whole."""

    def __init__(self, shown: Progress, outline: Outline) -> None:
        self._shown = shown
        self._outline = outline
        self._part = Part("", 0.0)
        self._steps = 1

    def begin(self, stage: str, start: int, steps: int) -> None:
        if found := self._outline.begin(stage):
            number, self._part = found
            stage = f"{number}/{len(self._outline.parts)} {stage}"
        else:
            self._part = Part(stage, 0.0)
        self._steps = max(1, steps)
        self._part.done = self._part.skipped = start / self._steps
        self._shown.begin(stage, start, steps)
        self._tell()

    def advance(self, step: int, report: StepReport | None = None) -> None:
        self._part.done = min(1.0, step / self._steps)
        self._tell()
        self._shown.advance(step, report)

    def end(self) -> None:
        self._shown.end()

    def remaining(self, seconds: float) -> None:
        self._shown.remaining(seconds)

    def announce(self, words: str) -> None:
        self._shown.announce(words)

    def beside(self) -> Outlined:
        return Outlined(self._shown.beside(), self._outline)

    def _tell(self) -> None:
        if (left := self._outline.left_s()) is not None:
            self._shown.remaining(left)


def outline_of(run: RunFolder, config: AdaptConfig, pair: CohortPair) -> Outline:
    """What is to be done in a run from here on; trainings that are finished are left out, their labelling too."""
    trainings = [
        part
        for training in _trainings(config, pair)
        if not (run.stage(training[-1].name) / DONE).is_file()
        for part in training
    ]
    if run.not_kept():  # it is scored again, and chose long ago
        return Outline([part for part in _afterwards(config, pair) if part.name not in (CHOOSE, SNAPSHOTS)])
    return Outline([*trainings, *_afterwards(config, pair)])


def _trainings(config: AdaptConfig, pair: CohortPair) -> Iterator[list[Part]]:
    """Each training with what is done right before it, in the order of :func:`polypda.workflows.runs.adapt.adapt`."""
    beside = BESIDE if several_at_once(config.compute) else 1.0
    if not config.start_from:
        yield [Part(START, config.start_steps)]
    if not config.control_from:
        yield [Part(SOURCE_ONLY, config.adapt_steps * beside)]
    if adapts(config.method):
        yield from _rounds(config, config.method, pair, beside)
    for part in trained_parts(config):
        yield from _rounds(part_config(config, part), part, pair, beside)
    if wants_oracle(config) and not config.oracle_from:
        yield [Part(ORACLE, config.start_steps + config.adapt_steps)]


def _rounds(config: AdaptConfig, method: str, pair: CohortPair, beside: float) -> Iterator[list[Part]]:
    rule = config.of_method.pseudo_labels
    if rule is None:
        yield [Part(method, config.adapt_steps * ADAPTING * beside)]
        return
    frames = len(pair.target.split(Split.TRAIN))
    for number in range(1, rule.rounds + 1):
        labellers = 2 if number == 1 and rule.first is FirstLabeller.AGREEMENT else 1
        name = method if number == rule.rounds else round_name(method, number)
        yield [
            Part("labelling the target", frames * labellers * _passes(config) * LABELLED * beside),
            Part(name, config.adapt_steps / rule.rounds * ADAPTING * beside),
        ]


def _afterwards(config: AdaptConfig, pair: CohortPair) -> Iterator[Part]:
    models = 2 + len(trained_parts(config)) + adapts(config.method) + wants_oracle(config)
    per_frame = models * _passes(config) * SCORED
    if adapts(config.method):
        yield Part(CHOOSE, CHOOSING, alone=True)
    for cohort in filter(None, (pair.source, pair.target)):
        yield Part(f"scoring {cohort.id}", len(cohort.split(Split.TEST)) * per_frame, alone=True)
    snapshots = config.adapt_steps // max(1, config.checkpoint_every) - 1
    if adapts(config.method) and snapshots > 0:
        frames = len(pair.target.split(Split.TEST))
        yield Part(SNAPSHOTS, frames * snapshots * _passes(config) * SCORED, alone=True)
    yield Part("writing the report", REPORTING, alone=True)


def _passes(config: AdaptConfig) -> float:
    """Forward passes of a frame, counted by their area at the training size."""
    return sum(scale**2 for scale in config.inference.scales) * (2 if config.inference.flips else 1)
