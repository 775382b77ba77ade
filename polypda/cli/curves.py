"""`polypda curves`: how a training went."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Opt = typer.Option


def curves_command(
    run: Annotated[Path, typer.Argument(help="Run folder of `polypda adapt`, finished or not.", show_default=False)],
    out: Annotated[Path | None, Opt(help="Folder of page and pictures. Default: RUN/curves.")] = None,
    stage: Annotated[str | None, Opt(help="Only this stage. Default: all that made a step, the method first.")] = None,
) -> None:
    """Draw a run's curves: losses per player, discriminators' accuracy, foreground, label-free criteria.

    Says in words where a collapse, a runaway loss or a decided discriminator is seen. No target label is read. The
    page's path is printed last.
    """
    from polypda.workflows.runs.reports import curves

    typer.echo(curves(run, out, stage))
