"""What other installed packages add, named by their entry points; what a script adds to the same registries.

In the package's ``pyproject.toml``::

    [project.entry-points."polypda.methods"]
    my-method = "my_package.my_method:MyMethod"

The groups, and what an entry point names:

    polypda.methods     a Method or a TargetTerm (a class)
    polypda.selectors   a Criterion
    polypda.networks    a Network
    polypda.readers     a Reader (a class): a format of ``polypda cohorts import``
    polypda.metrics     a FrameMetric
    polypda.loggers     a RunLogger (a class): ``polypda adapt --log-to NAME``
    polypda.cohorts     a package, or the Path of a folder, that holds manifests ID.yaml
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import import_module, metadata
from typing import Any, TypeVar

from polypda.errors import UsageError

Kind = TypeVar("Kind")
Item = TypeVar("Item")


REGISTERED: set[str] = set()
"""Names that were registered in this process: processes that it starts do not know them."""


class Registry(Mapping[str, Kind]):
    """Name → what has it: what is here, then what other packages add, who are asked when somebody first looks.

    Not sooner, for their modules import from here. added_first: what is added stands before what is here.
    Raises: UsageError E_PLUGIN where a package adds a name that is here already.
    """

    def __init__(
        self, own: Mapping[str, Kind], added: Callable[[], Mapping[str, Kind]], *, added_first: bool = False
    ) -> None:
        self._own = own
        self._added = added
        self._added_first = added_first
        self._registered: dict[str, Kind] = {}

    @cached_property
    def _known(self) -> dict[str, Kind]:
        added = dict(self._added())
        if doubled := sorted(set(added) & set(self._own)):
            raise UsageError(
                "E_PLUGIN",
                f"an installed package adds '{doubled[0]}', a name that polypda itself uses.",
                fix="rename it in that package, or uninstall the package.",
            )
        added |= self._registered
        return {**added, **self._own} if self._added_first else {**self._own, **added}

    def register(self, name: str, kind: Kind) -> None:
        """Add something in this process; what was registered under the name before is replaced.

        Raises: UsageError E_NAME_TAKEN where the name is that of something here or of an installed package.
        """
        if name in self._known and name not in self._registered:
            raise name_taken(name)
        self._registered[name] = kind
        REGISTERED.add(name)
        self.look_again()

    def look_again(self) -> None:
        """What is added has changed: it is asked for anew when somebody next looks."""
        self.__dict__.pop("_known", None)

    def __getitem__(self, name: str) -> Kind:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def name_taken(name: str) -> UsageError:
    """The error for a name that something has already."""
    return UsageError("E_NAME_TAKEN", f"there is already a '{name}'.", fix="choose another name.")


def register(registry: Registry[Any], item: Item, *kinds: type) -> Item:
    """Add something with a name to a registry in this process, and hand it back: so it serves as a decorator.

    Raises: UsageError E_REGISTER where it is none of ``kinds``; E_NAME_TAKEN.
    """
    if not _is_one(item, kinds):
        raise UsageError(
            "E_REGISTER", f"{item!r} is no {_named(kinds)}.", fix="see the docstring of what you register it with."
        )
    registry.register(item.name, item)  # type: ignore[attr-defined]
    return item


def plugins(group: str, *kinds: type) -> list[Any]:
    """What the entry points of a group name, by their names.

    Args:
        group: one of those named above.
        kinds: each must be an instance or a subclass of one of these.
    Raises: UsageError E_PLUGIN where one cannot be imported or is something else.
    """
    found = []
    for entry in sorted(metadata.entry_points(group=group), key=lambda entry: entry.name):
        try:
            named = entry.load()
        except Exception as error:  # whatever another package's import raises
            raise _refused(entry, f"cannot be imported ({error})") from error
        if not _is_one(named, kinds):
            raise _refused(entry, f"is no {_named(kinds)}")
        found.append(named)
    return found


def _is_one(named: Any, kinds: tuple[type, ...]) -> bool:
    return issubclass(named, kinds) if isinstance(named, type) else isinstance(named, kinds)


def _named(kinds: tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in kinds)


def _refused(entry: metadata.EntryPoint, what: str) -> UsageError:
    package = entry.dist.name if entry.dist else "a package"
    return UsageError(
        "E_PLUGIN",
        f"{entry.value}, which {package} adds to {entry.group}, {what}.",
        fix=f"correct that package, or uninstall {package}.",
    )


def extra_module(name: str, reads: str, *, logger: str = "", extra: str = "import") -> Any:
    """A module of an extra, which only some formats and commands need; made silent: callers decide on its warnings.

    Args: reads: "videos are read by PyAV". logger: the module's own, where it is not called as the module. extra: the
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
