"""`polypda matrix status`, `cancel` and `check`: a matrix's jobs on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polypda.cli.configuration import OptionalDataRoot
from polypda.files import require_writable

Opt = typer.Option
Out = Annotated[Path, Opt(help="Folder of the matrix.")]


def status_command(out: Out = Path("runs/matrix")) -> None:
    """Show where every run of a matrix on a cluster stands."""
    from collections import Counter

    from polypda.workflows.matrix.on_cluster import standings

    rows = standings(out)
    width = max(len(row.run) for row in rows)
    for row in rows:
        print(f"{row.run:<{width}}  {row.state:<10}  {row.job:>9}  {row.words}".rstrip())
    print(", ".join(f"{count} {state}" for state, count in Counter(row.state for row in rows).most_common()))


def cancel_command(out: Out = Path("runs/matrix")) -> None:
    """Take a matrix's jobs out of the queue; checkpoints are kept, and the same matrix command goes on later."""
    from polypda.workflows.matrix.on_cluster import cancel_all

    print(f"{len(cancel_all(out))} jobs cancelled")


def check_command(
    cluster: Annotated[Path | None, Opt(help="YAML of what a job asks for.")] = None,
    out: Out = Path("runs/matrix"),
    data_root: OptionalDataRoot = None,
    seconds: Annotated[int, Opt(min=1, help="How long to wait for each partition's job.")] = 600,
) -> None:
    """Run a job of seconds on every partition that the matrix will use: same version, data, room to write, GPUs."""
    from polypda.workflows.matrix.cluster import read_cluster
    from polypda.workflows.matrix.node_check import check_cluster

    chosen = read_cluster(cluster)
    require_writable(out)
    for line in check_cluster(out, chosen, data_root, seconds):
        print(line)
