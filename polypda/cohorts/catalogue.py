"""The cohorts that are known: those of this installation (and of installed packages that add some, see
:mod:`polypda.plugins`), and those whose manifest lies in a data root.

A cohort folder may hold a ``manifest.yaml`` (an import writes one); it goes before the installation's of that id. The
command line names its data root once (:mod:`polypda.cohorts.named_root`); whoever has a root at hand passes it on. A
manifest that is no YAML or says what the schema does not know is refused, with the key and the nearest one.
"""

from __future__ import annotations

import logging
import re
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from polypda.cohorts.image_files import natural_key
from polypda.cohorts.manifest import Manifest, Overlap
from polypda.cohorts.named_root import named_data_root
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.errors import DataError, UsageError, nearest
from polypda.options import with_present_names
from polypda.plugins import plugins
from polypda.yaml_text import LOADER, YamlError, load_yaml

log = logging.getLogger(__name__)
_PACKAGE = Path(__file__).parent
# The wheel carries the manifests inside the package; a checkout keeps them at its top.
MANIFEST_FOLDERS = (_PACKAGE / "manifests", _PACKAGE.parents[1] / "cohorts")
FILE_NAME = "manifest.yaml"
COHORT_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@cache
def shipped_catalogue() -> dict[str, Manifest]:
    """The installation's manifests by id, sorted naturally. The result is shared: do not change it.

    Raises: DataError E_CATALOGUE_ABSENT when the installation carries no manifests; E_MANIFEST… for a wrong one;
        UsageError E_PLUGIN where a package adds an id that is here already.
    """
    folder = next((folder for folder in MANIFEST_FOLDERS if any(folder.glob("*.yaml"))), None)
    if folder is None:
        raise DataError(
            "E_CATALOGUE_ABSENT", "this installation carries no cohort manifests.", fix="install polypda again."
        )
    found: dict[str, Manifest] = {}
    for described in map(read_manifest, (*_files_in(folder), *_added_files())):
        if described.id in found:
            raise UsageError(
                "E_PLUGIN",
                f"an installed package adds the cohort '{described.id}', which is known already.",
                fix="rename it in that package, or uninstall the package.",
            )
        found[described.id] = described
    return _sorted(list(found.values()))


def _added_files() -> list[Path]:
    """The manifests of other packages: of each Python package or folder that an entry point names."""
    named = plugins("polypda.cohorts", ModuleType, Path)
    folders = [one if isinstance(one, Path) else Path(next(iter(one.__path__))) for one in named]
    return [path for folder in folders for path in _files_in(folder)]


def _files_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def load_catalogue(data_root: Path | None = None) -> dict[str, Manifest]:
    """All manifests by id, sorted naturally: the installation's and those of the data root (given, else named).

    A wrong manifest in the data root is logged and passed over; who asks for that cohort gets the error.
    Raises: as :func:`shipped_catalogue`.
    """
    found = dict(shipped_catalogue())
    for root in _roots(data_root):
        for path in sorted(root.glob(f"*/{FILE_NAME}")):
            try:
                if own := _in_root(root, path.parent.name):
                    found[own.id] = own
            except DataError as error:
                log.warning("%s is passed over: %s", path.parent.name, error)
    return _sorted(list(found.values()))


def manifest(cohort_id: str, data_root: Path | None = None) -> Manifest:
    """The manifest of one cohort: the data root's (given, else named), else the installation's.

    Of a sub-cohort, ``ID:MODE``, it is that of the whole.
    Raises: UsageError E_COHORT_UNKNOWN with the nearest id; DataError E_MANIFEST… for a wrong one in the data root.
    """
    cohort_id = whole_cohort(cohort_id)
    for root in reversed(_roots(data_root)):
        if own := _in_root(root, cohort_id):
            return own
    shipped = shipped_catalogue()
    if cohort_id not in shipped:
        what = f"no cohort is called '{cohort_id}'.{nearest(cohort_id.lower(), load_catalogue(data_root))}"
        fix = "`polypda cohorts list` shows all ids; `polypda cohorts import` makes a new one."
        raise UsageError("E_COHORT_UNKNOWN", what, fix=fix)
    return shipped[cohort_id]


