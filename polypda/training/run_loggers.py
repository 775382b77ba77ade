"""Where else a run is followed: TensorBoard, MLflow or what another package adds, through one small interface.

The run's own events.jsonl stays the record; a logger is told what stands there and nothing else, so that a resumed or
killed run leaves every step in it once. A logger that fails in a training ends nothing: it is left out with a warning,
and is told what it lacks when it is next opened.
"""

from __future__ import annotations

import json
import logging
import os
import re
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from polypda.errors import PolypdaError, UsageError, nearest
from polypda.files import write_json
from polypda.plugins import Registry, plugins

log = logging.getLogger(__name__)
TRACKING = "tracking"
"""Folder of a run in which loggers keep what stays on this machine."""


@dataclass(frozen=True)
class LogPlace:
    """What a logger writes of. run: the run's folder. part: name of a stage, or "" for the run as a whole. server:
    where the user wants it to be sent; None: it stays in the run's folder."""

    run: Path
    part: str = ""
    server: str | None = None

    @property
    def folder(self) -> Path:
        """Where loggers keep what stays on this machine; not made yet."""
        return self.run / TRACKING


class RunLogger(ABC):
    """Takes what there is to follow of one stage of a run, or of the run as a whole.

    To add one, name a subclass by an entry point (``polypda.loggers``). It is made anew in each process that trains,
    only in the first of several that share batches. module: what must be installed; install: how it is had.
    """

    name: ClassVar[str]
    module: ClassVar[str] = ""
    install: ClassVar[str] = ""

    @abstractmethod
    def __init__(self, place: LogPlace) -> None:
        """Open the log, or go on with the one that is there. Raises: whatever the other side does."""

    @property
    def leaves_machine(self) -> bool:
        """Whether what it is told is sent elsewhere: then it is told of no frame of a patient."""
        return False

    @abstractmethod
    def go_on(self, start: int) -> int:
        """Drop steps from ``start`` on, where that can be done; returns the first step that is not in the log yet."""

    @abstractmethod
    def config(self, values: Mapping[str, Any]) -> None:
        """The run's settings, nested ones as ``section.field``; told again when a run goes on."""

    @abstractmethod
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """What was measured in a step, by names such as ``loss/segmenter/seg_main``."""

    @abstractmethod
    def image(self, name: str, step: int, image: np.ndarray) -> None:
        """A picture. image: H×W×3, uint8, RGB."""

    @abstractmethod
    def artefact(self, path: Path) -> None:
        """A file that the run has made."""

    @abstractmethod
    def close(self) -> None:
        """Write what is not written yet."""


