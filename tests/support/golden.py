"""Golden files: what a reader sees of every table and page, kept as text.

A test that differs from its golden file shows the difference. To renew the files after a change that is meant to be
seen, run the test with POLYPDA_RENEW_GOLDEN=1 and look at the difference in version control.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden"
RENEW = "POLYPDA_RENEW_GOLDEN"
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d{6,}(?:e-?\d+)?")
BREAKS = frozenset({"p", "h1", "h2", "h3", "tr", "li", "dt", "dd", "div", "section", "article", "figcaption", "title"})
SILENT = frozenset({"style", "script"})


def check_golden(name: str, text: str, *, digest: bool = False) -> None:
    """Compare a text with the file of that name. digest: keep only its SHA-256, for a text too large to keep."""
    content = rounded(text)
    if digest:
        content = f"sha256 {hashlib.sha256(content.encode()).hexdigest()}, {len(content.splitlines())} lines\n"
    path = GOLDEN / name
    if os.environ.get(RENEW):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert content == path.read_text(encoding="utf-8"), f"{path}: renew it with {RENEW}=1 if the change is meant"


def rounded(text: str) -> str:
    """Numbers at full precision with six digits: the last ones depend on the machine."""
    return NUMBER.sub(lambda found: f"{float(found[0]):.6g}", text)


def compact(document: object) -> str:
    """JSON in lines short enough for a difference to be read."""
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=False) + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines = [""]
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.silent += tag in SILENT
        if tag in BREAKS:
            self._break()
        if tag in ("td", "th"):
            self.lines[-1] += "| "
        if tag == "img":
            self._break()
            self.lines[-1] = f"[image: {found['alt']}]"
        if tag == "a" and not str(found["href"]).startswith("data:"):
            self.lines[-1] += f"<{found['href']}> "
        mark = " ".join(found.get("class", "").split())
        if mark and tag in ("p", "tr", "div", "li", "article"):
            self.lines[-1] += f"({mark}) "

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in SILENT
        if tag in BREAKS:
            self._break()

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.lines[-1] += re.sub(r"[ \n]+", " ", data)

    def _break(self) -> None:
        if self.lines[-1]:
            self.lines.append("")


def page_text(html: str) -> str:
    """What a page says: a line per paragraph, row or point of a list; classes in brackets, pictures by name."""
    reader = _Reader()
    reader.feed(html)
    lines = (re.sub(r" +", " ", line).strip() for line in reader.lines)
    return "\n".join(line for line in lines if line) + "\n"
