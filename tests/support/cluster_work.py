"""Work for jobs of a cluster that counts what was done, without a training: nodes import it as the tests do."""

import time
from dataclasses import dataclass
from pathlib import Path

from polypda.errors import DataError, Interrupted


@dataclass(frozen=True)
class Work:
    """Stands for a planned run. steps: of a tenth of a second each."""

    name: str
    folder: str
    steps: int = 1
    needs: tuple[str, ...] = ()
    fails: bool = False


def work(run: Work) -> None:
    """Make what is missing of the steps: a line each, so that the file's length is the checkpoint."""
    folder = Path(run.folder)
    assert all((folder / f"{need}.done").is_file() for need in run.needs), "what a run needs comes first"
    path = folder / f"{run.name}.steps"
    with path.open("a") as file:
        for step in range(len(path.read_text().splitlines()), run.steps):
            try:
                time.sleep(0.1)
            except KeyboardInterrupt:
                raise Interrupted("E_INTERRUPTED", "asked to stop") from None
            file.write(f"{step}\n")
            file.flush()
    if run.fails:
        raise DataError("E_TEST", "as it was told", fix="none")
    (folder / f"{run.name}.done").touch(exist_ok=False)
