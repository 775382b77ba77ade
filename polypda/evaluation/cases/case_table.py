"""cases.csv: one row per run × model × seed × frame; every table, figure and page is made from it alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from polypda.errors import DataError, UsageError
from polypda.evaluation.scoring.frame_metric import FRAME_METRICS
from polypda.evaluation.scoring.metrics import PROTOCOL, TENTHS, FrameMetrics
from polypda.files import write_parts

ROLES = ("source", "target", "other")
"""What a cohort is in a run; other: it took no part in it and was scored later."""
MASK, BOX = "mask", "box"
REQUIRED_TEXT = ("run", "source", "target", "model", "training", "role", "cohort", "split", "frame")
RATIOS = ("dice", "iou", "sensitivity", "ppv", "specificity", "f2", "mae", "nsd", "fp_area_fraction")
NEEDS_MASK = ("dice", "iou", "sensitivity", "ppv", "specificity", "f2", "mae", "hd95_px", "nsd", "relative_polyp_area")
"""Columns that are empty where a frame is annotated with boxes."""


def check_values(table: pd.DataFrame, where: str) -> None:
    """Refuse a typed cases table whose values contradict each other. Raises: DataError E_CASES_VALUE."""
    problems = [f"'{name}' is empty" for name in REQUIRED_TEXT if (table[name] == "").any()]
    roles = sorted(set(table["role"]) - {*ROLES, ""})
    problems += [f"role '{role}' is neither source, target nor other" for role in roles]
    unknown = sorted(set(table["annotation"]) - {MASK, BOX})
    problems += [f"annotation '{name}' is neither mask nor box" for name in unknown]
    problems += [problem for problem, wrong in _contradictions(table).items() if wrong.any()]
    if problems:
        raise DataError("E_CASES_VALUE", "; ".join(problems) + ".", where=where, fix="evaluate the run again.")


def _contradictions(table: pd.DataFrame) -> dict[str, pd.Series]:
    """What no row may be → which rows are."""
    boxed = table["annotation"] == BOX
    ratios, hits = table[list(RATIOS)], table[["lesions_hit_10", "lesions_hit_50"]].max(axis=1)
    false_positives_unknown = table["fp_components"].isna() | table["fp_area_fraction"].isna()
    return {
        "a frame is positive and negative at once": table["positive"] & table["negative"],
        "a positive frame with a mask has no Dice": table["positive"] & ~boxed & table["dice"].isna(),
        "a frame with boxes has a pixel figure": boxed & table[list(NEEDS_MASK)].notna().any(axis=1),
        "a negative frame has a Dice, or no count of false-positive components": (
            table["negative"] & (table["dice"].notna() | false_positives_unknown)
        ),
        "a ratio lies outside [0, 1]": ((ratios < 0) | (ratios > 1)).any(axis=1),
        "a distance is negative": table["hd95_px"] < 0,
        "a penalised HD95 belongs to a frame that was not missed": table["hd95_penalised"] & ~table["missed"],
        "more lesions were hit than there are": hits > table[["lesions_reference", "lesions_predicted"]].min(axis=1),
    }


SCHEMA_VERSION = 2
ROWS_AT_ONCE = 10_000
"""Rows that are held as text, or as Python objects, at a time."""
IDENTITY = ("run", "model", "seed", "cohort", "frame")
"""Columns that name a row: no two rows may share them all."""

TEXT, WHOLE, PIXELS, MAYBE_WHOLE, REAL, YES_NO = "text", "whole", "whole (pixels)", "maybe whole", "real", "yes/no"
DTYPES: dict[str, Any] = {WHOLE: "int64", PIXELS: "int32", MAYBE_WHOLE: "Int64", REAL: "float64", YES_NO: "bool"}
"""Pixels of a frame fit into half the memory; of the columns they are a quarter."""
READ_AS = {WHOLE: "int64", PIXELS: "int64", MAYBE_WHOLE: "float64"}
"""Kind → as what pandas reads it; its own reading of fractions is not exact to the last digit in every version."""
COLUMNS: dict[str, str] = {
    "schema_version": WHOLE,
    **dict.fromkeys(("protocol", "run", "source", "target", "model"), TEXT),
    "seed": WHOLE,
    **dict.fromkeys(("training", "role", "cohort", "split", "frame", "patient", "sequence", "cluster"), TEXT),
    "phantom": YES_NO,
    "annotation": TEXT,
    "prediction_missing": YES_NO,
    **dict.fromkeys(("width_px", "height_px"), WHOLE),
    "threshold": REAL,
    **dict.fromkeys(("positive", "negative", "missed", "false_positive_frame"), YES_NO),
    **dict.fromkeys(("dice", "iou", "sensitivity", "ppv", "specificity", "f2", "mae", "hd95_px"), REAL),
    "hd95_penalised": YES_NO,
    **dict.fromkeys(("nsd", "nsd_tolerance_px", "relative_polyp_area", "fp_area_fraction"), REAL),
    "reference_outside_share": REAL,
    **dict.fromkeys(("fp_components", "specks", "tp_px", "fp_px", "fn_px", "tn_px", "reference_px"), MAYBE_WHOLE),
    **dict.fromkeys(("predicted_px", "valid_px", "lesions_reference", "lesions_predicted"), WHOLE),
    **dict.fromkeys(("lesions_hit_10", "lesions_hit_50"), WHOLE),
    **dict.fromkeys(("lesion_specks_reference", "lesion_specks_predicted"), WHOLE),
    **{f"reliability_n_{tenth}": PIXELS for tenth in range(TENTHS)},
    **{f"reliability_p_{tenth}": REAL for tenth in range(TENTHS)},
    **{f"reliability_g_{tenth}": PIXELS for tenth in range(TENTHS)},
}
"""Column → kind, in the file's order. Ratios are in [0, 1] or empty (NaN); areas and counts are in native pixels.

