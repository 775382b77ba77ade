"""How training tells where it is; the terminal's bar lives in the command line."""

from __future__ import annotations

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
