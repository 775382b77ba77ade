"""For mkdocs: files of the repository outside `docs/` that the site shows as well.

Pages link to them as they lie in the repository (`../reports/…`), so that the links lead somewhere there, too.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SHOWN = (
    "CHANGELOG.md",
    "polypda/methods/README.md",
    "reports/coverage.md",
    "reports/growth.md",
    "reports/growth.png",
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
)


def on_files(files: Files, config) -> Files:
    for path in SHOWN:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page, **_) -> str:
    for path in SHOWN:
        markdown = markdown.replace(f"](../{path}", f"]({path}")
    return markdown