Empty, too: counts that do not apply (fp_components of a frame with a polyp) or cannot be known (tp_px of a box).
"""


@dataclass(frozen=True)
class CaseKey:
    """Which prediction a row is about.

    source, target: cohort ids of the run's adaptation. model: "source-only", "adabn", "oracle"… role: what ``cohort``
    is in this run (ROLES). patient, sequence: "" where unknown. training: identity of the trained weights, or the name
    of external predictions: rows of one training, cohort, split and frame are the same prediction, whatever the run.
    annotation: MASK or BOX. prediction_missing: scored as empty because there was none, as the user asked.
    """

    run: str
    source: str
    target: str
    model: str
    seed: int
    role: str
    cohort: str
    split: str
    frame: str
    phantom: bool
    patient: str = ""
    sequence: str = ""
    training: str = field(kw_only=True)
    annotation: str = MASK
    prediction_missing: bool = False

    @property
    def cluster(self) -> str:
        """The unit of resampling: the patient, else the sequence, else "" (unknown)."""
        return self.patient or self.sequence


def case_row(key: CaseKey, metrics: FrameMetrics) -> dict[str, Any]:
    """One row of the cases table."""
    values: Mapping[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "protocol": PROTOCOL,
        "cluster": key.cluster,
        **asdict(key),
        **vars(metrics),
        **_by_tenth("n", metrics.reliability.pixels),
        **_by_tenth("p", metrics.reliability.probability),
        **_by_tenth("g", metrics.reliability.reference),
    }
    return {column: values[column] for column in COLUMNS}


def _by_tenth(letter: str, values: tuple[float, ...]) -> dict[str, float]:
    return {f"reliability_{letter}_{tenth}": value for tenth, value in enumerate(values)}


def cases_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of :func:`case_row` as a checked table. Raises as :func:`checked_cases` does."""
    return joined_parts(typed_parts(rows))


def write_cases(cases: pd.DataFrame, path: Path) -> None:
    """Check and write the cases as UTF-8 CSV. Raises: as :func:`checked_cases`; DataError E_WRITE_FAILED."""
    where = str(path)
    if cases.empty:
        raise _empty(where)
    _check_version(cases, where)
    parts = (cases.iloc[start : start + ROWS_AT_ONCE] for start in range(0, len(cases), ROWS_AT_ONCE))
    write_parts(path, (_with_sound_values(typed_cases(part, where), where) for part in parts))


