"""The page's sources: one script of all modules, complete words in both languages, a policy that reaches nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.reviews import write_painted_review

from polypda.review import page_file
from polypda.review.decisions import DECISIONS_SCHEMA, REASONS
from polypda.review.orderings import Order
from polypda.review.page_file import PAGE_SOURCES, json_in_html, page_script, served, words


def source(name: str) -> str:
    return (PAGE_SOURCES / name).read_text(encoding="utf-8")


def test_all_modules_become_one_script() -> None:
    script = page_script()
    modules = {path.name for path in PAGE_SOURCES.glob("*.js")}
    assert modules == set(re.findall(r"^// (\w+\.js)$", script, re.MULTILINE))
    assert not re.search(r"^(import|export) ", script, re.MULTILINE) and "</script" not in script.lower()
    assert script.index("// answers.js") < script.index("// main.js"), "what is imported comes first"


def test_modules_that_name_a_thing_twice_or_import_in_a_circle_are_noticed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(page_file, "PAGE_SOURCES", tmp_path)
    page_script.cache_clear()
    (tmp_path / "main.js").write_text('import { a } from "./one.js";\nconst b = 1;\n')
    (tmp_path / "one.js").write_text("export const a = 1;\nconst b = 2;\n")
    with pytest.raises(ValueError, match="two modules: b"):
        page_script()
    (tmp_path / "one.js").write_text('import { b } from "./main.js";\nexport const a = 1;\n')
    with pytest.raises(ValueError, match="import each other"):
        page_script()
    page_script.cache_clear()


@pytest.mark.skipif(shutil.which("tsc") is None, reason="needs TypeScript: `npm install -g typescript`")
def test_the_modules_are_typed() -> None:
    found = subprocess.run(["tsc", "-p", str(PAGE_SOURCES)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_both_languages_say_the_same_things() -> None:
    english, chinese = words()["en"], words()["zh"]
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[name])), name
        assert text.strip() and chinese[name].strip()


def test_every_word_that_is_asked_for_is_there() -> None:
    known, text = words()["en"], "".join(path.read_text() for path in PAGE_SOURCES.glob("*.j*"))
    asked = set(re.findall(r'data-(?:say|label|tip|hint)="(\w+)"', text))
    asked |= set(re.findall(r'(?:say|announce)\((?:page, )?"(\w+)"', text))
    asked |= set(re.findall(r'\["[^"a-z\]]+", "(\w+)"\]', text))
    assert len(asked) > 60 and not asked - set(known)
    for reason in REASONS:
        assert f"reason_{reason}" in known
    for order in Order:
        assert f"order_{order}" in known


def test_page_and_command_agree_on_schema_and_reasons() -> None:
    assert f'SCHEMA = "{DECISIONS_SCHEMA}"' in source("record.js")
    listed = re.search(r"REASONS = \[(.*?)\]", source("answers.js"))
    assert listed and tuple(re.findall(r'"(\w+)"', listed[1])) == REASONS


def test_the_policy_reaches_nothing_and_is_lifted_for_its_own_server_alone(tmp_path) -> None:
    write_painted_review(tmp_path, 1)
    page = (tmp_path / "page" / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert not re.search(r"\son\w+=", page.split("<script")[0]) and "style=" not in page.split("<script")[0]
    lifted = served(page)
    assert lifted.count("connect-src &#39;self&#39;") == 1 and len(lifted) == len(page)


def test_data_cannot_leave_their_element() -> None:
    text = json_in_html({"name": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text) and "\\u003c/script\\u003e" in text


def test_help_is_on_one_page_in_both_languages(tmp_path) -> None:
    write_painted_review(tmp_path, 1)
    text = Path(tmp_path / "page" / "README.html").read_text()
    assert 'lang="en"' in text and 'lang="zh-Hans"' in text and "index.html" in text and "Hand back" in text
    assert "导出结果" in text and "<script" not in text and "built-in" not in text and "&lt;" not in text


@pytest.mark.parametrize("name", ["style.css", "readme.css"])
def test_chinese_has_a_font_on_each_system(name: str) -> None:
    text = source(name)
    for system, fonts in {
        "Windows": ["Microsoft YaHei UI", "Microsoft YaHei"],
        "macOS": ["PingFang SC", "Hiragino Sans GB"],
        "Linux": ["Noto Sans CJK SC", "WenQuanYi Micro Hei"],
    }.items():
        places = [text.find(f'"{font}"') for font in fonts]
        assert all(place >= 0 for place in places) and max(places) < text.index("sans-serif"), system
