"""All tables of cross-centre results as files: for spreadsheets, documents, papers and programs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from polypda.evaluation.aggregation.cell_text import INTERVAL_NOTE, interval_cells, p_text, signed
from polypda.evaluation.aggregation.centre_cells import positive_cells
from polypda.evaluation.aggregation.centre_files import centres_json, centres_markdown
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.latex_tables import bold, latex_table
from polypda.evaluation.aggregation.matrix_cells import (
    AGGREGATE_NOTE,
    BOLD_NOTE,
    MATRIX_NOTE,
    aggregate_cells,
    cohort_line,
    is_improvement,
    matrix_cells,
)
from polypda.evaluation.aggregation.selector_regret import SELECTORS_FILE
from polypda.evaluation.aggregation.summary_file import summary_json
from polypda.evaluation.aggregation.table_facts import METRICS_LINE, TableFacts, markdown_table
from polypda.files import write_whole

LATEX_COLUMNS = ("adaptation", "centre", "model", "n", "clusters", "Dice", "Δ Dice", "p", "better / worse")


def write_tables(results: CrossCentreResults, folder: Path) -> list[Path]:
    """Write centers.{csv,md,tex,json}, matrix.{csv,md,tex}, comparisons.csv, summary.json and (where checkpoints
    were chosen) selectors.csv into an existing folder.

    Each states protocol, checkpoint rule, seeds, resolution and what Dice means; phantom results carry their banner in
    every one. In CSV these are columns, so that the files stay tables.

    Returns: the files. Raises: DataError E_WRITE_FAILED.
    """
    contents = table_contents(results)
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def table_contents(results: CrossCentreResults) -> dict[str, str]:
    """File name → text of every table."""
    centres = results_facts(results, "Every centre: what each model scores")
    matrix = results_facts(results, "Source × cohort: mean Dice of every model in every centre")
    return {
        "centers.csv": centres.csv(results.centres),
        "centers.md": centres_markdown(results.centres, centres, results.strata),
        "centers.tex": centres_latex(results, centres),
        "centers.json": centres_json(results.centres, centres),
        "matrix.csv": matrix.csv(results.matrix),
        "matrix.md": matrix_markdown(results, matrix),
        "matrix.tex": matrix_latex(results, matrix),
        "comparisons.csv": centres.csv(results.comparisons),
        "summary.json": summary_json(results),
        **({SELECTORS_FILE: centres.csv(results.selectors)} if len(results.selectors) else {}),
    }


def results_facts(results: CrossCentreResults, title: str) -> TableFacts:
    """What the files of these results repeat."""
    return TableFacts(title, results.stated | {"metrics": METRICS_LINE}, results.phantom, results.notes)


def centres_latex(results: CrossCentreResults, facts: TableFacts) -> str:
    """Dice, its difference and their intervals per centre and model; bold: significant improvements only."""
    table = results.centres
    cells = positive_cells(table)
    deltas = table[["delta_low", "delta_interval", "p_holm"]].to_numpy()
    better = [is_improvement(*delta) for delta in deltas]
    for name in ("Dice", "Δ Dice"):
        cells[name] = [bold(text) if mark else text for text, mark in zip(cells[name], better, strict=True)]
    cells = cells[[name for name in LATEX_COLUMNS if name in cells]]
    caption = _caption(facts, results, f"{BOLD_NOTE} {INTERVAL_NOTE}")
    return latex_table(cells, caption=caption, label="tab:polypda-centres", banner=facts.banner, group="centre")


def matrix_markdown(results: CrossCentreResults, facts: TableFacts) -> str:
    """The wide matrix, its differences and what they come to over the centres."""
    parts = [
        *facts.markdown_head(),
        markdown_table(matrix_cells(results.matrix, lambda text: f"**{text}**")),
        f"{MATRIX_NOTE} {cohort_line(results.matrix)}.",
    ]
    changes = difference_cells(results.comparisons)
    if len(changes):
        parts += ["## Differences from source-only in the target centres", markdown_table(changes)]
    if len(results.aggregates):
        parts += ["## Over the target centres", markdown_table(aggregate_cells(results.aggregates)), AGGREGATE_NOTE]
    return "\n\n".join([*parts, *facts.markdown_tail(), INTERVAL_NOTE]) + "\n"


def matrix_latex(results: CrossCentreResults, facts: TableFacts) -> str:
    """The wide matrix."""
    cells = matrix_cells(results.matrix, bold)
    caption = _caption(facts, results, f"{MATRIX_NOTE} {INTERVAL_NOTE}")
    return latex_table(cells, caption=caption, label="tab:polypda-matrix", banner=facts.banner, group="source")


def difference_cells(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Δ with interval and adjusted p of every adapted model in its target, as text cells."""
    family = comparisons[comparisons["in_family"]]
    if family.empty:
        return pd.DataFrame()
    named = family.rename(columns={name: f"delta_{name}" for name in ("low", "high", "interval")})
    return pd.DataFrame(
        {
            "adaptation": family["source"] + " → " + family["target"],
            "model": family["model"],
            "Δ Dice": interval_cells(named, "delta", "delta", signed),
            "p (Holm)": family["p_holm"].map(p_text),
            "p (alone)": family["p_value"].map(p_text),
        }
    )


def _caption(facts: TableFacts, results: CrossCentreResults, explained: str) -> str:
    told = ("protocol", "metrics", "checkpoint rule", "seeds", "resolution", "threshold", "split", "target labels")
    stated = "; ".join(f"{name}: {facts.stated[name]}" for name in told if name in facts.stated)
    return f"{facts.title}. {cohort_line(results.matrix)}. {explained} {stated}."
