"""For mkdocs: pages of the repository that the site shows as well, where they are (reports' tables and figures)."""

from __future__ import annotations

from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SHOWN = (
    "reports/coverage.md",
    "reports/library-disagreement.md",
    "reports/real-frames/bench.md",
    "reports/real-frames/clean-frames.md",
    "reports/real-frames/matrix.md",
    "reports/real-frames/forest.png",
    "reports/real-frames/dice-by-size.png",
    "reports/audits/audits.md",
    "reports/estimated-dice/estimates.md",
    "reports/phantom-zju2-to-haining/overlay.png",
    "reports/cohort-differences/figures/distances.png",
    "reports/cohort-differences/figures/polyps.png",
)


def on_files(files: Files, config) -> Files:  # noqa: ANN001 - mkdocs' own type is not exported for hooks
    for path in SHOWN:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files
