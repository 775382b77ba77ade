"""The key of pseudonyms and the crosswalk: where they may lie, who may read them, what they do."""

import hashlib
import hmac
import os
import stat

import pytest

from polypda.errors import DataError, UsageError
from polypda.importing.deidentification import key as module
from polypda.importing.deidentification.key import Key, Pseudonyms, check_crosswalk, load_key, write_crosswalk

POSIX = pytest.mark.skipif(os.name != "posix", reason="files have no modes here")
ROW = ("ward-7", "patient", "张", "abc")


def test_a_missing_key_is_made_once_and_is_the_owners_alone(tmp_path):
    first, again = (load_key(tmp_path / "deep" / "key", [tmp_path / "root"]) for _ in range(2))
    assert first.created and not again.created and first.secret == again.secret and len(first.secret) == 32
    assert load_key(tmp_path / "other", []).secret != first.secret
    assert first.secret.hex() not in repr(first) and [path.name for path in (tmp_path / "deep").iterdir()] == ["key"]


@POSIX
def test_modes(tmp_path):
    load_key(tmp_path / "key", [])
    write_crosswalk(tmp_path / "table.csv", [ROW])
    for name in ("key", "table.csv"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(DataError, match="E_KEY_EXPOSED"):
        load_key(tmp_path / "key", [])


@pytest.mark.parametrize(
    ("text", "code"), [("ab" * 16, "E_KEY_SHORT"), ("no key", "E_KEY_UNREADABLE"), ("", "E_KEY_SHORT")]
)
def test_what_is_no_key_is_refused(text, code, tmp_path):
    (tmp_path / "key").write_text(text)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(DataError, match=code):
        load_key(tmp_path / "key", [])


def test_neither_may_lie_among_the_frames_not_even_by_a_detour(tmp_path):
    root = tmp_path / "root"
    (root / "ward-7").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root)
    for index in (root / "key", root / "ward-7" / "key", tmp_path / "link" / "key", root / "x" / ".." / "key"):
        with pytest.raises(UsageError, match="E_KEY_PLACE"):
            load_key(index, [root])
        with pytest.raises(UsageError, match="E_CROSSWALK_PLACE"):
            check_crosswalk(index, [root])
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_place_that_cannot_be_written_has_a_code(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="E_KEY_NOT_MADE"):
        load_key(tmp_path / "file" / "key", [])


def test_a_crosswalk_grows_without_doubles_and_replaces_no_other_file(tmp_path):
    path = tmp_path / "table.csv"
    write_crosswalk(path, [ROW])
    write_crosswalk(path, [ROW, ("ward-7", "frame", "a,b\n", "def")])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "cohort,kind,original,pseudonym" and lines.count("ward-7,patient,张,abc") == 1
    (tmp_path / "thesis.csv").write_text("my,own\n")
    for refuse in (
        lambda: check_crosswalk(tmp_path / "thesis.csv", []),
        lambda: write_crosswalk(tmp_path / "thesis.csv", [ROW]),
    ):
        with pytest.raises(DataError, match="E_CROSSWALK_UNREADABLE"):
            refuse()
    assert (tmp_path / "thesis.csv").read_text() == "my,own\n"


def test_pseudonyms_are_the_keyed_hash_and_no_two_lists_of_names_are_one_message():
    key = Key(b"k" * 32)
    message = b"".join(len(part).to_bytes(8, "big") + part for part in (b"patient", b"p7"))
    assert key.digest("patient", "p7") == hmac.new(b"k" * 32, message, hashlib.sha256).digest()
    assert key.digest("ab", "c") != key.digest("a", "bc")
    one, other = Pseudonyms(key, "a"), Pseudonyms(Key(b"j" * 32), "a")
    assert one.patient(" P7 ") == one.patient("p7") == Pseudonyms(key, "b").patient("p7") != other.patient("p7")
    assert one.sequence("s") != Pseudonyms(key, "b").sequence("s")


def test_order_is_kept_and_goes_on_where_the_cohort_has_frames():
    key = Key(b"k" * 32)
    names = Pseudonyms(key, "a")
    group = names.patient("p7")
    given = [names.frame(name, group) for name in ("z", "m", "b")]
    assert given == sorted(given) and not any(name in "".join(given) for name in ("zm", "p7"))
    later = Pseudonyms(key, "a", existing=given)
    assert later.frame("m", group) == given[1]  # known already
    assert later.frame("new", group) > given[2]
    with pytest.raises(DataError, match="E_FRAME_TWICE"):
        later.frame("new", group)


def test_two_names_of_one_pseudonym_are_refused(monkeypatch):
    monkeypatch.setattr(module, "_letters", lambda digest, count: "a" * count)
    names = Pseudonyms(Key(b"k" * 32), "a")
    names.patient("one")
    with pytest.raises(DataError, match="E_PSEUDONYM_TWICE"):
        names.patient("two")
