"""How training tells where it is, and how it is stopped: Ctrl-C finishes the step and writes a checkpoint.

The terminal's bar lives in the command line.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Protocol

from polypda.training.engine import StepReport


class Progress(Protocol):
    """Told of every stage and step."""

    def begin(self, stage: str, start: int, steps: int) -> None:
        """A stage begins at step ``start`` of ``steps``."""

    def advance(self, step: int, report: StepReport | None = None) -> None:
        """``step`` steps are done."""

    def end(self) -> None:
        """The stage is done."""

    def beside(self) -> Progress:
        """Progress of a stage that runs at the same time as this one's."""


class Silent:
    """Tells nobody."""

    def begin(self, stage: str, start: int, steps: int) -> None: ...

    def advance(self, step: int, report: StepReport | None = None) -> None: ...

    def end(self) -> None: ...

    def beside(self) -> Progress:
        return self


class InterruptionWatch:
    """While entered, SIGINT and SIGTERM set :attr:`asked`; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> InterruptionWatch:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python forbids handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:  # a launcher's SIGTERM after Ctrl-C must not break the checkpoint
            raise KeyboardInterrupt
        self.asked = True
