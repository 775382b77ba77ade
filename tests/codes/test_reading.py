"""Codes are read from the source, the table beside it is current, and each has its words and a test."""

import ast
import json
import re
from pathlib import Path

import pytest

from polypda.codes.index import FILE, every_code, explained, index_text
from polypda.codes.reading import ANY, codes_in, codes_of_source
from polypda.errors import UsageError

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def known():
    return codes_of_source()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise DataError("E_A", f"{n} are few.", fix="add some.")', ("E_A", "… are few.", "add some.", 3)),
        (
            'def f():\n what, fix = "so it is.", "change it."\n raise UsageError("E_A", what, fix=fix)',
            ("E_A", "so it is.", "change it.", 2),
        ),
        ('Finding("E_A" if leak else "W_A", "two parts")', ("W_A", "two parts", "", 0)),
        ('DataError(f"{code}_GONE", "it is gone")', ("…_GONE", "it is gone", "", 3)),
    ],
)
def test_code_message_and_remedy_are_read_from_the_source(source, expected):
    found = [(one.code, one.message, one.remedy, one.status) for one in codes_in(ast.parse(source))]
    assert expected in found


def test_what_comes_up_is_the_first_sentence_of_the_function():
    source = '"""The module."""\ndef f():\n    """Read a :class:`~a.Mask`. Raises: E."""\n    raise X("E_A", "it is.")'
    assert [one.doing for one in codes_in(ast.parse(source))] == ["Read a `a.Mask`"]
    assert [one.doing for one in codes_in(ast.parse('"""The module."""\nX("E_A", "it is.")'))] == ["The module"]


def test_the_table_is_that_of_the_source(known):
    assert FILE.read_text(encoding="utf-8") == index_text(known), "write it anew: python docs/make_pages.py"
    assert {code: one.told for code, one in every_code().items()} == known


def test_every_code_says_what_it_means_and_where_it_comes_up_and_every_error_what_to_do(known):
    silent = [code for code, told in known.items() if not (told.title or told.messages) or not told.doing]
    assert len(known) > 400 and not silent, "say it in polypda/codes/words.yaml"
    endings = tuple(code.removeprefix(ANY) for code, told in known.items() if code[0] == ANY and told.remedies)
    helpless = [code for code, told in known.items() if code[0] == "E" and not told.remedies]
    assert not [code for code in helpless if not code.endswith(endings)], "say it in polypda/codes/remedies.yaml"


def test_every_code_has_a_test(known):
    """A test names it, or the whole name of a code that begins or ends with it."""
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py")]
    texts += [path.read_text(encoding="utf-8") for path in (TESTS / "fixtures" / "golden").rglob("*") if path.is_file()]
    named = set(re.findall(r"\b[EWN]_[A-Z0-9_]*[A-Z0-9]\b", "\n".join(texts)))
    for alternatives in re.findall(r"\b([EWN]_[A-Z0-9_]*)\(([A-Z0-9_|]+)\)", "\n".join(texts)):
        named |= {alternatives[0] + one for one in alternatives[1].split("|")}  # r"E_ACCEPTED_(FILE|MASK)"
    untested = [code for code in known if not _is_named(code, named)]
    assert not untested


def _is_named(code, named):
    if code[0] == ANY:
        return any(one.endswith(code.removeprefix(ANY)) for one in named)
    return code in named or any(one.startswith(f"{code}_") for one in named)


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ("E_MASK_SIZE", ["E_MASK_SIZE"]),
        ("e_mask_size:", ["E_MASK_SIZE"]),
        ("E_IMAGE_TRUNCATED", ["E_IMAGE_TRUNCATED", "…_TRUNCATED"]),
        ("E_VIDEO_LFS_POINTER", ["…_LFS_POINTER", "E_VIDEO"]),
    ],
)
def test_a_code_is_explained_by_what_is_known_of_its_parts(asked, codes):
    assert [one.code for one in explained(asked)] == codes


@pytest.mark.parametrize(
    ("asked", "near"), [("E_MSK_SIZE", "E_MASK_SIZE"), ("MASK_SIZE", "E_MASK_SIZE"), ("DISK", "E_DISK")]
)
def test_a_mistyped_code_tells_what_is_near(asked, near):
    with pytest.raises(UsageError, match=rf"E_CODE_UNKNOWN.*Near: .*{near}"):
        explained(asked)
    with pytest.raises(UsageError, match="there is no code 'E_QQQQ'"):
        explained("E_QQQQ")


def test_the_table_lies_a_code_in_a_line():
    assert len(FILE.read_text(encoding="utf-8").splitlines()) == len(json.loads(FILE.read_text(encoding="utf-8"))) + 2
