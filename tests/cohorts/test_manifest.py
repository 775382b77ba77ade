import tomllib
from pathlib import Path

import pytest

from polypda.cohorts import catalogue
from polypda.cohorts.catalogue import (
    load_catalogue,
    manifest,
    manifest_hash,
    parse_manifest,
    read_manifest,
    shared_frames,
    shipped_catalogue,
)
from polypda.cohorts.manifest import Annotation, FactStatus, Media
from polypda.errors import DataError, UsageError

FOUNDING = {
    "zju2", "ningbo", "haining", "kvasir", "cvc-clinicdb", "cvc-colondb", "sun",
    "zju2-2021-jiefang", "zju2-2021-chengdong", "polypsset", "polydeep",
}  # fmt: skip
PUBLIC = {f"polypgen-c{centre}" for centre in range(1, 7)} | {
    "bkai-neopolyp",
    "etis-larib",
    "piccolo",
    "polypgen-negative",
}
FOLDER = Path(catalogue.__file__).parents[2] / "cohorts"
TEXT = (FOLDER / "kvasir.yaml").read_text(encoding="utf-8")


def test_every_cohort_has_a_manifest():
    assert set(load_catalogue()) == FOUNDING | PUBLIC


def test_declared_facts_stand_as_the_notes_give_them():
    sizes = {"zju2": (720, 576), "ningbo": (720, 576), "haining": (656, 562), "cvc-clinicdb": (384, 288)}
    counts = {"zju2": 3000, "ningbo": 500, "haining": 200, "cvc-clinicdb": 612, "kvasir": 1000, "sun": 27314}
    assert {name: manifest(name).declared.resolutions for name in sizes} == {
        name: (size,) for name, size in sizes.items()
    }
    assert {name: manifest(name).declared.frames for name in counts} == counts
    assert manifest("zju2-2021-jiefang").declared.videos == 23
    assert {name for name in load_catalogue() if manifest(name).annotation is Annotation.BOX} == {
        "sun", "polypsset", "polydeep"
    }  # fmt: skip
    assert manifest("zju2-2021-chengdong").media is Media.VIDEO


def test_unknowns_are_null_and_contradictions_are_written_down():
    assert manifest("zju2").pixel_aspect is None
    assert manifest("ningbo").scope.processor is None
    for contradicted in ("sun", "polydeep", "cvc-colondb", "polypgen-c1", "bkai-neopolyp"):
        assert any(fact.status is FactStatus.CONTRADICTED for fact in manifest(contradicted).facts), contradicted


def test_clinicdb_table_covers_every_frame_once():
    for layout in manifest("cvc-clinicdb").layouts:
        assert layout.sequence_ranges is not None
        numbers = [n for first, last in layout.sequence_ranges.values() for n in range(first, last + 1)]
        assert sorted(numbers) == list(range(1, 613))
        assert len(layout.sequence_ranges) == 29


def test_ancestry_is_found_from_either_side():
    one, other = shared_frames("polypsset", "cvc-colondb"), shared_frames("cvc-colondb", "polypsset")
    assert one is not None and one.cohort == "cvc-colondb"
    assert other is not None and other.cohort == "polypsset"
    assert shared_frames("cvc-clinicdb", "bkai-neopolyp") is None


def test_unknown_cohort_offers_the_nearest():
    with pytest.raises(UsageError) as caught:
        manifest("CVC-ClinicDb")
    assert caught.value.code == "E_COHORT_UNKNOWN"
    assert "'cvc-clinicdb'" in caught.value.what
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("right", "wrong", "code", "said"),
    [
        ("\ncentre:", "\ncentrr:", "E_MANIFEST_KEY", "'centre'"),
        ("  licence:", "  license:", "E_MANIFEST_KEY", "'licence'"),
        ("    exclude:", "    excludes:", "E_MANIFEST_KEY", "'exclude'"),
        ("vendor: Olympus", "vendr: Olympus", "E_MANIFEST_KEY", "'vendor'"),
        ("annotation: mask", "annotation: maks", "E_MANIFEST", "annotation"),
        ("images/(?P<frame>", "images/(?P<fram>", "E_MANIFEST", "frame"),
        ("id: kvasir", "id: kvasir\nid: other", "E_MANIFEST_YAML", "twice"),
        ("[images/*]", "[../elsewhere/*]", "E_MANIFEST", "inside the data root"),
        ("frames: 1000", "frames: -1", "E_MANIFEST", "frames"),
        ("{frame: test_16,", "{frame: test_16", "E_MANIFEST_YAML", ""),
    ],
)
def test_wrong_manifest_is_refused_with_its_place(right, wrong, code, said):
    assert right in TEXT
    with pytest.raises(DataError) as caught:
        parse_manifest(TEXT.replace(right, wrong), where="kvasir.yaml")
    assert caught.value.code == code
    assert said in caught.value.what
    assert caught.value.where == "kvasir.yaml" and caught.value.fix


def test_file_name_must_be_the_id(tmp_path):
    (tmp_path / "other.yaml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(DataError, match=r"call the file kvasir\.yaml"):
        read_manifest(tmp_path / "other.yaml")


@pytest.mark.parametrize("ranges", ['{"1": [1, 9], "2": [9, 12]}', '{"1": [5, 2]}'])
def test_sequence_ranges_must_not_overlap_or_run_back(ranges):
    text = TEXT.replace("    frames: 1000\n", f"    frames: 1000\n    sequence_ranges: {ranges}\n")
    assert text != TEXT
    with pytest.raises(DataError, match="sequence"):
        parse_manifest(text, where="kvasir.yaml")


def test_hash_follows_what_is_said_and_not_how():
    described = parse_manifest(TEXT, where="x")
    assert parse_manifest("# a remark\n" + TEXT, where="x").hash() == described.hash() == manifest_hash("kvasir")
    assert parse_manifest(TEXT.replace("Bærum", "Oslo"), where="x").hash() != described.hash()


def test_the_wheel_s_manifests_go_before_the_checkout_s(tmp_path, monkeypatch):
    (tmp_path / "zju2.yaml").write_text((FOLDER / "zju2.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(catalogue, "MANIFEST_FOLDERS", (tmp_path, FOLDER))
    assert list(shipped_catalogue.__wrapped__()) == ["zju2"]
    monkeypatch.setattr(catalogue, "MANIFEST_FOLDERS", (tmp_path / "none",))
    with pytest.raises(DataError, match="E_CATALOGUE_ABSENT"):
        shipped_catalogue.__wrapped__()


def test_the_wheel_puts_manifests_where_the_catalogue_looks():
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    put = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]["cohorts"]
    assert catalogue.MANIFEST_FOLDERS[0] == FOLDER.parent / put
