"""Scoring in processes side by side: a cohort's frames are dealt out, and their rows come back in order.

On a CPU a small network keeps one thread busy, and a frame's figures take as long as its predictions: two processes of
one thread each take half the time of one process with two.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from polypda.cohorts.frames import Frame, OpenedCohort
from polypda.cohorts.named_root import named_data_root, use_data_root
from polypda.errors import Interrupted
from polypda.evaluation.scoring.predictions import predict_native
from polypda.networks.registry import load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.processes import WorkerPool, was_asked_to_end
from polypda.training.config import AdaptConfig
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress, Silent
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.trained_models import RunModels
from polypda.workflows.runs.trainings import ended_from_outside, several_at_once
from polypda.workflows.scoring.score_memory import Rows
from polypda.workflows.scoring.scoring import KeyOf, Scoring

LEAST_PREDICTIONS = 100
"""Fewer maps are made sooner than processes are started."""
PORTIONS = 8
"""For each process, so that both end at about the same time and progress is seen."""


class ScoringProcesses:
    """As many processes as the run has trainings at once; started when they are first needed, ended with the block."""

    def __init__(self, run: RunFolder, config: AdaptConfig) -> None:
        self._run = run
        self._config = config
        self._stack = ExitStack()
        self._pool: WorkerPool | None = None

    def __enter__(self) -> ScoringProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def pay(self, frames: int, models: int) -> bool:
        """Whether so many are scored sooner by processes side by side."""
        return several_at_once(self._config.compute) and frames * models >= LEAST_PREDICTIONS

    def rows(
        self, cohort: OpenedCohort, frames: Sequence[Frame], models: Sequence[str], key: KeyOf, progress: Progress
    ) -> Rows:
        """The rows of these frames by these models of the run, frame by frame; key: picklable.

        Raises: Interrupted, TrainingError E_TRAINING_PROCESS; what scoring a frame raises.
        """
        if self._pool is None:
            begin = (self._run.folder, self._config, named_data_root())
            self._pool = self._stack.enter_context(
                WorkerPool(self._config.compute.trainings_at_once, _begin_worker, begin)
            )
        size = max(1, len(frames) // (PORTIONS * self._config.compute.trainings_at_once))
        portions = [frames[index : index + size] for index in range(0, len(frames), size)]
        progress.begin(f"scoring {cohort.id}", 0, len(frames))
        rows: Rows = []
        try:
            waiting = [self._pool.submit(_scored, cohort, portion, tuple(models), key) for portion in portions]
            done = 0
            for portion, future in zip(portions, waiting, strict=True):
                rows += future.result()
                progress.advance(done := done + len(portion))
        except BrokenProcessPool as error:
            if was_asked_to_end():
                raise Interrupted("E_INTERRUPTED", "stopped while scoring; the models are kept.") from None
            raise ended_from_outside("scoring", "all models are kept") from error
        finally:
            progress.end()
        return rows


_worker: tuple[RunFolder, AdaptConfig] | None = None
_models: dict[str, Segmenter] = {}
"""In a worker: those that it has scored with."""


def _begin_worker(run: Path, config: AdaptConfig, data_root: Path | None) -> None:
    global _worker
    use_data_root(data_root)
    _worker = (RunFolder(run), config.model_copy(update={"compute": config.compute.share}))


def _scored(cohort: OpenedCohort, frames: Sequence[Frame], names: Sequence[str], key: KeyOf) -> Rows:
    assert _worker is not None
    run, config = _worker
    device = open_fabric(config.compute, one_process=True).device
    models = RunModels(run, config)
    for name in names:
        if name not in _models:
            _models[name] = load_segmenter(config.network, models.of(name))
    scoring = Scoring()
    seen = predict_native({name: _models[name] for name in names}, frames, config.asked(device))
    scoring.add(cohort, len(frames), seen, key, Silent())
    return scoring.rows
