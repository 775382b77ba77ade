"""The trainings of a run after its start: one after another, or several at once in processes of their own.

On a CPU two trainings side by side, each with half the threads, are faster than one after the other with all of them: a
small network's step does not keep many threads busy. How many there are at once is a setting of the run, never the
machine's choice, because the number of threads decides the order of sums and so the last bits of a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

from polypda.cohorts.named_root import named_data_root, use_data_root
from polypda.errors import Interrupted, TrainingError
from polypda.locks import share_lock
from polypda.processes import WorkerPool, spawning, was_asked_to_end
from polypda.training.config import Compute
from polypda.training.engine import StepReport, open_fabric
from polypda.training.progress import Progress

LOOK_EVERY_S = 0.2

_messages: Queue[tuple[Any, ...]] | None = None
"""In a worker: what it tells of its progress."""


@dataclass(frozen=True)
class Training:
    """name: what the run's status calls it. work: brings it to its end; picklable. needs: trainings before it."""

    name: str
    work: Callable[[Compute, Progress], Any]
    needs: tuple[str, ...] = ()


def train_all(
    trainings: Sequence[Training],
    compute: Compute,
    progress: Progress,
    begin: Callable[[str], None],
    run: Path | None = None,
) -> dict[str, Any]:
    """Bring all to their end, each after those that it needs; name → what its work returned.

    Args: trainings: each after those that it needs. begin: told the names of those under way, when one begins. run:
    the folder whose lock this process holds.
    Raises: Interrupted after a checkpoint of each; what a training raises, once the others have checkpoints.
    """
    if several_at_once(compute):
        return _train_in_processes(trainings, compute, progress, begin, run)
    results = {}
    for training in trainings:
        begin(training.name)
        results[training.name] = training.work(compute, progress)
    return results


def several_at_once(compute: Compute) -> bool:
    """Whether trainings run beside each other: asked for, on a CPU, and not already sharing their batches."""
    if compute.trainings_at_once == 1 or compute.processes > 1:
        return False
    return bool(open_fabric(compute, one_process=True).device.type == "cpu")


def _train_in_processes(
    trainings: Sequence[Training],
    compute: Compute,
    progress: Progress,
    begin: Callable[[str], None],
    run: Path | None,
) -> dict[str, Any]:
    messages: Queue[tuple[Any, ...]] = spawning().Queue()
    shown = {training.name: progress.beside() for training in trainings}
    waiting, going, results = list(trainings), dict[Future[Any], Training](), dict[str, Any]()
    try:
        # Left by an error, Ctrl-C or SIGTERM, the pool waits: an interrupted training writes its checkpoint first.
        with WorkerPool(compute.trainings_at_once, _begin_worker, (messages, named_data_root(), run)) as pool:
            while waiting or going:
                ready = [training for training in waiting if set(training.needs) <= results.keys()]
                for training in ready[: compute.trainings_at_once - len(going)]:
                    waiting.remove(training)
                    going[pool.submit(_work, training, compute.share)] = training
                    begin(", ".join(one.name for one in going.values()))
                for ended in wait(going, LOOK_EVERY_S, FIRST_COMPLETED).done:
                    training = going.pop(ended)
                    results[training.name] = ended.result()
                _show(messages, shown)
    except KeyboardInterrupt:
        names = ", ".join(training.name for training in going.values())
        raise Interrupted("E_INTERRUPTED", f"stopped while training {names}; checkpoints are kept.") from None
    except BrokenProcessPool as error:
        if was_asked_to_end():  # a signal to the whole group
            raise Interrupted("E_INTERRUPTED", "stopped while training; checkpoints are kept.") from None
        raise ended_from_outside("a training", "checkpoints are kept") from error
    finally:
        for one in shown.values():
            one.end()
    return results


def ended_from_outside(what: str, kept: str) -> TrainingError:
    """A process of several side by side is gone, and nobody asked it to end."""
    return TrainingError(
        "E_TRAINING_PROCESS",
        f"the process of {what} was ended from outside, as happens when memory runs out; {kept}.",
        fix="go on with `polypda adapt --resume`; with less memory, start anew with --trainings-at-once 1.",
    )


def _begin_worker(messages: Queue[tuple[Any, ...]], data_root: Path | None, run: Path | None) -> None:
    global _messages
    _messages = messages
    messages.cancel_join_thread()  # a parent that no longer listens must not keep this process
    use_data_root(data_root)
    if run is not None:
        share_lock(run)


def _work(training: Training, compute: Compute) -> Any:
    return training.work(compute, _Told(training.name))


@dataclass(frozen=True)
class _Told:
    """Progress that is shown by another process."""

    training: str

    def begin(self, stage: str, start: int, steps: int) -> None:
        self._tell("begin", stage, start, steps)

    def advance(self, step: int, report: StepReport | None = None) -> None:
        self._tell("advance", step, report)

    def end(self) -> None:
        self._tell("end")

    def beside(self) -> Progress:
        return self

    def announce(self, words: str) -> None:
        self._tell("announce", words)

    def remaining(self, seconds: float) -> None:
        self._tell("remaining", seconds)

    def _tell(self, what: str, *arguments: object) -> None:
        if _messages is not None:
            _messages.put((self.training, what, arguments))


def _show(messages: Queue[tuple[Any, ...]], shown: dict[str, Progress]) -> None:
    while True:
        try:
            name, what, arguments = messages.get_nowait()
        except Empty:
            return
        getattr(shown[name], what)(*arguments)
