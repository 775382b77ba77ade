"""Where a training is: for whoever watches, in its event log; and how it is stopped, after a step."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from polypda.files import write_whole
from polypda.processes import STOPPING, note_signal

if TYPE_CHECKING:  # takes seconds to load, and who only scores needs none of it
    from polypda.training.engine import StepReport

EVENTS = "events.jsonl"


class Progress(Protocol):
    """Hears of every stage and step."""

    def begin(self, stage: str, start: int, steps: int) -> None:
        """A stage begins at step ``start`` of ``steps``."""

    def advance(self, step: int, report: StepReport | None = None) -> None:
        """``step`` steps are done."""

    def end(self) -> None:
        """The stage is done."""

    def beside(self) -> Progress:
        """Progress of a stage that runs at the same time as this one's."""

    def announce(self, words: str) -> None:
        """Say what is to be done."""

    def remaining(self, seconds: float) -> None:
        """The whole of it will take about so much longer."""


class Silent:
    """Shows nothing."""

    def begin(self, stage: str, start: int, steps: int) -> None: ...

    def advance(self, step: int, report: StepReport | None = None) -> None: ...

    def end(self) -> None: ...

    def beside(self) -> Progress:
        return self

    def announce(self, words: str) -> None: ...

    def remaining(self, seconds: float) -> None: ...


@contextmanager
def phase(progress: Progress, name: str) -> Iterator[None]:
    """Name what the block does, where it has no steps to be counted."""
    progress.begin(name, 0, 1)
    try:
        yield
        progress.advance(1)
    finally:
        progress.end()


class InterruptionWatch:
    """While entered, SIGINT, SIGTERM and SIGHUP set :attr:`asked`; a second SIGINT stops at once.

    What is ignored (under ``nohup``) stays ignored.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> InterruptionWatch:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python forbids handlers
            for number in STOPPING:
                handler = signal.getsignal(number)
                if handler is not signal.SIG_IGN:
                    self._before[number] = handler
                    signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:  # a launcher's SIGTERM after Ctrl-C must not break the checkpoint
            raise KeyboardInterrupt
        note_signal(number)
        self.asked = True


class EventLog:
    """events.jsonl: one line per step. Lines after the step that is resumed from are dropped first."""

    def __init__(self, folder: Path, start: int, *, writes: bool) -> None:
        self.path = folder / EVENTS
        self.writes = writes
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text(encoding="utf-8").splitlines() if start and self.path.exists() else []
            write_whole(self.path, "".join(f"{line}\n" for line in lines if _step_of(line) < start))

    def __enter__(self) -> EventLog:
        self._file = self.path.open("a", encoding="utf-8") if self.writes else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, step: int, report: StepReport, cpu_s: float) -> dict[str, Any]:
        """Write a step's line; returns what it says.

        Args: cpu_s: CPU seconds of this process since the step before (its batch and, after a save, that too).
        """
        line = {
            "step": step,
            "losses": report.losses,
            "grad": report.gradient_norms,
            "learning_rates": report.learning_rates,
            "accuracy": report.accuracies,
            "target": report.target,
            "cpu_s": round(cpu_s, 4),
        }
        if self._file:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        return line

    def before(self, step: int) -> Iterator[dict[str, Any]]:
        """The events before a step, as they were written."""
        for line in self.path.read_text(encoding="utf-8").splitlines() if step and self.path.is_file() else ():
            if _step_of(line) < step:
                yield json.loads(line)


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError):  # the last line of an interrupted write
        return 2**62