def _roots(data_root: Path | None) -> list[Path]:
    """The roots that count, the one that goes before the others last."""
    return [root for root in (named_data_root(), data_root) if root is not None]


def _in_root(root: Path, cohort_id: str) -> Manifest | None:
    path = root / cohort_id / FILE_NAME
    if not COHORT_ID.fullmatch(cohort_id) or not path.is_file():
        return None
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, _changed_ns: int, _size: int) -> Manifest:
    return read_manifest(path, path.parent.name)


def _sorted(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {manifest.id: manifest for manifest in sorted(manifests, key=lambda manifest: natural_key(manifest.id))}


def manifest_hash(cohort_id: str) -> str:
    """SHA-256 (hex) of what a cohort's manifest says. Raises as :func:`manifest`."""
    return manifest(cohort_id).hash()


def shared_frames(one: str, other: str) -> Overlap | None:
    """What the manifests say about frames that two cohorts share; None when they name no overlap.

    Two modes of one cohort share none.
    """
    one, other = whole_cohort(one), whole_cohort(other)
    for here, there in ((one, other), (other, one)):
        for overlap in manifest(here).overlaps:
            if overlap.cohort == there:
                return overlap
    return None


class _UniqueKeys(LOADER):  # type: ignore[misc, valid-type]
    """YAML keeps the last of two equal keys silently; a manifest with such a pair says two things."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                what = f"key {str(key)[:60]!r} is no word"
                raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
            if key in seen:
                what = f"key '{key}' is written twice"
                raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_manifest(text: str, *, where: str) -> Manifest:
    """Read a manifest from YAML text.

    Raises: DataError E_MANIFEST_YAML (no valid YAML), E_MANIFEST_KEY (unknown key, with the nearest one),
        E_MANIFEST (a value that the schema refuses).
    """
    try:
        content = load_yaml(text, _UniqueKeys)
    except YamlError as error:
        raise DataError("E_MANIFEST_YAML", f"{error}.", where=where, fix="correct the YAML.") from error
    if not isinstance(content, dict):
        what = "the file holds no mapping of keys."
        raise DataError("E_MANIFEST_YAML", what, where=where, fix="write key: value lines.")
    try:
        return Manifest.model_validate(with_present_names(content))
    except ValidationError as error:
        raise _manifest_error(error, where) from error
    except (TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        what = f"a value is of a kind that no manifest has ({type(error).__name__})."
        raise DataError("E_MANIFEST", what, where=where, fix="look at another cohort's manifest.") from error


def read_manifest(path: Path, name: str | None = None) -> Manifest:
    """Read a manifest file; its id must be ``name``, by default the file's stem.

    Raises: as :func:`parse_manifest`; DataError E_MANIFEST_YAML where it is no text.
    """
    where = path.name if name is None else f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot be read ({error})."
        raise DataError("E_MANIFEST_YAML", what, where=where, fix="save it as UTF-8.") from error
    manifest = parse_manifest(text, where=where)
    if manifest.id != (name or path.stem):
        fix = f"call the file {manifest.id}.yaml." if name is None else f"write id: {name}, or rename the folder."
        raise DataError("E_MANIFEST", f"the id is '{manifest.id}'.", where=where, fix=fix)
    return manifest


def _manifest_error(error: ValidationError, where: str) -> DataError:
    problems = error.errors()
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location = ".".join(str(part)[:60] for part in first["loc"]) or "the whole"
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys_at(Manifest, first["loc"][:-1])
        hint = nearest(str(first["loc"][-1])[:60], known)
        fix = f"known keys there: {', '.join(sorted(known))}."
        return DataError("E_MANIFEST_KEY", f"unknown key '{location}'.{hint}{more}", where=where, fix=fix)
    fix = "correct the value; leave an unknown as null."
    return DataError("E_MANIFEST", f"{location}: {first['msg'][:300]}.{more}", where=where, fix=fix)


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the keys that the schema knows at a path of keys and list positions."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(iter(_models_in(field.annotation)), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in _models_in(argument)]
