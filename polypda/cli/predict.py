"""`polypda predict`: a model on new images and videos."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.cli.configuration import OptionalDataRoot
from polypda.cli.models import ModelArgument, ModelName
from polypda.errors import DATA, UsageError, nearest
from polypda.files import require_writable
from polypda.workflows.runs.early_checks import check_model

if TYPE_CHECKING:
    from polypda.prediction.job import PredictionSummary

Opt = typer.Option


def predict_command(
    path: ModelArgument,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT…",
            help="Images, folders, archives (zip, tar), globs, videos, DICOM files, a camera's number, a cohort's id.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, Opt(help="Folder for what is predicted; given again, the command goes on.")],
    model: ModelName = None,
    masks: Annotated[bool, Opt("--masks/--no-masks", help="PNG, 0 and 255, at each frame's own size.")] = True,
    overlays: Annotated[
        bool, Opt("--overlays/--no-overlays", help="A picture of each image; of each video an overlay video.")
    ] = True,
    probabilities: Annotated[str, Opt(help="Keep the maps: none, png16 (65535 is 1) or npy.")] = "none",
    annotations: Annotated[str, Opt(help="Of images, for correction: none, coco or labelme.")] = "none",
    threshold: Annotated[float | None, Opt(help="Default: the model's own.", show_default=False)] = None,
    inference: Annotated[
        str | None,
        Opt(
            help="scales=1,1.5,flips=yes in place of the model's own; scales=1,flips=no is fastest.", show_default=False
        ),
    ] = None,
    temporal_smoothing: Annotated[
        float, Opt(help="Videos: average maps over about so many seconds before; 0: each frame by itself.")
    ] = 0.0,
    deinterlace: Annotated[str, Opt(help="Videos recorded in fields: auto or off.")] = "auto",
    max_frames: Annotated[
        int | None, Opt(min=1, help="Of each video or camera at most so many.", show_default=False)
    ] = None,
    batch_size: Annotated[int, Opt(min=1, help="Frames that the network sees at once.")] = 8,
    device: Annotated[str, Opt(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[
        int, Opt(min=0, help="CPU threads of the network; 0: half of the cores, for decoding goes on beside it.")
    ] = 0,
    data_root: OptionalDataRoot = None,
) -> None:
    """Mark polyps in images and videos with a trained model.

    Writes masks, overlays and predictions.csv (regions, area, box, highest probability, field of view of each frame).
    A frame that cannot be read is a line in the table, and the exit status is then 3. The folder is printed last.

    Research only. Not a medical device.
    """
    check_model(path)
    require_writable(out)
    from polypda.cli.console import terminal_progress
    from polypda.data.inference import Inference
    from polypda.importing.images.deinterlacing import Deinterlace
    from polypda.prediction.annotations import AnnotationKind
    from polypda.prediction.inputs import find_inputs
    from polypda.prediction.job import PredictOptions, predict_inputs
    from polypda.prediction.outputs import Probabilities
    from polypda.training.config import Compute
    from polypda.training.engine import open_fabric
    from polypda.workflows.runs.model_facts import load_model

    for option, given, known in (
        ("--probabilities", probabilities, list(Probabilities)),
        ("--annotations", annotations, list(AnnotationKind)),
        ("--deinterlace", deinterlace, [Deinterlace.AUTO, Deinterlace.OFF]),
    ):
        if given not in known:
            what = f"{option} {given}: there is no such choice.{nearest(given, known)}"
            raise UsageError("E_OPTION", what, fix=f"choose one of {', '.join(known)}.")
    if not 0 <= temporal_smoothing <= 10:
        what = f"--temporal-smoothing {temporal_smoothing:g} is not between 0 and 10 seconds."
        raise UsageError("E_OPTION", what, fix="e.g. --temporal-smoothing 0.2")
    options = PredictOptions(
        masks=masks,
        overlays=overlays,
        probabilities=Probabilities(probabilities),
        annotations=AnnotationKind(annotations),
        smoothing_s=temporal_smoothing,
        deinterlace=Deinterlace(deinterlace),
        max_frames=max_frames,
        batch_size=batch_size,
    )
    options.check()
    asked = Inference.model_validate(inference) if inference is not None else None
    with TemporaryDirectory(prefix="polypda-") as unpacked:
        found, left_out = find_inputs(inputs, data_root, Path(unpacked), out)
        compute = Compute(device=device, threads=threads or max(1, (os.cpu_count() or 1) // 2))
        loaded = load_model(
            path, model, inference=asked, threshold=threshold, device=open_fabric(compute, one_process=True).device
        )
        summary = predict_inputs(loaded, found, out, options, terminal_progress())
    for error in left_out:
        if error.code.startswith("N_"):
            summary.notes.append(f"{error.code} {error.what}")
        else:
            summary.leave_out(error, error.where)
    _print_summary(summary)
    print(out)
    if summary.errors:
        raise typer.Exit(DATA)


def _print_summary(summary: PredictionSummary) -> None:
    rate = f" ({summary.frames / summary.seconds:.1f} a second)" if summary.seconds and summary.frames else ""
    lines = [f"{summary.frames} frames predicted{rate}, {summary.marked} of them with a marked region."]
    if summary.skipped:
        lines.append(f"{summary.skipped} inputs were done before and left as they are.")
    if summary.exchanged:
        was, they = ("is another file", "it was") if summary.exchanged == 1 else ("are other files", "they were")
        lines.append(
            f"{summary.exchanged} of the inputs {was} than lay there before: {they} predicted anew, and the former "
            "masks are gone."
        )
    lines += summary.notes
    if summary.errors:
        codes = ", ".join(f"{count} × {code}" for code, count in summary.errors.most_common())
        lines += [f"Left out: {codes}.", *(f"  {line}" for line in summary.told)]
        rest = sum(summary.errors.values()) - len(summary.told)
        lines += [f"  … and {rest} more; every line is in predictions.csv."] if rest > 0 else []
    print("\n".join(lines), file=sys.stderr)
