"""What a reader sees of every table and page, word for word: a change here is meant, and is said where it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.golden import check_golden, compact, page_text
from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.evaluation_file import Evaluation, regret_rows
from polypda.evaluation.cohort_differences import compare_cohorts
from polypda.quality.frame_table import FEATURES, PlaceMaps
from polypda.reporting.cohort_statistics import CohortStatistics, MeasuredCohort
from polypda.reporting.pages.cohort_page import write_cohort_statistics
from polypda.reporting.pages.page import OverlayImage
from polypda.reporting.pages.report_folder import write_report
from polypda.reporting.pages.report_page import PageParts, render_report_page
from polypda.reporting.tables.result_tables import sections
from polypda.reporting.tables.table_files import table_contents

ADA, BEA = (SyntheticCohort(name, patients=11, frames_per_patient=4) for name in ("ada", "bea"))
CID = SyntheticCohort("cid", patients=7, frames_per_patient=5, clusters="sequence", negatives=0)
FEW = SyntheticCohort("few", patients=3, frames_per_patient=10, phantom=True)
SUN = SyntheticCohort("sun", patients=6, frames_per_patient=8, annotation="box")
LOST = SyntheticCohort("lost", patients=5, frames_per_patient=10, clusters="unknown")


def selectors(evaluation: Evaluation) -> pd.DataFrame:
    said = evaluation.run_metadata
    run = {"run": said.run, "source": said.source, "target": said.target, "model": said.method, "seed": said.seeds[0]}
    choices = {"last": 40, "mcd": 20, "oracle": 30}
    return regret_rows(run, choices, {20: 0.4375, 30: 0.625, 40: 0.5}, used="last", n=33)


def with_selectors(evaluation: Evaluation) -> Evaluation:
    return replace(evaluation, selectors=selectors(evaluation))


STUDIES: Mapping[str, list[Evaluation]] = {
    # several seeds, an oracle, checkpoint rules, one centre with few clusters and without negatives
    "study": [
        with_selectors(run) for run in SyntheticStudy([ADA, BEA, CID], ("adabn", "harm"), seeds=(0, 1)).evaluations()
    ],
    # one run, boxes only, rendered frames, too few clusters for an interval
    "boxes": [synthetic_run(FEW, SUN, ("adabn",))],
    # one run onto frames whose patients are unknown, scored on a further centre too
    "unknown": [synthetic_run(ADA, LOST, ("adaptsegnet",), oracle=True, on=[("target", LOST), ("other", BEA)])],
}


@pytest.fixture(scope="module", params=list(STUDIES))
def study(request: pytest.FixtureRequest) -> tuple[str, CrossCentreResults]:
    return request.param, cross_centre_results(STUDIES[request.param])


def test_table_files(study: tuple[str, CrossCentreResults]) -> None:
    name, results = study
    for file, text in table_contents(results).items():
        digest = file.endswith(".json") or (name == "study" and file.endswith(".csv"))
        check_golden(f"{name}/{file}", text, digest=digest)


def test_columns_of_centers_csv(study: tuple[str, CrossCentreResults]) -> None:
    name, results = study
    check_golden(f"{name}/centers-columns.txt", "\n".join(results.centres.columns) + "\n")


def test_headline_of_the_summary(study: tuple[str, CrossCentreResults]) -> None:
    name, results = study
    summary = json.loads(table_contents(results)["summary.json"])
    check_golden(f"{name}/summary-headline.json", compact({"keys": list(summary), "headline": summary["headline"]}))


def test_model_card_tables(study: tuple[str, CrossCentreResults]) -> None:
    name, results = study
    check_golden(f"{name}/card-tables.md", "\n\n".join(sections(results)) + "\n")


def test_cross_centre_page(study: tuple[str, CrossCentreResults]) -> None:
    name, results = study
    check_golden(f"{name}/page.txt", page_text(render_report_page(results, PageParts(f"Report of {name}"))))


def with_curves(run: Evaluation) -> Evaluation:
    said = ("Mode collapse towards background: 4.0% was marked at the start, 0.1% at the end.",)
    return replace(run, run_metadata=run.run_metadata.model_copy(update={"curves": said}))


RUNS = {
    "run": with_curves(with_selectors(synthetic_run(ADA, BEA, ("adabn",), oracle=True))),
    "run-boxes": synthetic_run(FEW, replace(SUN, phantom=True), ("adabn",)),
    "run-unknown": synthetic_run(ADA, LOST, ("adabn",)),
}


@pytest.mark.parametrize("name", list(RUNS))
def test_report_of_one_run(name: str, tmp_path: Path) -> None:
    run = RUNS[name]
    image = OverlayImage(run.run_metadata.target, "00001", "worst after adaptation", np.full((60, 80, 3), 90, np.uint8))
    chosen = run.selectors if len(run.selectors) else None
    folder = tmp_path / name
    verdict = write_report(folder, run.cases, run.run_metadata, [image], chosen)
    check_golden(f"{name}/verdict.txt", verdict + "\n")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    check_golden(f"{name}/files.txt", "\n".join(files) + "\n")
    check_golden(f"{name}/page.txt", page_text((folder / "index.html").read_text(encoding="utf-8")))
    for file in ("centers.md", "centers.csv", "selectors.csv", "overlays/overlays.json"):
        if (folder / file).exists():
            check_golden(f"{name}/{file}", (folder / file).read_text(encoding="utf-8"))
    for file in ("centers.json", "evaluation.json", "cases.csv"):
        check_golden(f"{name}/{file}", (folder / file).read_text(encoding="utf-8"), digest=True)


def cohort_frames(cohort: str, shift: float, clusters: bool) -> pd.DataFrame:
    rng = np.random.default_rng(len(cohort))
    n = 30
    identity = {"cohort": cohort, "frame": [f"{index:03d}" for index in range(n)], "patient": ""}
    identity |= {"cluster": [f"{cohort}-{index // 5}" if clusters else "" for index in range(n)], "label": "mask"}
    values = {feature.name: 10 + shift + rng.normal(size=n) for feature in FEATURES}
    return pd.DataFrame(identity | values)


def cohort_statistics(*cohorts: tuple[str, float, bool]) -> CohortStatistics:
    frames = pd.concat([cohort_frames(*cohort) for cohort in cohorts], ignore_index=True)
    facts = [
        MeasuredCohort(name, 40, 30, "masks", True, "6 patients" if known else "unknown", "320×256", phantom=not known)
        for name, _, known in cohorts
    ]
    maps = {name: PlaceMaps(np.full((48, 48), 0.5), None, (1.25, 1.25), 0) for name, _, _ in cohorts}
    return CohortStatistics(compare_cohorts(frames), maps, facts, {"frames": "30 a cohort"})


@pytest.mark.parametrize("known", [True, False])
def test_cohort_statistics(tmp_path: Path, known: bool) -> None:
    name = "cohorts" if known else "cohorts-unknown"
    statistics = cohort_statistics(("old", 0.0, True), ("newer", 1.5, known))
    page = write_cohort_statistics(tmp_path / name, statistics)
    check_golden(f"{name}/page.txt", page_text(page.read_text(encoding="utf-8")))
    for file in ("stats.csv", "differences.csv", "distances.csv"):
        check_golden(f"{name}/{file}", (page.parent / file).read_text(encoding="utf-8"))
    check_golden(f"{name}/stats.json", (page.parent / "stats.json").read_text(encoding="utf-8"), digest=True)