class TensorBoard(RunLogger):
    """An event file per stage below ``tracking/tensorboard``.

    The file is written here record by record and not by ``SummaryWriter``, which names it after this machine and cannot
    take back the steps after a checkpoint.
    """

    name = "tensorboard"
    module = "tensorboard"
    install = "pip install 'polypda[tensorboard]'"
    FILE = "events.out.tfevents.polypda"

    def __init__(self, place: LogPlace) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary

        self._event, self._summary = event_pb2.Event, summary
        self.path = place.folder / self.name / (place.part or "run") / self.FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab")
        self._writer = RecordWriter(self._file)
        if not self._file.tell():
            self._write(self._event(wall_time=time.time(), file_version="brain.Event:2"))

    def go_on(self, start: int) -> int:
        known = 0
        for offset, record in self._records():
            event = self._event.FromString(record)
            if event.step >= start and event.HasField("summary"):
                os.truncate(self.path, offset)
                break
            known = max(known, event.step + 1 if event.HasField("summary") else 0)
        return known

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Where each record begins, and what is in it; what a killed process left half-written is cut off."""
        with self.path.open("rb") as file:
            while header := file.read(12):
                offset = file.tell() - len(header)
                length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
                record, checksum = file.read(length), file.read(4)
                if len(checksum) < 4:
                    os.truncate(self.path, offset)
                    return
                yield offset, record

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def _add(self, step: int, summaries: Iterable[Any]) -> None:
        together = self._event(wall_time=time.time(), step=step)
        for one in summaries:
            together.summary.MergeFrom(one)
        self._write(together)

    def config(self, values: Mapping[str, Any]) -> None:
        self.go_on(0)  # what is told of the whole run is told once
        rows = [f"| {name} | {value} |" for name, value in values.items()]
        self._add(0, [self._summary.text("config", "\n".join(["| setting | value |", "|---|---|", *rows]))])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._add(step, (self._summary.scalar(name, value) for name, value in values.items()))

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        self._add(step, [self._summary.image(name, image, dataformats="HWC")])

    def artefact(self, path: Path) -> None:
        self._add(0, [self._summary.text(f"file/{path.name}", f"`{path.name}`, {path.stat().st_size} bytes")])

    def close(self) -> None:
        self._writer.close()


class Mlflow(RunLogger):
    """One MLflow run per run; the series of a stage are named ``STAGE/…``. Kept below ``tracking/mlflow`` unless the
    user names a server. MLflow's own telemetry is switched off."""

    name = "mlflow"
    module = "mlflow"
    install = "pip install 'polypda[mlflow]'"
    EXPERIMENT = "polypda"
    TOGETHER, SEND_EVERY_S = 500, 2.0
    """Values in one request, and how often there is one: a server is not asked at every step."""

    def __init__(self, place: LogPlace) -> None:
        store = place.folder / self.name
        self.server = _as_uri(place.server) if place.server else ""
        mlflow = _silent_mlflow()
        self._entities, self._errors = mlflow.entities, mlflow.exceptions.MlflowException
        store.mkdir(parents=True, exist_ok=True)
        self._client = mlflow.tracking.MlflowClient(tracking_uri=self.server or store.resolve().as_uri())
        self.part = place.part
        self._fresh, self._run = self._opened(store, place.run.resolve().name)
        self._last: dict[str, int] = {}
        self._known: dict[str, float] = {}
        self._waiting: list[Any] = []
        self._sent_s = time.monotonic()

    @property
    def leaves_machine(self) -> bool:
        return bool(self.server) and not self.server.startswith("file:")

    def _opened(self, store: Path, name: str) -> tuple[bool, str]:
        """Whether the run is new there, and its id, which is noted beside a digest of where it lies."""
        note, there = store / "run.json", sha256(self.server.encode()).hexdigest()[:12]
        if note.is_file():
            noted = json.loads(note.read_text(encoding="utf-8"))
            if noted["there"] == there:
                return False, noted["run"]
        experiment = self._client.get_experiment_by_name(self.EXPERIMENT)
        if experiment is None:
            try:
                found = self._client.create_experiment(self.EXPERIMENT)
            except self._errors:  # another run was quicker
                experiment = self._client.get_experiment_by_name(self.EXPERIMENT)
                if experiment is None:
                    raise
        run = self._client.create_run(experiment.experiment_id if experiment else found, run_name=name).info.run_id
        write_json(note, {"run": run, "there": there})
        return True, run

    def go_on(self, start: int) -> int:
        """No step can be taken back from a server; one that is told again is not sent again, series by series."""
        there = self._client.get_run(self._run).data.metrics
        if not self.part:
            self._known = dict(there)
            return 0
        for key in there:
            if key.startswith(f"{self._key('')}/"):
                self._last[key] = max(one.step for one in self._client.get_metric_history(self._run, key))
        return 0

    def _key(self, name: str) -> str:
        """As MLflow permits it: stages are named with a plus."""
        return re.sub(r"[^\w\-. /]", "_", f"{self.part}/{name}" if self.part else name).rstrip("/")

    def config(self, values: Mapping[str, Any]) -> None:
        if not self._fresh:
            self._client.set_terminated(self._run, "RUNNING")
            return
        every = iter([self._entities.Param(self._key(name), str(value)[:6000]) for name, value in values.items()])
        while some := list(islice(every, 100)):
            self._client.log_batch(self._run, params=some)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        keyed = {self._key(name): value for name, value in values.items()}
        self._waiting += [
            self._entities.Metric(key, value, now, step)
            for key, value in keyed.items()
            if step > self._last.get(key, -1) and value != self._known.get(key)
        ]
        if len(self._waiting) >= self.TOGETHER or time.monotonic() - self._sent_s > self.SEND_EVERY_S:
            self._send()

    def _send(self) -> None:
        while self._waiting:
            self._client.log_batch(self._run, metrics=self._waiting[: self.TOGETHER])
            del self._waiting[: self.TOGETHER]
        self._sent_s = time.monotonic()

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        from PIL import Image

        self._client.log_image(self._run, Image.fromarray(image), f"images/{self._key(name)}-{step:06d}.png")

    def artefact(self, path: Path) -> None:
        self._client.log_artifact(self._run, str(path))

    def close(self) -> None:
        self._send()
        if not self.part:
            self._client.set_terminated(self._run)


def _silent_mlflow() -> ModuleType:
    """MLflow, which must reach for nothing that nobody asked it for, and keep files although it prefers databases."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE"):
        os.environ.setdefault(name, "true")
    import mlflow
    import mlflow.entities
    import mlflow.exceptions
    import mlflow.tracking

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return mlflow


def _as_uri(text: str) -> str:
    """A server's URI as it is; a folder as MLflow wants it."""
    return text if "://" in text or text.startswith("databricks") else Path(text).expanduser().resolve().as_uri()


LOGGERS: Registry[type[RunLogger]] = Registry(
    {kind.name: kind for kind in (TensorBoard, Mlflow)},
    lambda: {kind.name: kind for kind in plugins("polypda.loggers", RunLogger)},
)
"""Every logger by name: ``--log-to NAME``."""


