"""The data root that the command line names once, whose manifests then count. Costs nothing to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "POLYPDA_DATA"
"""Environment variable of the data root that is taken where none is given."""
_named_root: Path | None = None


def use_data_root(root: Path | None) -> None:
    """Name the data root whose manifests count from now on in this process; None: only the installation's count."""
    global _named_root
    _named_root = root


def named_data_root() -> Path | None:
    """What :func:`use_data_root` was last given: to be named again in a process that is started."""
    return _named_root


@contextmanager
def data_root_named(root: Path | None) -> Iterator[None]:
    """Name a data root for the length of a block."""
    former = named_data_root()
    use_data_root(root)
    try:
        yield
    finally:
        use_data_root(former)
