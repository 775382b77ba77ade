"""`polypda source-package`: what may leave a centre whose frames may not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polypda.cli.configuration import default_cache
from polypda.cli.data_root import DataRoot

Opt = typer.Option


def source_package_command(
    run: Annotated[
        Path, typer.Argument(help="Run folder of `polypda adapt` with a finished start.", show_default=False)
    ],
    out: Annotated[Path, Opt(help="Folder of the package; must not exist.", show_default=False)],
    data_root: DataRoot = Path("data"),
    tap: Annotated[str, Opt(help="Where features are taken: bottleneck, decoder or logits.")] = "bottleneck",
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Decoded frames and phantoms.")] = None,
) -> None:
    """Pack a source-only model with features of its training frames, for a centre that may not have the frames.

    There: `polypda adapt --source-package PACKAGE --target COHORT --method adda` (or tent). Features are no frames, but
    they are not anonymous: agree on handing them on. The folder is printed last.
    """
    from polypda.cli.progress import terminal_progress
    from polypda.errors import UsageError, nearest
    from polypda.networks.encoder_taps import FeatureTap
    from polypda.workflows.runs.places import Places
    from polypda.workflows.runs.source_package import write_source_package

    taps = [known.value for known in FeatureTap]
    if tap not in taps:
        raise UsageError(
            "E_OPTION", f"--tap {tap}: no such place.{nearest(tap, taps)}", fix=f"one of {', '.join(taps)}."
        )
    places = Places(data_root, cache_dir or default_cache())
    typer.echo(write_source_package(run, out, FeatureTap(tap), places, terminal_progress()))
