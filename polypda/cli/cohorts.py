"""``polypda cohorts``: which cohorts there are, what is known of them, whether their files are as they should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from polypda.cli.cohort_quality import check_command, stats_command
from polypda.cli.configuration import OptionalDataRoot
from polypda.cli.console import wide_console
from polypda.cli.import_command import ImportCommand, import_command
from polypda.errors import PolypdaError

if TYPE_CHECKING:
    from polypda.cohorts.manifest import Extent, Manifest

UNKNOWN = "unknown"
STATUS_STYLE = {"verified": "green", "contradicted": "red", "unverified": "yellow"}

cohorts_app = typer.Typer(
    name="cohorts", help="Cohorts: list, describe, import, check, compare, render as phantoms.", no_args_is_help=True
)

cohorts_app.command("check")(check_command)
cohorts_app.command("import", cls=ImportCommand)(import_command)
cohorts_app.command("stats")(stats_command)

CohortId = Annotated[str, typer.Argument(metavar="ID", help="Cohort id, as `polypda cohorts list` shows it.")]


@cohorts_app.command("list")
def list_cohorts(data_root: OptionalDataRoot = None) -> None:
    """List all cohorts, and which of them are present below the data root."""
    from polypda.cohorts.catalogue import load_catalogue
    from polypda.cohorts.opening import present

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name, justify in (
        ("id", "left"),
        ("centre", "left"),
        ("scope", "left"),
        ("frames", "right"),
        ("size", "left"),
        ("labels", "left"),
        ("access", "left"),
        ("here", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=name != "centre", overflow="fold")  # type: ignore[arg-type]
    for cohort_id, described in load_catalogue(data_root).items():
        try:
            here = "–" if data_root is None else "yes" if present(cohort_id, data_root) else "no"
        except (PolypdaError, OSError):  # one folder that cannot be looked into hides no other cohort
            here = "?"
        table.add_row(
            cohort_id,
            described.city or described.centre or UNKNOWN,
            described.scope.vendor or UNKNOWN,
            _frames(described),
            _size(described),
            _labels(described),
            described.access.level.value.replace("on-", ""),
            here,
        )
    console = wide_console()
    console.print(table)
    if data_root is None:
        console.print("here: give --data-root (or POLYPDA_DATA) to see which are present.", style="dim")


@cohorts_app.command("show")
def show_cohort(cohort_id: CohortId, data_root: OptionalDataRoot = None) -> None:
    """Show everything that is known of a cohort: declared, verified, contradicted and unknown."""
    from polypda.cohorts.catalogue import manifest

    described = manifest(cohort_id, data_root)
    console = wide_console()
    local = f" · {described.title.local}" if described.title.local else ""
    console.print(Text(f"{described.id}: {described.title.en}{local}", style="bold"))
    console.print(_properties(described, cohort_id, data_root))
    console.print()
    facts = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    facts.add_column("status", no_wrap=True)
    facts.add_column("fact, and where it is from")
    for fact in described.facts:
        status = Text(fact.status.value, style=STATUS_STYLE.get(fact.status.value, ""))
        facts.add_row(status, Text.assemble(fact.statement.strip(), (f" [{fact.source.strip()}]", "dim")))
    for overlap in described.overlaps:
        status = Text(overlap.status.value, style=STATUS_STYLE.get(overlap.status.value, ""))
        facts.add_row(status, f"Shares frames with {overlap.data_set}: {overlap.what}.")
    console.print(facts)


@cohorts_app.command("phantom")
def phantom(
    cohort_id: CohortId,
    frames: Annotated[int, typer.Option("--frames", min=1, help="How many frames to render.")],
    out: Annotated[Path, typer.Option("--out", help="Becomes a data root that holds the cohort's folder.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Render a synthetic cohort with exact masks, laid out as an ordinary cohort folder."""
    from polypda.cohorts.catalogue import manifest
    from polypda.phantom import render_cohort  # the renderer loads slowly and only this command needs it

    folder = render_cohort(manifest(cohort_id), frames=frames, out=out, seed=seed)
    typer.echo(f"Synthetic frames, not clinical evidence. Data root: {out}")
    typer.echo(str(folder))


def _labels(described: Manifest) -> str:
    return "no polyp" if described.declared.polyp_frames == 0 else described.annotation.value


def _found(cohort_id: str, data_root: Path | None) -> dict[str, str]:
    """What the frames below the data root are labelled with, in all and per imaging mode; {} where there are none."""
    from polypda.cohorts.opening import open_cohort, present
    from polypda.cohorts.sub_cohorts import label_words, mode_words, whole_cohort

    if data_root is None or not present(whole_cohort(cohort_id), data_root):
        return {}
    try:
        frames = open_cohort(cohort_id, data_root).frames
    except PolypdaError as error:
        return {"labels here": f"{error.code}: {error.what}"}
    modes = mode_words(frames)
    return {"labels here": label_words(frames), **({"modes here": modes} if modes else {})}


def _frames(described: Manifest) -> str:
    count = described.verified.frames if described.verified.frames is not None else described.declared.frames
    if count is not None:
        return str(count)
    return f"{described.declared.videos} vid." if described.declared.videos is not None else UNKNOWN


def _size(described: Manifest) -> str:
    for extent in (described.verified, described.declared):
        if len(extent.resolutions) == 1:
            return _times(extent.resolutions[0])
        if extent.resolutions or extent.resolution_range:
            return "varied"
    return UNKNOWN


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _properties(described: Manifest, cohort_id: str, data_root: Path | None) -> Table:
    from polypda.cohorts.opening import present

    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    scope, access = described.scope, described.access
    rows: dict[str, object] = {
        "centre": described.centre,
        "city, country": f"{described.city or UNKNOWN}, {described.country or UNKNOWN}",
        "vendor": scope.vendor,
        "processor": scope.processor,
        "endoscope": scope.endoscope,
        "imaging modes": ", ".join(scope.modes) if scope.modes else None,
        "declared": _extent(described.declared),
        "verified": _extent(described.verified) or "nothing",
        "pixel aspect": described.pixel_aspect,
        "interlaced": None if described.interlaced is None else "yes" if described.interlaced else "no",
        "field of view": described.field_of_view,
        "annotation": described.annotation.value,
        "media": described.media.value,
        "access": access.level.value,
        "how to obtain": access.how.strip(),
        "licence": access.licence,
        "cite": access.citation,
        "read as": _read_as(described),
        "phantom look": "yes" if described.phantom is not None else "none yet",
        "present": "no data root given" if data_root is None else "yes" if present(described.id, data_root) else "no",
    }
    rows |= _found(cohort_id, data_root)
    for name, value in rows.items():
        # Text: brackets in a value are no markup
        table.add_row(name, Text(UNKNOWN if value is None or value == "" else str(value)))
    return table


def _extent(extent: Extent) -> str:
    counts = extent.model_dump(exclude={"resolutions", "resolution_range", "note"}, exclude_none=True)
    parts = [f"{count} {name.replace('_', ' ')}" for name, count in counts.items()]
    parts += [_times(size) for size in extent.resolutions]
    if extent.resolution_range:
        parts.append(" to ".join(_times(size) for size in extent.resolution_range))
    if extent.note:
        parts.append(extent.note.strip())
    return ", ".join(parts)


def _read_as(described: Manifest) -> str:
    tried = [f"{layout.name}{'' if layout.verified else ' (never tried)'}" for layout in described.layouts]
    return "; ".join([*tried, f"ordinary cohort folder {described.id}/"])
