"""Fields of the configuration that are options of the command line: an option is declared once, on its field."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from polypda.errors import UsageError


@dataclass(frozen=True)
class Option:
    """Marks a field as an option: ``size: Annotated[int, Option("Training")] = Field(192, ge=32, description=…)``.

    panel: the heading under which help shows it; empty: the first. by_package: a source package decides it. values:
    names that can be given, where the field's type does not say; asked for when help is shown.
    """

    panel: str = ""
    by_package: bool = False
    values: Callable[[], Iterable[str]] | None = None


@dataclass(frozen=True)
class OptionField:
    """An option with its field. section: the part of the configuration that holds it; empty: the configuration."""

    name: str
    section: str
    field: FieldInfo
    option: Option

    @property
    def kind(self) -> type:
        """What the command line reads: bool, int, float or str; list for an option that is repeated."""
        if get_origin(_without_none(self.field.annotation)) is tuple:
            return list
        choices = [type(value) for value in self.choices]
        plain = choices[0] if choices else _without_none(self.field.annotation)
        return plain if plain in (bool, int, float) else str

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values there are to choose from; empty where they are not counted."""
        plain = _without_none(self.field.annotation)
        if self.option.values is not None:
            return tuple(self.option.values())
        if get_origin(plain) is Literal:
            return get_args(plain)
        return tuple(value.value for value in plain) if isinstance(plain, type) and issubclass(plain, StrEnum) else ()

    @property
    def limits(self) -> str:
        """``at least 32``, ``from 0 to 1``, or nothing."""
        found = {
            name: getattr(mark, name)
            for mark in self.field.metadata
            for name in ("ge", "gt", "le")
            if hasattr(mark, name)
        }
        if {"ge", "le"} <= set(found):
            return f"from {found['ge']:g} to {found['le']:g}"
        if found.get("ge"):
            return f"at least {found['ge']:g}"
        return f"above {found['gt']:g}" if "gt" in found else ""


@cache
def options_of(model: type[BaseModel], section: str = "") -> tuple[OptionField, ...]:
    """The options of a configuration and of its sections, in the order of the fields."""
    found: list[OptionField] = []
    for name, field in model.model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, Option)]
        plain = _without_none(field.annotation)
        if marks:
            found.append(OptionField(name, section, field, marks[0]))
        elif isinstance(plain, type) and issubclass(plain, BaseModel):
            found += options_of(plain, name)
    return tuple(found)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else annotation


def parse_options(texts: list[str]) -> dict[str, str]:
    """``["lambda_adv_main=0.002"]`` → a dict. Raises: UsageError E_METHOD_OPTION."""
    parsed = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError("E_METHOD_OPTION", f"'{text}' is no NAME=VALUE.", fix="e.g. -O lambda_adv_main=0.002")
        parsed[name.strip()] = value.strip()
    return parsed


def spelled(names: Collection[str]) -> str:
    """As the command line has them: ``--batch-size, --size``."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


FORMER_NAMES = {
    "rate": "learning_rate",
    "discriminator_rate": "discriminator_learning_rate",
    "adversary_rate": "adversary_learning_rate",
    "target_rate": "target_learning_rate",
    "tent_rate": "tent_learning_rate",
    "warmup_share": "warmup_fraction",
    "fda_share": "fda_fraction",
    "presence_share": "presence_fraction",
    "large_share": "large_fraction",
    "stylise": "stylize",
    "settle_statistics": "recompute_batch_norm",
    "target_labels_taught": "target_labels_trained_on",
    "foreign": "external",
    **{
        f"{name}_share": f"{name}_fraction"
        for name in ("lumen_in_view", "motion_blurred", "flat", "pedunculated", "negative", "debris", "dye", "inset")
    },
    **{f"{side}_share": f"{side}_fraction" for side in ("width", "height", "corner")},
}
"""Names of options, settings and fields of manifests as earlier versions wrote them → as they are."""


def with_present_names(values: Any) -> Any:
    """The same plain values (mappings and lists, nested) with keys of :data:`FORMER_NAMES` under their present names.

    A name that stands there in both forms keeps its present one's value.
    """
    if isinstance(values, list | tuple):
        return type(values)(with_present_names(value) for value in values)
    if not isinstance(values, Mapping):
        return values
    found = {key: with_present_names(value) for key, value in values.items()}
    present = {FORMER_NAMES.get(str(key), key): value for key, value in found.items()}
    return present | {key: value for key, value in found.items() if key not in FORMER_NAMES}
