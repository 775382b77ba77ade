"""What CONTRIBUTING.md shows of a format and of a cohort works as it stands there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from importing.painted_sources import frame, lines, mask, put, run_import

from polypda.cohorts.images import read_mask
from polypda.cohorts.manifest import Manifest
from polypda.importing import registry

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
OUTLINE = [[6, 4], [20, 4], [20, 20], [6, 20]]


def shown(language, section):
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


@pytest.fixture
def regions(monkeypatch):
    scope = {"__name__": "regions"}
    exec(compile(shown("python", "A format of annotations"), "regions.py", "exec"), scope)
    reader = scope["RegionsReader"]
    monkeypatch.setattr(registry, "READERS", {reader.name: reader, **registry.READERS})
    return reader


def test_the_format_is_found_and_read(tmp_path, regions):
    source = tmp_path / "src"
    for number, name in enumerate(("a", "b", "c", "d")):
        put(source / f"pictures/{name}.jpg", frame(number))
    polyp, tool = ({"class": kind, "points": OUTLINE} for kind in ("polyp", "forceps"))
    rows = [
        {"image": "a.jpg", "width": 60, "height": 40, "outlines": [polyp, tool], "patient": "p1", "split": "test"},
        {"image": "b.jpg", "outlines": []},
        {"image": "c.jpg", "width": 61, "height": 40, "outlines": [polyp]},
        {"image": "gone.jpg", "outlines": [polyp]},
    ]
    put(source / "regions.jsonl", "\n".join(map(json.dumps, rows)).encode())
    result = run_import(source, tmp_path / "root")
    states = {record.frame: (record.label_state, record.patient, record.split) for record in result.records}
    assert states == {"a": ("mask", "p1", "test"), "b": ("negative", None, None), "d": ("none", None, None)}
    assert np.array_equal(read_mask(result.folder / "masks/a.png"), (mask() > 0).astype(np.uint8))
    told = lines(result)
    assert told["E_ANNOTATION_SIZE"] == ["pictures/c.jpg"] and told["E_IMAGE_MISSING"] == ["regions.jsonl line 4"]
    assert result.summary.format == "regions"


def test_a_damaged_file_of_it_is_told(tmp_path, regions):
    put(tmp_path / "src/a.jpg", frame())
    put(tmp_path / "src/regions.jsonl", b"{")
    with pytest.raises(Exception, match="E_JSON"):
        run_import(tmp_path / "src", tmp_path / "root", format="regions")


def test_the_cohort_is_a_manifest():
    described = Manifest.model_validate(yaml.safe_load(shown("yaml", "A cohort")))
    assert described.id == "ward-7" and described.declared.frames == 120
