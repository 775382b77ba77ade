"""The page as one file: typed modules, style and data put into it, under a policy that lets it reach nothing else.

The modules (``page/*.js``) are plain ECMAScript with types in comments; ``tsc`` checks them as they lie. They are not
bundled by a tool: in the order of their imports their texts are set one after the other, without ``import`` and
``export``, so the page can be read as it was written, and is the same wherever it is built. Nothing
that was built is kept beside the sources, and no library is inside: storage is the browser's own, zoom and pan are 130
lines that the tests drive.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from polypda.evaluation.aggregation.aggregates import SIZE_STRATA
from polypda.reporting.overlays.frame_overlay import FULL_STROKES_FROM_PX, THINNEST_LINES, THINNEST_STROKES
from polypda.review.contours import stroke_rules
from polypda.review.decisions import REASONS
from polypda.review.record import ReviewRecord

PAGE_SOURCES = Path(__file__).parent / "page"
ENTRY = "main.js"
NOTHING_ELSE, OWN_SERVER = "connect-src 'none'", "connect-src 'self'"
"""What the page may talk to: nobody; shown by ``polypda review serve``, that server."""
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
_NAMED = re.compile(r"^(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)


@lru_cache(maxsize=1)
def page_script() -> str:
    """All modules as one script. Raises: ValueError where two modules name a thing alike, or import in a circle."""
    texts: dict[str, str] = {}
    _collect(ENTRY, texts, ())
    names = [name for text in texts.values() for name in _NAMED.findall(text)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"named in two modules: {', '.join(twice)}")
    joined = "\n".join(f"// {name}\n{text}" for name, text in texts.items())
    return f'"use strict";\n(() => {{\n{joined}\n}})();\n'


def _collect(name: str, texts: dict[str, str], path: Sequence[str]) -> None:
    if name in path:
        raise ValueError(f"modules import each other: {' → '.join([*path, name])}")
    if name in texts:
        return
    source = (PAGE_SOURCES / name).read_text(encoding="utf-8")
    for imported in _IMPORT.findall(source):
        _collect(imported, texts, [*path, name])
    texts[name] = _EXPORT.sub("", _IMPORT.sub("", source))


def words() -> dict[str, dict[str, str]]:
    """What the page says, by language and name."""
    return json.loads((PAGE_SOURCES / "words.json").read_text(encoding="utf-8"))


def render_page(record: ReviewRecord, shown: Sequence[Mapping[str, Any]], files: Mapping[str, str]) -> str:
    """The page's HTML.

    Args: record: what may be seen. shown: of each case what is drawn. files: name → base64 of the pictures that lie
    inside the page.
    """
    data = {
        **record.model_dump(mode="json", by_alias=True, exclude={"cases"}),
        "rules": stroke_rules(),
        "sizes": SIZE_STRATA,
        "line_display_px": FULL_STROKES_FROM_PX,
        "thinnest_whole": THINNEST_STROKES,
        "thinnest_lines": THINNEST_LINES,
        "words": words(),
        "cases": [
            {**case.model_dump(mode="json", exclude={"trainings", "image_sha256", "split"}), **more}
            for case, more in zip(record.cases, shown, strict=True)
        ],
    }
    script, style = page_script(), (PAGE_SOURCES / "style.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src '{_source_hash(script)}'; style-src '{_source_hash(style)}'; "
        f"img-src 'self' file: data:; {NOTHING_ELSE}; form-action 'none'; base-uri 'none'"
    )
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=words()["en"]["title"],
            policy=policy,
            style=Markup(style),
            script=Markup(script),
            data=Markup(json_in_html(data)),
            files=[(name, Markup(content)) for name, content in files.items()],
            reasons=REASONS,
            blinded=record.blinded,
            kind=_kind(record),
            welcome=_welcome(record),
        )
    )


def render_readme(record: ReviewRecord) -> str:
    """One page of help for the clinician, in English and Chinese."""
    style = (PAGE_SOURCES / "readme.css").read_text(encoding="utf-8")
    policy = f"default-src 'none'; style-src '{_source_hash(style)}'"
    template = _environment().get_template("readme.html.jinja")
    return template.render(
        record=record,
        policy=policy,
        style=Markup(style),
        said=words(),
        count=len(record.cases),
        kind=_kind(record),
        welcome=_welcome(record),
    )


def _kind(record: ReviewRecord) -> str:
    """How the names of words end that are said of the two outlines, or of the only one."""
    return "_blinded" if record.blinded else "" if record.models.get("before") else "_lone"


def _welcome(record: ReviewRecord) -> str:
    return f"welcome{_kind(record) or ('' if record.referenced else '_unreferenced')}"


def served(page: str) -> str:
    """The same page, allowed to talk to the server that shows it."""
    return page.replace(escape(NOTHING_ELSE), escape(OWN_SERVER), 1)


def json_in_html(value: Any) -> str:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _source_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE_SOURCES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
