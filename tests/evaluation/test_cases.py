"""cases.csv: what is written is read back exactly; what is wrong is refused."""

import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polypda.errors import DataError
from polypda.evaluation.cases import case_table
from polypda.evaluation.cases.case_table import (
    COLUMNS,
    CaseKey,
    case_row,
    cases_table,
    checked_cases,
    read_cases,
    write_cases,
)
from polypda.evaluation.scoring.metrics import frame_metrics
from polypda.files import write_whole


def row(frame: str, seed: int = 3, negative: bool = False, **changes) -> dict:
    rng = np.random.default_rng(len(frame))
    reference = np.zeros((9, 13), np.uint8)
    if not negative:
        reference[2:6, 3:9] = 1
    metrics = frame_metrics(rng.random((9, 13)), reference, np.ones((9, 13), bool))
    return (
        case_row(
            CaseKey("r1", "zju2", "haining", "adabn", seed, "target", "haining", "test", frame, True, training="w"),
            metrics,
        )
        | changes
    )


def test_a_file_holds_exactly_the_table_even_for_awkward_ids(tmp_path: Path) -> None:
    ids = ["0007", "NA", "息肉_1", 'a,"b"', "1e5", "nan"]
    table = cases_table([*map(row, ids), row("clean", negative=True)])
    write_cases(table, tmp_path / "cases.csv")
    again = read_cases(tmp_path / "cases.csv")
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    assert list(again["frame"]) == [*ids, "clean"] and list(again.columns) == list(COLUMNS)


def test_a_row_tells_the_frame_its_metrics_and_its_cluster() -> None:
    key = CaseKey(
        "r1", "a", "b", "oracle", 0, "source", "a", "test", "f", False, patient="", sequence="s7", training="w"
    )
    metrics = frame_metrics(np.ones((4, 6)), np.ones((4, 6), np.uint8), np.ones((4, 6), bool), 0.4)
    got = case_row(key, metrics)
    assert (got["cluster"], got["width_px"], got["height_px"], got["threshold"]) == ("s7", 6, 4, 0.4)
    assert got["dice"] == 1.0 and got["protocol"] == "polypda-metrics v1"
    assert CaseKey("r", "a", "b", "m", 0, "target", "b", "test", "f", False, "p1", "s7", training="w").cluster == "p1"


@pytest.mark.parametrize(
    ("code", "break_it"),
    [
        ("E_CASES_EMPTY", lambda table: table.iloc[:0]),
        ("E_CASES_COLUMNS", lambda table: table.drop(columns=["dice", "cluster"])),
        ("E_CASES_DUPLICATE", lambda table: pd.concat([table, table.iloc[:1]])),
        ("E_CASES_VERSION", lambda table: table.assign(schema_version=1)),
        ("E_CASES_VERSION", lambda table: table.assign(protocol="pranet2020")),
        ("E_CASES_VALUE", lambda table: table.assign(role="both")),
        ("E_CASES_VALUE", lambda table: table.assign(frame="")),
        ("E_CASES_VALUE", lambda table: table.assign(dice=1.2)),
        ("E_CASES_VALUE", lambda table: table.assign(dice=np.nan)),
        ("E_CASES_VALUE", lambda table: table.assign(dice="high")),
        ("E_CASES_VALUE", lambda table: table.assign(seed=0.5)),
        ("E_CASES_VALUE", lambda table: table.assign(phantom="perhaps")),
        ("E_CASES_VALUE", lambda table: table.assign(tp_px=np.inf)),
        ("E_CASES_VALUE", lambda table: table.assign(negative=True)),
        ("E_CASES_VALUE", lambda table: table.assign(training="")),
        ("E_CASES_VALUE", lambda table: table.assign(annotation="polygon")),
        ("E_CASES_VALUE", lambda table: table.assign(annotation="box")),
        ("E_CASES_VALUE", lambda table: table.assign(nsd=1.1)),
        ("E_CASES_VALUE", lambda table: table.assign(hd95_px=-1.0)),
        ("E_CASES_VALUE", lambda table: table.assign(hd95_penalised=True)),
        ("E_CASES_VALUE", lambda table: table.assign(lesions_hit_50=table["lesions_predicted"] + 1)),
        ("E_CASES_VALUE", lambda table: table.assign(reliability_n_3=0.5)),
    ],
)
def test_a_wrong_table_is_refused(code: str, break_it, tmp_path: Path) -> None:
    broken = break_it(cases_table([row("a"), row("b")]))
    with pytest.raises(DataError) as caught:
        checked_cases(broken)
    assert caught.value.code == code
    broken.to_csv(tmp_path / "cases.csv", index=False)
    with pytest.raises(DataError) as caught:
        read_cases(tmp_path / "cases.csv")
    assert caught.value.code == code and "cases.csv" in str(caught.value)


