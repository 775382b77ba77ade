"""What is written of predictions: masks, probability maps, overlays, and the table of all frames.

The table is added to as frames are done. An input whose frames are all written is noted in ``.finished`` with checksums
of its own bytes, its lines and files; a repeated command takes those that are still so and does the others anew.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.image_files import stays_inside
from polypda.errors import DataError
from polypda.evaluation.scoring.mask_geometry import find_lesions
from polypda.files import whole_file, write_failed
from polypda.integrity import sha256_of
from polypda.prediction.inputs import Input
from polypda.prediction.naming import BEGUN, FINISHED, READ
from polypda.prediction.pipeline import PredictedFrame

MASKS, PROBABILITIES, OVERLAYS = "masks", "probabilities", "overlays"
TABLE = "predictions.csv"
FULL_16_BIT = 65535


class Probabilities(StrEnum):
    """What ``--probabilities`` takes: how maps are kept."""

    NONE = "none"
    PNG16 = "png16"
    NPY = "npy"


@dataclass(frozen=True)
class FrameRow:
    """One line of predictions.csv; coordinates in px of the frame, half-open. Values of a broken frame are empty.

    input: where it lies within what the user named. name: of its files. regions: connected regions that are no specks;
    area: of all that is marked; left … bottom: box of the largest region; boxes: of all, "left top right bottom" each.
    max_probability: inside the field of view. field_of_view: found, or whole frame where none could be told from the
    frame. input_sha256: of the file that was predicted; empty of videos and cameras, which are not read as a whole.
    """

    input: str
    kind: str
    name: str
    frame: int
    t_s: float | str = ""
    width: int | str = ""
    height: int | str = ""
    regions: int | str = ""
    specks: int | str = ""
    area_px: int | str = ""
    area_percent: float | str = ""
    left: int | str = ""
    top: int | str = ""
    right: int | str = ""
    bottom: int | str = ""
    boxes: str = ""
    max_probability: float | str = ""
    field_of_view: str = ""
    field_px: int | str = ""
    mask: str = ""
    input_sha256: str = ""
    notes: str = ""
    error: str = ""


COLUMNS = tuple(one.name for one in fields(FrameRow))


def frame_row(one: Input, seen: PredictedFrame, mask: str) -> FrameRow:
    """The line of a frame. mask: the written mask's path below the output folder, empty for none."""
    row = FrameRow(
        input=one.origin,
        kind=one.kind.value,
        name=seen.frame.name,
        frame=seen.frame.index,
        t_s="" if seen.frame.t_s is None else round(seen.frame.t_s, 6),
        input_sha256="" if one.kind.moves else one.digest,
        notes="; ".join(f"{remark.code} {remark.what}" for remark in seen.remarks),
    )
    if seen.prediction is None:
        return replace(row, error=f"{seen.error.code} {seen.error.what}" if seen.error else "")
    found, view = seen.prediction, seen.prediction.view
    field_px, area = view.area_px, int(np.count_nonzero(found.mask))
    regions = find_lesions(found.mask, field_px)
    row = replace(
        row,
        width=found.mask.shape[1],
        height=found.mask.shape[0],
        regions=regions.count,
        specks=regions.specks,
        area_px=area,
        area_percent=round(100 * area / max(1, field_px), 4),
        boxes="; ".join(" ".join(str(int(value)) for value in box) for box in regions.boxes),
        max_probability=round(float(found.probability[view.mask].max(initial=0.0)), 4),
        field_of_view="found" if view.found else "whole frame",
        field_px=field_px,
        mask=mask,
    )
    if not regions.count:
        return row
    left, top, right, bottom = (int(value) for value in regions.boxes[int(np.argmax(regions.areas_px))])
    return replace(row, left=left, top=top, right=right, bottom=bottom)


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write a bool H×W mask as PNG, 0 and 255. Raises: DataError E_WRITE_FAILED."""
    _write_encoded(path, mask.astype(np.uint8) * 255)


def write_probability(folder: Path, name: str, probability: NDArray[np.float32], kind: Probabilities) -> str:
    """Write a map, float32 H×W in [0, 1]: as 16-bit PNG (65535 is 1) or as NPY; returns the file's name.

    Raises: DataError E_WRITE_FAILED.
    """
    if kind is Probabilities.PNG16:
        _write_encoded(folder / f"{name}.png", np.rint(probability * FULL_16_BIT).astype(np.uint16))
        return f"{name}.png"
    path = folder / f"{name}.npy"
    try:
        with whole_file(path, durable=False) as temporary, temporary.open("wb") as file:
            np.save(file, probability.astype(np.float32))
    except OSError as error:
        raise write_failed(path, error) from error
    return path.name


def _write_encoded(path: Path, pixels: NDArray) -> None:
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done  # any array of these types can be encoded
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, durable=False) as temporary:  # thousands of them: a lost one is made again
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise write_failed(path, error) from error


class PredictionTable:
    """predictions.csv, one line per frame, written as frames are done; and what is finished of it.

    Of an input ``.finished`` holds a line ``begun  INPUT``, a line ``SHA-256 read  NAME`` of its own bytes (as
    :attr:`Input.digest`) and what its files are called, a line ``SHA-256  FILE`` for each file, and at its end
    ``SHA-256 finished  INPUT``, of all of these lines but the first and its lines in the table.
    """

    def __init__(self, folder: Path, begun: Mapping[str, int] | None = None, inputs: Sequence[Input] = ()) -> None:
        """Open the table of a folder. Lines of inputs that are not finished are taken out: they are made anew.

        Args: begun: origin of a video → how many of its first lines stay, where they and their files are all as they
            were written; :attr:`begun` holds the others no more. inputs: what is to be predicted now; where its bytes
            are others than were predicted under its origin, it is in :attr:`exchanged`, and what was written is gone.
        """
        self.path = folder / TABLE
        self._folder, self._marks_path = folder, folder / FINISHED
        self._given = {one.origin: one for one in inputs}
        self.exchanged: set[str] = set()
        self._noted: dict[str, list[str]] = {origin: [] for origin in begun or {}}
        self.finished = self._read_finished()
        self.begun = self._there(begun or {})
        self.errors: Counter[str] = Counter()
        self._keep_finished()
        self._file = self.path.open("a", encoding="utf-8", newline="")
        self._marks = self._marks_path.open("a", encoding="utf-8")
        self._begun: str | None = None
        self.added = 0

    def add(self, row: FrameRow) -> None:
        """Add a frame. Raises: DataError E_WRITE_FAILED."""
        if row.error:
            self.errors[row.error.split(" ", 1)[0]] += 1
        if row.input != self._begun:
            self.go_on(row.input)
        line = _line(asdict(row).values()) + "\n"
        self._lines.update(line.encode())
        try:
            self._file.write(line)
        except OSError as error:
            raise write_failed(self.path, error) from error
        self.added += 1

    def note(self, name: str) -> None:
        """A file was written of the input whose frames are added. name: its path below the folder.

        Raises: DataError E_WRITE_FAILED.
        """
        line = f"{sha256_of(self._folder / name)}  {name}\n"
        self._files.update(line.encode())
        self._mark(line)

    def finish(self, origin: str) -> None:
        """All frames of an input are written. Raises: DataError E_WRITE_FAILED."""
        try:
            self._file.flush()
        except OSError as error:
            raise write_failed(self.path, error) from error
        self._mark(f"{_whole(self._lines.hexdigest(), self._files.hexdigest())} finished  {origin}\n", whole=True)
        self.finished.add(origin)

    def sync(self) -> None:
        """Have the lines so far on the disk. Raises: DataError E_WRITE_FAILED."""
        try:
            for file in (self._file, self._marks):
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_failed(self.path, error) from error

    def close(self) -> None:
        """Hand over what is still held."""
        self._file.close()
        self._marks.close()

    def rows(self) -> Iterator[dict[str, str]]:
        """What is in the file, line by line: an hour of video has 90,000. An unfinished last one is passed over."""
        if self.path.is_file():
            with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
                yield from (row for row in csv.DictReader(file) if row.get(COLUMNS[-1]) is not None)

    def _mark(self, line: str, *, whole: bool = False) -> None:
        try:
            self._marks.write(line)
            if whole:
                self._marks.flush()
        except OSError as error:
            raise write_failed(self._marks_path, error) from error

    def go_on(self, origin: str) -> None:
        """Begin an input, with the lines and files that are there of it already. Raises: DataError E_WRITE_FAILED."""
        self._begun, self._lines, self._files = origin, sha256(), sha256()
        self._mark(f"{BEGUN}{origin}\n")
        if origin in self._given and (digest := self._given[origin].digest):
            line = f"{digest} read  {self._given[origin].name}\n"
            self._files.update(line.encode())
            self._mark(line)
        if origin in self.begun:
            for row in self._rows_of(origin):
                self._lines.update(_text_of(row).encode())
            for line in self._noted[origin]:
                self._files.update(line.encode())
                self._mark(line)

    def _rows_of(self, origin: str) -> Iterator[dict[str, str]]:
        return (row for row in self.rows() if row["input"] == origin)

    def _there(self, begun: Mapping[str, int]) -> dict[str, int]:
        """Of videos that were begun, those whose first lines and these lines' files are as they were written."""
        there = {}
        for origin, count in begun.items():
            kept = list(islice(self._rows_of(origin), count))
            names = {row["name"] for row in kept}
            noted = {line.split("  ", 1)[1].rstrip("\n"): line for line in self._noted.get(origin, [])}
            noted = {name: line for name, line in noted.items() if Path(name).stem in names}
            said = all(not row["mask"] or row["mask"] in noted for row in kept)
            if len(kept) == count and said and all(_is_still(self._folder / n, line[:64]) for n, line in noted.items()):
                there[origin], self._noted[origin] = count, list(noted.values())
        return there

    def _keep_finished(self) -> None:
        left = Counter(self.begun)
        try:
            with whole_file(self.path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(",".join(COLUMNS) + "\n")
                for row in self.rows():
                    left[row["input"]] -= 1
                    if row["input"] in self.finished or left[row["input"]] >= 0:
                        file.write(_text_of(row))
        except OSError as error:
            raise write_failed(self.path, error) from error

    def _read_finished(self) -> set[str]:
        """The inputs of which every line and file is as it was written; of others nothing is kept in ``.finished``."""
        if not self._marks_path.is_file():
            return set()
        lines: dict[str, Any] = {}
        for row in self.rows():
            lines.setdefault(row["input"], sha256()).update(_text_of(row).encode())
        finished: dict[str, tuple[int, int]] = {}
        block, end = _Block(), 0
        with self._marks_path.open("rb") as marks:
            for raw in marks:
                mark, end = raw.decode(errors="replace"), end + len(raw)
                if (ended := _ENDED.fullmatch(mark)) is not None:
                    known = lines.get(ended["input"])
                    same = known is not None and _whole(known.hexdigest(), block.files.hexdigest()) == ended["digest"]
                    finished.pop(ended["input"], None)
                    if same and block.sound and self._is_same(block):
                        finished[ended["input"]] = (block.start, end)
                    elif same:
                        self._give_up(block)
                    block = _Block()
                elif (read := READ.fullmatch(mark)) is not None:
                    block.files.update(raw)
                    block.digest = read["digest"]
                elif (written := _WRITTEN.fullmatch(mark)) is not None:
                    block.files.update(raw)
                    block.names.append(written["name"])
                    block.sound = block.sound and _is_still(self._folder / written["name"], written["digest"])
                    if block.origin in self._noted:
                        self._noted[block.origin].append(mark)
                else:  # the next input begins
                    self._give_up(block)
                    block = _Block(mark.removeprefix(BEGUN).rstrip("\n"), end - len(raw))
                    if block.origin in self._noted:
                        self._noted[block.origin] = []
            self._give_up(block)
            try:
                with whole_file(self._marks_path) as temporary, temporary.open("wb") as file:
                    for start, end in finished.values():
                        marks.seek(start)
                        file.write(marks.read(end - start))
            except OSError as error:
                raise write_failed(self._marks_path, error) from error
        return set(finished)

    def _is_same(self, block: _Block) -> bool:
        """Whether what was predicted has the bytes of what is to be predicted under its origin now, if anything is."""
        return block.origin not in self._given or self._given[block.origin].digest == block.digest

    def _give_up(self, block: _Block) -> None:
        """Where another file is to be predicted now, the former one's masks must not be taken for those of it."""
        if self._is_same(block) or not block.digest or not self._given[block.origin].digest:
            return
        self.exchanged.add(block.origin)
        for name in block.names:
            if stays_inside(name) and name.split("/")[0] in (MASKS, PROBABILITIES, OVERLAYS):
                (self._folder / name).unlink(missing_ok=True)


@dataclass
class _Block:
    """What ``.finished`` says of one input. start: where, in bytes. files: digest of its lines. digest: of its own
    bytes; "" where it does not tell. sound: all files are as they were written."""

    origin: str = ""
    start: int = 0
    digest: str = ""
    names: list[str] = field(default_factory=list)
    sound: bool = True
    files: Any = field(default_factory=sha256)


_ENDED = re.compile(r"(?P<digest>[0-9a-f]{64}) finished  (?P<input>.*)\n")
_WRITTEN = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>.+)\n")


