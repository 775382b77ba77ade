"""Options that several commands share, those that are made of the configuration's fields, and a file of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from polypda.cli.option_index import KINDS, ShownOption, shown_options
from polypda.cohorts.image_files import number_of
from polypda.cohorts.named_root import VARIABLE, use_data_root
from polypda.errors import UsageError, nearest
from polypda.workflows.runs.paths import Paths, default_cache
from polypda.yaml_text import YamlError, read_mapping


def name_data_root(root: Path | None) -> Path | None:
    """Let the manifests in a command's data root count, and hand the option's value on."""
    use_data_root(root)
    return root


DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root", envvar=VARIABLE, callback=name_data_root, help="Folder that holds the cohorts' folders."
    ),
]
OptionalDataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", envvar=VARIABLE, callback=name_data_root, help="Folder below which the cohorts' files lie."
    ),
]


def places_of(options: Mapping[str, Any]) -> Paths:
    """Where the options say that things lie. Raises: UsageError E_OPTION."""
    return Paths(
        data_root=Path(options["data_root"]),
        cache=Path(options["cache_dir"]) if options["cache_dir"] else default_cache(),
        encoder_weights=options["encoder_weights"],
        start=Path(options["start"]) if options["start"] else None,
        accepted=Path(options["accepted"]) if options.get("accepted") else None,
        overlays=_overlay_count(options["overlays"]),
        mlflow_uri=options.get("mlflow_uri"),
    )


def command_with_options(command: Callable[..., None]) -> Any:
    """A click command of a function and of the configuration's options."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(with_configuration_options(command))
    return typer.main.get_command(app)


def with_configuration_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every field of the configuration that is marked as one.

    Their values are in ``context.params``, None where they were not given: the preset or the field then decides.
    """
    generated = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                KINDS[option.kind] | None,
                typer.Option(*_flags(option), help=option.help, rich_help_panel=option.panel or None),
            ],
        )
        for option in shown_options()
    ]
    own = list(inspect.signature(command, eval_str=True).parameters.values())

    @functools.wraps(command)
    def generated_command(**values: Any) -> None:
        command(**{parameter.name: values[parameter.name] for parameter in own})

    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters = [keywords[0], *generated, *keywords[1:]]  # the context, then source, target, method …
    generated_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    generated_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return generated_command


def _flags(option: ShownOption) -> list[str]:
    spelled = option.name.replace("_", "-")
    return [f"--{spelled}/--no-{spelled}"] if option.kind == "bool" else [f"--{spelled}"]


def read_file(context: typer.Context, path: Path | None) -> Path | None:
    """Let a YAML file give what the command line leaves out: names of options with their values, and ``options`` with
    those of the method. Raises: UsageError E_CONFIG_FILE, with the nearest name for an unknown one.
    """
    if path is None:
        return None
    try:
        values = read_mapping(path)
    except YamlError as error:
        raise _unreadable(path, str(error)) from error
    known = {parameter.name for parameter in context.command.params if parameter.name} - {"config", "resume", "option"}
    repeated = {parameter.name for parameter in context.command.params if getattr(parameter, "multiple", False)}
    given: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in {*known, "options"}:
            raise _unreadable(path, f"'{key}' is no option.{nearest(name, sorted({*known, 'options'}))}")
        if name == "options":
            if not isinstance(value, dict):
                raise _unreadable(path, "options are no names with values.")
            given["option"] = [f"{option}={_written(wish)}" for option, wish in value.items()]
        elif name in repeated and not isinstance(value, dict):
            given[name] = value if isinstance(value, list) else [value]
        elif isinstance(value, (dict, list)):
            raise _unreadable(path, f"'{key}' is no single value.")
        else:
            given[name] = value
    context.default_map = {**(context.default_map or {}), **given}
    return path


def chosen_options(context: typer.Context) -> dict[str, str]:
    """Options of the method: those of a file, then those of the command line."""
    from polypda.options import parse_options

    of_file = (context.default_map or {}).get("option", [])
    return parse_options([*of_file, *(context.params["option"] or [])])


def given_options(context: Any) -> set[str]:
    """Names of what was given on the command line or in a file.

    Args: context: typer's, or that of the click which typer may carry; so are its sources, told apart by name.
    """
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name in ("COMMANDLINE", "DEFAULT_MAP")}


def _written(value: object) -> str:
    """As ``-O`` has it: lists with commas."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _unreadable(path: Path, what: str) -> UsageError:
    return UsageError(
        "E_CONFIG_FILE", what, where=path, fix="`polypda adapt --help` lists the names, e.g. `size: 128`."
    )


def _overlay_count(text: str) -> int | None:
    if text == "all":
        return None
    count = number_of(text)
    if count is None:
        raise UsageError("E_OPTION", f"--overlays {text[:40]} is neither a number nor 'all'.", fix="e.g. --overlays 8")
    return count
