"""The documents: links lead somewhere, what is made from the source is current, nothing is loaded from elsewhere."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md")))


@pytest.fixture(scope="module")
def made():
    return runpy.run_path(str(DOCS / "make_pages.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        assert not link.startswith("http"), "the documents are read offline"
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", one).strip().lower().replace(" ", "-") for one in headings}, link


@pytest.mark.parametrize("name", ["api.md", "equations.md", "errors.md", "examples.md", "formats.md"])
def test_what_is_made_from_the_source_is_current(name, made):
    assert (DOCS / name).read_text(encoding="utf-8") == made["PAGES"][name](), "run: python docs/make_pages.py"


def test_every_code_says_what_it_means(made):
    entries = made["errors_page"]().split("\n### ")[1:]
    silent = [entry.splitlines()[0] for entry in entries if not re.search(r"^(- |\*)", entry, flags=re.MULTILINE)]
    assert len(entries) > 400
    assert not silent, "say it in polypda/codes/words.yaml"


def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site")))
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    elsewhere = r'"(?:https?:)?//'
    loaded = (
        f'<(?:script|img|iframe)[^>]*src={elsewhere}|<link[^>]*rel="(?:stylesheet|preconnect)"[^>]*href={elsewhere}'
    )
    outside = [page.name for page in pages if re.search(loaded, page.read_text(encoding="utf-8"))]
    assert not outside
