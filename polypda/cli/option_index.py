"""The options that are fields of the configuration, as help shows them, without the torch that the configuration needs.

``python -m polypda.cli.option_index`` writes the table that lies beside this file anew, after an option or a preset was
changed; a test holds it against them. Where another package adds methods or networks the fields are asked themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypda.methods.index import DEFAULT_METHOD

if TYPE_CHECKING:
    from polypda.options import OptionField

FILE = Path(__file__).with_name("options.json")
KINDS: dict[str, Any] = {**{kind.__name__: kind for kind in (bool, int, float, str)}, "list": list[str]}


@dataclass(frozen=True)
class ShownOption:
    """An option of the command line. kind: a name of KINDS. panel: the heading it stands under; "" for the first."""

    name: str
    kind: str
    panel: str
    help: str


def shown_options() -> list[ShownOption]:
    """Every field of the configuration that is an option, in the order of help."""
    if any(group.startswith("polypda.") for group in metadata.entry_points().groups):
        return options_of_configuration()
    return [ShownOption(**row) for row in json.loads(FILE.read_text(encoding="utf-8"))]


def options_of_configuration() -> list[ShownOption]:
    """As :func:`shown_options`, from the fields themselves."""
    from polypda.options import options_of
    from polypda.training.config import AdaptConfig

    return [
        ShownOption(known.name, known.kind.__name__, known.option.panel, _help(known))
        for known in options_of(AdaptConfig)
    ]


def _help(known: OptionField) -> str:
    """The field's description, its values and limits, and what decides where it is not given."""
    text = known.field.description or known.name
    told = [text[0].upper() + text[1:]]
    unnamed = [str(value) for value in known.choices if str(value) not in text]
    if unnamed:
        told[0] += f"{'' if text.endswith(' or') else ':'} {', '.join(str(value) for value in known.choices)}"
    if known.limits:
        told[0] += f" ({known.limits})"
    return f"{told[0]}.{_default(known)}"


def _default(known: OptionField) -> str:
    """`` Default: 350 quick, 1200 standard.``: what each preset says, or what holds for all of them."""
    from polypda.workflows.runs.presets import PRESETS

    if known.name in ("source", "target", "preset", "inference", "encoder_weights"):
        return ""
    if known.name == "method":
        return f" Default: {DEFAULT_METHOD}."
    missing = None if known.field.is_required() else known.field.default
    values = {name: (preset.get(known.section, {}) if known.section else preset) for name, preset in PRESETS.items()}
    found = {name: preset.get(known.name, missing) for name, preset in values.items()}
    if len(set(map(str, found.values()))) > 1:
        return f" Default: {', '.join(f'{_plain(value)} {name}' for name, value in found.items())}."
    value = next(iter(found.values()))
    return "" if value in (None, "", ()) else f" Default: {_plain(value)}."


def _plain(value: object) -> str:
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)


if __name__ == "__main__":
    rows = [json.dumps(asdict(option), ensure_ascii=False) for option in options_of_configuration()]
    FILE.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
