"""Where torchmetrics, MONAI, surface-distance and pysodmetrics disagree with the conformance table, and by how much.

    pip install --no-deps torchmetrics lightning-utilities monai surface-distance pysodmetrics
    python benchmarks/library_disagreement.py                       # writes reports/library-disagreement.md, 15 s

The libraries are needed for this comparison only. One that is not installed is reported as such. ``--no-deps`` keeps
the tested versions of NumPy, scikit-image and OpenCV, which some of them would take back.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "evaluation"))

from conformance_case import PREDICTION, REFERENCE, VALID, Case  # noqa: E402
from conformance_table import TABLE, TOPICS  # noqa: E402
from library_metrics import LIBRARIES, FrameMaps, Library, agrees, measured  # noqa: E402
from metric_definitions import Distance, answers, contour, squared_distances  # noqa: E402

FARTHEST = "hausdorff_px"
METRICS = {
    "dice": "Dice",
    "iou": "IoU",
    "sensitivity": "sensitivity",
    "ppv": "PPV",
    "specificity": "specificity",
    "f2": "F2",
    "mae": "MAE",
    "hd95_px": "HD95 px",
    FARTHEST: "Hausdorff px",
    "nsd": "NSD",
}
SHAPES = ((6, 6), (5, 6), (6, 9), (9, 9), (20, 30))
SETS = {
    "a polyp found exactly, a polyp missed": (".TTT.. .TTT..", ".ggg.. .ggg.."),
    "a polyp missed": (".ggg.. .ggg..",),
    "a polyp found exactly, a polyp-free frame with a false mark": (".TTT.. .TTT..", "...pp. ......"),
    "a polyp found exactly, a polyp-free frame left clean": (".TTT.. .TTT..", "...... ......"),
    "a polyp-free frame left clean": ("...... ......",),
}


@dataclass
class Installed:
    """One library as found here; ``metrics`` and ``means`` are empty where it cannot be imported."""

    library: Library
    version: str
    metrics: Mapping[str, Callable[[FrameMaps], float]] = field(default_factory=dict)
    means: Mapping[str, Callable[[list[FrameMaps]], float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One metric of one case: the exact answer, and each library's (a number, "raises …", or None: not offered)."""

    topic: str
    case: str
    metric: str
    answer: float
    got: tuple[float | str | None, ...]

    def differs(self, index: int) -> bool:
        got = self.got[index]
        return got is not None and not agrees(self.answer, got)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "library-disagreement.md")
    out = parser.parse_args().out
    warnings.simplefilter("ignore")  # libraries warn of every empty mask; the table says what they answer
    libraries = [installed(library) for library in LIBRARIES]
    findings = [finding for name, case in TABLE.items() for finding in compared(name, case, libraries)]
    out.write_text("\n".join(report(findings, libraries)) + "\n", encoding="utf-8")
    for index, each in enumerate(libraries):
        differing = sum(finding.differs(index) for finding in findings)
        print(f"{each.library.name} {each.version}: differs in {differing} of {offered(findings, index)} answers")
    print(f"wrote {out.name}")


def installed(library: Library) -> Installed:
    try:
        found = version(library.distribution)
    except PackageNotFoundError:
        return Installed(library, "not installed")
    try:
        return Installed(library, found, library.load(), library.load_means())
    except ImportError as error:
        return Installed(library, f"{found}, cannot be imported ({error})")


def frame_maps(case: Case) -> FrameMaps:
    valid = case.mask(VALID)
    reference, prediction = case.mask(REFERENCE) & valid, case.mask(PREDICTION) & valid
    tolerance_px = float(case.answers()["nsd_tolerance_px"])  # type: ignore[arg-type]
    return FrameMaps(
        reference, prediction, case.probabilities() * valid, valid, float(case.frame.threshold), tolerance_px
    )


