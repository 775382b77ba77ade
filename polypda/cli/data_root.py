"""The option ``--data-root`` of every command: where cohorts lie, and whose manifests count."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polypda.cohorts.catalogue import use_data_root

VARIABLE = "POLYPDA_DATA"


def name_data_root(root: Path | None) -> Path | None:
    """Let the manifests in a command's data root count, and hand the option's value on."""
    use_data_root(root)
    return root


DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root", envvar=VARIABLE, callback=name_data_root, help="Folder that holds the cohorts' folders."
    ),
]
OptionalDataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", envvar=VARIABLE, callback=name_data_root, help="Folder below which the cohorts' files lie."
    ),
]
