"""The tables of cross-centre results as text: one builder for each, whatever shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from polypda.evaluation.aggregation.aggregates import SIZE_STRATA
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.matrix_table import models_in_order, target_cells
from polypda.evaluation.cases.case_table import BOX
from polypda.evaluation.cases.evaluation_file import regret_by_rule
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.statistics.intervals import IntervalKind
from polypda.reporting.tables.columns import (
    ADAPTATION,
    AGGREGATES,
    BLOCKS,
    BOLD,
    BOLD_NOTE,
    BOXES_ONLY,
    BY_ORIGIN,
    BY_PAIR,
    BY_SOURCE,
    CENTRE_AND_ROLE,
    CENTRE_BLOCKS,
    COMPARISONS,
    MODEL,
    NEGATIVES,
    POSITIVES,
    RULE,
    Block,
    Column,
    Row,
    View,
)
from polypda.reporting.tables.text_table import TextTable, markdown_escaped, markdown_table, strong
from polypda.reporting.verdict import CLUSTER_INTERVALS, SIGNIFICANT_P, finding, records
from polypda.reporting.wording import (
    FRAMES_NOTE,
    NO_BREAK,
    NO_INTERVAL_NOTE,
    NOT_KNOWN,
    OWN_MARK,
    OWN_NOTE,
    clusters_text,
    counted,
    plain,
    with_interval,
)

OWN_LABELS = "own labels"
INTERVAL_NOTE = (
    "Square brackets: 95 % interval over clusters (patients, else sequences): bootstrap from 10 clusters on, cluster-t "
    f"for 5 to 9. {FRAMES_NOTE} No brackets: fewer than 5 clusters, or all alike."
)
MATRIX_TITLE = "Every model in every centre"
MATRIX_NOTE = (
    "Dice, mean over frames with a polyp (dice_frame). Rows: the centre whose labels trained the model, and the model; "
    f"columns: the centre that was scored. {OWN_NOTE} A method is shown in the centre that it was adapted to; the "
    f"oracle was trained on each centre's own labels (an upper bound). {BOLD_NOTE}"
)
STRATA_TITLE = "By polyp size"
STRATA_NOTE = (
    "Dice by relative polyp area (share of the field of view; an endoscope gives no millimetres); n: frames with a "
    "polyp."
)


def block_table(block: Block, data: pd.DataFrame, view: View, who: Sequence[Column]) -> TextTable:
    """A block's columns of one view over the rows that it shows; columns that say nothing are left out.

    who: the columns of words that say whose figures a row holds; the adaptation is left out where there is only one.
    """
    rows = records(block.rows(data))
    who = _needed(who, rows)
    columns = block.shown(view)
    cells = [[column.text(row) for column in who] + [_figure(block, column, row) for column in columns] for row in rows]
    tones = tuple(map(_tone, rows)) if block is COMPARISONS else ()
    headings = [column.title for column in (*who, *columns)]
    return TextTable(headings, cells, len(who), tones).without_empty_columns()


def terminal_tables(centres: pd.DataFrame) -> Iterator[tuple[str, TextTable]]:
    """Of every centre that was scored, what a terminal shows: a line that says what was counted, and its table."""
    for (cohort, role), rows in centres.groupby(["cohort", "role"], sort=False):
        first = rows.iloc[0]
        if first[POSITIVES.chosen]:
            found = f"{counted(first['n_positive'], 'frame')} with a polyp, clusters: "
            found += clusters_text(first["clusters"], first["cluster_unit"])
            yield f"{cohort} ({role}): {found}", _for_terminal(POSITIVES, rows)
        if first[NEGATIVES.chosen]:
            found = f"{counted(first['n_negative'], 'frame')} without a polyp"
            yield f"{cohort} ({role}): {found}", _for_terminal(NEGATIVES, rows)


def _for_terminal(block: Block, rows: pd.DataFrame) -> TextTable:
    """One centre's; names of sums may wrap, and no bold type, whose marks a terminal would show."""
    table = block_table(replace(block, improved=()), rows, View.TERMINAL, (MODEL,))
    return replace(table, rows=[[*(cell.replace("+", " + ") for cell in row[:1]), *row[1:]] for row in table.rows])


def _needed(who: Sequence[Column], rows: Sequence[Row]) -> Sequence[Column]:
    """Without the adaptation, where it is the same in all rows and they name their centre beside it."""
    same = CENTRE_AND_ROLE in who and len({ADAPTATION.text(row) for row in rows}) <= 1
    return [column for column in who if column is not ADAPTATION] if same else who


