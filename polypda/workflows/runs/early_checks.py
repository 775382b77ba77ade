"""What can be told of a wish in under a second, before torch is loaded: a typo must not cost more than that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.opening import find_cohort
from polypda.cohorts.pairs import check_pair
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.errors import DataError, UsageError
from polypda.files import require_free, require_writable
from polypda.methods.index import DEFAULT_METHOD, check_names
from polypda.training.run_loggers import Tracking
from polypda.workflows.runs.paths import Paths


def check_wish(
    options: Mapping[str, Any],
    paths: Paths,
    method_options: Iterable[str],
    *,
    out: Path | None = None,
    source_package: Path | None = None,
) -> None:
    """Names of cohorts, method and options, where the data lie, and whether the run can be written.

    Args:
        options: as :func:`polypda.workflows.runs.launch.launch` takes them. method_options: names of the method's.
    Raises: UsageError E_COHORTS, E_COHORT_UNKNOWN, E_SAME_COHORT, E_MODE_NAME, E_METHOD_UNKNOWN, E_METHOD_OPTION,
        E_RUN_EXISTS, E_LOGGER_UNKNOWN, E_LOGGER_SERVER, E_EXTRA_MISSING; LeakageError E_SHARED_FRAMES; DataError
        E_COHORT_ABSENT, E_COHORT_EMPTY, E_COHORT_BOXES, E_COHORT_VIDEO, E_WRITE_FAILED.
    """
    source, target = options["source"], options["target"]
    if target is None or (source is None and source_package is None):
        raise no_pair()
    if source is None:
        manifest(target)
    else:
        check_pair(source, target, allow_leakage=bool(options["allow_leakage"]))
    check_names(options["method"] or DEFAULT_METHOD, method_options)
    Tracking(tuple(options.get("log_to") or ()), paths.mlflow_uri).check()
    if out is not None:
        require_free(out)
    require_writable(paths.cache)
    if not options["phantom"]:
        for cohort in filter(None, (source, target)):
            find_cohort(manifest(whole_cohort(cohort)), paths.data_root)


def check_cohorts(names: Iterable[str], data_root: Path | None = None) -> None:
    """Raises: UsageError E_COHORT_UNKNOWN, E_MODE_NAME."""
    for name in names:
        manifest(whole_cohort(name), data_root)


def check_model(path: Path) -> None:
    """A run's folder or a model's file must be there. Raises: DataError E_WEIGHTS_MISSING."""
    if not path.exists():
        what = "there is no such weights file or run"
        raise DataError("E_WEIGHTS_MISSING", f"{what}.", where=path, fix="check the path.")


def check_evaluated(folders: Iterable[Path]) -> None:
    """Folders of runs or evaluations must be there. Raises: DataError E_EVALUATION_MISSING."""
    for folder in folders:
        if not folder.is_dir():
            fix = "give a run folder of `polypda adapt` that is complete, or the folder of an evaluation."
            raise DataError("E_EVALUATION_MISSING", "there is no such folder.", where=folder, fix=fix)


def no_pair() -> UsageError:
    """The error for an adaptation whose cohorts are not both named."""
    return UsageError(
        "E_COHORTS",
        "give --source (or --source-package) and --target; or --resume RUN.",
        fix="`polypda cohorts list` shows them.",
    )
