"""Modules of the extras, which only some formats and commands need."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from polypda.errors import UsageError


def extra_module(name: str, reads: str, *, logger: str = "", extra: str = "import") -> Any:
    """A module, made silent: what it warns of, the readers decide on.

    Args: reads: "films are read by PyAV". logger: the module's own, where it is not called as the module. extra: the
        installation's that brings it.
    Raises: UsageError E_EXTRA_MISSING.
    """
    try:
        module = import_module(name)
    except ImportError as error:
        what = f"{reads}, which is not installed."
        raise UsageError("E_EXTRA_MISSING", what, fix=f"pip install 'polypda[{extra}]'") from error
    logging.getLogger(logger or name).setLevel(logging.CRITICAL)
    return module
