"""`polypda methods` and `polypda stylize`: what there is to choose from, and source frames in the target's style."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from polypda.cli.configuration import DataRoot
from polypda.cohorts.pairs import check_pair
from polypda.workflows.runs.paths import Paths, default_cache

METHOD = typer.Argument(None, help="Show the options of one method, or of a sum such as adaptsegnet+minent.")


def methods_command(method: str | None = METHOD) -> None:
    """List the methods with their papers; with a name, its options, defaults and meaning."""
    from polypda.methods.index import method_summaries, method_summary

    console = Console()
    if method is None:
        table = Table("method", "what", "paper", "options", "role", box=None, pad_edge=False)
        known = method_summaries()
        for name, summary in known.items():
            table.add_row(name, summary.title, summary.paper, str(len(summary.options)), ", ".join(summary.roles))
        terms = [name for name, summary in known.items() if "term" in summary.roles]
        console.print(table)
        console.print(
            "\nMETHOD+TERM+… adds terms to a method, e.g. adaptsegnet+minent; "
            f"terms: {', '.join(terms)} (alone: source-only+TERM)."
        )
        console.print("`polypda methods NAME` lists a method's options with their defaults.")
        return
    summary = method_summary(method)
    console.print(f"{summary.title}\n{summary.paper}\n")
    table = Table("option", "default", "meaning", box=None, pad_edge=False)
    for option in summary.options:
        table.add_row(option.name, option.default, option.meaning)
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
    check_pair(source, target)
    from polypda.cli.console import terminal_progress
    from polypda.networks.registry import SegmenterSpec
    from polypda.options import parse_options
    from polypda.training.config import Compute, DataConfig
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
