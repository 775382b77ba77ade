"""Manifests in a data root that are wrong, or mean harm: each is refused with a code, at once, and hides no other."""

import time

import pytest
import yaml
from support.painted_cohorts import write_ordinary

from polypda.cohorts.catalogue import load_catalogue, manifest
from polypda.cohorts.image_files import groups_of, may_try_without_end
from polypda.cohorts.layouts import find_frames, locate
from polypda.errors import DataError

LAYOUT = {"name": "a", "verified": True, "folders": ["ward-7"], "images": ["images/*"], "masks": {"files": ["masks/*"]}}
DEEP = "a: " + "[" * 200_000
LAUGHS = "a: &a [x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)


def sound(**changes) -> str:
    known = manifest("haining").model_dump(mode="json") | {"id": "ward-7"} | changes
    return yaml.safe_dump(known, allow_unicode=True)


def layouts(**changes) -> str:
    return sound(layouts=[LAYOUT | changes])


WRONG = {
    "null key": "null: 1\n" + sound(),
    "number for a key": "7: 1\n" + sound(),
    "date for a key": "2026-01-01: 1\n" + sound(),
    "list for a key": "[1, 2]: 1\n" + sound(),
    "mapping for a key": "? {a: 1}\n: 2\n" + sound(),
    "very long key": "k" * 100_000 + ": 1\n" + sound(),
    "impossible date": sound() + "added: 2026-13-45\n",
    "impossible time": sound() + "added: 2026-01-01T99:99:99\n",
    "tag that is not kept": sound() + "added: !!int abc\n",
    "float that is none": sound() + "added: !!float x\n",
    "binary that is none": sound() + "added: !!binary '~~~'\n",
    "python object": sound() + "added: !!python/object/apply:os.system ['touch hurt']\n",
    "name of a tag": sound() + "added: !!python/name:os.system\n",
    "deep nesting": DEEP,
    "deep nesting of dashes": "a:\n  " + "- " * 100_000,
    "deep nesting of maps": "{a: " * 5_000,
    "a billion laughs": LAUGHS,
    "merge of itself": "a: &a\n  <<: *a\n",
    "a list": "- 1\n- 2\n",
    "a word": "manifest\n",
    "nothing": "",
    "two documents": sound() + "---\n" + sound(),
    "zero byte": sound() + "\0",
    "escape in the id": sound(id="ward-7\x1b[31m"),
    "path for an id": sound(id="../ward-7"),
    "endless number": sound() + "added: " + "9" * 100_000 + "\n",
    "infinite aspect": sound(pixel_aspect=float("inf")),
    "not a number": sound(pixel_aspect=float("nan")),
    "no glob": layouts(images=[]),
    "empty glob": layouts(images=[""]),
    "absolute glob": layouts(images=["/etc/*"]),
    "glob that leaves": layouts(images=["../../*"]),
    "glob of a home": layouts(images=["~/x/*"]),
    "glob of Windows": layouts(images=["C:x/*"]),
    "glob of another host": layouts(images=["\\\\host\\share\\*"]),
    "stars that are no part": layouts(images=["a**b/*"]),
    "glob through everything": layouts(images=["**/**/**/**/**/*"]),
    "glob with a line's end": layouts(images=["images/\n*"]),
    "long glob": layouts(images=["*" * 5_000]),
    "folder that leaves": layouts(folders=["../elsewhere"]),
    "folder on a drive": layouts(folders=["d:"]),
    "absolute masks": layouts(masks={"files": ["/etc/*"]}),
    "no regular expression": layouts(frame="(?P<frame>[^"),
    "expression without a frame": layouts(frame=".*"),
    "huge repetition": layouts(frame="(?P<frame>a{99999999999999})"),
    "long expression": layouts(frame="(?P<frame>" + "a?" * 2_000 + ")"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_manifest_is_told_and_hides_no_other(tmp_path, kind, caplog):
    for cohort, text in (("ward-7", WRONG[kind]), ("ward-9", sound(id="ward-9", city="Ghent"))):
        (tmp_path / cohort).mkdir()
        (tmp_path / cohort / "manifest.yaml").write_text(text, encoding="utf-8")
    began = time.process_time()
    found = load_catalogue(tmp_path)
    assert found["ward-9"].city == "Ghent" and "ward-7" not in found
    assert "ward-7 is passed over" in caplog.text and len(caplog.text) < 3_000
    with pytest.raises(DataError, match="E_MANIFEST"):
        manifest("ward-7", tmp_path)
    assert time.process_time() - began < 5


def test_the_commands_go_on_beside_wrong_manifests(tmp_path, polypda):
    write_ordinary(tmp_path, "haining")
    for number, text in enumerate(WRONG.values()):
        (tmp_path / f"wrong-{number}").mkdir()
        (tmp_path / f"wrong-{number}" / "manifest.yaml").write_text(text, encoding="utf-8")
    marked = sound(id="ward-9", city="[/b][link=http://x]Ghent", centre="<script>alert(1)</script>")
    (tmp_path / "ward-9").mkdir()
    (tmp_path / "ward-9" / "manifest.yaml").write_text(marked, encoding="utf-8")
    status, out, _ = polypda("cohorts", "list", "--data-root", tmp_path)
    assert status == 0 and "haining" in out and "[/b]" in out
    assert polypda("cohorts", "show", "ward-9", "--data-root", tmp_path)[0] == 0
    assert polypda("cohorts", "show", "haining", "--data-root", tmp_path)[0] == 0
    status, _, err = polypda("cohorts", "show", "wrong-3", "--data-root", tmp_path)
    assert status == 3 and "E_MANIFEST" in err and "Traceback" not in err


ENDLESS = (
    "(?P<frame>(a+)+)",
    "(?P<frame>(a|a)*)",
    "(?P<frame>(.*)*)x",
    "(?:a*)*(?P<frame>b)",
    ".*.*.*.*.*(?P<frame>b)",
)


@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_pattern_that_tries_without_end_is_stopped(tmp_path, pattern, monkeypatch):
    monkeypatch.setattr("polypda.cohorts.image_files.LONGEST_MATCHING_S", 1)
    assert may_try_without_end(pattern)
    folder = write_ordinary(tmp_path, "ward-7", stems=["a" * 200, "a" * 199 + "!"])
    (folder / "manifest.yaml").write_text(layouts(frame=pattern), encoding="utf-8")
    described = manifest("ward-7", tmp_path)
    began = time.monotonic()
    with pytest.raises(DataError, match=r"E_FRAME_PATTERN|E_FRAME_NAME"):
        find_frames(described, locate(described, tmp_path), labels=False)
    assert time.monotonic() - began < 8


def test_patterns_of_the_releases_are_tried_here():
    every = [layout.frame for known in load_catalogue().values() for layout in known.layouts]
    assert every and not any(map(may_try_without_end, every))
    names = ["a/b/12", "x", "图/3"]
    told = groups_of(r"(?:[^/]+/)*(?P<frame>\d+)", names)  # in a process of its own
    assert told == [{"frame": "12"}, None, {"frame": "3"}]
    assert groups_of(r"(?:.*/)?(?P<frame>\d+)", names) == told
