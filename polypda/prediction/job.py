"""A whole prediction: every input through the model, everything written, and what could not be done told."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from polypda.errors import DataError, PolypdaError, UsageError
from polypda.files import remove_leftovers, require_writable, whole_file, write_failed, write_json, write_png
from polypda.importing.images.deinterlacing import Deinterlace
from polypda.integrity import CHECKSUMS, check, seal
from polypda.integrity import record as record_file
from polypda.prediction.annotations import AnnotationKind, write_annotations
from polypda.prediction.inputs import Input, InputFrame, InputKind, OpenedVideo, open_video
from polypda.prediction.model import BATCH, LoadedModel
from polypda.prediction.outputs import (
    MASKS,
    OVERLAYS,
    PROBABILITIES,
    FrameRow,
    PredictionTable,
    Probabilities,
    frame_row,
    region_words,
    require_same,
    write_mask,
    write_probability,
)
from polypda.prediction.overlays import image_overlay, outlined
from polypda.prediction.pipeline import PredictedFrame, TemporalSmoothing, predicted_frames
from polypda.prediction.video_progress import (
    Counts,
    VideoProgress,
    progress_folder,
    recorded,
    resume_smoothing,
)
from polypda.training.progress import InterruptionWatch, Progress, Silent

RECORD, VIDEOS = "prediction.json", "videos.csv"
MOST_TOLD = 10
"""Broken frames that are told one by one; all of them are in the table."""


@dataclass(frozen=True)
class PredictOptions:
    """What is written, and how videos are gone through.

    masks, overlays: whether. max_frames: of each video or camera; None: all. smoothing_s: see
    :class:`~polypda.prediction.pipeline.TemporalSmoothing`; 0: none.
    """

    masks: bool = True
    overlays: bool = True
    probabilities: Probabilities = Probabilities.NONE
    annotations: AnnotationKind = AnnotationKind.NONE
    smoothing_s: float = 0.0
    deinterlace: Deinterlace = Deinterlace.AUTO
    max_frames: int | None = None
    batch_size: int = BATCH

    def check(self) -> None:
        """Raises: UsageError E_OPTION."""
        if self.annotations is not AnnotationKind.NONE and not self.masks:
            raise UsageError("E_OPTION", "annotations are made of the masks.", fix="leave --no-masks out.")

    @property
    def deciding(self) -> dict[str, object]:
        """What the written files depend on."""
        return {
            "masks": self.masks,
            "overlays": self.overlays,
            "probabilities": self.probabilities.value,
            "smoothing_s": self.smoothing_s,
            "deinterlace": self.deinterlace.value,
            "max_frames": self.max_frames,
        }


@dataclass
class PredictionSummary:
    """What was done. frames: predicted now; marked: of these, with a region; skipped: inputs that were done before.

    exchanged: inputs that are other files than those that were predicted under their names before.
    errors: how many frames or files were left out, by code; told: the first of them in full.
    """

    frames: int = 0
    marked: int = 0
    skipped: int = 0
    exchanged: int = 0
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, error: PolypdaError, where: str) -> None:
        """Note a frame or file that was not predicted."""
        self.errors[error.code] += 1
        if len(self.told) < MOST_TOLD:
            self.told.append(f"{error.code} {where}: {error.what}")


def predict_inputs(
    model: LoadedModel, inputs: Sequence[Input], out: Path, options: PredictOptions, progress: Progress | None = None
) -> PredictionSummary:
    """Predict every input into a folder; given again, goes on where it was stopped.

    What was predicted of an input stays only where the input's own bytes are still the same.

    Raises: UsageError E_OPTION, E_EXTRA_MISSING; DataError E_OUT_EXISTS, E_PREDICTIONS_DIFFER, E_WRITE_FAILED.
    """
    options.check()
    _begin(model, out, options)
    begun = recorded(out, inputs, options.batch_size)
    table = PredictionTable(out, {origin: done.frames for origin, done in begun.items()}, inputs)
    job = _Job(model, out, options, progress or Silent(), table, PredictionSummary(), begun)
    began = time.monotonic()
    try:
        job.run(inputs)
    finally:
        job.table.close()
    job.summary.seconds = time.monotonic() - began
    if options.annotations is not AnnotationKind.NONE:
        by_origin = {one.origin: one for one in inputs}
        write_annotations(out, options.annotations, list(job.table.rows()), by_origin, job.table.exchanged)
    try:
        seal(out)
    except OSError as error:
        raise write_failed(out / CHECKSUMS, error) from error
    return job.summary


def _begin(model: LoadedModel, out: Path, options: PredictOptions) -> None:
    """Make the folder, or see that it was begun likewise. Raises: DataError E_OUT_EXISTS, E_PREDICTIONS_DIFFER."""
    require_writable(out)
    deciding: dict[str, object] = {
        "model": model.facts.tensors_sha256,
        "threshold": model.threshold,
        "inference": model.inference.model_dump(mode="json"),
        **options.deciding,
    }
    record = out / RECORD
    if record.is_file():
        _take_up(out)
        require_same(out, deciding, json.loads(record.read_text(encoding="utf-8")).get("settings"))
        return
    remove_leftovers(out)
    if out.is_dir() and any(path.name != CHECKSUMS for path in out.iterdir()):
        raise DataError("E_OUT_EXISTS", "something else lies there already.", where=out, fix="choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    write_json(record, {"settings": deciding, "model": model.facts.model_dump(mode="json")}, recorded=True)


def _take_up(out: Path) -> None:
    """See that a folder's own records are what was written, and begin its list anew: the whole is sealed at the end.

    Predictions that are not what was written are made anew (see :class:`~polypda.prediction.outputs.PredictionTable`).
    Raises: DataError E_FILE_CHANGED, E_CHECKSUMS.
    """
    for folder in (out, *(path for name in (MASKS, PROBABILITIES, OVERLAYS) for path in _folders(out / name))):
        remove_leftovers(folder)
    own = [out / name for name in (RECORD, VIDEOS) if (out / name).is_file()]
    for path in own:
        check(path, fix="put back a copy of it, or choose another --out.")
    (out / CHECKSUMS).unlink(missing_ok=True)
    for path in own:
        record_file(path)


def _folders(folder: Path) -> list[Path]:
    """A folder and those in it; none where it is not there."""
    return [folder, *(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []


@dataclass
class _Job:
    model: LoadedModel
    out: Path
    options: PredictOptions
    progress: Progress
    table: PredictionTable
    summary: PredictionSummary
    begun: Mapping[str, Counts] = field(default_factory=dict)

    def run(self, inputs: Sequence[Input]) -> None:
        left = [one for one in inputs if one.origin not in self.table.finished]
        self.summary.skipped, self.summary.exchanged = len(inputs) - len(left), len(self.table.exchanged)
        self._images([one for one in left if not one.kind.moves])
        for one in (one for one in left if one.kind.moves):
            self._video(one)

    def _images(self, inputs: Sequence[Input]) -> None:
        """All still inputs in one stream, so that batches are full."""
        if not inputs:
            return
        owners: deque[Input] = deque()
        self.progress.begin("images", 0, len(inputs))
        done, before, broken = 0, None, False
        try:
            frames = predicted_frames(self.model, _still_frames(inputs, owners), self.options.batch_size)
            for seen in frames:
                one = owners.popleft()
                if before is not None and one is not before:
                    done += 1
                    self._close(before, broken)
                    broken = False
                    self.progress.advance(done)
                before = one
                row = self._written(one, seen)
                broken |= bool(row.error)
                if self.options.overlays and seen.prediction is not None and seen.native is not None:
                    words = region_words(row)
                    title = one.origin if seen.frame.name == one.name else seen.frame.name
                    drawn = image_overlay(seen.native.image, seen.prediction, title, words, self.model.facts)
                    (self.out / OVERLAYS).mkdir(exist_ok=True)
                    write_png(self.out / OVERLAYS / f"{seen.frame.name}.png", drawn, compress_level=2)
                    self.table.note(f"{OVERLAYS}/{seen.frame.name}.png")
            if before is not None:
                self._close(before, broken)
                self.progress.advance(len(inputs))
        finally:
            self.progress.end()

    def _close(self, one: Input, broken: bool) -> None:
        """An input is done; one with a broken frame is tried again by a repeated command."""
        if not broken:
            self.table.finish(one.origin)

    def _video(self, one: Input) -> None:
        try:
            with open_video(one, self.options.deinterlace) as video:
                self._frames_of(one, video)
        except DataError as error:
            if error.code in ("E_WRITE_FAILED", "E_VIDEO_WRITE"):
                raise
            shutil.rmtree(progress_folder(self.out, one), ignore_errors=True)
            self._tell_video(one, None)
            self.table.add(FrameRow(one.origin, one.kind.value, one.name, 0, error=f"{error.code} {error.what}"))
            self.summary.leave_out(error, one.origin)

    def _frames_of(self, one: Input, video: OpenedVideo) -> None:
        recording = video.recording
        smoothing = TemporalSmoothing(self.options.smoothing_s) if self.options.smoothing_s else None
        most = self.options.max_frames
        count = min(video.count or most or 0, most or video.count)
        folder = progress_folder(self.out, one)
        done = self.begun[one.origin] if one.origin in self.table.begun else Counts(one.digest)
        if not done.frames:
            shutil.rmtree(folder, ignore_errors=True)  # of another file, or without its lines
        else:
            self.table.go_on(one.origin)
            if smoothing is not None:
                resume_smoothing(smoothing, folder)
        self.progress.begin(one.name, min(done.frames, count), max(1, count))
        frames = islice(video.frames(one.name), done.frames, most)
        options = self.options
        under_way = VideoProgress(
            one, folder, options.batch_size, recording.rate, recording.pixel_aspect, options.overlays, done
        )
        try:
            # A camera has no end: Ctrl-C is its end, and what was seen is kept whole.
            live = one.kind is InputKind.CAMERA
            with under_way, InterruptionWatch() if live else nullcontext() as watch:
                for seen in predicted_frames(self.model, frames, options.batch_size, smoothing):
                    row = self._written(one, seen, folder=one.name)
                    if options.overlays and seen.prediction is not None and seen.native is not None:
                        assert seen.frame.t_s is not None
                        under_way.draw(outlined(seen.native.image, seen.prediction.mask), seen.frame.t_s)
                    under_way.count(row, self.table, smoothing)
                    if count:  # a camera has no end to come nearer to
                        self.progress.advance(min(done.frames, count))
                    if watch is not None and watch.asked:
                        break
                if options.overlays and done.frames:
                    (self.out / OVERLAYS).mkdir(exist_ok=True)
                    under_way.finish(self.out / OVERLAYS / f"{one.name}.mp4")
        finally:
            self.progress.end()
        if not done.frames:
            under_way.remove()
            what = f"no frame of it can be decoded{f' ({recording.broken})' if recording.broken else ''}."
            raise DataError("E_VIDEO_NO_FRAME", what, where=one.origin, fix="fetch it again, or leave it out.")
        if recording.broken is not None:
            self.summary.leave_out(DataError("E_VIDEO_BROKEN", f"{recording.broken}."), one.origin)
        notes = video.remarks()
        self.summary.notes += [f"{one.origin}: {note}" for note in notes]
        if options.overlays:
            self.table.note(f"{OVERLAYS}/{one.name}.mp4")
        self._add_video(one, video, done.frames, done.marked, notes)
        self._close(one, bool(done.broken) or recording.broken is not None)
        under_way.remove()

    def _add_video(self, one: Input, video: OpenedVideo, frames: int, marked: int, notes: Sequence[str]) -> None:
        """A line of videos.csv for each video."""
        row: dict[str, Any] = {
            "input": one.origin,
            "frames": frames,
            "frames_with_region": marked,
            "rate": round(video.recording.rate, 4),
            "overlay": f"{OVERLAYS}/{one.name}.mp4" if self.options.overlays else "",
            "broken": video.recording.broken or "",
            "notes": "; ".join(notes),
        }
        self._tell_video(one, row)

    def _tell_video(self, one: Input, row: dict[str, Any] | None) -> None:
        """Put the line of a video into videos.csv in place of its former one; None: it has none."""
        import pandas as pd

        path = self.out / VIDEOS
        if row is None and not path.is_file():
            return
        former = pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame()
        kept = former[former["input"] != one.origin] if len(former) else former
        table = pd.concat([kept, pd.DataFrame([row])], ignore_index=True) if row is not None else kept
        try:
            with whole_file(path, recorded=True) as temporary:
                table.to_csv(temporary, index=False, lineterminator="\n")
        except OSError as error:
            raise write_failed(path, error) from error

    def _written(self, one: Input, seen: PredictedFrame, folder: str = "") -> FrameRow:
        """Write what is kept of a frame, and its line."""
        index = f"{folder}/{seen.frame.name}" if folder else seen.frame.name
        mask = f"{MASKS}/{index}.png" if self.options.masks and seen.prediction is not None else ""
        row = frame_row(one, seen, mask)
        self.table.add(row)
        if seen.prediction is not None:
            if mask:
                write_mask(self.out / mask, seen.prediction.mask)
                self.table.note(mask)
            if self.options.probabilities is not Probabilities.NONE:
                maps = self.out / PROBABILITIES / folder
                maps.mkdir(parents=True, exist_ok=True)
                name = write_probability(maps, seen.frame.name, seen.prediction.probability, self.options.probabilities)
                self.table.note((maps / name).relative_to(self.out).as_posix())
        elif seen.error is not None:
            self.summary.leave_out(seen.error, one.origin if not folder else seen.frame.name)
        self.summary.frames += seen.prediction is not None
        self.summary.marked += bool(row.regions)
        return row


def _still_frames(inputs: Sequence[Input], owners: deque[Input]) -> Iterator[InputFrame]:
    """Every frame of the inputs; what a file as a whole raises comes as a frame that raises it."""
    for one in inputs:
        _ = one.digest  # before it is decoded: a file that is exchanged in between will be another one next time
        try:
            for frame in one.frames():
                owners.append(one)
                yield frame
        except DataError as error:
            if error.code.startswith("N_"):  # an index of other files: nothing is missing
                continue
            owners.append(one)
            yield InputFrame(one.name, 0, partial(_raised, error))


def _raised(error: PolypdaError) -> NoReturn:
    raise error
