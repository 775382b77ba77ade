"""The folder and page of several runs: complete, self-contained, whole or not there, plain about what is lacking."""

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.pages import Links
from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run

from polypda.errors import DataError
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.case_table import read_cases
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.reporting.pages.centre_cards import centre_cards
from polypda.reporting.pages.page import copy_gallery
from polypda.reporting.pages.report_folder import write_cross_centre_report
from polypda.reporting.pages.report_page import PageParts, default_title, render_report_page, report_sections
from polypda.reporting.report_folders import new_folder
from polypda.reporting.tables.columns import BY_ORIGIN, BY_PAIR, COMPARISONS, View
from polypda.reporting.tables.result_tables import block_table, matrix_table, strata_table

ADA, BEA = SyntheticCohort("ada", phantom=True), SyntheticCohort("bea", phantom=True)


def with_overlays(folder: Path, evaluation: Evaluation) -> Evaluation:
    """The same evaluation in a folder that holds three overlays of the target and one of the source."""
    (folder / "overlays").mkdir(parents=True)
    said = evaluation.run_metadata
    reasons = ("most improved", "worst after adaptation", "most harmed")
    entries = [(said.target, f"{number:05d}", why) for number, why in enumerate(reasons)]
    listing = []
    for cohort, frame, why in [*entries, (said.source, "00009", "worst after adaptation")]:
        name = f"{cohort}-{frame}.png"
        Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / "overlays" / name)
        listing.append({"file": name, "cohort": cohort, "frame": frame, "why": why})
    (folder / "overlays" / "overlays.json").write_text(json.dumps(listing), encoding="utf-8")
    return replace(evaluation, folder=folder)


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> list[Evaluation]:
    base = tmp_path_factory.mktemp("runs")
    runs = [synthetic_run(ADA, BEA, ("adabn", "adaptsegnet"), seed, oracle=True) for seed in (0, 1)]
    return [with_overlays(base / run.run_metadata.run, run) for run in runs]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, evaluations: list[Evaluation]) -> Path:
    folder = tmp_path_factory.mktemp("made") / "reports" / "demo"
    page = write_cross_centre_report(folder, cross_centre_results(evaluations), evaluations, title="Two & <two>")
    assert page == folder / "index.html"
    return folder


def test_the_folder_holds_everything_and_no_rest(report: Path, evaluations: list[Evaluation]) -> None:
    files = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    tables = {f"centers.{kind}" for kind in ("csv", "md", "tex", "json")} | {f"matrix.{kind}" for kind in
                                                                            ("csv", "md", "tex")}  # fmt: skip
    single = {"index.html", "cases.csv", "comparisons.csv", "summary.json", "model_card.md", "checklist.md"}
    single |= {"checksums.sha256"}
    assert tables | single <= files
    stems = ("matrix", "matrix-difference", "forest", "seeds", "slopes", "dice-by-size", "dice-distribution")
    figures = {f"figures/{stem}.{kind}" for stem in (*stems, "reliability") for kind in ("svg", "png")}
    overlays = {name for name in files if name.startswith("overlays/")}
    assert len(overlays) == 6 and files == tables | single | figures | overlays
    assert [path.name for path in report.parent.iterdir()] == ["demo"]
    # the control and the oracle are in both runs of a seed only once: 2 seeds × 4 models × 2 cohorts × 96 frames
    assert len(read_cases(report / "cases.csv")) == 2 * 4 * 2 * 96


