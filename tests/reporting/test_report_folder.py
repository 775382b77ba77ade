"""The report folder: complete, self-contained, true to its cases; or not there at all."""

import math
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.pages import Links
from support.synthetic_cases import centres_of

from polypda.errors import DataError, UsageError
from polypda.evaluation.cases.case_table import read_cases
from polypda.reporting.figures.run_figures import write_figures
from polypda.reporting.pages.answer import answer, in_one_line
from polypda.reporting.pages.page import OverlayImage, file_name
from polypda.reporting.pages.report_folder import write_report

IMAGE = np.full((300, 1400, 3), 120, np.uint8)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, study: pd.DataFrame, run_metadata) -> Path:
    """Written once: no test changes it."""
    overlays = (OverlayImage("haining", frame, "median", IMAGE) for frame in ("a/1 ü", "息肉"))
    folder = tmp_path_factory.mktemp("made") / "reports" / "demo"
    assert write_report(folder, study, run_metadata, overlays).startswith("Not shown to help: Dice in haining changes")
    return folder


def test_the_folder_holds_everything_and_no_rest(report: Path) -> None:
    files = sorted(path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file())
    assert files == [
        "cases.csv",
        "centers.csv",
        "centers.json",
        "centers.md",
        "centers.tex",
        "checksums.sha256",
        "comparisons.csv",
        "evaluation.json",
        "figures/dice-by-size.png",
        "figures/dice-by-size.svg",
        "figures/paired-dice.png",
        "figures/paired-dice.svg",
        "index.html",
        "matrix.csv",
        "matrix.md",
        "matrix.tex",
        "overlays/001-haining-a-1-ü.png",
        "overlays/002-haining-息肉.png",
        "overlays/overlays.json",
        "summary.json",
    ]
    assert [path.name for path in report.parent.iterdir()] == ["demo"]
    assert len(read_cases(report / "cases.csv")) == 24
    assert Image.open(report / "overlays/001-haining-a-1-ü.png").size == (1400, 300)


