"""Tables as files: every one parses, says how its numbers came about, and is bold only where that is earned."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.reporting.tables.result_tables import is_improvement, matrix_table
from polypda.reporting.tables.table_files import json_rows, table_contents, write_tables
from polypda.reporting.tables.text_table import TextTable, latex_escaped, latex_table, markdown_table, strong
from polypda.reporting.wording import NOT_KNOWN, p_text, plain, signed, with_interval

NAMES = {
    *("centers.csv", "centers.md", "centers.tex", "centers.json", "matrix.csv", "matrix.md", "matrix.tex"),
    *("comparisons.csv", "summary.json"),
}
BANNER = "Rendered phantom frames: not clinical evidence"
ADA, BEA = (SyntheticCohort(name, patients=11, frames_per_patient=5) for name in ("ada_1", "bea&co"))


@pytest.fixture(scope="module")
def results() -> CrossCentreResults:
    return cross_centre_results(SyntheticStudy(cohorts=[ADA, BEA], methods=("adabn", "harm")).evaluations())


@pytest.fixture(scope="module")
def contents(results: CrossCentreResults) -> dict[str, str]:
    return table_contents(results)


@pytest.fixture(scope="module")
def phantom() -> dict[str, str]:
    """One seed, no oracle, few patients on one side, boxes on the other."""
    small = SyntheticCohort("few", patients=3, phantom=True)
    boxes = SyntheticCohort("sun", annotation="box")
    return table_contents(cross_centre_results([synthetic_run(small, boxes, ("adabn",))]))


def test_all_files_are_written(tmp_path: Path, results, contents) -> None:
    paths = write_tables(results, tmp_path)
    assert {path.name for path in paths} == NAMES == {path.name for path in tmp_path.iterdir()}
    for path in paths:
        assert path.read_text(encoding="utf-8") == contents[path.name]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_file_states_how_its_numbers_came_about(name: str, contents, phantom) -> None:
    text = contents[name].replace(r"\_", "_")
    for fact in ("polypda-metrics v1", "2 seeds (0, 1)", "2TP/(2TP+FP+FN)", "native", "128", "last"):
        assert fact in text, fact
    assert "training variability not assessed" in phantom[name]
    assert BANNER in phantom[name] and BANNER not in contents[name]


def test_csv_files_hold_the_tables_at_full_precision(results, contents) -> None:
    for name, table in (("centers", results.centres), ("matrix", results.matrix), ("comparisons", results.comparisons)):
        read = pd.read_csv(io.StringIO(contents[f"{name}.csv"]))
        assert len(read) == len(table) and set(table.columns) <= set(read.columns)
        for column in table.select_dtypes("float64").columns:
            pd.testing.assert_series_equal(read[column], table[column], check_dtype=False, rtol=1e-15)
        assert read["protocol"].eq("polypda-metrics v1").all()


def test_phantom_csv_files_stay_tables(phantom) -> None:
    for name in ("centers.csv", "matrix.csv", "comparisons.csv"):
        read = pd.read_csv(io.StringIO(phantom[name]))
        assert read["frames"].eq(BANNER).all() and len(read) > 0


def strict(text: str):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_holds_null_and_never_nan(results, contents, phantom) -> None:
    for texts in (contents, phantom):
        for name in ("centers.json", "summary.json"):
            assert strict(texts[name])["schema"] in ("polypda-centres v2", "polypda-summary 2")
    summary = strict(contents["summary.json"])
    assert summary["banner"] is None and strict(phantom["summary.json"])["banner"] == BANNER
    assert len(summary["comparisons"]) == len(results.comparisons)
    head = next(entry for entry in summary["headline"] if entry["source"] == "ada_1")
    assert head["target"] == "bea&co" and [model["model"] for model in head["models"]] == ["adabn", "harm", "oracle"]
    row = results.comparisons.query("source == 'ada_1' and cohort == 'bea&co' and model == 'adabn'").iloc[0]
    assert head["models"][0]["delta_dice_frame"] == pytest.approx(row["delta"])
    assert head["models"][0]["p_holm"] == pytest.approx(row["p_holm"])
    assert head["source_only"]["delta_dice_frame"] is None and head["source_only"]["dice_frame"] > 0
    assert "settings" not in summary["runs"][0] and summary["runs"][0]["selector"] == "last"


def cells_of(line: str) -> list[str]:
    return re.split(r"(?<!\\)&", line.removesuffix(r"\\"))


@pytest.mark.parametrize("name", ["centers.tex", "matrix.tex"])
def test_latex_is_well_formed(name: str, contents, phantom) -> None:
    for text in (contents[name], phantom[name]):
        body = re.sub(r"(?m)^%.*$", "", text)
        bare = re.sub(r"\\[{}&%$#_\\]", "", body)
        assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
        opened, closed = re.findall(r"\\begin\{(\w+)\}", body), re.findall(r"\\end\{(\w+)\}", body)
        assert opened == closed == ["longtable"] and body.count(r"\begingroup") == body.count(r"\endgroup") == 1
        assert not set("−–→×±≥Δ†") & set(body), "what a default font cannot show"
        assert not re.search(r"(?<!\\)[%#_^]", body), "an unescaped special character"
        columns = re.search(r"\\begin\{longtable\}\{([lr]+)\}", body)
        assert columns
        rows = [line for line in body.splitlines() if line.endswith(r"\\") and not line.startswith(r"\caption")]
        assert len(rows) >= 4 and {len(cells_of(row)) for row in rows} == {len(columns[1])}
        for rule in (r"\toprule", r"\midrule", r"\endfirsthead", r"\endhead", r"\bottomrule", r"\endfoot"):
            assert rule in body


def test_the_caption_holds_n_and_clusters(contents, phantom) -> None:
    for name in ("centers.tex", "matrix.tex"):
        caption = next(line for line in contents[name].splitlines() if line.startswith(r"\caption"))
        assert r"ada\_1: n = 43 frames with a polyp, clusters: 11~patients" in caption
        assert r"bea\&co: n = 43 frames" in caption
        assert rf"\caption{{\textbf{{{BANNER}.}} " in phantom[name] and f"% {BANNER}." in phantom[name]
        assert "sun: boxes only" in phantom[name]


def test_bold_is_a_significant_improvement_and_nothing_else(results) -> None:
    matrix = results.matrix.copy()
    shown = replace(results, matrix=matrix)
    cell = (matrix["adapted_to"] == matrix["cohort"]) & (matrix["model"] == "adabn") & (matrix["source"] == "ada_1")
    over, alone = "cluster bootstrap", "frames as independent"
    for low, kind, p_holm, is_bold in (
        (0.01, over, 0.049, True),
        (0.01, over, 0.05, False),
        (-0.01, over, 0.001, False),  # the test alone is not enough
        (-0.2, over, 0.001, False),
        (0.01, alone, 0.001, False),  # neighbouring frames are no independent evidence
        (0.01, over, None, False),
    ):
        matrix.loc[cell, ["delta_low", "delta_interval", "p_holm"]] = [low, kind, p_holm]
        assert is_improvement(low, kind, float("nan") if p_holm is None else p_holm) == is_bold
        cells = matrix_cells(shown)
        text = cells.loc[("ada_1", "adabn"), "bea&co"]
        assert (text == strong(text[1:-1])) == is_bold
        assert not cells.loc[("ada_1", "source-only")].str.contains("\x02").any()
    assert not cells.loc[("own labels", "oracle")].str.contains("\x02").any()


def matrix_cells(results: CrossCentreResults) -> pd.DataFrame:
    """The matrix by source and model."""
    [table] = matrix_table(results)
    return pd.DataFrame(table.rows, columns=table.headings).set_index(["trained in", "model"])


def test_the_matrix_has_a_row_per_source_and_model_and_marks_the_diagonal(results, contents) -> None:
    cells = matrix_cells(results)
    assert list(cells.columns) == ["ada_1", "bea&co"]
    assert list(cells.loc["ada_1"].index) == ["source-only", "adabn", "harm"] and len(cells) == 7
    own = cells.loc[("ada_1", "source-only"), "ada_1"]
    assert own.endswith("†") and cells.loc[("ada_1", "adabn"), "ada_1"] == NOT_KNOWN
    value = results.matrix.query("source == 'ada_1' and model == 'adabn' and cohort == 'bea&co'")["dice"].iloc[0]
    assert cells.loc[("ada_1", "adabn"), "bea&co"].removeprefix("\x02").startswith(f"{value:.3f} [")
    assert "## Over the target centres" in contents["matrix.md"] and "dice_worst_center" in contents["matrix.md"]


def test_few_clusters_show_their_means_and_boxes_no_dice(phantom) -> None:
    text = phantom["centers.md"]
    assert re.search(r"few → sun, few, adabn: Dice: patient means [\d.]+, [\d.]+, [\d.]+; Δ Dice: patient means", text)
    assert "boxes only" in text and "- sun: annotated with boxes only" in text
    assert "hit at IoU ≥ 0.1" in text, "the matching rule stands beside the lesion figures"
    assert "| sun (target) | source-only |" in text.split("## Lesions")[1]
    assert "| sun (target)" not in text.split("## Pixels and outlines")[1].split("## ")[0]


def test_markdown_tables_are_aligned(contents, phantom) -> None:
    for text in (contents["centers.md"], contents["matrix.md"], phantom["centers.md"]):
        blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        assert blocks and all(len({len(line) for line in block.splitlines()}) == 1 for block in blocks)
    assert "a\\|b" in markdown_table(TextTable(["model"], [["a|b"]]))


def test_latex_escapes_what_names_may_hold() -> None:
    assert latex_escaped("a_b & 5 % #1 ~ ^ {x} $ \\") == (
        r"a\_b \& 5 \% \#1 \textasciitilde{} \textasciicircum{} \{x\} \$ \textbackslash{}"
    )
    assert (
        latex_escaped(strong("−0.1")) == r"\textbf{$-$0.1}"
        and latex_escaped("[a") == "{[}a"
        and latex_escaped("*") == "{*}"
    )
    table = latex_table(TextTable(["model", "Dice"], [["[x", "0.5"]], left=1), caption="A_1", label="tab:x", banner="B")
    assert "{[}x & 0.5 \\\\" in table and r"\caption{\textbf{B.} A\_1}" in table


def test_numbers_read_as_they_should() -> None:
    assert with_interval("0.500", "0.400", "0.600", kind="cluster bootstrap") == "0.500 [0.400, 0.600]"
    assert with_interval("0.500", "0.400", "0.600", kind="frames as independent").endswith("]*")
    assert with_interval("0.500", NOT_KNOWN, NOT_KNOWN, kind="none") == "0.500"
    assert signed(-0.1, 3) == "−0.100" and signed(-0.0001, 3) == "±0.000" and signed(float("-inf")) == "−∞"
    assert plain(-0.0001, 3) == "0.000" and plain(float("inf")) == "∞" and plain(float("nan")) == NOT_KNOWN
    assert p_text(0.0004) == "<0.001" and p_text(0.0499) == "0.050" and p_text(float("nan")) == NOT_KNOWN
    rows = json_rows(pd.DataFrame({"x": [float("inf"), float("nan"), 0.5]}))
    assert [row["x"] for row in rows] == [None, None, 0.5]
