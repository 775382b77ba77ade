"""YAML that somebody else wrote: bounded before it is built, and one kind of error whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DEEPEST = 50
"""Collections within one another; the C reader's own recursion ends the process at some thousands."""
MOST_ALIASES = 20
"""A few repeat a table; many within one another stand for billions of values."""
LONGEST_TEXT = 2_000_000
"""Characters."""
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built


class YamlError(ValueError):
    """A text that is no YAML, or none that is read here; its words say where and why."""


def load_yaml(text: str, loader: type[Any] = LOADER) -> Any:
    """The value of a YAML text. loader: a safe one, with rules of its own. Raises: YamlError."""
    if len(text) > LONGEST_TEXT:
        raise YamlError(f"{len(text)} characters, more than {LONGEST_TEXT}")
    try:
        _require_bounded(text)
        return yaml.load(text, Loader=loader)
    except YamlError:
        raise
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())[:500]) from error
    except (ValueError, TypeError, OverflowError, RecursionError, LookupError, AttributeError) as error:
        # what a tag or a date promises and its value does not keep (!!int abc, 2026-13-45)
        raise YamlError(f"a value is not what it says it is ({' '.join(str(error).split())[:200]})") from error


def read_mapping(path: Path) -> dict[Any, Any]:
    """Names with their values, from a file. Raises: YamlError, whose words say what is wrong with it."""
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise YamlError(f"cannot be read: {str(error).splitlines()[0]}.") from error
    if not isinstance(values, dict):
        raise YamlError("holds no names with values.")
    return values


def _require_bounded(text: str) -> None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > DEEPEST:
            raise YamlError(f"more than {DEEPEST} collections within one another")
        if aliases > MOST_ALIASES:
            raise YamlError(f"more than {MOST_ALIASES} repetitions by *alias")
