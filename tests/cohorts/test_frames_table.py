"""frames.parquet beside frames.csv: the same cohort, the same checks, written where frames are many."""

import sys
import zipfile
from dataclasses import replace

import pytest
from importing.painted_sources import put, run_import, write_pairs
from support.painted_cohorts import write_ordinary

from polypda.cohorts import frames_table
from polypda.cohorts.frames_table import FRAMES_PARQUET, frames_parquet, read_frames_table
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.tables import FRAMES_CSV, read_frames_csv
from polypda.errors import DataError, UsageError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TABLE = """frame,patient,sequence,t_s,split,label_state,mode
f1,p1,s1,0,train,mask,NBI
f2,p1,s2,12.3457,train,negative,WL
f3,李,,,,none,
"""


def as_parquet(folder) -> None:
    """The folder's frames.csv as frames.parquet."""
    rows = read_frames_csv(folder / FRAMES_CSV)
    (folder / FRAMES_PARQUET).write_bytes(frames_parquet(list(rows.values())))
    (folder / FRAMES_CSV).unlink()


def test_both_tables_give_the_same_cohort(tmp_path, monkeypatch):
    monkeypatch.setattr(frames_table, "ROWS_AT_ONCE", 2)
    folder = write_ordinary(tmp_path, table=TABLE)
    before = open_cohort("zju2", tmp_path)
    as_parquet(folder)
    after = open_cohort("zju2", tmp_path)
    assert after.frames == before.frames and before.frames[1].t_s == 12.3457
    assert after.table().equals(before.table())
    assert pq.read_table(folder / FRAMES_PARQUET).column("patient").to_pylist() == ["p1", "p1", "李"]


def test_names_that_rows_share_are_kept_once(tmp_path):
    as_parquet(folder := write_ordinary(tmp_path, table=TABLE))
    rows = read_frames_table(folder / FRAMES_PARQUET)
    assert rows["f1"].patient is rows["f2"].patient


@pytest.mark.parametrize(
    ("columns", "code", "said"),
    [
        ({"frame": ["f1", "f2", "f3"], "patent": ["1", "1", "1"]}, "E_FRAMES_CSV", "'patient'"),
        ({"patient": ["1"]}, "E_FRAMES_CSV", "no column 'frame'"),
        ({"frame": ["f1", "f2", "f2"]}, "E_FRAMES_CSV_ROW", "two rows"),
        ({"frame": ["f1", "f2", None]}, "E_FRAMES_CSV_ROW", "empty"),
        ({"frame": ["f1", "f2"]}, "E_FRAMES_CSV_ROW", "without a row: f3"),
        ({"frame": ["f1", "f2", "f3"], "split": ["training", None, None]}, "E_FRAMES_CSV_ROW", "'train'"),
        ({"frame": ["f1", "f2", "f3"], "patient": ["=1+1", None, None]}, "E_FRAMES_CSV_ROW", "formula"),
        ({"frame": ["f1", "f2", "f3"], "t_s": [0.0, 1.0, float("inf")]}, "E_FRAMES_CSV_ROW", "inf"),
    ],
)
def test_a_wrong_parquet_table(tmp_path, columns, code, said):
    folder = write_ordinary(tmp_path)
    pq.write_table(pa.table(columns), folder / FRAMES_PARQUET)
    with pytest.raises(DataError) as caught:
        open_cohort("zju2", tmp_path)
    assert caught.value.code == code and said in str(caught.value) and FRAMES_PARQUET in caught.value.where


def test_numbers_as_names_keep_their_digits(tmp_path):
    folder = write_ordinary(tmp_path)
    pq.write_table(pa.table({"frame": ["f1", "f2", "f3"], "patient": [7, 7, 12]}), folder / FRAMES_PARQUET)
    assert [frame.patient for frame in open_cohort("zju2", tmp_path).frames] == ["7", "7", "12"]


def test_a_damaged_file_two_tables_and_no_pyarrow_are_told(tmp_path, monkeypatch):
    folder = write_ordinary(tmp_path, table=TABLE)
    (folder / FRAMES_PARQUET).write_bytes(b"PAR1 cut short")
    with pytest.raises(DataError, match=r"E_FRAMES_CSV.*both lie there"):
        open_cohort("zju2", tmp_path)
    (folder / FRAMES_CSV).unlink()
    with pytest.raises(DataError, match=r"E_FRAMES_CSV.*cannot be read as Parquet"):
        open_cohort("zju2", tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="E_EXTRA_MISSING") as caught:
        open_cohort("zju2", tmp_path)
    assert "polypda[large]" in caught.value.fix


def test_an_import_of_many_frames_writes_parquet_and_is_imported_again(tmp_path, monkeypatch):
    source = write_pairs(tmp_path / "ward")
    put(source / "frames.csv", b"frame,patient\na,p1\nb,p1\nc,p2\n")
    few = run_import(source, tmp_path / "few").folder
    monkeypatch.setattr(frames_table, "LARGE_COHORT_FRAMES", 3)
    many = run_import(source, tmp_path / "many").folder
    assert (few / FRAMES_CSV).is_file() and not (few / FRAMES_PARQUET).exists()
    assert (many / FRAMES_PARQUET).is_file() and not (many / FRAMES_CSV).exists()
    rows = read_frames_csv(few / FRAMES_CSV)
    assert read_frames_table(many / FRAMES_PARQUET) == rows

    again = run_import(many, tmp_path / "again")  # the folder, and an archive of it
    assert again.summary.everything_taken and read_frames_table(again.folder / FRAMES_PARQUET) == rows
    with zipfile.ZipFile(tmp_path / "ward.zip", "w") as archive:
        for path in sorted(many.rglob("*")):
            archive.write(path, path.relative_to(many))
    packed = run_import(tmp_path / "ward.zip", tmp_path / "packed")
    assert read_frames_table(packed.folder / FRAMES_PARQUET) == rows

    run_import(write_pairs(tmp_path / "more", ("d",)), tmp_path / "few", update=True)  # crosses the limit
    assert not (few / FRAMES_CSV).exists()
    grown = read_frames_table(few / FRAMES_PARQUET)
    assert {name: grown[name] for name in rows} == rows and replace(grown["d"], label_state=None).patient is None

    monkeypatch.setitem(sys.modules, "pyarrow", None)  # without it, many frames are written as CSV
    plain = run_import(source, tmp_path / "plain").folder
    assert read_frames_csv(plain / FRAMES_CSV) == rows