@dataclass(frozen=True)
class Tracking:
    """Which loggers follow a run. names: of :data:`LOGGERS`. server: where MLflow is to send it; None: nowhere."""

    names: tuple[str, ...] = ()
    server: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Whether every logger can be had, before anything is computed.

        Raises: UsageError E_LOGGER_UNKNOWN, E_EXTRA_MISSING, E_LOGGER_SERVER, E_OPTION.
        """
        for name in self.names:
            kind = _known(name)
            if kind.module and find_spec(kind.module) is None:
                raise UsageError("E_EXTRA_MISSING", f"--log-to {name} needs {kind.module}.", fix=kind.install)
        if self.server is None:
            return
        if Mlflow.name not in self.names:
            raise UsageError("E_OPTION", "--mlflow-uri would be ignored.", fix="add --log-to mlflow.")
        if urlsplit(self.server).password is not None:
            raise UsageError(
                "E_LOGGER_SERVER",
                "--mlflow-uri holds a password, which others can see in the list of processes.",
                fix="give it in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
            )

    def begin(self, run: Path, settings: Mapping[str, Any]) -> None:
        """Open every log of a run and tell its settings. Raises: UsageError E_LOGGER_OPEN, where one cannot be opened;
        what :meth:`check` raises."""
        self.check()
        for name in self.names:
            try:
                logger = _known(name)(LogPlace(run, server=self.server))
                logger.config(settings)
                logger.close()
            except PolypdaError:
                raise
            except Exception as error:  # whatever the other side raises
                raise UsageError(
                    "E_LOGGER_OPEN",
                    f"the log of --log-to {name} cannot be opened: {_first_line(error)}",
                    fix="see to the server or the folder, or leave that logger out.",
                ) from error

    def of(self, place: Path, part: str = "") -> Loggers:
        """The open logs of a part of a run. place: the run's folder."""
        return Loggers(self, LogPlace(place, part, self.server))


NOT_TRACKED = Tracking()


def _known(name: str) -> type[RunLogger]:
    if name not in LOGGERS:
        raise UsageError(
            "E_LOGGER_UNKNOWN",
            f"there is no logger '{name}'.{nearest(name, LOGGERS)}",
            fix=f"one of {', '.join(LOGGERS)}.",
        )
    return LOGGERS[name]


class Loggers:
    """The logs of one stage, or of the run as a whole, while they are open. One that fails is left out, with a warning.

    place: see :class:`LogPlace`.
    """

    def __init__(self, tracking: Tracking, place: LogPlace) -> None:
        self.tracking, self.place = tracking, place
        self._open: dict[str, RunLogger] = {}

    def __enter__(self) -> Loggers:
        for name in self.tracking.names:
            self._guarded(name, partial(self._open_one, name))
        return self

    def _open_one(self, name: str) -> None:
        self._open[name] = _known(name)(self.place)

    def __exit__(self, *_: object) -> None:
        for name, logger in list(self._open.items()):
            self._guarded(name, logger.close)

    def _guarded(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # a log that cannot be written must not cost a training
            self._open.pop(name, None)
            log.warning("--log-to %s is left out from here on: %s", name, _first_line(error))

    def catch_up(self, start: int, events: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Go on at a step. events: the lines of events.jsonl before it, of which a log is told what it lacks."""
        for name, logger in list(self._open.items()):
            self._guarded(name, partial(self._catch_up, logger, start, events))

    @staticmethod
    def _catch_up(logger: RunLogger, start: int, events: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        first = logger.go_on(start)
        for event in events() if first < start else ():
            if event["step"] >= first:
                logger.scalars(event["step"], scalars_of(event))

    def step(self, event: Mapping[str, Any]) -> None:
        """Tell what a line of events.jsonl says."""
        for name, logger in list(self._open.items()):
            self._guarded(name, partial(logger.scalars, event["step"], scalars_of(event)))

    def results(
        self,
        figures: Mapping[str, float],
        images: Mapping[str, Path],
        files: Collection[Path],
        of_patients: Collection[Path] = (),
    ) -> None:
        """Tell what a run came to.

        Args: figures: by name. images: image files by name. of_patients: those of all files that tell of real frames,
            which a logger that sends them elsewhere does not get.
        """
        for name, logger in list(self._open.items()):
            withheld = of_patients if logger.leaves_machine else ()
            shown = {title: path for title, path in images.items() if path not in withheld}
            kept = [path for path in files if path not in withheld]
            self._guarded(name, partial(_tell, logger, figures, shown, kept))


def _tell(logger: RunLogger, figures: Mapping[str, float], images: Mapping[str, Path], files: Iterable[Path]) -> None:
    from PIL import Image

    logger.go_on(1)
    if figures:
        logger.scalars(0, figures)
    for name, path in images.items():
        with Image.open(path) as image:
            logger.image(name, 0, np.asarray(image.convert("RGB")))
    for path in files:
        logger.artefact(path)


NAMES = {
    "losses": "loss",
    "grad": "gradient_norm",
    "learning_rates": "learning_rate",
    "accuracy": "accuracy",
    "target": "target",
}
"""What a line of events.jsonl holds → the first part of a series' name."""


def scalars_of(event: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a line of events.jsonl by the names of their series: ``loss/segmenter/seg_main``."""
    found = {f"{name}/{key}": value for part, name in NAMES.items() for key, value in _flat(event.get(part, {}))}
    return found | ({"cpu_s": event["cpu_s"]} if "cpu_s" in event else {})


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{key}", one) for key, one in _flat(value))
        else:
            yield name, float(value)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
