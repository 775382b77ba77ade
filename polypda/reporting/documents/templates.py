"""The Markdown templates of this folder, and the sentences that several of them share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from polypda.cohorts.splits import FRACTIONS
from polypda.evaluation.cases.run_metadata import ONE_SEED, PHANTOM_BANNER
from polypda.evaluation.scoring.metrics import PROTOCOL
from polypda.evaluation.statistics.intervals import BOOTSTRAP_FROM, CLUSTER_T_FROM, RESAMPLES
from polypda.reporting.documents.markdown_document import code, inline, shortened, table
from polypda.reporting.documents.study import NOT_REPORTED
from polypda.reporting.wording import counted, plain, whole

FOLDER = Path(__file__).parent
CONSTANTS: Mapping[str, Any] = {
    "shares": {part.value: f"{share:.0%}" for part, share in FRACTIONS.items()},
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
        "plain": plain,
        "said": lambda text: inline(text) if text else f"**{NOT_REPORTED}**",
        "shortened": shortened,
        "whole": whole,
    }
    environment.globals |= {
        "BANNER": PHANTOM_BANNER,
        "MISSING": f"**{NOT_REPORTED}**",
        "ONE_SEED": ONE_SEED,
        "counted": counted,
        "row": lambda *cells: CELL_END.join(map(str, cells)),
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


def _aligned(lines: str, numeric: Sequence[str] = ()) -> str:
    headers, *rows = (line.split(CELL_END) for line in lines.strip("\n").split("\n"))
    return table(headers, rows, numeric) + "\n"