def test_the_page_fetches_nothing_and_its_links_lead_somewhere(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page and "@import" not in page and not re.search(r"url\(", page)
    links = [link for link in Links(page).found if not link.startswith("data:")]
    assert len(links) > 20
    for link in links:
        assert (link.startswith("#") and f'id="{link[1:]}"' in page) or (report / unquote(link)).is_file(), link


def test_the_first_screen_answers_for_the_centre(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    first = page[page.index("<main>") : page.index("<h2>To be read with the numbers")].replace("\u00a0", " ")
    assert "Two &amp; &lt;two&gt;" in first and "Does it help in bea?" in first
    assert re.search(
        r"<b>adaptsegnet</b>: Dice \+0\.\d\d, 95 % interval \+0\.\d+ to \+0\.\d+, 12 patients: helps", first
    )
    assert "polyp-free frames left clean" in first and "Polyps lost on" in first
    assert "Rendered phantom frames: not clinical evidence" in page
    assert "Labels of a target centre were used" in page


def test_the_worst_frames_come_first_and_only_of_the_target(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    captions = re.findall(r"<figcaption>(bea[^<]*|ada[^<]*)</figcaption>", page)
    assert len(captions) == 6 and all(caption.startswith("bea") for caption in captions)
    assert "worst after" in captions[0] and "ada-bea-0" in captions[0] and "ada-bea-1" in captions[1]
    assert "most improved" in captions[-1]
    assert len([link for link in Links(page).found if link.startswith("data:image/jpeg")]) == 6


def test_many_runs_share_the_room_for_overlays(tmp_path: Path, evaluations: list[Evaluation]) -> None:
    gallery = copy_gallery(evaluations * 9, tmp_path)
    assert len(gallery.images) == 48 and "6 further overlays" in gallery.left_out
    assert sum(image.preview is not None for image in gallery.images) == 24
    broken = replace(evaluations[0], folder=tmp_path / "nowhere")
    assert copy_gallery([broken], tmp_path).absent == "The runs hold no overlays to show."


def test_a_report_is_replaced_only_if_asked_and_only_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    for replacing in (False, True):
        with pytest.raises(DataError, match="E_REPORT_EXISTS"), new_folder(folder, replace=replacing):
            raise AssertionError("never reached")
    for name in ("index.html", "cases.csv", "model_card.md"):
        (folder / name).write_text("old")
    with pytest.raises(KeyError), new_folder(folder, replace=True) as work:
        (work / "index.html").write_text("half")
        raise KeyError
    assert (folder / "index.html").read_text() == "old"
    with new_folder(folder, replace=True) as work:
        (work / "index.html").write_text("new")
    assert {path.name for path in folder.iterdir()} == {"index.html", "checksums.sha256"} and (
        folder / "index.html"
    ).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.fixture(scope="module")
def poor() -> CrossCentreResults:
    """Targets that lack something: patients, clusters, polyps, polyp-free frames, outlines."""
    targets = [
        SyntheticCohort("unknown", clusters="unknown"),
        SyntheticCohort("one", patients=1, frames_per_patient=20),
        SyntheticCohort("clean", negatives=1.0),
        SyntheticCohort("full", negatives=0.0),
        SyntheticCohort("box", annotation="box"),
    ]
    source = SyntheticCohort("ada")
    return cross_centre_results([synthetic_run(source, target, ("adaptsegnet",)) for target in targets])


def test_what_is_lacking_is_said_on_the_card(poor: CrossCentreResults) -> None:
    cards = {card.centre: card for card in centre_cards(poor)}
    texts = {name: f"{card.headline} {card.lines[0].words} {card.not_assessed}" for name, card in cards.items()}
    assert "likely too narrow" in texts["unknown"] and "how frames belong to patients (unknown)" in texts["unknown"]
    assert "too few for an interval" in texts["one"].replace("\u00a0", " ")
    assert "Not answered: no frame with a polyp was scored." in texts["clean"]
    assert "false alarms (no polyp-free frame)" in texts["full"]
    assert "boxes allow no Dice" in texts["box"] and "lesion sensitivity" in texts["box"]
    assert all("chance in training (one seed)" in text for text in texts.values())
    assert {name for name, card in cards.items() if card.tone == "better"} <= {"full"}


def test_every_explicit_line_is_on_the_page(poor: CrossCentreResults) -> None:
    page = render_report_page(poor, PageParts("lacking"))
    for note in poor.notes:
        assert note.replace("'", "&#39;") in page, note
    assert "one patient" in page
    assert "clean: no frame with a polyp was scored" in page
    assert "* frames treated as independent: likely too narrow." in page and "fewer than five clusters" in page
    assert "Numbers and plots only" in page and "nan" not in page.lower().split("<main>")[1].replace("finance", "")


def test_tables_hold_every_model_and_mark_whose_labels(poor: CrossCentreResults, evaluations) -> None:
    [table] = matrix_table(cross_centre_results(evaluations))
    assert table.headings == ["trained in", "model", "ada", "bea"]
    assert [row[:2] for row in table.rows] == [
        ["ada", "source-only"], ["ada", "adabn"], ["ada", "adaptsegnet"], ["own labels", "oracle"]
    ]  # fmt: skip
    assert table.rows[0][2].endswith("†") and "†" not in table.rows[0][3] and table.rows[1][2] == "–"
    compared = block_table(COMPARISONS, poor.comparisons, View.PAGE, BY_PAIR)
    assert len(compared.rows) == len(poor.comparisons) and "finding" in compared.headings
    assert "gap closed" not in compared.headings, "no oracle: a column of dashes is left out"
    sizes = strata_table(poor.strata[poor.strata["cohort"].isin(["full", "box"])], BY_ORIGIN)
    assert {row[0] for row in sizes.rows} == {"full"} and sizes.headings[3:] == ["<1 %", "1–5 %", "5–15 %", ">15 %"]


def test_a_gap_closed_from_independent_frames_is_marked() -> None:
    targets = (SyntheticCohort("bea"), SyntheticCohort("cid", clusters="unknown"))
    results = cross_centre_results([synthetic_run(ADA, target, ("adabn",), oracle=True) for target in targets])
    own = results.comparisons[results.comparisons["cohort"] == results.comparisons["target"]]
    table = block_table(COMPARISONS, own[own["model"] == "adabn"], View.PAGE, BY_PAIR)
    known, unknown = (row[table.headings.index("gap closed")] for row in table.rows)
    assert re.search(r"\]$", known) and re.search(r"\]\*$", unknown)


def test_every_row_tells_whose_labels_and_which_target() -> None:
    study = SyntheticStudy([SyntheticCohort(name, 5, 4) for name in ("ada", "bea", "cid")], ("adabn",), seeds=(0,))
    results = cross_centre_results(study.evaluations())
    sections = {section.title: section for section in report_sections(results, {})}
    for title in ("Frames with a polyp", "By polyp size", "Frames without a polyp", "Lesions"):
        [(_, table)] = sections[title].tables
        keys = [tuple(row[:3]) for row in table.rows]
        assert len(keys) == len(set(keys)), title
        # per centre: three source-only models, three oracles, and the four adaptations that were scored there
        assert sum(key[0] == "ada" for key in keys) == 3 + 3 + 4
        assert ("ada", "bea → ada", "adabn") in keys and ("ada", "in ada", "oracle") in keys


def test_a_report_of_one_external_model_speaks_of_no_adaptation_and_no_oracle() -> None:
    run = synthetic_run(ADA, BEA, ("unet",), oracle=True, on=[("target", BEA)])
    results = cross_centre_results([replace(run, cases=run.cases[run.cases["model"] == "unet"].reset_index(drop=True))])
    assert default_title(results) == "Polyp segmentation in bea: unet"
    page = render_report_page(results, PageParts(default_title(results)))
    assert "Labels of a target centre were used" not in page and "how it would vary with other centres" not in page


def test_the_mean_over_centres_is_said_to_carry_no_interval(evaluations: list[Evaluation]) -> None:
    results = cross_centre_results(evaluations)
    [section] = [part for part in report_sections(results, {}) if part.title == "Over the target centres"]
    assert "how it would vary with other centres is not known" in " ".join(section.notes)
    assert default_title(results) == "Adapting polyp segmentation from ada to bea"


def test_many_centres_are_parted_into_tables_that_fit_on_paper(evaluations: list[Evaluation]) -> None:
    results = cross_centre_results(evaluations)
    more = [results.matrix.assign(cohort=results.matrix["cohort"] + f"-{number}") for number in range(4)]
    centres = [results.centres.assign(cohort=results.centres["cohort"] + f"-{number}") for number in range(4)]
    wide = replace(results, matrix=pd.concat(more), centres=pd.concat(centres))
    wide = replace(wide, matrix=wide.matrix.assign(adapted_to=wide.matrix["cohort"].where(
        wide.matrix["adapted_to"] != "", "")))  # fmt: skip
    assert [len(table.headings) for table in matrix_table(wide, most_columns=6)] == [8, 4]
