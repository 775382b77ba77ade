"""The options of ``polypda cohorts import --deidentify``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.errors import UsageError

if TYPE_CHECKING:
    from polypda.importing.deidentification.pixels import Region
    from polypda.workflows.cohorts.deidentify import DeidentifyingImport
    from polypda.workflows.cohorts.import_cohort import ImportRequest

PANEL = "De-identification"


class Insets(StrEnum):
    """What becomes of insets and text inside the field of view; they are black either way."""

    BLANK = "blank"
    IGNORE = "ignore"


Deidentify = Annotated[
    bool,
    typer.Option(
        "--deidentify",
        help="Remove what identifies a person: screen text, insets, metadata, names, dates.",
        rich_help_panel=PANEL,
    ),
]
DeidentifyInsets = Annotated[
    Insets,
    typer.Option(
        "--deidentify-insets",
        help="Insets and text in the field of view are black; with `ignore` they neither count nor teach, too.",
        rich_help_panel=PANEL,
    ),
]
KeepWithoutField = Annotated[
    bool,
    typer.Option(
        "--keep-without-field",
        help="Keep frames in which no field of view is found (only text and insets are blanked then).",
        rich_help_panel=PANEL,
    ),
]
BlankRegion = Annotated[
    list[str] | None,
    typer.Option(
        "--blank-region",
        metavar="LEFT,TOP,RIGHT,BOTTOM",
        help="A place that is blanked in every frame, as shares of it (0–1). Repeatable.",
        rich_help_panel=PANEL,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="File of the key of all pseudonyms, made when missing. Keep it apart from the frames.",
        show_default="deidentify.key in the user's configuration folder",
        rich_help_panel=PANEL,
    ),
]
Crosswalk = Annotated[
    Path | None,
    typer.Option(
        "--crosswalk",
        help="Also write which original name has which pseudonym, to this file outside the data root.",
        rich_help_panel=PANEL,
    ),
]


def treatment_for(
    request: ImportRequest,
    *,
    deidentify: bool,
    insets: Insets,
    keep_without_field: bool,
    regions: Sequence[str],
    key: Path | None,
    crosswalk: Path | None,
) -> DeidentifyingImport | None:
    """The treatment that the options ask for. Raises: UsageError E_OPTION, and as :class:`DeidentifyingImport`."""
    from polypda.importing.deidentification.treatment import Choices
    from polypda.workflows.cohorts.deidentify import DeidentifyingImport, DeidentifyRequest, refuse_mixing

    if not deidentify:
        if keep_without_field or regions or key or crosswalk:
            what = "--keep-without-field, --blank-region, --key and --crosswalk belong to --deidentify."
            raise UsageError("E_OPTION", what, fix="add --deidentify, or leave them out.")
        refuse_mixing(request)
        return None
    choices = Choices(insets is Insets.IGNORE, keep_without_field, tuple(map(_region, regions)))
    default = Path(typer.get_app_dir("polypda")) / "deidentify.key"
    treatment = DeidentifyingImport(request, DeidentifyRequest(key or default, crosswalk, choices))
    if treatment.key_created:
        typer.echo(f"A new key was made: {key or default}. Without it later imports give other pseudonyms.", err=True)
    return treatment


def _region(text: str) -> Region:
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        left = top = right = bottom = -1.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        what = f"--blank-region {text} is no region."
        raise UsageError("E_OPTION", what, fix="write left,top,right,bottom as shares, e.g. 0,0,0.2,0.5.")
    return left, top, right, bottom
