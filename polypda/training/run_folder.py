"""The run folder: what was decided, on what, where it stands. Never silently overwritten."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from polypda.cohorts.image_files import stays_inside
from polypda.cohorts.sub_cohorts import file_name_of
from polypda.errors import DataError
from polypda.files import require_free, require_run, write_json
from polypda.integrity import Fault, changed, check, faults, recorded_names
from polypda.training.config import AdaptConfig

STATUS, CONFIG, ENVIRONMENT, RESUMED = "STATUS.json", "config.json", "environment.json", "resumed.json"
NOT_KEPT = "not-kept.json"
ROUND = ".round-"
"""Between a method and the number of a round that is not its last, in the name of a stage."""
CHOSEN = ("selection.json", "adapted.safetensors")
MADE_LATER = (STATUS, *CHOSEN, "stylization.json", RESUMED, NOT_KEPT)
"""Files of the run itself that its trainings make; the others are written once, when it is created."""
VERSIONED = ("polypda", "torch", "segmentation-models-pytorch", "albumentations", "opencv-python-headless", "numpy")


@dataclass(frozen=True)
class NotKept:
    """What a finished run no longer has, so that it takes little room. models: by the names of its tables. stages:
    those without a checkpoint. files: of the run itself."""

    models: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.models or self.stages or self.files)

    def __or__(self, other: NotKept) -> NotKept:
        both = zip(astuple(self), astuple(other), strict=True)
        return NotKept(*(tuple(dict.fromkeys((*one, *more))) for one, more in both))

    @property
    def words(self) -> str:
        """For a person; "" where every model is there."""
        if not self:
            return ""
        models = f"the models of {', '.join(self.models)}, and " if self.models else ""
        return f"not kept: {models}checkpoints that the chosen one was chosen from (--keep all keeps them)"


class RunFolder:
    """One run on disk.

    config.json, environment.json, manifests.json, split-COHORT.csv, labels.json (each written once, at creation),
    STATUS.json, one folder per stage, report/, and lists of checksums. Nothing in it names a user, a host or an
    absolute path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, config: AdaptConfig) -> RunFolder:
        """Start a run. Raises: UsageError E_RUN_EXISTS."""
        require_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        run = cls(folder)
        write_json(folder / CONFIG, config.model_dump(mode="json"))
        write_json(folder / ENVIRONMENT, environment() | {"threads": str(threads())})
        run.set_status("started")
        return run

    @classmethod
    def open(cls, folder: Path) -> RunFolder:
        """Open an existing run, whose own files must be as they were written.

        Raises: DataError E_RUN_MISSING, E_FILE_CHANGED, E_CHECKSUMS.
        """
        require_run(folder)
        run = cls(folder)
        for fault in run.faults():
            raise changed(fault, run.remedy(fault.path.name))
        return run

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the files of the run itself, not of its stages and evaluations."""
        listed = set(recorded_names(self.folder))
        made_later = {name for name in listed if not self._is_of_the_beginning(name)} | {*self.not_kept().files}
        yield from (one for one in faults(self.folder, may_lack=made_later) if one.path.name != STATUS)

    def remedy(self, name: str) -> str:
        """What helps where one of these files is not what was written."""
        if self._is_of_the_beginning(name):
            return "put it back as it was: a run keeps its settings and its data. For others start a new run."
        if name in CHOSEN and self.not_kept():
            return "put back a copy, or train the run anew: it did not keep what this could be made from again."
        return f"remove it and give `polypda adapt --resume {self.folder}`: it is made again."

    @staticmethod
    def _is_of_the_beginning(name: str) -> bool:
        return not (name in MADE_LATER or name.startswith("part-"))

    @property
    def name(self) -> str:
        """The folder's own name, also where it was given as '.'."""
        return self.folder.resolve().name

    def split_text(self, cohort: str) -> str:
        """The recorded split of a cohort, as CSV; empty when there is none."""
        path = self.folder / f"split-{file_name_of(cohort)}.csv"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def config(self) -> AdaptConfig:
        """The resolved configuration.

        Raises: DataError E_RUN_CONFIG when it is of another version, or names a path where a name should stand.
        """
        try:
            config = AdaptConfig.model_validate_json((self.folder / CONFIG).read_text(encoding="utf-8"))
        except ValueError as error:
            version = self.made_with().get("polypda", "an unknown version")
            fix = f"go on with polypda {version}, which made the run, or start a new run."
            what = f"config.json does not fit this version ({str(error).splitlines()[0]})."
            raise DataError("E_RUN_CONFIG", what, where=self.folder, fix=fix) from error
        for name in (config.source, config.target, config.method):  # stages, splits and reports are named by them
            if not stays_inside(name) or "/" in name or "\\" in name:
                what = f"config.json names '{name[:80]}', a path, where a cohort or a method should stand."
                raise DataError(
                    "E_RUN_CONFIG", what, where=self.folder, fix="take the run as damaged, or tampered with."
                )
        return config

    def made_with(self) -> dict[str, str]:
        """The versions that the run was begun with, and its number of threads; empty where they are not recorded."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.folder / ENVIRONMENT).read_text(encoding="utf-8")))
        return {}

    def note_resumption(self, processes: int) -> str:
        """Record what a resumed run computes with; what is not as it was, in words, "" where nothing is.

        Args: processes: how many train from here on.
        Raises: OSError.
        """
        then = self.made_with() | {"processes": str(self.config().compute.processes)}
        now = environment() | {"threads": str(threads()), "processes": str(processes)}
        different = [f"{name} {then[name]} → {now[name]}" for name in then if now.get(name, then[name]) != then[name]]
        if not different:
            return ""
        path = self.folder / RESUMED
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        when = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(path, [*before, {"resumed": when, "different": different}], recorded=True)
        return f"not as the run was begun, so that last bits may differ: {', '.join(different)} (noted in {RESUMED})"

    def not_kept(self) -> NotKept:
        """What was removed when the run was finished; nothing where all is there."""
        try:
            values = json.loads((self.folder / NOT_KEPT).read_text(encoding="utf-8"))
            return NotKept(*(tuple(map(str, values[name])) for name in ("models", "stages", "files")))
        except (OSError, ValueError, KeyError, TypeError):
            return NotKept()

    def stage(self, name: str) -> Path:
        return self.folder / "stages" / name

    def stages(self) -> list[Path]:
        """The folders of the stages that were begun."""
        folder = self.folder / "stages"
        return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    @property
    def report(self) -> Path:
        return self.folder / "report"

    def status(self) -> dict[str, Any]:
        """Raises: DataError E_RUN_STATUS."""
        path = self.folder / STATUS
        try:
            check(path)
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, DataError) as error:
            fix = f"`polypda adapt --resume {self.folder}` writes it anew; nothing that is trained is lost."
            raise DataError("E_RUN_STATUS", "STATUS.json is missing or damaged.", where=self.folder, fix=fix) from error

    def set_status(self, state: str, **more: Any) -> None:
        """States: started, training, evaluating, complete, interrupted, failed."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.folder / STATUS, {"state": state, "updated": now, **more}, recorded=True)


def run_name(config: AdaptConfig) -> str:
    """The folder of a run within ``runs`` or its matrix."""
    kind = "-phantom" if config.phantom else ""
    return f"{file_name_of(config.source)}-to-{file_name_of(config.target)}-{config.method}-s{config.seed}{kind}"


def free_folder(parent: Path, name: str) -> Path:
    """``parent/name``, or ``parent/name-2``, ``-3``… when that is taken."""
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}-{number}", number + 1
    return folder


def threads() -> int:
    """How many CPU threads torch computes with; they decide the order of sums, and so last bits."""
    import torch

    return torch.get_num_threads()


def environment() -> dict[str, str]:
    """Versions that a result may depend on; nothing that identifies a machine or a person."""
    versions = {package: metadata.version(package) for package in VERSIONED}
    return {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine(), **versions}
