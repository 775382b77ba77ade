"""All tables of cross-centre results as files: for spreadsheets, documents, papers and programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from polypda.cohorts.tables import harmless
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.evaluation_file import SELECTORS_FILE
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER, SOURCE_ONLY
from polypda.files import write_whole
from polypda.reporting.tables.columns import (
    AGGREGATES,
    BY_ADAPTATION,
    BY_PAIR,
    BY_SOURCE,
    CENTRE_BLOCKS,
    COMPARISONS,
    POSITIVES,
    View,
)
from polypda.reporting.tables.result_tables import (
    INTERVAL_NOTE,
    MATRIX_NOTE,
    MATRIX_TITLE,
    STRATA_NOTE,
    STRATA_TITLE,
    block_table,
    bullets,
    cohort_line,
    matrix_table,
    strata_table,
    with_caption,
)
from polypda.reporting.tables.text_table import latex_table, markdown_table
from polypda.reporting.verdict import records

METRICS_LINE = (
    "Dice = 2TP/(2TP+FP+FN) per frame at native resolution inside the field of view, no smoothing; mean over frames "
    "with a polyp (dice_frame); frames without a polyp apart"
)
CENTRES_SCHEMA, SUMMARY_SCHEMA = "polypda-centres v2", "polypda-summary 2"
CENTRES_TITLE = "Every centre: what each model scores"
HEADLINE = (
    *("model", "n_dice", "n_negative", "clusters", "cluster_unit", "n_seeds", "dice_frame", "dice_low", "dice_high"),
    *("dice_interval", "dice_words", "dice_frame_seed_sd", "delta_dice_frame", "delta_low", "delta_high"),
    *("delta_interval", "delta_words", "p_value", "p_holm", "family_size", "share_better", "share_worse"),
    *("polyps_gained", "polyps_lost", "gap_closed", "gap_low", "gap_high", "gap_estimable", "gap_words"),
    *("frame_specificity", "delta_frame_specificity", "lesion_sensitivity_10", "lesion_ppv_10"),
)
IN_CAPTIONS = ("protocol", "metrics", "checkpoint rule", "seeds", "resolution", "threshold", "split", "target labels")


@dataclass(frozen=True)
class TableFacts:
    """What every file repeats. stated: name → text, in reading order. notes: lines below the tables."""

    title: str
    stated: Mapping[str, str]
    phantom: bool
    notes: tuple[str, ...] = ()

    @property
    def banner(self) -> str:
        """The warning that rendered frames carry; "" for real ones."""
        return PHANTOM_BANNER if self.phantom else ""

    def csv(self, table: pd.DataFrame) -> str:
        """The table at full precision, with the stated facts as further columns so that no row loses them."""
        stated = {name.replace(" ", "_"): text for name, text in self.stated.items()}
        further = {name: text for name, text in stated.items() if name not in table.columns}
        return harmless(table.assign(**further)).to_csv(index=False, lineterminator="\n")

    def markdown(self, parts: list[str]) -> str:
        """A document: title and banner, its parts, notes, and how the numbers came about."""
        head = [f"# {self.title}", *([f"> **{self.banner}.**"] if self.banner else [])]
        notes = ["## Read with the numbers", *bullets(self.notes)] if self.notes else []
        stated = bullets(f"{name}: {text}" for name, text in self.stated.items())
        return "\n\n".join([*head, *parts, *notes, "## How these numbers came about", *stated, INTERVAL_NOTE]) + "\n"

    def latex_caption(self, matrix: pd.DataFrame, explained: str) -> str:
        """Title, what the numbers rest on, what they are, how they came about."""
        stated = "; ".join(f"{name}: {self.stated[name]}" for name in IN_CAPTIONS if name in self.stated)
        return f"{self.title}. {cohort_line(matrix)}. {explained} {INTERVAL_NOTE} {stated}."


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
    facts = table_facts(results, CENTRES_TITLE)
    return {
        "centers.csv": facts.csv(results.centres),
        "centers.md": centres_markdown(results),
        "centers.tex": centres_latex(results),
        "centers.json": centres_json(results),
        "matrix.csv": facts.csv(results.matrix),
        "matrix.md": matrix_markdown(results),
        "matrix.tex": matrix_latex(results),
        "comparisons.csv": facts.csv(results.comparisons),
        "summary.json": summary_json(results),
        **({SELECTORS_FILE: facts.csv(results.selectors)} if len(results.selectors) else {}),
    }


def table_facts(results: CrossCentreResults, title: str) -> TableFacts:
    """What the files of these results repeat."""
    return TableFacts(title, results.stated | {"metrics": METRICS_LINE}, results.phantom, results.notes)


def centres_markdown(results: CrossCentreResults) -> str:
    """The per-centre table, block by block."""
    parts = []
    for block in CENTRE_BLOCKS:
        table = block_table(block, results.centres, View.FILE, BY_ADAPTATION)
        parts += [f"## {block.title}", *with_caption(block, table)]
    sizes = strata_table(results.strata, BY_ADAPTATION)
    parts += [f"## {STRATA_TITLE}", *([markdown_table(sizes), STRATA_NOTE] if sizes.rows else [POSITIVES.absent])]
    means = bullets(_cluster_mean_lines(results.centres))
    if means:
        parts += ["## Means of the clusters, where there are too few for an interval", *means]
    return table_facts(results, CENTRES_TITLE).markdown(parts)


def _cluster_mean_lines(centres: pd.DataFrame) -> list[str]:
    """Where no interval could be given: the clusters' own means, one line per row that has them."""
    lines = []
    for row in records(centres):
        means = [(row["dice_cluster_means"], "Dice"), (row["delta_cluster_means"], "Δ Dice")]
        found = "; ".join(f"{what}: {text}" for text, what in means if text)
        if found:
            lines.append(f"{row['source']} → {row['target']}, {row['cohort']}, {row['model']}: {found}")
    return lines