def compared(name: str, case: Case, libraries: list[Installed]) -> list[Finding]:
    maps = frame_maps(case)
    exact = case.answers() | {FARTHEST: largest_distance(case)}
    findings = []
    for metric in METRICS:
        answer = exact[metric]
        got = tuple(measured(each.metrics[metric], maps) if metric in each.metrics else None for each in libraries)
        findings.append(Finding(case.topic, name, metric, math.nan if answer is None else float(answer), got))
    return findings


def largest_distance(case: Case) -> Distance | None:
    """The Hausdorff distance itself, for libraries without a percentile; missed and empty as for HD95."""
    g, p = case.frame.reference & case.frame.valid, case.frame.predicted & case.frame.valid
    if not (g and p):
        return answers(case.frame)["hd95_px"]  # type: ignore[return-value]
    there, back = squared_distances(contour(g), contour(p)), squared_distances(contour(p), contour(g))
    return Distance(max(there + back), max(there + back))


def offered(findings: list[Finding], index: int) -> int:
    return sum(finding.got[index] is not None for finding in findings)


def report(findings: list[Finding], libraries: list[Installed]) -> list[str]:
    return [
        *heading(libraries),
        "## By metric",
        "",
        "Answers that differ / answers compared, and the largest finite difference with its case.",
        "",
        *metric_table(findings, libraries),
        "",
        "## By edge case",
        "",
        "Answers that differ / answers compared, over all metrics.",
        "",
        *topic_table(findings, libraries),
        "",
        "## Shape of the frame",
        "",
        "Hausdorff distance (px) of a mark that lies one column beside its polyp: 1, whatever the frame around it.",
        "",
        *shape_table(libraries),
        "",
        "## Means over several frames",
        "",
        "`polypda-metrics v1` means are over frames with a polyp, and say how many; a missed polyp counts with its",
        "penalty (the diagonal of the 2 × 6 px frame, √40 = 6.3246).",
        "",
        *set_table(libraries),
        "",
        "## Every disagreement",
        "",
        "`=` agrees, `·` is not offered, else the library's answer with its difference from the exact one.",
        *[line for topic in TOPICS for line in detail(topic, findings, libraries)],
    ]


def heading(libraries: list[Installed]) -> list[str]:
    return [
        "# Where metric libraries disagree with `polypda-metrics v1`",
        "",
        f"The conformance table (`tests/evaluation/`: {len(TABLE)} small pairs of masks, none square, exact answers)",
        "against other libraries. A difference is not always a defect: many are choices about empty masks, but each",
        "changes a mean over frames. Agreement is to 1e-5, as some compute in single precision. Lesion counts are not",
        "compared: none of the four offers them under a one-to-one rule with specks.",
        "",
        f"Made by `python benchmarks/library_disagreement.py` with Python {platform.python_version()}, "
        f"NumPy {np.__version__}, torch {version('torch')}:",
        "",
        *[f"- {each.library.name}: {each.version}" for each in libraries],
        "",
        "How they were called: masks and maps are cleared outside the valid area, because none of the segmentation",
        "functions takes one (torchmetrics' classification functions do, by `ignore_index`, and got it); background",
        "class left out; torchmetrics' classification functions got probabilities and the threshold, pysodmetrics the",
        "map in 8 bits (it stretches each map to its own range and marks what exceeds 0.5), the others thresholded",
        "masks; NSD at the tolerance of the table. “Hausdorff” is the distance without percentile, judged by its own",
        "exact value. surface-distance weighs contour elements by their length and lays contours between pixels, which",
        "is another definition of the contour, not an error.",
        "",
    ]


def metric_table(findings: list[Finding], libraries: list[Installed]) -> list[str]:
    rows = []
    for metric, label in METRICS.items():
        rows.append([label, *(metric_cell([f for f in findings if f.metric == metric], p) for p in indices(libraries))])
    return table(["metric", *(each.library.name for each in libraries)], rows)


