"""What other installed packages add: methods, terms, selectors and networks, named by their entry points.

In the package's ``pyproject.toml``::

    [project.entry-points."polypda.methods"]
    my-method = "my_package.my_method:MyMethod"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import metadata
from typing import Any, TypeVar

from polypda.errors import UsageError

Kind = TypeVar("Kind")


class Registry(Mapping[str, Kind]):
    """Name → what has it: what is here, then what other packages add, who are asked when somebody first looks.

    Not sooner, for their modules import from here.
    """

    def __init__(self, own: Mapping[str, Kind], added: Callable[[], Mapping[str, Kind]]) -> None:
        self._own = own
        self._added = added

    @cached_property
    def _known(self) -> dict[str, Kind]:
        return {**self._own, **self._added()}

    def __getitem__(self, name: str) -> Kind:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def plugins(group: str, *kinds: type) -> list[Any]:
    """What the entry points of a group name, by their names.

    Args:
        group: ``polypda.methods``, ``polypda.selectors`` or ``polypda.networks``.
        kinds: each must be an instance or a subclass of one of these.
    Raises: UsageError E_PLUGIN where one cannot be imported or is something else.
    """
    found = []
    for entry in sorted(metadata.entry_points(group=group), key=lambda entry: entry.name):
        try:
            named = entry.load()
        except Exception as error:  # whatever another package's import raises
            raise _refused(entry, f"cannot be imported ({error})") from error
        if not (issubclass(named, kinds) if isinstance(named, type) else isinstance(named, kinds)):
            raise _refused(entry, f"is no {' or '.join(kind.__name__ for kind in kinds)}")
        found.append(named)
    return found


def _refused(entry: metadata.EntryPoint, what: str) -> UsageError:
    package = entry.dist.name if entry.dist else "a package"
    return UsageError(
        "E_PLUGIN",
        f"{entry.value}, which {package} adds to {entry.group}, {what}.",
        fix=f"correct that package, or uninstall {package}.",
    )
