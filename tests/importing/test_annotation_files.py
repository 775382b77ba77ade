"""Text, JSON and XML of any origin: encodings that hospitals use, damage, and hostility."""

from __future__ import annotations

import json

import pytest
from reader_fixtures import MemoryTree

from polypda.errors import DataError
from polypda.importing.annotations import annotation_files
from polypda.importing.annotations.annotation_files import read_json, read_text, read_xml

NAME = "息肉 é"


def tree(data: bytes) -> MemoryTree:
    return MemoryTree({"a": data})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
def test_text_and_json_in_any_of_the_encodings(encoding):
    assert read_text(tree(NAME.encode(encoding)), "a") == NAME
    assert read_json(tree(json.dumps({"n": NAME}, ensure_ascii=False).encode(encoding)), "a") == {"n": NAME}


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("gbk", "GBK"), ("gb18030", "gb2312"), ("utf-16", "utf-16")],
)
def test_xml_in_any_of_the_encodings(encoding, declared):
    text = f'<?xml version="1.0" encoding="{declared}"?>\n<annotations a="息肉"/>'
    assert read_xml(tree(text.encode(encoding)), "a").get("a") == "息肉"


def test_bytes_that_are_no_text_are_told():
    with pytest.raises(DataError, match="E_ANNOTATION_ENCODING"):
        read_text(tree(b"\xff\x81\xff"), "a")
    with pytest.raises(DataError, match="E_ANNOTATION_ENCODING"):
        read_text(tree(b"\xff\xfea"), "a")  # UTF-16 by its mark, of an odd number of bytes


@pytest.mark.parametrize("data", [b"", b"{", b"[1,]", b"[" * 100_000, b'"' + b"9" * 10, b"\x00", b"nan", b"9" * 5000])
def test_what_is_no_json_is_told(data):
    with pytest.raises(DataError, match="E_JSON"):
        read_json(tree(data), "a")


@pytest.mark.parametrize("data", [b"", b"<", b"<a>", b"<a></b>", b"<a/><a/>", b"\x00", b"text", b"<a b=1/>"])
def test_what_is_no_xml_is_told(data):
    with pytest.raises(DataError, match="E_XML "):
        read_xml(tree(data), "a")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "bomb": f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>',
    "quadratic": f'<!DOCTYPE a [<!ENTITY l "{"x" * 1000}">]><a>{"&l;" * 1000}</a>',
    "file": '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>',
    "outside": '<!DOCTYPE a SYSTEM "http://example.com/a.dtd"><a/>',
    "parameter": '<!DOCTYPE a [<!ENTITY % f SYSTEM "file:///etc/passwd">%f;]><a/>',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_entities_are_refused(text):
    with pytest.raises(DataError, match="E_XML_ENTITIES"):
        read_xml(tree(text.encode()), "a")
    with pytest.raises(DataError, match="E_XML_ENTITIES"):
        read_xml(tree(f'<?xml version="1.0" encoding="UTF-16"?>{text}'.encode("utf-16")), "a")


def test_absurd_depth_is_refused():
    deep = b"<a>" * 100_000 + b"</a>" * 100_000
    with pytest.raises(DataError, match="E_XML"):
        read_xml(tree(deep), "a")
    assert read_xml(tree(b"<a>" * 100 + b"</a>" * 100), "a").tag == "a"


def test_absurd_size_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(annotation_files, "LARGEST_BYTES", 10)
    with pytest.raises(DataError, match="E_ANNOTATION_LARGE"):
        read_json(tree(b"[" + b" " * 20 + b"]"), "a")


@pytest.mark.parametrize(
    "pointer", ["version https://git-lfs.github.com/spec/v1\noid sha256:0", "/annex/objects/SHA256E-s1"]
)
def test_a_pointer_to_a_file_that_was_not_fetched_is_called_one(pointer):
    with pytest.raises(DataError, match="E_ANNOTATION_LFS_POINTER a") as caught:
        read_json(tree(pointer.encode()), "a")
    assert "git lfs pull" in caught.value.fix