def _figure(block: Block, column: Column, row: Row) -> str:
    text = column.text(row)
    better = block.improved and column.name in BOLD and is_improvement(*(row[name] for name in block.improved))
    return strong(text) if better else text


def is_improvement(delta_low: float, delta_interval: str, p_holm: float) -> bool:
    """Whether a cell may be set in bold: better, by the adjusted test and by the interval over clusters alike.

    The sign-flip test alone calls up to 8 % of lopsided null differences significant, both together below 4 %
    (tests/evaluation/statistics); and where frames had to be treated as independent neither can be trusted.
    """
    return bool(
        delta_interval in CLUSTER_INTERVALS and p_holm < SIGNIFICANT_P and delta_low > 0
    )  # NaN compares as False


def _tone(row: Row) -> str:
    return "bound" if row["model"] == ORACLE else finding(row).tone


def matrix_table(results: CrossCentreResults, *, most_columns: int = 1_000) -> list[TextTable]:
    """Rows: source × model, columns: centres; Dice with its interval, the oracle's row last.

    most_columns: more centres than this go into a further table, so that none is cut off on paper.
    """
    cells = target_cells(results.matrix)
    centres = list(dict.fromkeys([*results.centres["source"], *results.centres["cohort"]]))
    centres = [centre for centre in centres if centre in set(cells["cohort"])]
    texts: dict[tuple[str, str], dict[str, str]] = {}
    for row in records(cells):
        source = OWN_LABELS if row["model"] == ORACLE else row["source"]
        texts.setdefault((source, row["model"]), {})[row["cohort"]] = _matrix_cell(row)
    sources = [source for source in dict.fromkeys(results.centres["source"]) if source in {key[0] for key in texts}]
    models = models_in_order(list(results.centres["model"]))
    keys = [(source, model) for source in [*sources, OWN_LABELS] for model in models if (source, model) in texts]
    chunks = [centres[start : start + most_columns] for start in range(0, len(centres), most_columns)]
    return [
        TextTable(
            [column.title for column in BY_SOURCE] + chunk,
            [[*key, *(texts[key].get(centre, NOT_KNOWN) for centre in chunk)] for key in keys],
        )
        for chunk in chunks
    ]


def _matrix_cell(row: Row) -> str:
    if row["annotation"] == BOX:
        return BOXES_ONLY
    text = dice_text(row)
    if row["own_centre"] and row["model"] != ORACLE:
        text += f"{NO_BREAK}{OWN_MARK}"
    return strong(text) if is_improvement(row["delta_low"], row["delta_interval"], row["p_holm"]) else text


def dice_text(row: Row) -> str:
    """ "0.623 [0.551, 0.690]", from the columns dice, low, high and interval."""
    return with_interval(*(plain(row[name], 3) for name in ("dice", "low", "high")), kind=row["interval"])


def cohort_line(matrix: pd.DataFrame) -> str:
    """ "ada: n = 76 frames, 12 patients; …": what the columns of the matrix rest on."""
    heads = records(matrix.sort_values("cohort").drop_duplicates("cohort"))
    return "; ".join(
        f"{row['cohort']}: {BOXES_ONLY}"
        if row["annotation"] == BOX
        else f"{row['cohort']}: n = {row['n']} frames with a polyp, clusters: "
        f"{clusters_text(row['clusters'], row['cluster_unit'])}"
        for row in heads
    )


def strata_table(strata: pd.DataFrame, who: Sequence[Column]) -> TextTable:
    """Dice per size stratum in the columns, each with its number of frames."""
    texts: dict[tuple[str, ...], dict[str, str]] = {}
    data = records(strata)
    who = _needed(who, data)
    for row in data:
        text = f"{dice_text(row)} n={row['n']}".replace(" n=", f"{NO_BREAK}n=") if row["n"] else NOT_KNOWN
        texts.setdefault(tuple(column.text(row) for column in who), {})[row["stratum"]] = text
    rows = [[*key, *(cells.get(name, NOT_KNOWN) for name in SIZE_STRATA)] for key, cells in texts.items()]
    rows = [row for row in rows if any(cell != NOT_KNOWN for cell in row[len(who) :])]
    return TextTable([*(column.title for column in who), *SIZE_STRATA], rows, len(who))


def selector_table(selectors: pd.DataFrame, view: View) -> tuple[Block, TextTable]:
    """What the checkpoint rules cost: of one run each with its step, of several their means per adaptation."""
    if selectors["run"].nunique() == 1:
        block, rows, who = BLOCKS["rules_of_a_run"], selectors, [RULE]
    else:
        block, rows, who = BLOCKS["rules_of_runs"], regret_by_rule(selectors), [ADAPTATION, RULE]
    return block, block_table(block, rows, view, who)