def read_cases(path: Path) -> pd.DataFrame:
    """Read and check a cases file, some thousand rows at a time.

    Raises: DataError E_CASES_MISSING, E_CASES_UNREADABLE; as :func:`checked_cases`.
    """
    where = str(path)
    try:
        try:
            return _read_typed(path, where)
        except (DataError, ValueError, OverflowError):  # read as text, what is wrong can be told
            return _read_as(path, where, {"dtype": str, "keep_default_na": False})
    except FileNotFoundError as error:
        raise DataError(
            "E_CASES_MISSING", "no such file.", where=path, fix="evaluate the run first; it writes cases.csv."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise _empty(where) from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(
            "E_CASES_UNREADABLE", f"not a readable CSV ({error}).", where=path, fix="evaluate the run again."
        ) from error


def _read_typed(path: Path, where: str) -> pd.DataFrame:
    """Whole numbers are read as numbers; what is text stays text: frame "0007" must not become 7, nor frame "NA" a
    missing value."""
    names = pd.read_csv(path, nrows=0, encoding="utf-8").columns
    known = {**COLUMNS, **dict.fromkeys(added_columns(), REAL)}
    kinds = {name: known.get(name, TEXT) for name in names}
    dtypes = {name: READ_AS.get(kind, str) for name, kind in kinds.items()}
    absent = {name: [""] for name, kind in kinds.items() if kind == MAYBE_WHOLE}
    options = {"dtype": dtypes, "na_values": absent, "keep_default_na": False}
    return _read_as(path, where, options)


def _read_as(path: Path, where: str, options: dict[str, Any]) -> pd.DataFrame:
    with pd.read_csv(path, chunksize=ROWS_AT_ONCE, encoding="utf-8", **options) as parts:
        return joined_parts((typed_cases(part, where) for part in parts), where)


def checked_cases(cases: pd.DataFrame, where: str = "cases") -> pd.DataFrame:
    """The same rows with the schema's columns, order and types, then added metrics; other columns stay at the end.

    Raises: DataError E_CASES_EMPTY, E_CASES_COLUMNS, E_CASES_VERSION, E_CASES_VALUE, E_CASES_DUPLICATE; UsageError
        E_METRIC_NAME.
    """
    return joined_parts([typed_cases(cases, where)], where)


def _with_sound_values(table: pd.DataFrame, where: str) -> pd.DataFrame:
    check_values(table, where)
    return table


def joined_parts(parts: Iterable[pd.DataFrame], where: str = "cases") -> pd.DataFrame:
    """The rows of typed parts as one checked table. Raises: as :func:`checked_cases`."""
    filled = [_columns(part) for part in parts if len(part)]
    if not filled:
        raise _empty(where)
    table = _stacked(filled)
    check_values(table, where)
    _check_duplicates(table, where)
    return table


def _columns(part: pd.DataFrame) -> dict[str, pd.Series]:
    """Each column on its own, so that it can be let go without the others."""
    return {str(name): part[name].copy() for name in part.columns}


def _stacked(parts: list[dict[str, pd.Series]]) -> pd.DataFrame:
    """Parts below one another, a column at a time: each part's is let go at once, so that no row is held twice."""
    names = dict.fromkeys(name for part in parts for name in part)
    if any(names.keys() != part.keys() for part in parts):
        return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    columns = {name: pd.concat([part.pop(name) for part in parts], ignore_index=True) for name in names}
    return pd.DataFrame(columns, copy=False)


def typed_cases(cases: pd.DataFrame, where: str = "cases") -> pd.DataFrame:
    """Some rows of a table with the schema's columns, order and types; rows are not compared with one another.

    Raises: as :func:`checked_cases`, but E_CASES_EMPTY, E_CASES_DUPLICATE, and values that contradict each other.
    """
    if cases.empty:
        return cases
    _check_version(cases, where)
    missing = [column for column in COLUMNS if column not in cases.columns]
    if missing:
        raise DataError(
            "E_CASES_COLUMNS",
            f"missing columns: {', '.join(missing)}.",
            where=where,
            fix="evaluate the run again with this version.",
        )
    known = {**COLUMNS, **{name: REAL for name in added_columns() if name in cases}}
    extra = [column for column in cases.columns if column not in known]
    typed = pd.DataFrame({name: _typed(cases[name], kind, where) for name, kind in known.items()})
    return typed.join(cases[extra].reset_index(drop=True)) if extra else typed


def typed_parts(rows: Iterable[Mapping[str, Any]]) -> Iterator[pd.DataFrame]:
    """Rows of :func:`case_row` as typed tables of some thousand rows each. Raises: as :func:`typed_cases`."""
    left = iter(rows)
    while part := list(islice(left, ROWS_AT_ONCE)):
        yield typed_cases(pd.DataFrame(part))


def added_columns() -> tuple[str, ...]:
    """The columns of added metrics. Raises: UsageError E_METRIC_NAME for one that is called as a column here."""
    if taken := sorted(set(FRAME_METRICS) & set(COLUMNS)):
        raise UsageError(
            "E_METRIC_NAME", f"a metric that was added is called '{taken[0]}', a column of cases.csv.", fix="rename it."
        )
    return tuple(FRAME_METRICS)


def _typed(column: pd.Series, kind: str, where: str) -> pd.Series:
    values = column.reset_index(drop=True)
    try:
        if kind == TEXT:
            texts = values.fillna("").astype(str).to_numpy(dtype=object)
            return pd.Series(list(map(sys.intern, texts)), dtype="object")  # each text is kept once for all rows
        if values.dtype == DTYPES.get(kind):
            return values
        if kind == YES_NO:
            return _yes_no(values)
        numbers = _numbers(values)
        if kind == REAL:
            return numbers
        if (numbers.dropna() % 1 != 0).any():
            raise ValueError("some are fractions")
        if kind == PIXELS and (numbers.abs() >= 2**31).any():
            raise ValueError("no frame has so many pixels")
        return numbers.astype(DTYPES[kind])
    except (ValueError, TypeError) as error:
        raise DataError(
            "E_CASES_VALUE",
            f"column '{column.name}' should hold {kind} values ({error}).",
            where=where,
            fix="evaluate the run again rather than editing the file by hand.",
        ) from error


def _numbers(values: pd.Series) -> pd.Series:
    """Float64 numbers; text is read by Python, whose parser returns exactly what was written."""
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    texts = values.to_numpy(dtype=object, copy=True)
    texts[pd.isna(texts) | (texts == "")] = math.nan
    return pd.Series(texts.astype("float64"), name=values.name)


def _yes_no(values: pd.Series) -> pd.Series:
    if values.dtype == bool:
        return values
    known = {"True": True, "False": False}
    answers = values.astype(str).map(known)
    if answers.isna().any():
        raise ValueError(f"'{values[answers.isna()].iloc[0]}' is neither True nor False")
    return answers.astype("bool")


def _check_version(cases: pd.DataFrame, where: str) -> None:
    """Before the columns: a file of another version should be called that, not incomplete."""
    known = {"schema_version": str(SCHEMA_VERSION), "protocol": PROTOCOL}
    others = {
        value for name, wanted in known.items() if name in cases for value in set(cases[name].astype(str)) - {wanted}
    }
    if others:
        raise DataError(
            "E_CASES_VERSION",
            f"written as {', '.join(sorted(others))}; this version reads schema {SCHEMA_VERSION}, {PROTOCOL}.",
            where=where,
            fix="evaluate the run again with this version; figures of two protocols cannot be compared.",
        )


def _check_duplicates(table: pd.DataFrame, where: str) -> None:
    twice = table[table.duplicated(list(IDENTITY))]
    if not twice.empty:
        first = twice.iloc[0]
        raise DataError(
            "E_CASES_DUPLICATE",
            f"{len(twice)} rows repeat a run, model, seed, cohort and frame; first: "
            f"{', '.join(str(first[name]) for name in IDENTITY)}.",
            where=where,
            fix="frame ids must be unique within a cohort; join each run's cases once.",
        )


def _empty(where: str) -> DataError:
    return DataError(
        "E_CASES_EMPTY", "there is no case in it.", where=where, fix="check the split: it may hold no frame."
    )
