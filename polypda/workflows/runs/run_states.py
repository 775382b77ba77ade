"""What STATUS.json says while a run trains, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from polypda.errors import Interrupted
from polypda.training.run_folder import RunFolder

Ended = Callable[[Path], Path]
"""Takes the report's page, writes that the run is complete, and returns the page."""


@contextmanager
def told_states(run: RunFolder) -> Iterator[Ended]:
    """Training from here on; interrupted or failed where the block is left by an error."""

    def complete(page: Path) -> Path:
        run.set_status("complete", report=page.relative_to(run.folder).as_posix())
        return page

    try:
        run.set_status("training")
        yield complete
    except (Interrupted, KeyboardInterrupt):
        run.set_status("interrupted")
        raise
    except Exception as error:
        with suppress(OSError):  # a full disk must not hide what went wrong
            run.set_status("failed", error=getattr(error, "code", type(error).__name__))
        raise
