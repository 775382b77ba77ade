"""Every error a user can meet: what happened, where, and how to put it right.

An error prints as ``CODE where: what. Fix: remedy`` and ends the command with a stable exit status:
2 for wrong usage, 3 for data, 4 for a result that must not be trusted (leakage), 130 for an interruption.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

USAGE, DATA, UNTRUSTED, INTERRUPTED = 2, 3, 4, 130


class PolypdaError(Exception):
    """An error with a stable code, a place, a cause and a remedy.

    Subclasses set ``exit_status``; the code is given per case so that a user can search for it.
    """

    exit_status = DATA

    def __init__(self, code: str, what: str, *, where: str | Path = "", fix: str = "") -> None:
        self.code = code
        self.what = what
        self.where = str(where)
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        index = f" {self.where}" if self.where else ""
        remedy = f"\n  Fix: {self.fix}" if self.fix else ""
        return f"{self.code}{index}: {self.what}{remedy}"

    def as_dict(self) -> dict[str, str]:
        """The error as plain values, for another process (see :func:`error_from_dict`)."""
        kind = type(self).__name__
        return {"kind": kind, "code": self.code, "what": self.what, "where": self.where, "fix": self.fix}

    def __reduce__(self) -> tuple:  # errors cross process borders (data-loader workers)
        return _rebuild, (type(self), self.code, self.what, self.where, self.fix)


def _rebuild(kind: type[PolypdaError], code: str, what: str, where: str, fix: str) -> PolypdaError:
    return kind(code, what, where=where, fix=fix)


class UsageError(PolypdaError):
    """The command or its options are wrong: nothing was read yet."""

    exit_status = USAGE


class DataError(PolypdaError):
    """Files are missing, unreadable, or do not say what they should."""

    exit_status = DATA


class TrainingError(PolypdaError):
    """Training cannot go on (non-finite loss, incompatible checkpoint)."""

    exit_status = DATA


class LeakageError(PolypdaError):
    """Training and held-out frames are not independent: a figure made from them would mislead."""

    exit_status = UNTRUSTED


class Interrupted(PolypdaError):  # noqa: N818 - an interruption is not an error of anybody's
    """The user stopped the run; a checkpoint was written and the run can be resumed."""

    exit_status = INTERRUPTED


def error_from_dict(values: dict[str, str]) -> PolypdaError:
    """The error that :meth:`PolypdaError.as_dict` described."""
    kinds = {kind.__name__: kind for kind in (UsageError, DataError, TrainingError, LeakageError, Interrupted)}
    kind = kinds.get(values["kind"], PolypdaError)
    return kind(values["code"], values["what"], where=values["where"], fix=values["fix"])


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string when nothing is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""
