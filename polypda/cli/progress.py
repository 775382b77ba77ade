"""Progress for people: a bar with the time left on a terminal, plain lines elsewhere (logs, CI)."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from polypda.training.engine import StepReport
from polypda.training.progress import Progress as TrainingProgress

LINES_PER_STAGE = 10


def terminal_progress() -> TrainingProgress:
    """The bar where standard error is a terminal, else plain lines."""
    return Bar() if sys.stderr.isatty() else Lines()


class Bar:
    """One bar per stage, with its losses and the time left; stages at once stand below each other."""

    def __init__(self, screen: _Screen | None = None) -> None:
        self._screen = screen or _Screen()
        self._task: TaskID | None = None

    def begin(self, stage: str, start: int, steps: int) -> None:
        self._task = self._screen.open().add_task(stage, total=steps, completed=start, losses="")

    def advance(self, step: int, report: StepReport | None = None) -> None:
        if self._task is not None:
            self._screen.bars.update(self._task, completed=step, losses=losses_text(report))

    def end(self) -> None:
        if self._task is not None:
            self._screen.close()
            self._task = None

    def beside(self) -> Bar:
        return Bar(self._screen)


class _Screen:
    """The bars on the terminal, drawn anew while a stage runs."""

    def __init__(self) -> None:
        self.bars = self._empty()
        self._stages = 0

    def open(self) -> Progress:
        if not self._stages:
            self.bars = self._empty()
            self.bars.start()
        self._stages += 1
        return self.bars

    def close(self) -> None:
        self._stages -= 1
        if not self._stages:
            self.bars.stop()

    @staticmethod
    def _empty() -> Progress:
        return Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=Console(stderr=True),
        )


class Lines:
    """About ten lines per stage, with the time left."""

    def begin(self, stage: str, start: int, steps: int) -> None:
        self._stage, self._start, self._steps = stage, start, steps
        self._began = time.monotonic()
        self._every = max(1, steps // LINES_PER_STAGE)
        if start:
            print(f"{stage}: goes on at step {start}", file=sys.stderr, flush=True)

    def advance(self, step: int, report: StepReport | None = None) -> None:
        if step % self._every and step != self._steps:
            return
        elapsed = time.monotonic() - self._began
        left = elapsed / max(1, step - self._start) * (self._steps - step)
        line = f"{self._stage}: {step}/{self._steps}  {elapsed:.0f} s, {left:.0f} s left  {losses_text(report)}"
        print(line.rstrip(), file=sys.stderr, flush=True)

    def end(self) -> None: ...

    def beside(self) -> Lines:
        return Lines()


def losses_text(report: StepReport | None) -> str:
    """The main losses of a step, short."""
    if report is None:
        return ""
    values = {name: value for player in report.losses.values() for name, value in player.items()}
    wanted = [name for name in ("seg_main", "adv_main", "d_main_source") if name in values]
    return "  ".join(f"{name} {values[name]:.3f}" for name in wanted)