def by_place(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows scored on the adaptation's target, on its source, and on other cohorts."""
    target, source = rows["cohort"] == rows["target"], rows["cohort"] == rows["source"]
    return rows[target], rows[source & ~target], rows[~target & ~source]


def once(rows: pd.DataFrame) -> pd.DataFrame:
    """source-only once per source, the oracle once per target, however many adaptations use them; cohorts together."""
    values = [name for name in ("dice_frame", "dice", "lesion_sensitivity_10", "n_seeds") if name in rows]
    same = [name for name in ("cohort", "split", "model", "stratum") if name in rows] + values
    control = (rows["model"] == SOURCE_ONLY) & rows.duplicated(["source", *same])
    bound = (rows["model"] == ORACLE) & rows.duplicated(["target", *same])
    order = rows[~(control | bound)]
    index = {name: number for number, name in enumerate(dict.fromkeys(order["cohort"]))}
    return order.sort_values("cohort", key=lambda names: names.map(index), kind="stable")


def interval_notes(*kinds: pd.Series) -> list[str]:
    """The words that must stand below a table whose intervals are of these kinds."""
    found = {str(kind) for series in kinds for kind in series.dropna()}
    return [FRAMES_NOTE] * (IntervalKind.FRAMES in found) + [NO_INTERVAL_NOTE] * (IntervalKind.NONE in found)


def with_caption(block: Block, table: TextTable) -> list[str]:
    """A block's table and caption as Markdown, or that there is nothing."""
    return [markdown_table(table), block.caption(table.headings)] if table.rows else [block.absent]


def sections(results: CrossCentreResults) -> list[str]:
    """The model card's headed tables in Markdown; a centre or a kind of frame that was not scored is said to be
    missing."""
    at_target, at_source, elsewhere = by_place(results.centres)
    parts = [f"### {MATRIX_TITLE}", *map(markdown_table, matrix_table(results)), MATRIX_NOTE]
    for block in CENTRE_BLOCKS:
        parts += [f"### {block.title}, target centres"]
        parts += with_caption(block, block_table(block, at_target, View.CARD, BY_PAIR))
        parts += bullets(interval_words(at_target)) if block is POSITIVES else []
    sizes = strata_table(by_place(results.strata)[0], BY_PAIR)
    parts += [f"### {STRATA_TITLE}, target centres"]
    parts += [markdown_table(sizes), STRATA_NOTE] if sizes.rows else [POSITIVES.absent]
    parts += [f"### {AGGREGATES.title}"]
    parts += with_caption(AGGREGATES, block_table(AGGREGATES, results.aggregates, View.CARD, BY_SOURCE))
    at_home = once(at_source[at_source["model"] != ORACLE])
    for heading, rows in (("In the source centres", at_home), ("In further centres", once(elsewhere))):
        table = block_table(POSITIVES, rows, View.CARD, BY_ORIGIN)
        if table.rows:
            parts += [f"### {heading}", markdown_table(table), *bullets(interval_words(rows))]
    return [*parts, INTERVAL_NOTE]


def bullets(lines: Iterable[str]) -> list[str]:
    """A Markdown list as a part of a document; nothing where there is no line."""
    text = "\n".join(f"- {line}" for line in lines)
    return [text] if text else []


def interval_words(rows: pd.DataFrame) -> list[str]:
    """Per cohort the kinds of interval, with the words (and cluster means) that must stand beside them."""
    lines = []
    for cohort, group in rows.groupby("cohort", sort=False):
        words = distinct_words((*group["dice_words"], *group["delta_words"]))
        kinds = dict.fromkeys(str(kind) for kind in (*group["dice_interval"], *group["delta_interval"]) if kind)
        means = dict.fromkeys(
            f"{row['model']} {row['dice_cluster_means']}" for row in records(group) if row["dice_cluster_means"]
        )
        remarks = "; ".join([*words, *means])
        lines.append(markdown_escaped(f"{cohort}: {', '.join(kinds)}{f' ({remarks})' if remarks else ''}"))
    return lines


def distinct_words(texts: Iterable[str]) -> list[str]:
    """The remarks on estimates, each once; one estimate may carry several, parted by semicolons."""
    return list(dict.fromkeys(" ".join(word.split()) for text in texts if text for word in text.split("; ")))
