"""What a prediction costs: frames a second of a 720×576 video through the default network, and memory over its length.

python benchmarks/predict_speed.py                      # 1,000 frames; both thread counts
python benchmarks/predict_speed.py --model RUN --frames 5000

Without --model the network of the presets `quick` and `standard` is taken with random weights (which cost as much), at
a threshold that marks about a fortieth of the pixels. One scale, not mirrored. CPU seconds are of all threads: on a
machine that others use, they say more than the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
import torch
from video_cost import MOMENTS
from video_cost import write_video as write_recording

from polypda.cohorts.catalogue import load_catalogue
from polypda.data.inference import Inference
from polypda.importing.images.deinterlacing import Deinterlace
from polypda.importing.images.videos import open_video as open_recording
from polypda.importing.images.videos import rgb
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.segmenter import channels_last
from polypda.phantom.renderer import video_moments
from polypda.prediction.facts import EncoderOrigin, ModelFacts, NetworkInput, Normalisation, Training
from polypda.prediction.inputs import Input, InputKind
from polypda.prediction.job import PredictOptions, predict_inputs
from polypda.prediction.model import LoadedModel
from polypda.prediction.outputs import write_mask
from polypda.prediction.overlays import outlined
from polypda.workflows.runs.model_facts import load_model
from polypda.workflows.runs.presets import PRESETS

ONE_SCALE = Inference()
STEPS = 160
"""Frames that each step is timed on."""
MARKED_PERCENTILE = 97.5


def default_model() -> LoadedModel:
    """The presets' network with random weights."""
    preset = PRESETS["standard"]
    torch.manual_seed(0)
    spec = SegmenterSpec(**preset["network"])
    network = channels_last(build_segmenter(spec)).eval()
    facts = ModelFacts(
        network=spec,
        input=NetworkInput(
            size=preset["data"]["size"],
            fit="resize",
            stride=network.stride,
            crop_to_field_of_view=True,
            normalisation=Normalisation.of(network),
        ),
        inference=ONE_SCALE,
        threshold=0.5,
        training=Training(model="random weights", cohorts=(), labels="none", target_labels_used=False, settings={}),
        encoder_weights=EncoderOrigin(source="none"),
        versions={},
    )
    return LoadedModel(network, facts, ONE_SCALE, 0.5, torch.device("cpu"))


def write_video(path: Path, frames: int) -> None:
    """A progressive phantom video of 720×576, forwards and backwards through its moments."""
    look = load_catalogue()["zju2"].phantom
    assert look is not None
    look = look.model_copy(update={"sizes_px": ((720, 576),)})
    moments = list(video_moments(look, seed=1, moments=MOMENTS))
    write_recording(path, "libx264", {"crf": "20"}, islice(cycle([*moments, *moments[-2:0:-1]]), frames))


def resident_mib() -> float:
    """Memory that the process holds now (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def timed(name: str, work: Callable[[], object], frames: int) -> None:
    cpu, wall = time.process_time(), time.monotonic()
    work()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    rate = f"{frames / wall:6.1f} frames/s"
    print(f"{name:<46}{1000 * cpu / frames:7.2f} CPU ms a frame{rate:>18} by the clock", flush=True)


def time_steps(model: LoadedModel, video: Path, folder: Path) -> None:
    """Each step by itself, on the first frames."""
    with open_recording(video, video.name) as recording:
        images = [rgb(frame.image) for frame in islice(recording.frames(), STEPS)]

    def decode() -> None:
        with open_recording(video, video.name) as recording:
            for frame in islice(recording.frames(), len(images)):
                rgb(frame.image)

    count = len(images)
    timed("  decode to RGB", decode, count)
    natives = [model.prepare(image) for image in images]
    timed("  field of view", lambda: [model.prepare(image) for image in images], count)
    inputs = [model.asked.network_inputs(model.network, native) for native in natives]
    timed("  to the network's size", lambda: [model.asked.network_inputs(model.network, one) for one in natives], count)
    maps = [
        one
        for start in range(0, count, 8)
        for one in model.asked.network_maps(model.network, inputs[start : start + 8])
    ]
    timed(
        "  network, batches of 8",
        lambda: [model.asked.network_maps(model.network, inputs[start : start + 8]) for start in range(0, count, 8)],
        count,
    )
    together = list(zip(natives, maps, strict=True))
    timed("  native map", lambda: [model.asked.to_native(native, one) for native, one in together], count)
    found = [model.finish(native, model.asked.to_native(native, one)) for native, one in together]
    timed("  mask file", lambda: [write_mask(folder / "m.png", one.mask) for one in found], count)
    timed("  outline", lambda: [outlined(image, one.mask) for image, one in zip(images, found, strict=True)], count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--model", type=Path, help="a run or a model's file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    model = load_model(given.model, inference=ONE_SCALE) if given.model else default_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / "video.mp4"
        write_video(video, given.frames)
        if not given.model:
            with open_recording(video, video.name) as recording:
                first = rgb(next(iter(recording.frames())).image)
            threshold = float(np.percentile(model.predict(first)[0].probability, MARKED_PERCENTILE))
            model = LoadedModel(model.network, model.facts, ONE_SCALE, threshold, model.device)
        one = Input("video.mp4", "video", InputKind.VIDEO, lambda: iter(()), video)
        print(f"PyAV {av.__version__}, torch {torch.__version__}; {given.frames} frames of 720×576, H.264")
        for threads in given.threads:
            torch.set_num_threads(threads)
            print(f"{threads} thread{'s' if threads > 1 else ''} of the network")
            time_steps(model, video, folder)
            for label, options in (
                (
                    "whole: decode, network, native mask file",
                    PredictOptions(overlays=False, deinterlace=Deinterlace.OFF),
                ),
                ("whole, with the overlay video", PredictOptions(deinterlace=Deinterlace.OFF)),
            ):
                before = resident_mib()
                out = folder / f"out-{threads}-{options.overlays}"
                timed(label, lambda out=out, options=options: predict_inputs(model, [one], out, options), given.frames)
                print(f"  memory {before:.0f} → {resident_mib():.0f} MiB")


if __name__ == "__main__":
    main()