def _whole(*digests: str) -> str:
    return sha256(" ".join(digests).encode()).hexdigest()


def _is_still(path: Path, digest: str) -> bool:
    try:
        return sha256_of(path) == digest
    except OSError:
        return False


def _text_of(row: Mapping[str, str]) -> str:
    return _line(row.get(column, "") for column in COLUMNS) + "\n"


def _line(values: Iterable[object]) -> str:
    cells = [str(value) for value in values]
    return ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if set(cell) & set(',"\n\r') else cell for cell in cells)


def region_words(row: FrameRow) -> str:
    """What an overlay says of its frame: "2 regions, 3.1 % of the field, highest probability 0.93"."""
    if not row.regions:
        return f"no region, highest probability {row.max_probability}"
    number = "1 region" if row.regions == 1 else f"{row.regions} regions"
    return (
        f"{number}, {float(row.area_percent):.1f} % of the field, highest probability {float(row.max_probability):.2f}"
    )


def require_same(folder: Path, told: dict[str, object], recorded: dict[str, object] | None) -> None:
    """A folder goes on with the model and options that it was begun with. Raises: DataError E_PREDICTIONS_DIFFER."""
    if recorded is None:
        return
    different = sorted(name for name in {*told, *recorded} if told.get(name) != recorded.get(name))
    if different:
        raise DataError(
            "E_PREDICTIONS_DIFFER",
            f"the folder holds predictions made otherwise (other {', '.join(different)}).",
            where=folder.name,
            fix="choose another --out, or remove the folder.",
        )