def test_the_page_fetches_nothing_and_its_links_lead_somewhere(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page and "@import" not in page and not re.search(r"url\(", page)
    links = Links(page).found
    assert sum(link.startswith("data:image/jpeg") for link in links) == 2
    assert sum(link.startswith("data:image/svg+xml") for link in links) == 2
    relative = [link for link in links if not link.startswith("data:")]
    assert len(relative) == 11 and all((report / unquote(link)).is_file() for link in relative)


def test_the_page_answers_warns_and_escapes(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "Not shown to help: Dice in haining changes by +0.22 on average, which may be chance; polyp-free" in page
    assert "2 sequences: too few for an interval. Differences: sequence means" in page
    assert "Rendered phantom frames: not clinical evidence" in page
    assert "labels of haining trained the oracle only" in page
    assert "training variability not assessed" in page and "lowest target entropy (step 60)" in page
    assert "&lt;b&gt;&amp;" in page and "<b>&</dd>" not in page
    assert "optimiser.lr" in page and "main, aux" in page and "2 min 5 s" in page


def test_real_frames_carry_no_banner(tmp_path: Path, study: pd.DataFrame, run_metadata) -> None:
    real = run_metadata.model_copy(update={"phantom": False, "target_labels_used": False})
    folder = tmp_path / "r"
    write_report(folder, study.assign(phantom=False), real)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "phantom" not in page.lower().replace("polypda", "") and '<div class="banner' not in page
    assert "no label of haining was used in training" in page and "No overlay was asked for." in page


def test_an_existing_report_is_never_overwritten(report: Path, study: pd.DataFrame, run_metadata) -> None:
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="E_REPORT_EXISTS"):
        write_report(report, study, run_metadata)
    assert before == {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, study: pd.DataFrame, run_metadata) -> None:
    def overlays():
        yield OverlayImage("haining", "a", "", IMAGE)
        raise DataError("E_IMAGE_MISSING", "gone.")

    with pytest.raises(DataError, match="E_IMAGE_MISSING"):
        write_report(tmp_path / "demo", study, run_metadata, overlays())
    assert list(tmp_path.iterdir()) == []


def test_the_run_metadata_must_be_true_of_the_cases(tmp_path: Path, study: pd.DataFrame, run_metadata) -> None:
    for wrong in ({"phantom": False}, {"threshold": 0.4}, {"seeds": (0, 1)}, {"split": "validation"}, {"source": "x"}):
        with pytest.raises(DataError, match="E_REPORT_STATEMENT") as caught:
            write_report(tmp_path / "demo", study, run_metadata.model_copy(update=wrong))
        assert next(iter(wrong)) in str(caught.value)
    with pytest.raises(DataError, match=r"E_REPORT_MODEL.*adabn"):
        write_report(tmp_path / "demo", study, run_metadata.model_copy(update={"method": "adabn"}))
    with pytest.raises(UsageError, match="E_REPORT_METHOD"):
        write_report(tmp_path / "demo", study, run_metadata.model_copy(update={"method": "source-only"}))
    assert list(tmp_path.iterdir()) == []


def test_the_same_cases_give_the_same_figures(tmp_path: Path, study: pd.DataFrame, run_metadata) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        figures = write_figures(study, run_metadata, tmp_path / name)
        assert len(figures) == 2
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        assert path.stat().st_size > 5_000


def test_without_a_positive_frame_there_is_no_figure_and_no_verdict(tmp_path: Path, study, run_metadata) -> None:
    negatives = study[study["negative"]].reset_index(drop=True)
    folder = tmp_path / "demo"
    assert write_report(folder, negatives, run_metadata) == "Not answered: haining has no scored frame with a polyp."
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Not answered: haining has no scored frame with a polyp." in page
    assert list((folder / "figures").iterdir()) == []


@pytest.mark.parametrize(
    ("delta", "low", "high", "kind", "p_holm", "tone", "words"),
    [
        (0.2, 0.1, 0.3, "cluster bootstrap", 0.01, "better", "Yes: Dice in haining rises by 0.20"),
        (0.2, 0.1, 0.3, "cluster bootstrap", 0.06, "better suggestive", "Suggestive, not shown: Dice in haining rises"),
        (-0.2, -0.3, -0.1, "cluster t", 0.01, "worse", "No: Dice in haining falls by 0.20"),
        (-0.2, -0.3, -0.1, "cluster t", math.nan, "worse suggestive", "Suggestive of harm: Dice in haining falls"),
        (0.2, -0.1, 0.5, "cluster bootstrap", math.nan, "unchanged", "Not shown to help"),
        (0.2, 0.1, 0.3, "frames as independent", math.nan, "unchanged", "Not shown to help"),
        (0.2, math.nan, math.nan, "none", math.nan, "unchanged", "Not shown to help"),
    ],
)
def test_the_answer_claims_only_what_an_interval_over_clusters_shows(
    study, run_metadata, delta, low, high, kind, p_holm, tone, words
) -> None:
    table = centres_of(study)
    own = (table["model"] == "adaptsegnet") & (table["role"] == "target")
    changed = ["delta_dice_frame", "delta_low", "delta_high", "delta_interval", "share_worse"]
    table.loc[own, changed] = [delta, low, high, kind, 0.31]
    table.loc[own, ["delta_frame_specificity", "p_holm", "clusters"]] = [0.0, p_holm, 12]
    said = answer(table, run_metadata)
    assert said.tone == tone and said.headline.startswith(words) and not said.findings
    text = " ".join(said.cautions).replace("\u00a0", " ")
    assert "31 % of the frames with a polyp get worse." in text
    assert "training variability not assessed" in text
    assert ("likely too narrow" in text) == (kind == "frames as independent")
    assert "too few for an interval" not in text
    assert ("12 sequences: the difference is the same in all" in text) == (kind == "none")
    assert ("12 sequences" in text) == (kind.startswith("cluster") or kind == "none")


def test_lost_clean_frames_go_before_any_gain(study, run_metadata) -> None:
    table = centres_of(study)
    own = (table["model"] == "adaptsegnet") & (table["role"] == "target")
    changed = ["delta_dice_frame", "delta_low", "delta_high", "delta_interval", "p_holm"]
    table.loc[own, changed] = [0.2, 0.1, 0.3, "cluster bootstrap", 0.01]
    table.loc[own, ["n_negative", "frame_specificity", "delta_frame_specificity"]] = [20, 0.4, -0.1]
    said = answer(table, run_metadata)
    assert said.tone == "alarm" and said.headline.replace("\u00a0", " ").startswith(
        "Beware: it leaves 40 % of 20 frames"
    )
    assert said.findings[0].startswith("Yes: Dice in haining rises by 0.20")
    aside = answer(table, run_metadata.model_copy(update={"set_aside": ("its labels flood",)}))
    assert aside.tone == "alarm" and aside.headline.startswith("Keep the source model")
    assert in_one_line(aside).startswith(f"{aside.headline} Yes: Dice in haining rises by 0.20")


def test_file_names_are_safe_everywhere() -> None:
    assert file_name("../a b/c:d*?.png") == "a-b-c-d-.png"
    assert file_name("///") == "frame" and len(file_name("x" * 300)) == 60


def test_a_runs_former_report_stays_until_the_new_one_is_complete(tmp_path, study, run_metadata) -> None:
    """What the checkpoint rules cost is nowhere else once the run's snapshots are gone."""
    folder = tmp_path / "report"
    write_report(folder, study, run_metadata)
    former = (folder / "index.html").read_bytes()

    def overlays():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        write_report(folder, study, run_metadata, overlays(), replace=True)
    assert (folder / "index.html").read_bytes() == former
    with pytest.raises(DataError, match="E_REPORT_EXISTS"):
        write_report(folder, study, run_metadata)
