"""The run folder: what was decided, on what, where it stands. Never silently overwritten."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from polypda.cohorts.sub_cohorts import file_name_of
from polypda.errors import DataError
from polypda.files import require_free, require_run, write_json
from polypda.training.config import AdaptConfig

VERSIONED = ("polypda", "torch", "segmentation-models-pytorch", "albumentations", "opencv-python-headless", "numpy")


class RunFolder:
    """One run on disk.

    config.json, environment.json, manifests.json, split-COHORT.csv, labels.json (each written once, at creation),
    STATUS.json, one folder per stage, report/. Nothing in it names a user, a host or an absolute path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, config: AdaptConfig) -> RunFolder:
        """Start a run. Raises: UsageError E_RUN_EXISTS."""
        require_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        run = cls(folder)
        write_json(folder / "config.json", config.model_dump(mode="json"))
        write_json(folder / "environment.json", environment())
        run.set_status("started")
        return run

    @classmethod
    def open(cls, folder: Path) -> RunFolder:
        """Open an existing run. Raises: DataError E_RUN_MISSING."""
        require_run(folder)
        return cls(folder)

    @property
    def name(self) -> str:
        """The folder's own name, also where it was given as '.'."""
        return self.folder.resolve().name

    def split_text(self, cohort: str) -> str:
        """The recorded split of a cohort, as CSV; empty when there is none."""
        path = self.folder / f"split-{file_name_of(cohort)}.csv"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def config(self) -> AdaptConfig:
        """The resolved configuration. Raises: DataError E_RUN_CONFIG when it is of another version."""
        try:
            return AdaptConfig.model_validate_json((self.folder / "config.json").read_text(encoding="utf-8"))
        except ValueError as error:
            fix = "resume with the version in environment.json, or start a new run."
            what = "config.json does not fit this version."
            raise DataError("E_RUN_CONFIG", what, where=self.folder, fix=fix) from error

    def stage(self, name: str) -> Path:
        return self.folder / "stages" / name

    @property
    def report(self) -> Path:
        return self.folder / "report"

    def status(self) -> dict[str, Any]:
        """Raises: DataError E_RUN_STATUS."""
        try:
            return json.loads((self.folder / "STATUS.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            fix = f"`polypda adapt --resume {self.folder}` writes it anew; nothing that is trained is lost."
            raise DataError("E_RUN_STATUS", "STATUS.json is missing or damaged.", where=self.folder, fix=fix) from error

    def set_status(self, state: str, **more: Any) -> None:
        """States: started, training, evaluating, complete, interrupted, failed."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.folder / "STATUS.json", {"state": state, "updated": now, **more})


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


def environment() -> dict[str, str]:
    """Versions that a result may depend on; nothing that identifies a machine or a person."""
    versions = {package: metadata.version(package) for package in VERSIONED}
    return {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine(), **versions}
