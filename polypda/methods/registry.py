"""Every method by name. Adding one: its file, a line here, its contract-test line, its row in the methods page."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from polypda.errors import UsageError, nearest
from polypda.methods.adabn import AdaBN
from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetFeature
from polypda.methods.contract import Method, MethodOptions
from polypda.methods.source_only import Oracle, SourceOnly

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (SourceOnly, Oracle, AdaBN, AdaptSegNet, AdaptSegNetFeature)
}


def method_class(name: str) -> type[Method]:
    """The method of that name. Raises: UsageError E_METHOD_UNKNOWN, with the nearest name."""
    if name not in METHODS:
        raise UsageError(
            "E_METHOD_UNKNOWN",
            f"there is no method '{name}'.{nearest(name, METHODS)}",
            fix="`polypda methods` lists them.",
        )
    return METHODS[name]


def method_options(name: str, values: dict[str, Any]) -> MethodOptions:
    """Validated options. Raises: UsageError E_METHOD_OPTION for unknown names (nearest offered) and bad values."""
    options = method_class(name).Options
    for key in values:
        if key not in options.model_fields:
            raise UsageError(
                "E_METHOD_OPTION",
                f"'{name}' has no option '{key}'.{nearest(key, options.model_fields)}",
                fix=f"`polypda methods {name}` lists them.",
            )
    try:
        return options(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            "E_METHOD_OPTION",
            f"'{name}' cannot take {first['loc'][0]}={first['input']!r}: {first['msg']}.",
            fix=f"`polypda methods {name}` lists the options with their ranges.",
        ) from error