def test_an_older_file_is_called_old_rather_than_incomplete() -> None:
    old = cases_table([row("a")]).assign(schema_version=1).drop(columns=["training", "hd95_px"])
    with pytest.raises(DataError, match=r"E_CASES_VERSION.*written as 1; this version reads schema 2"):
        checked_cases(old)


def test_a_row_holds_the_tenths_of_the_probability_range() -> None:
    probability = np.array([[0.05, 0.15, 0.95, 1.0]])
    metrics = frame_metrics(probability, np.array([[0, 1, 1, 1]], np.uint8), np.array([[True, True, True, True]]))
    key = CaseKey("r", "a", "b", "m", 0, "target", "b", "test", "f", False, training="w", prediction_missing=True)
    got = case_row(key, metrics)
    assert [got[f"reliability_n_{tenth}"] for tenth in range(10)] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert [got[f"reliability_g_{tenth}"] for tenth in range(10)] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert got["reliability_p_9"] == pytest.approx(1.95) and got["reliability_p_0"] == pytest.approx(0.05)
    assert got["prediction_missing"] is True and got["annotation"] == "mask" and got["training"] == "w"


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="missing columns: cluster, dice"):
        checked_cases(cases_table([row("a")]).drop(columns=["dice", "cluster"]))


def test_a_missing_empty_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="E_CASES_MISSING"):
        read_cases(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DataError, match="E_CASES_EMPTY"):
        read_cases(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81" * 9)
    with pytest.raises(DataError, match="E_CASES_"):
        read_cases(tmp_path / "binary.csv")


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "table.md", "old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(DataError, match=r"E_WRITE_FAILED.*No space left"):
        write_whole(tmp_path / "table.md", "new")
    assert (tmp_path / "table.md").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX systems")
def test_written_files_are_readable_by_colleagues(tmp_path: Path) -> None:
    write_whole(tmp_path / "x.csv", b"1")
    (tmp_path / "y.csv").touch()
    assert stat.S_IMODE((tmp_path / "x.csv").stat().st_mode) == stat.S_IMODE((tmp_path / "y.csv").stat().st_mode)


@pytest.fixture
def counted_rows(monkeypatch):
    """How many rows are typed at a time, three by three."""
    seen: list[int] = []
    typed = case_table.typed_cases

    def counting(cases, where="cases"):
        seen.append(len(cases))
        return typed(cases, where)

    monkeypatch.setattr(case_table, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(case_table, "typed_cases", counting)
    return seen


def test_no_more_than_some_rows_are_text_or_objects_at_a_time(tmp_path: Path, counted_rows) -> None:
    rows = [row(f"{number:03d}", negative=number % 4 == 0) for number in range(11)]
    whole = checked_cases(pd.DataFrame(rows))
    whole.to_csv(tmp_path / "whole.csv", index=False, lineterminator="\n")
    counted_rows.clear()
    table = cases_table(iter(rows))
    assert counted_rows == [3, 3, 3, 2]
    write_cases(table, tmp_path / "cases.csv")
    assert max(counted_rows) == 3 and (tmp_path / "cases.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    again = read_cases(tmp_path / "cases.csv")
    assert max(counted_rows) == 3
    for each in (table, again):
        pd.testing.assert_frame_equal(each, whole, check_exact=True)


def test_what_is_wrong_between_parts_is_noticed(tmp_path: Path, counted_rows) -> None:
    table = cases_table([row(f"{number:03d}") for number in range(8)])
    table.assign(frame=[*table["frame"][:7], "000"]).to_csv(tmp_path / "twice.csv", index=False)
    table.assign(width_px=[*table["width_px"][:7], 1.5]).to_csv(tmp_path / "half.csv", index=False)
    for name, code in (("twice", "E_CASES_DUPLICATE"), ("half", "E_CASES_VALUE")):
        with pytest.raises(DataError, match=code):
            read_cases(tmp_path / f"{name}.csv")


def test_more_pixels_than_a_frame_can_have_are_refused() -> None:
    with pytest.raises(DataError, match=r"E_CASES_VALUE.*reliability_n_9"):
        checked_cases(pd.DataFrame([row("a", reliability_n_9=2**31)]))


def test_texts_that_rows_share_are_kept_once(tmp_path: Path) -> None:
    write_cases(cases_table([row("a", patient="p 1"), row("b", patient="p 1")]), tmp_path / "cases.csv")
    first, second = read_cases(tmp_path / "cases.csv")["patient"]
    assert first == "p 1" and first is second