def matrix_markdown(results: CrossCentreResults) -> str:
    """The wide matrix, its differences and what they come to over the centres."""
    parts = [*map(markdown_table, matrix_table(results)), f"{MATRIX_NOTE} {cohort_line(results.matrix)}."]
    family = results.comparisons[results.comparisons["in_family"]]
    for block, data, who in ((COMPARISONS, family, BY_PAIR), (AGGREGATES, results.aggregates, BY_SOURCE)):
        table = block_table(block, data, View.FILE, who)
        if table.rows:
            parts += [f"## {block.title}", *with_caption(block, table)]
    return table_facts(results, f"{MATRIX_TITLE}: mean Dice").markdown(parts)


def centres_latex(results: CrossCentreResults) -> str:
    """Dice, its difference and their intervals per centre and model."""
    facts = table_facts(results, CENTRES_TITLE)
    table = block_table(POSITIVES, results.centres, View.PAPER, BY_ADAPTATION)
    caption = facts.latex_caption(results.matrix, POSITIVES.caption(table.headings))
    return latex_table(table, caption=caption, label="tab:polypda-centres", banner=facts.banner, group="centre")


def matrix_latex(results: CrossCentreResults) -> str:
    """The wide matrix."""
    facts = table_facts(results, f"{MATRIX_TITLE}: mean Dice")
    caption = facts.latex_caption(results.matrix, MATRIX_NOTE)
    [table] = matrix_table(results)
    return latex_table(table, caption=caption, label="tab:polypda-matrix", banner=facts.banner, group="trained in")


def centres_json(results: CrossCentreResults) -> str:
    """The per-centre table at full precision beside what was stated; a number that does not exist is null."""
    facts = table_facts(results, CENTRES_TITLE)
    document = {
        "schema": CENTRES_SCHEMA,
        "stated": dict(facts.stated),
        "banner": facts.banner or None,
        "notes": list(facts.notes),
        "rows": json_rows(results.centres),
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def summary_json(results: CrossCentreResults) -> str:
    """The results as one JSON document; a number that does not exist or has no end is null.

    headline: per adaptation the target's rows of the per-centre table, the numbers that matter. centres, matrix,
    comparisons, aggregates, strata, lesions, selectors: the tables at full precision.
    """
    document = {
        "schema": SUMMARY_SCHEMA,
        "banner": PHANTOM_BANNER if results.phantom else None,
        "phantom": results.phantom,
        "stated": results.stated | {"metrics": METRICS_LINE},
        "notes": list(results.notes),
        # the resolved settings lie beside each run; here they would be repeated for every evaluation
        "runs": [
            run_metadata.model_dump(mode="json", exclude={"settings"}) for run_metadata in results.metadata_of_runs
        ],
        "headline": headline(results.centres),
        **{
            name: json_rows(getattr(results, name))
            for name in ("centres", "matrix", "comparisons", "aggregates", "strata", "lesions", "selectors")
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def headline(centres: pd.DataFrame) -> list[dict[str, Any]]:
    """One object per adaptation: source, target, split and the models' main numbers on the target."""
    targets = centres[centres["cohort"] == centres["target"]]
    found = []
    for key, part in targets.groupby(["source", "target", "split"], sort=False):
        models = json_rows(part[list(HEADLINE)])
        source, target, split = (str(name) for name in key)
        control = next((model for model in models if model["model"] == SOURCE_ONLY), None)
        others = [model for model in models if model["model"] != SOURCE_ONLY]
        found.append({"source": source, "target": target, "split": split, "source_only": control, "models": others})
    return found


def json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON objects, one per row; a number that does not exist (NaN, NA) or is infinite is null."""
    return [{name: _json_value(value) for name, value in row.items()} for row in records(table)]


def _json_value(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value
