"""What other installed packages add: methods, terms, selectors and networks, named by their entry points.

In the package's ``pyproject.toml``::

    [project.entry-points."polypda.methods"]
    my-method = "my_package.my_method:MyMethod"
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

from polypda.errors import UsageError


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
