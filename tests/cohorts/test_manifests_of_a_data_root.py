"""A manifest in a data root goes before the installation's, and makes new ids known."""

import pytest
import yaml

from polypda.cohorts.catalogue import load_catalogue, manifest, manifest_hash
from polypda.cohorts.named_root import use_data_root
from polypda.cohorts.opening import present
from polypda.errors import DataError, UsageError


def write(root, cohort, **changes):
    known = manifest("haining").model_dump(mode="json") | {"id": cohort} | changes
    (root / cohort).mkdir(parents=True, exist_ok=True)
    (root / cohort / "manifest.yaml").write_text(yaml.safe_dump(known, allow_unicode=True), encoding="utf-8")


def test_a_new_id_is_known_below_its_root_alone(tmp_path):
    write(tmp_path, "ward-7", city="Ghent")
    assert manifest("ward-7", tmp_path).city == "Ghent" and not present("ward-7", tmp_path)
    assert list(load_catalogue(tmp_path)) == sorted([*load_catalogue(), "ward-7"])
    with pytest.raises(UsageError, match="E_COHORT_UNKNOWN"):
        manifest("ward-7")
    use_data_root(tmp_path)
    assert manifest("ward-7").city == "Ghent" and "ward-7" in load_catalogue()


def test_a_catalogued_id_is_what_the_root_says(tmp_path):
    before = manifest_hash("haining")
    write(tmp_path, "haining", city="Ghent")
    assert manifest_hash("haining") == before
    use_data_root(tmp_path)
    assert manifest_hash("haining") == manifest("haining", tmp_path).hash() != before
    write(tmp_path, "haining", city="Hasselt")  # read again when it changes
    assert manifest("haining").city == "Hasselt" and load_catalogue()["haining"].city == "Hasselt"


def test_a_root_that_is_passed_goes_before_the_named_one(tmp_path):
    write(tmp_path / "one", "ward-7", city="Ghent")
    write(tmp_path / "two", "ward-7", city="Bruges")
    use_data_root(tmp_path / "one")
    assert manifest("ward-7", tmp_path / "two").city == load_catalogue(tmp_path / "two")["ward-7"].city == "Bruges"


def test_a_wrong_manifest_spoils_no_other_cohort(tmp_path, caplog):
    write(tmp_path, "ward-7", id="ward-8")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.yaml").write_bytes(b"\xff\xfe\x00")
    use_data_root(tmp_path)
    assert load_catalogue() == load_catalogue(tmp_path / "none") and "ward-7" in caplog.text
    with pytest.raises(DataError, match=r"ward-7/manifest.yaml: the id is 'ward-8'"):
        manifest("ward-7")
    with pytest.raises(DataError, match="E_MANIFEST_YAML"):
        manifest("other")


@pytest.mark.parametrize("name", ["../x", "", "a/b"])
def test_other_names_look_nowhere(tmp_path, name):
    with pytest.raises(UsageError, match="E_COHORT_UNKNOWN"):
        manifest(name, tmp_path)
