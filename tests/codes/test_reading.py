"""Codes are read from the source, the table beside it is current, and each has its words and a test."""

import ast
import json
from pathlib import Path

import pytest
from support.tested_codes import held_codes, held_in

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
    """One that expects it, not one that only names it: see :mod:`support.tested_codes`."""
    held = held_in(TESTS)
    untested = [code for code, told in known.items() if not _is_held(code, told, held)]
    assert not untested


def _is_held(code, told, held):
    if code[0] == ANY:
        return any(one.endswith(code.removeprefix(ANY)) for one in held)
    is_beginning = not told.messages  # of the codes of a kind of file: E_IMAGE…
    return code in held or (is_beginning and any(one.startswith(f"{code}_") for one in held))


@pytest.mark.parametrize(
    ("source", "held"),
    [
        ('with pytest.raises(DataError, match=r"E_A_(B|C)"):\n    f()', {"E_A_B", "E_A_C"}),
        ('def test():\n    assert "E_A" in err and error.code == "W_B"', {"E_A", "W_B"}),
        ('def test():\n    """E_A"""\n    raise DataError("E_B", "so it is.")', set()),
        ('def test():\n    with pytest.raises(ValueError):\n        tell(DataError("E_A", "so it is."))', set()),
        ('def test():\n    assert tell(DataError("E_A", "so it is.")).startswith("so")', set()),
        ('def test():\n    for path, code in ((a, "E_A"),):\n        assert told(path) == code', {"E_A"}),
        ('def test():\n    for path, code in ((a, "E_A"),):\n        f(path)', set()),
        ('@pytest.mark.parametrize("code", ["E_A"])\ndef test(code):\n    assert told() == code', {"E_A"}),
        ('@pytest.mark.parametrize("code", ["E_A"])\ndef test(code):\n    tell(code)', set()),
        ('KNOWN = {"a": "E_A"}\ndef test():\n    assert told() == KNOWN', {"E_A"}),
        ('UNUSED = {"a": "E_A"}', set()),
    ],
)
def test_a_code_that_is_only_mentioned_is_not_tested(source, held):
    assert held_codes(ast.parse(source)) == held


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
