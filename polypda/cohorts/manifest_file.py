"""Reading a cohort's manifest from YAML, with errors that name the key and the nearest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from polypda.cohorts.manifest import Manifest
from polypda.errors import DataError, nearest


class _UniqueKeys(yaml.SafeLoader):
    """YAML keeps the last of two equal keys silently; a manifest with such a pair says two things."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key}' is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_manifest(text: str, *, where: str) -> Manifest:
    """Read a manifest from YAML text.

    Raises: DataError E_MANIFEST_YAML (no valid YAML), E_MANIFEST_KEY (unknown key, with the nearest one),
        E_MANIFEST (a value that the schema refuses).
    """
    try:
        content = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise DataError(
            "E_MANIFEST_YAML", " ".join(str(error).split()) + ".", where=where, fix="correct the YAML."
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            "E_MANIFEST_YAML", "the file holds no mapping of keys.", where=where, fix="write key: value lines."
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise _manifest_error(error, where) from error


def read_manifest(path: Path, name: str | None = None) -> Manifest:
    """Read a manifest file; its id must be ``name``, by default the file's stem.

    Raises: as :func:`parse_manifest`; DataError E_MANIFEST_YAML where it is no text.
    """
    where = path.name if name is None else f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "E_MANIFEST_YAML", f"cannot be read ({error}).", where=where, fix="save it as UTF-8."
        ) from error
    manifest = parse_manifest(text, where=where)
    if manifest.id != (name or path.stem):
        fix = f"call the file {manifest.id}.yaml." if name is None else f"write id: {name}, or rename the folder."
        raise DataError("E_MANIFEST", f"the id is '{manifest.id}'.", where=where, fix=fix)
    return manifest


def _manifest_error(error: ValidationError, where: str) -> DataError:
    problems = error.errors()
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys_at(Manifest, first["loc"][:-1])
        hint = nearest(str(first["loc"][-1]), known)
        fix = f"known keys there: {', '.join(sorted(known))}."
        return DataError("E_MANIFEST_KEY", f"unknown key '{place}'.{hint}{more}", where=where, fix=fix)
    fix = "correct the value; leave an unknown as null."
    return DataError("E_MANIFEST", f"{place}: {first['msg']}.{more}", where=where, fix=fix)


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Names of the keys that the schema knows at ``place`` (a path of keys and list positions)."""
    for part in place:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(iter(_models_in(field.annotation)), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in _models_in(argument)]
