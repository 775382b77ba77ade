"""Odd and damaged files: the code that is said of each, by an import and by a check of a data root.

`pytest -m slow tests/importing/test_odd_files.py` goes through all of them, else one of each kind.
"""

import signal
from collections import Counter

import pytest
from support.odd_files import OddFile, encoded, frame, odd_files, put, write_sound

from polypda.errors import PolypdaError
from polypda.quality.checking.check_cohorts import check_cohort
from polypda.workflows.cohorts.import_cohort import ImportRequest, import_cohort

ALL = odd_files()
OF_EACH_KIND = list({case.kind: case for case in reversed(ALL)}.values())
LONGEST_S = 20


class Hangs(BaseException):
    """It took longer than anything here may."""


@pytest.fixture
def in_time():
    """A pipe that somebody waits for is a failure of one test, not of the night's."""

    def stop(*_):
        raise Hangs

    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


def imported(source, root) -> set[str]:
    try:
        result = import_cohort(ImportRequest(source, "haining", root))
    except PolypdaError as error:
        return {error.code}
    return {line.code for line in result.summary.lines}


def checked(root) -> set[str]:
    try:
        return {finding.code for finding in check_cohort("haining", root).findings}
    except PolypdaError as error:
        return {error.code}


def assert_told(case: OddFile, tmp_path) -> None:
    folder = write_sound(tmp_path / "data" / "haining")
    written = case.write(folder)
    if case.archive:
        put(tmp_path / case.archive, written)
        assert imported(tmp_path / case.archive, tmp_path / "root") & case.imported, case
        return
    assert imported(folder, tmp_path / "root") & case.imported, f"import of {case}"
    assert checked(tmp_path / "data") & case.checked, f"check of {case}"


def test_how_many_there_are():
    assert len(ALL) >= 150 and len(OF_EACH_KIND) >= 30
    assert max(Counter(map(str, ALL)).values()) == 1


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("case", OF_EACH_KIND, ids=str)
def test_every_kind_is_told_by_import_and_check(case, tmp_path):
    assert_told(case, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("case", ALL, ids=str)
def test_every_odd_file_is_told_by_import_and_check(case, tmp_path):
    assert_told(case, tmp_path)


@pytest.mark.usefixtures("in_time")
def test_sound_files_are_told_nothing(tmp_path):
    folder = write_sound(tmp_path / "data" / "haining")
    for suffix, options in ((".jpg", {}), (".jpg", {"progressive": True}), (".tif", {}), (".webp", {}), (".bmp", {})):
        kind = {".jpg": "JPEG", ".tif": "TIFF", ".webp": "WEBP", ".bmp": "BMP"}[suffix]
        stem = "p" if options else suffix[1:]
        put(
            folder / "images" / f"{stem}{suffix}",
            encoded(frame(30 + 7 * len(stem) + len(kind) + ord(stem[0])), kind, **options),
        )
        put(folder / "masks" / f"{stem}.png", (folder / "masks" / "s1.png").read_bytes())
    assert not imported(folder, tmp_path / "root")
    assert not [
        code for code in checked(tmp_path / "data") if (code[0] == "E" and "LEAK" not in code) or "IMAGE" in code
    ]
