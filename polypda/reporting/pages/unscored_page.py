"""The page of a run whose target has no label: pictures of what was marked, and no figure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from polypda.evaluation.cases.statement import PHANTOM_BANNER, ReportStatement
from polypda.files import write_whole
from polypda.reporting.pages.new_folder import whole_folder
from polypda.reporting.pages.page import gallery_entries, page_environment
from polypda.reporting.pages.report_folder import OverlayPicture, write_overlays


def write_unscored(folder: Path, statement: ReportStatement, why: str, overlays: Iterable[OverlayPicture]) -> Path:
    """Write index.html and overlays/*.png, over a former such folder; returns the page.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    with whole_folder(folder, replace=True, former=("index.html",)) as work:
        (work / "overlays").mkdir()
        gallery = gallery_entries(list(write_overlays(work, overlays)))
        page = page_environment().get_template("unscored_page.html.jinja")
        facts = [(name, text) for name, text in statement.lines().items() if name not in ("threshold", "protocol")]
        text = page.render(
            statement=statement, phantom_banner=PHANTOM_BANNER, why=why.rstrip("."), gallery=gallery, facts=facts
        )
        write_whole(work / "index.html", text)
    return folder / "index.html"