def metric_cell(findings: list[Finding], index: int) -> str:
    if not offered(findings, index):
        return "·"
    differing = [finding for finding in findings if finding.differs(index)]
    raised = sum(isinstance(finding.got[index], str) for finding in differing)
    cell = f"{len(differing)} / {offered(findings, index)}" + (f", {raised} raise" if raised else "")
    sizes = [(difference(f.answer, f.got[index]), f.case) for f in differing]
    finite = [(abs(size), case) for size, case in sizes if size is not None and math.isfinite(size)]
    return cell + (f"; {max(finite)[0]:.4g} ({max(finite)[1]})" if finite else "")


def topic_table(findings: list[Finding], libraries: list[Installed]) -> list[str]:
    rows = []
    for topic in TOPICS:
        of_topic = [finding for finding in findings if finding.topic == topic]
        counts = [(sum(f.differs(p) for f in of_topic), offered(of_topic, p)) for p in indices(libraries)]
        rows.append([topic, *(f"{differing} / {all_}" if all_ else "·" for differing, all_ in counts)])
    return table(["edge case", *(each.library.name for each in libraries)], rows)


def shape_table(libraries: list[Installed]) -> list[str]:
    rows = []
    for height, width in SHAPES:
        drawing = f"{width}. 2*g2Tp{width - 4}. {height - 3}*{width}."
        maps = whole_frame(Case("", drawing, "", "", "", "", ""))
        got = [measured(each.metrics[FARTHEST], maps) if FARTHEST in each.metrics else None for each in libraries]
        rows.append([f"{height} × {width}", *(cell(1.0, value) for value in got)])
    return table(["frame, height × width", *(each.library.name for each in libraries)], rows)


def whole_frame(case: Case) -> FrameMaps:
    """Maps of a frame that is valid everywhere, at threshold 0.5."""
    return FrameMaps(case.mask(REFERENCE), case.mask(PREDICTION), case.probabilities(), case.mask(VALID), 0.5, 2.0)


def set_table(libraries: list[Installed]) -> list[str]:
    rows = []
    for name, drawings in SETS.items():
        cases = [Case("", drawing, "", "", "", "", "") for drawing in drawings]
        exact = [answers(case.frame) for case in cases]
        maps = [whole_frame(case) for case in cases]
        for metric in ("dice", "hd95_px", "nsd"):
            defined = [float(a[metric]) for a in exact if a[metric] is not None]  # type: ignore[arg-type]
            answer = math.fsum(defined) / len(defined) if defined else math.nan
            got = [measured(each.means[metric], maps) if metric in each.means else None for each in libraries]
            v1 = f"{number(answer)} (n = {len(defined)})"
            rows.append([name, METRICS[metric], v1, *(cell(answer, value) for value in got)])
    return table(["frames", "mean", "v1", *(each.library.name for each in libraries)], rows)


def detail(topic: str, findings: list[Finding], libraries: list[Installed]) -> list[str]:
    rows = [
        [f.case, METRICS[f.metric], number(f.answer), *(cell(f.answer, got) for got in f.got)]
        for f in findings
        if f.topic == topic and any(f.differs(index) for index in indices(libraries))
    ]
    lines = table(["case", "metric", "exact", *(each.library.name for each in libraries)], rows)
    return ["", f"### {topic[0].upper()}{topic[1:]}", "", *(lines if rows else ["No disagreement."])]


def indices(libraries: list[Installed]) -> range:
    return range(len(libraries))


def cell(answer: float, got: float | str | None) -> str:
    if got is None:
        return "·"
    if isinstance(got, str):
        return got
    if agrees(answer, got):
        return "="
    size = difference(answer, got)
    return number(got) + (f" ({size:+.4g})" if size is not None and math.isfinite(size) else "")


def difference(answer: float, got: float | str | None) -> float | None:
    if got is None or isinstance(got, str) or math.isnan(answer) or math.isnan(got):
        return None
    return got - answer


def number(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.4f}".rstrip("0").rstrip(".")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    main()
