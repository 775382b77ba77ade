"""What films cost: frames per CPU second of one process at 720×576, decoded, de-interlaced, sampled, imported.

python benchmarks/video_cost.py --frames 500                 # a phantom film, interlaced PAL, MPEG-2 and H.264

The film shows 50 rendered moments, forwards and backwards. CPU seconds are of all threads; decoders use several.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.catalogue import load_catalogue
from polypda.importing.images.deinterlacing import bwdif, one_field, probe_scan
from polypda.importing.images.videos import Video, open_video, rgb
from polypda.phantom.renderer import video_moments, woven
from polypda.workflows.cohorts.import_cohort import ImportRequest, import_cohort

MOMENTS = 50
CODECS = {
    "MPEG-2": (".mpg", "mpeg2video", {"flags": "+ildct+ilme", "b": "9000000", "field_order": "tt"}),
    "H.264": (".mp4", "libx264", {"crf": "20", "x264-params": "tff=1"}),
}


def write_video(path: Path, codec: str, options: dict[str, str], frames: Iterator[NDArray[np.uint8]]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        for index, pixels in enumerate(frames):
            if index == 0:
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def rendered(frames: int) -> Iterator[NDArray[np.uint8]]:
    """An interlaced phantom film of 720×576 that goes on for so many frames."""
    look = load_catalogue()["zju2-2021-jiefang"].phantom
    if look is None:
        raise SystemExit("the cohort has no phantom")
    moments = list(video_moments(look, seed=1, moments=MOMENTS))
    there_and_back = cycle([*moments, *moments[-2:0:-1]])
    return islice(woven(there_and_back), frames)


def per_cpu_second(work: Callable[[], int]) -> str:
    cpu, wall = time.process_time(), time.monotonic()
    done = work()
    return (
        f"{done / (time.process_time() - cpu):.0f} per CPU s ({done} in {time.monotonic() - wall:.1f} s of wall time)"
    )


def over(path: Path, do: Callable[[Video], Iterator[object]]) -> int:
    with open_video(path, path.name) as video:
        return sum(1 for _ in do(video))


def imported(path: Path, **options: str) -> int:
    with tempfile.TemporaryDirectory() as root:
        given = {name.replace("_", "-"): value for name, value in options.items()}
        import_cohort(ImportRequest(path, "a-film", Path(root), "video", given))
    return 0


def measure(path: Path, frames: int) -> None:
    scan = probe_scan_of(path)
    print(f"  scan: {scan.decision.scan.value}, top field first: {scan.top_first}")
    rows: dict[str, Callable[[], int]] = {
        "decoded": lambda: over(path, lambda video: video.frames()),
        "decoded to RGB": lambda: over(path, lambda video: (rgb(each.image) for each in video.frames())),
        "and one field": lambda: over(path, lambda video: (one_field(rgb(each.image)) for each in video.frames())),
        "de-interlaced by bwdif to RGB": lambda: over(
            path, lambda video: (rgb(each.image) for each in bwdif(video, video.frames(), top_first=scan.top_first))
        ),
        "imported, every frame, PNG": lambda: imported(path, every_s="0") or frames,
        "imported, every frame, jpeg=95": lambda: imported(path, every_s="0", jpeg="95") or frames,
        "imported, one a second (frames of the film)": lambda: imported(path, every_s="1") or frames,
        "imported, the sharpest of each second (frames of the film)": lambda: (
            imported(path, every_s="1", sharpest="yes") or frames
        ),
    }
    for name, work in rows.items():
        print(f"  {name}: {per_cpu_second(work)}", flush=True)


def probe_scan_of(path: Path):  # type: ignore[no-untyped-def]
    with open_video(path, path.name) as video:
        return probe_scan(video)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=500)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, codec, settings) in CODECS.items():
            path = Path(folder) / f"film{suffix}"
            write_video(path, codec, settings, rendered(options.frames))
            print(f"{name}, {options.frames} frames of 720×576 interlaced, {path.stat().st_size / 1e6:.1f} MB:")
            measure(path, options.frames)


if __name__ == "__main__":
    main()
