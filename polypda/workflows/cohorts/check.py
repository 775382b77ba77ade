"""`polypda cohorts check`: look at cohorts, write the page and the JSON, say how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polypda.errors import DATA, UNTRUSTED, DataError, UsageError
from polypda.files import require_writable, write_failed, write_whole
from polypda.quality.checking.check_cohorts import JointReport, OnFrame, check_cohorts
from polypda.reporting.pages.check_page import FILE_NAME, check_json, render_check_page

PAGE = "index.html"


@dataclass(frozen=True)
class CheckOutput:
    """Where a check is written. out: a folder for page and JSON. json: a further file. Each may be None."""

    out: Path | None = None
    json: Path | None = None
    images: bool = True


def check(
    cohorts: Sequence[str],
    data_root: Path | None,
    output: CheckOutput,
    *,
    processes: int = 1,
    leakage_allowed: bool = False,
    on_frame: OnFrame | None = None,
) -> JointReport:
    """Check cohorts and write what is asked for.

    Raises: UsageError E_COHORTS_TWICE; DataError E_CHECK_EXISTS, E_WRITE_FAILED; what opening cohorts raises.
    """
    if len(set(cohorts)) < len(cohorts):
        raise UsageError("E_COHORTS_TWICE", "a cohort is named twice.", fix="name each cohort once.")
    if output.out is not None:
        _refuse_other_content(output.out)
        require_writable(output.out)
    if output.json is not None:
        _refuse_no_file(output.json)
    report = check_cohorts(cohorts, data_root, processes=processes, on_frame=on_frame)
    text = check_json(report, leakage_allowed=leakage_allowed)
    if output.out is not None:
        page = render_check_page(report, images=output.images, leakage_allowed=leakage_allowed)
        try:
            output.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_failed(output.out, error) from error
        write_whole(output.out / PAGE, page)
        write_whole(output.out / FILE_NAME, text)
    if output.json is not None:
        write_whole(output.json, text)
    return report


def exit_status(report: JointReport, *, leakage_allowed: bool) -> int:
    """3 where something must be put right, else 4 where parts leak and nobody allowed it, else 0."""
    if report.has_errors:
        return DATA
    return UNTRUSTED if report.leaks and not leakage_allowed else 0


def _refuse_no_file(path: Path) -> None:
    """The file for the findings must be one that can be written. Raises: DataError E_WRITE_FAILED."""
    if path.is_dir() or not path.parent.is_dir():
        told = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise DataError("E_WRITE_FAILED", f"{told}.", where=path, fix="name a file in a folder that exists.")
    require_writable(path.parent)


def _refuse_other_content(out: Path) -> None:
    """A former check is replaced; anything else that lies there is not."""
    if (out.exists() and not out.is_dir()) or ((out / PAGE).exists() and not (out / FILE_NAME).exists()):
        what = "something lies there that is no check of cohorts: it is not replaced."
        raise DataError("E_CHECK_EXISTS", what, where=out, fix="choose another --out.")
