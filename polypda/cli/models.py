"""`polypda show` and `polypda export`: what a model says of itself, and models in other formats."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.errors import DataError, UsageError, nearest
from polypda.workflows.runs.early_checks import check_model

if TYPE_CHECKING:
    from polypda.prediction.model import Image, LoadedModel

Opt = typer.Option

ModelArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN|MODEL", help="Run folder of `polypda adapt`, or a model's file.", show_default=False),
]
ModelName = Annotated[
    str | None,
    Opt("--model", help="Which model of a run, as its tables name it. Default: the one that the run hands out."),
]
CHECKED_FRAMES, PHANTOM = 8, "zju2"
FRAMES_APART = 40


def show_command(
    path: ModelArgument,
    model: ModelName = None,
    as_json: Annotated[bool, Opt("--json", help="All facts as JSON, for programs.")] = False,
) -> None:
    """Say what a model is: network, input, inference, what it learnt from, licences, versions.

    Of a run, and of .safetensors, .onnx and .pt files of `polypda export`.
    """
    check_model(path)
    from polypda.cli.console import wide_console
    from polypda.prediction.description import described
    from polypda.prediction.export import facts_json, read_facts_of

    if path.is_dir() or model is not None:
        from polypda.workflows.runs.model_facts import load_model

        facts = load_model(path, model).facts
    else:
        facts = read_facts_of(path)
    if as_json:
        typer.echo(facts_json(facts))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in described(facts):
        table.add_row(name, Text(words))
    wide_console().print(table)


def export_command(
    path: ModelArgument,
    to: Annotated[str, Opt(help="onnx, torchscript or safetensors.", show_default=False)],
    out: Annotated[
        Path | None, Opt(help="The file. Default: in this folder, named as the run or file.", show_default=False)
    ] = None,
    model: ModelName = None,
    precision: Annotated[str, Opt(help="fp32, fp16, or int8 (onnx alone; calibrated on the frames).")] = "fp32",
    opset: Annotated[int, Opt(help="ONNX operator set, 13 to 20.")] = 17,
    dynamic_batch: Annotated[bool, Opt("--dynamic-batch/--fixed-batch", help="ONNX: any number of images.")] = True,
    dynamic_size: Annotated[bool, Opt("--dynamic-size/--fixed-size", help="ONNX: inputs of any fitting size.")] = True,
    frames: Annotated[
        list[str] | None,
        Opt(help="Image, folder or archive to compare on; repeatable. Default: rendered frames.", show_default=False),
    ] = None,
    force: Annotated[bool, Opt("--force", help="Replace a file that lies there.")] = False,
) -> None:
    """Write a model in another format, with its facts, and compare it with the network on frames.

    In: RGB in [0, 1], batch×3×height×width, cropped and resized as the facts say. Out: the probability of polyp. The
    largest difference is printed; the file's path is printed last.
    """
    check_model(path)
    from polypda.files import remove_leftovers, require_writable
    from polypda.prediction.export import ExportOptions, ModelFormat, ModelPrecision, export_model
    from polypda.workflows.runs.model_facts import load_model

    for given, kinds, option in ((to, ModelFormat, "--to"), (precision, ModelPrecision, "--precision")):
        if given not in list(kinds):
            what = f"{option} {given}: there is no such {'format' if option == '--to' else 'precision'}."
            raise UsageError("E_OPTION", f"{what}{nearest(given, kinds)}", fix=f"choose one of {', '.join(kinds)}.")
    how = ExportOptions(ModelFormat(to), ModelPrecision(precision), opset, dynamic_batch, dynamic_size)
    how.check()
    named = f"-{model}" if model else ""
    file = out or Path(f"{path.resolve().stem if path.is_file() else path.resolve().name}{named}{how.format.suffix}")
    if file.exists() and not force:
        fix = "choose another --out, or replace it by --force."
        raise DataError("E_EXPORT_EXISTS", "a file of this name lies there.", where=file, fix=fix)
    require_writable(file.parent)
    remove_leftovers(file.parent, file.name)  # of a command that was killed
    loaded = load_model(path, model)
    check = export_model(loaded, file, how, _frames(frames))
    words = f"{check.frames} frames, batches and another size" if how.dynamic_batch else f"{check.frames} frames"
    print(
        f"Largest difference of a probability from the network: {check.max_difference:.2g}; "
        f"{check.changed:.2%} of the pixels change sides of the threshold ({words}).",
        file=sys.stderr,
    )
    _print_use(loaded)
    print(file)


def _print_use(loaded: LoadedModel) -> None:
    inference = loaded.facts.inference
    if inference.scales != (1.0,) or inference.flips:
        print(
            f"The file answers for one input; this model is used with the {inference.words}: average the answers so, "
            "as `polypda predict` does.",
            file=sys.stderr,
        )


def _frames(texts: list[str] | None) -> list[Image]:
    """Images to compare on: the user's, else rendered ones. Raises: what finding and reading inputs raises."""
    from tempfile import TemporaryDirectory

    from polypda.cohorts.catalogue import load_catalogue
    from polypda.phantom.renderer import render_frame
    from polypda.prediction.inputs import find_inputs

    if not texts:
        look = load_catalogue()[PHANTOM].phantom
        assert look is not None
        return [render_frame(look, seed=0, index=FRAMES_APART * index)[0] for index in range(CHECKED_FRAMES)]
    with TemporaryDirectory() as unpacked:
        inputs, _ = find_inputs(texts, None, Path(unpacked), Path(unpacked) / "out")
        still = [one for one in inputs if not one.kind.moves]
        if not still:
            raise UsageError("E_OPTION", "--frames names no image.", fix="name images, or folders of them.")
        step = -(-len(still) // CHECKED_FRAMES)
        return [frame.read().pixels for one in still[::step] for frame in one.frames()]
