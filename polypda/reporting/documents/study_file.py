"""Reading study.yaml, with errors that name the key and the nearest one; writing an empty one with its comments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from polypda.errors import DataError, nearest
from polypda.reporting.documents.study import NOT_REPORTED, CohortStudy, Study

TEMPLATE_HINT = "`polypda report --study-template` prints all keys."


class _TextAsWritten(yaml.BaseLoader):
    """Every value stays the text that was written: approval number 0123 is no octal number, 2023-05 no date."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
            if key in seen:
                problem = f"key '{key}' is written twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises: DataError E_STUDY_MISSING, E_STUDY_UNREADABLE; as :func:`parse_study`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        fix = "check the path; `polypda report --study-template` prints an empty study file."
        raise DataError("E_STUDY_MISSING", "no such file.", where=path, fix=fix) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        fix = "save it as a UTF-8 text file that you may read."
        raise DataError("E_STUDY_UNREADABLE", f"cannot be read ({reason}).", where=path, fix=fix) from error
    return parse_study(text, where=path.name)


def parse_study(text: str, *, where: str = "study.yaml") -> Study:
    """Read a study from YAML text; empty text is a study that says nothing.

    Raises: DataError E_STUDY_YAML (no valid YAML), E_STUDY_KEY (unknown key, with the nearest one),
        E_STUDY_VALUE (a value that the schema refuses).
    """
    try:
        content = yaml.load(text, Loader=_TextAsWritten)
    except yaml.YAMLError as error:
        fix = "correct the YAML; a text that holds ': ' or begins with a sign goes into quotes."
        raise DataError("E_STUDY_YAML", " ".join(str(error).split()) + ".", where=where, fix=fix) from error
    if content is None or content == "":
        return Study()
    if not isinstance(content, dict):
        raise DataError("E_STUDY_YAML", "the file holds no mapping of keys.", where=where, fix=TEMPLATE_HINT)
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise _study_error(error, where) from error


def require_known_cohorts(study: Study, known: Collection[str], *, where: str = "study.yaml") -> None:
    """Refuse blocks of cohorts that nobody knows: a misspelt id would leave a centre's facts unprinted.

    Args:
        known: ids of the catalogue and of the report at hand.

    Raises: DataError E_STUDY_COHORT.
    """
    strangers = [cohort for cohort in study.cohorts if cohort not in known]
    if strangers:
        raise DataError(
            "E_STUDY_COHORT",
            f"no cohort is called '{strangers[0]}'.{nearest(strangers[0], known)}",
            where=where,
            fix="`polypda cohorts list` shows all ids.",
        )


def _study_error(error: ValidationError, where: str) -> DataError:
    problems = error.errors()
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    location = first["loc"]
    dotted = ".".join(map(str, location))
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _section_at(location[:-1]).model_fields
        hint = nearest(str(location[-1]), known) or _section_that_knows(str(location[-1]))
        what = f"unknown key '{dotted}'.{hint}{more}"
        return DataError("E_STUDY_KEY", what, where=where, fix=f"known keys there: {', '.join(known)}.")
    what = f"{dotted}: {_in_words(first['type'], first['msg'])}.{more}"
    return DataError("E_STUDY_VALUE", what, where=where, fix=f"correct it, or leave it empty. {TEMPLATE_HINT}")


def _section_that_knows(key: str) -> str:
    """Says which section holds a key that stands in the wrong one; empty when none does."""
    sections = [name for name in Study.model_fields if key in _section_of(name).model_fields]
    return f" It belongs into the section {' or '.join(sections)}." if sections else ""


def _in_words(kind: str, message: str) -> str:
    if kind == "string_type":
        return "should be text, not a list or a block of keys"
    if kind in ("model_type", "dict_type"):
        return "should be a block of keys"
    return message[:1].lower() + message[1:]


def _section_at(location: Sequence[int | str]) -> type[BaseModel]:
    """The section whose keys stand at a place such as ("cohorts", "haining")."""
    if not location:
        return Study
    return _section_of(str(location[0]))


def _section_of(name: str) -> type[BaseModel]:
    if name == "cohorts":
        return CohortStudy
    annotation = Study.model_fields[name].annotation
    found = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next(kind for kind in found if issubclass(kind, BaseModel))


def study_template(cohorts: Sequence[str] = ()) -> str:
    """An empty study file with a comment above every key; read back, it says nothing.

    Args:
        cohorts: ids that get a block of their own; without any, one block is shown as a comment.
    """
    lines = [
        "# What only people can say about a study. Every entry is optional; what stays empty is printed as",
        f"# {NOT_REPORTED} in model_card.md and checklist.md. Text may go over several lines if each is indented;",
        "# a text that holds ': ' or begins with a sign goes into quotes.",
    ]
    for name, field in Study.model_fields.items():
        lines += ["", f"# {field.description}", f"{name}:"]
        if name != "cohorts":
            lines += _keys(_section_of(name), "  ")
            continue
        lines += [line for cohort in cohorts for line in (f"  {cohort}:", *_keys(CohortStudy, "    "))]
        if not cohorts:
            lines += [f"  # {line}" for line in ("zju2:", *_keys(CohortStudy, "  "))]
    return "\n".join(lines) + "\n"


def _keys(section: type[BaseModel], indent: str) -> list[str]:
    lines = []
    for name, field in section.model_fields.items():
        lines += [f"{indent}# {line}" for line in wrap(field.description or "", 110)]
        lines.append(f"{indent}{name}:")
    return lines
