"""The Markdown templates of this folder, the sentences that several of them share, and how text becomes Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from polypda.cohorts.splits import FRACTIONS
from polypda.evaluation.cases.run_metadata import ONE_SEED, PHANTOM_BANNER
from polypda.evaluation.scoring.metrics import PROTOCOL
from polypda.evaluation.statistics.intervals import BOOTSTRAP_FROM, CLUSTER_T_FROM, RESAMPLES
from polypda.reporting.documents.study import NOT_REPORTED
from polypda.reporting.tables.result_tables import distinct_words
from polypda.reporting.tables.text_table import padded_markdown
from polypda.reporting.wording import (
    NOT_KNOWN,
    clusters_text,
    counted,
    limit,
    p_text,
    percent,
    plain,
    signed,
    whole,
    with_interval,
)

FOLDER = Path(__file__).parent
MISSING = f"**{NOT_REPORTED}**"
CONSTANTS: Mapping[str, Any] = {
    "shares": {part.value: f"{fraction:.0%}" for part, fraction in FRACTIONS.items()},
    "protocol": PROTOCOL,
    "bootstrap_from": BOOTSTRAP_FROM,
    "cluster_t_from": CLUSTER_T_FROM,
    "resamples": f"{RESAMPLES:,}",
}
CELL_END = "\x1f"
"""Parts the cells of a row until its table is aligned."""


@cache
def markdown_templates() -> jinja2.Environment:
    """The environment of all templates here.

    Nothing is escaped by itself: text of others goes through ``inline``, ``code`` or ``said`` (which says so where
    there is none). A name that a template does not know is an error; None is printed as nothing. Within
    ``{% filter aligned %}`` every line is made by ``row(cell, …)``, the first being the headings.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: "" if value is None else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "aligned": _aligned,
        "code": code,
        "codes": lambda names: ", ".join(map(code, names)),
        "inline": inline,
        "limit": limit,
        "percent": percent,
        "plain": plain,
        "ranged": _ranged,
        "said": lambda text: inline(text) if text else MISSING,
        "shortened": shortened,
        "signed": signed,
        "whole": whole,
    }
    environment.tests["missing"] = pd.isna
    environment.globals |= {
        "BANNER": PHANTOM_BANNER,
        "MISSING": MISSING,
        "NOT_KNOWN": NOT_KNOWN,
        "ONE_SEED": ONE_SEED,
        "clusters_text": clusters_text,
        "counted": counted,
        "distinct_words": distinct_words,
        "p_text": p_text,
        "percent": percent,
        "plain": plain,
        "row": lambda *cells: CELL_END.join(map(str, cells)),
        "with_interval": with_interval,
    }
    shared = yaml.safe_load((FOLDER / "shared_sentences.yaml").read_text(encoding="utf-8"))
    environment.globals["shared"] = {
        name: environment.from_string(text).render(CONSTANTS) for name, text in shared.items()
    }
    return environment


def render_document(template: str, **facts: Any) -> str:
    """A document with one empty line between its blocks and one line feed at its end."""
    text = markdown_templates().get_template(template).render(facts)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def inline(text: object) -> str:
    """Text of others (study file, manifest, settings) on one line, so that no tag or named link comes to life."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("<", "\\<").replace("](", "]\\(")


def code(text: object) -> str:
    """A name as it is typed: cohort ids, option values, file names."""
    plain = " ".join(str(text).split()).replace("`", "'")
    return f"`{plain}`" if plain else "(empty)"


def shortened(names: Iterable[str], most: int = 6) -> str:
    """``a, b, c and 4 more``."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def _aligned(lines: str, numeric: Sequence[str] = ()) -> str:
    """A table padded for readers of the raw file. numeric: the headings whose columns are set to the right."""
    grid = [line.replace("|", "\\|").split(CELL_END) for line in lines.strip("\n").split("\n")]
    return padded_markdown(grid, [heading in numeric for heading in grid[0]]) + "\n"


def _ranged(rows: Sequence[Mapping[str, Any]], name: str, write: Callable[[float], str]) -> str:
    """The lowest and highest value of a column, as text; a dash where none is known."""
    known = [float(row[name]) for row in rows if not pd.isna(row[name])]
    if not known:
        return NOT_KNOWN
    low, high = write(min(known)), write(max(known))
    return low if low == high else f"{low} to {high}"
