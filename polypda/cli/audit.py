"""`polypda audit`: which frames to label, and what their labels show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.cli.configuration import DataRoot, default_cache
from polypda.errors import UsageError, nearest
from polypda.files import require_run

if TYPE_CHECKING:
    from polypda.workflows.runs.paths import Paths

Opt = typer.Option
PREFILLS = ("none", "labelme", "coco")


def audit_command(
    run: Annotated[Path, typer.Argument(help="Run folder of `polypda adapt`, finished.", show_default=False)],
    frames: Annotated[int | None, Opt(min=2, help="Draw this many frames to label.", show_default=False)] = None,
    labels: Annotated[Path | None, Opt(help="Folder of the labels that came back.", show_default=False)] = None,
    out: Annotated[Path | None, Opt(help="Folder of the drawn frames (default: RUN/audit), or of the answer.")] = None,
    part: Annotated[str, Opt(help="Of the target: test (held out), train, validation or all.")] = "test",
    prefill: Annotated[
        str, Opt(help="Outlines to correct: none, labelme or coco. They pull labels towards the models.")
    ] = "none",
    seed: Annotated[int, Opt(min=0, help="Decides which frames are drawn.")] = 0,
    overlays: Annotated[int, Opt(min=0, help="Overlays on the answer's page.")] = 12,
    data_root: DataRoot = Path("data"),
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Rendered phantoms.")] = None,
) -> None:
    """Answer whether adaptation helped in a centre without labels, by labelling a few of its frames.

    First `--frames N`: draws N frames at random within strata of predicted difference and size, exports them, and says
    how precise the answer will be. Then `--labels DIR`: masks named like the images, or files of an annotation tool;
    scores both models on them and says what they show. The folder, or the page, is printed last.
    """
    from polypda.workflows.runs.paths import Paths

    if (frames is None) == (labels is None):
        raise UsageError("E_OPTION", "give either --frames or --labels.", fix="polypda audit RUN --frames 20")
    if prefill not in PREFILLS:
        what = f"--prefill {prefill}: no such kind.{nearest(prefill, PREFILLS)}"
        raise UsageError("E_OPTION", what, fix=f"one of {', '.join(PREFILLS)}.")
    require_run(run)
    paths = Paths(data_root, cache_dir or default_cache())
    if frames is not None:
        _draw(run, paths, frames, part, out or run / "audit", seed, prefill)
    elif labels is not None:
        _answer(run, paths, labels, out, overlays)


def _draw(run: Path, paths: Paths, frames: int, part: str, out: Path, seed: int, prefill: str) -> None:
    from polypda.cli.console import terminal_progress
    from polypda.reporting.report_folders import refuse_existing
    from polypda.workflows.audit.export import export_frames
    from polypda.workflows.audit.plan import AuditedRun, Prefill, plan_audit

    audited = AuditedRun.open(run, paths)
    refuse_existing(out)
    plan = plan_audit(audited, paths, frames, part, terminal_progress(), seed=seed, prefill=Prefill(prefill))
    export_frames(audited, plan, out)
    print(
        f"{len(plan.frames)} of {plan.population} frames of {plan.target} ({plan.part}) in {len(plan.strata)} strata. "
        f"Once they are labelled, expect the change of Dice to be known to ±{plan.expected_change:.2f} and Dice itself "
        f"to ±{plan.expected_dice:.2f} (95 %).\n"
        f"Lay masks named like the images into {out / 'masks'} (white: polyp; black throughout: none), or annotate "
        f"images/ in a tool, then: polypda audit {run} --labels {out}",
        file=sys.stderr,
    )
    print(out)


def _answer(run: Path, paths: Paths, labels: Path, out: Path | None, overlays: int) -> None:
    from polypda.cli.console import terminal_progress
    from polypda.workflows.audit.answer import ANSWER, OWN_LABELS, answer_audit, find_plan
    from polypda.workflows.audit.plan import AuditedRun

    audited = AuditedRun.open(run, paths)
    found = find_plan(labels, run)
    folder = out or (found[1] / ANSWER if found else run / OWN_LABELS)
    print(answer_audit(audited, labels, folder, found[0] if found else None, overlays, terminal_progress()))
