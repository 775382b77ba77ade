"""Without the extra `import` the formats that need it say so; all others work."""

import sys

import pytest
from importing.painted_sources import encoded, frame, put, run_import, write_pairs

from polypda.errors import UsageError
from polypda.importing.contract import extra_module


def test_a_module_that_is_not_there_is_told_with_its_remedy():
    with pytest.raises(UsageError, match="E_EXTRA_MISSING") as error:
        extra_module("no_module_is_called_so", "nothing is read by it")
    assert error.value.what == "nothing is read by it, which is not installed." and "[import]" in error.value.fix


@pytest.mark.parametrize(("module", "name"), [("av", "v.mp4"), ("pydicom", "a.dcm")])
def test_videos_and_dicom_need_the_extra_and_images_do_not(module, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    put(tmp_path / "films" / name, b"\0" * 128 + b"DICM" + encoded(frame()))
    with pytest.raises(UsageError, match="E_EXTRA_MISSING"):
        run_import(tmp_path / "films", tmp_path / "root")
    assert run_import(write_pairs(tmp_path / "pictures"), tmp_path / "root", "ward-8").summary.taken == 3
