"""Which frames of a film are taken: by rate, the sharpest of each interval, or at changes of scene.

Frames pass through in order and none is held but the best of the interval that is open, so a film of hours costs no
more memory than one of seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.importing.images.video_options import VideoOptions
from polypda.importing.images.videos import VideoFrame, grey

SHARPNESS_LONGER_SIDE_PX = 360
"""Sharpness is compared on reduced frames: noise of single pixels is none."""
SCENE_LONGER_SIDE_PX = 48
DARKEST, BRIGHTEST = 25, 240
"""Grey levels beyond which a pixel is border or highlight, whose edges are sharp in a blurred frame as well."""
TIME_TOLERANCE_S = 1e-6
Grey = NDArray[np.uint8]


def sampled(frames: Iterator[VideoFrame], options: VideoOptions, duration_s: float | None) -> Iterator[VideoFrame]:
    """The frames that the options ask for.

    Args:
        duration_s: of the film, where its header tells; then ``most_frames`` are spread over it, else they are the
            first ones.
    """
    every_s = interval_s(options, duration_s)
    if options.scenes is not None:
        chosen = new_scenes(frames, options.scenes, every_s)
    elif options.sharpest:
        chosen = sharpest_of_each(frames, every_s)
    else:
        chosen = first_of_each(frames, every_s)
    most = options.most_frames
    for count, frame in enumerate(chosen):
        if most is not None and count >= most:
            return
        yield frame


def interval_s(options: VideoOptions, duration_s: float | None) -> float:
    """Seconds between frames, at least those asked for; longer where a film would give too many."""
    if options.most_frames is None or duration_s is None or options.scenes is not None:
        return options.every_s
    return max(options.every_s, duration_s / options.most_frames)


def first_of_each(frames: Iterator[VideoFrame], every_s: float) -> Iterator[VideoFrame]:
    """The first frame at or after each multiple of ``every_s`` (0: all), by real times: the rate may vary."""
    due = -math.inf
    for frame in frames:
        if frame.t_s >= due - TIME_TOLERANCE_S:
            yield frame
            due = (_interval(frame.t_s, every_s) + 1) * every_s if every_s > 0 else -math.inf


def sharpest_of_each(
    frames: Iterator[VideoFrame], every_s: float, measure: Callable[[VideoFrame], float] | None = None
) -> Iterator[VideoFrame]:
    """The sharpest frame of each interval [k, k+1) · ``every_s``; of equally sharp ones the first."""
    measure = measure or (lambda frame: sharpness(grey(frame.image, SHARPNESS_LONGER_SIDE_PX)))
    best: VideoFrame | None = None
    best_value, open_interval = -math.inf, -1
    for frame in frames:
        interval = _interval(frame.t_s, every_s)
        if best is not None and interval != open_interval:
            yield best
            best, best_value = None, -math.inf
        value = measure(frame)
        if best is None or value > best_value:
            best, best_value = frame, value
        open_interval = interval
    if best is not None:
        yield best


def new_scenes(
    frames: Iterator[VideoFrame], least_change: float, every_s: float, look: Callable[[VideoFrame], Grey] | None = None
) -> Iterator[VideoFrame]:
    """Frames that are at least ``least_change`` unlike the one taken before (see :func:`unlikeness`)."""
    look = look or (lambda frame: grey(frame.image, SCENE_LONGER_SIDE_PX))
    before: Grey | None = None
    due = -math.inf
    for frame in frames:
        if frame.t_s < due - TIME_TOLERANCE_S:
            continue
        now = look(frame)
        if before is None or unlikeness(before, now) >= least_change:
            yield frame
            before, due = now, frame.t_s + every_s


def sharpness(image: Grey) -> float:
    """Mean squared Laplacian of a grey picture (uint8 h×w) where it is neither border nor highlight; 0 or more."""
    used = cv2.erode(((image >= DARKEST) & (image <= BRIGHTEST)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not used.any():
        return 0.0
    return float(np.square(cv2.Laplacian(image, cv2.CV_32F)[used]).mean())


def unlikeness(first: Grey, second: Grey) -> float:
    """Half of 1 − correlation of two small grey pictures: 0 same, 0.5 unrelated, 1 inverted; blind to exposure.

    Pictures of different sizes are wholly unlike; two without any structure are alike.
    """
    if first.shape != second.shape:
        return 1.0
    one, other = first.astype(np.float64) - first.mean(), second.astype(np.float64) - second.mean()
    flat = (float(np.abs(one).max()) < 1.0, float(np.abs(other).max()) < 1.0)
    if any(flat):
        return 0.0 if all(flat) else 0.5
    correlation = float((one * other).sum() / math.sqrt(float((one * one).sum() * (other * other).sum())))
    return min(1.0, max(0.0, (1.0 - correlation) / 2))


def _interval(t_s: float, every_s: float) -> int:
    return math.floor((t_s + TIME_TOLERANCE_S) / every_s)
