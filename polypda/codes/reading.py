"""What the source says of every code: message, remedy, what was being done, exit status. Read, never listed twice.

A code whose words are made while the program runs gets them in ``words.yaml``, its remedy in ``remedies.yaml``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from polypda import errors

PACKAGE = Path(errors.__file__).parent
CODE = re.compile(r"[EWN]_[A-Z0-9_]*[A-Z0-9]")
ENDING = re.compile(r"_[A-Z_]+")
ANY = "…"
"""Stands for what differs from case to case: a value in a message, the beginning of a code that a caller gives."""
LEVELS = {
    "E": "Errors",
    "W": "Warnings: nothing stops, but look",
    "N": "Notes: what was found",
    ANY: "Endings: how codes of files go on (E_IMAGE…, E_MASK…, E_PREDICTION…, E_FRAMES_CSV…, E_VIDEO…)",
}
_STATUS = {
    kind.__name__: kind.exit_status
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.PolypdaError)
}


@dataclass
class Told:
    """What the source says of a code. title: from words.yaml. doing: what the code that raises it does."""

    title: str = ""
    messages: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    doing: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)

    def add(self, found: Found, module: str) -> None:
        """Take in one place of the source that names the code."""
        pairs = (
            (self.messages, found.message),
            (self.remedies, found.remedy),
            (self.doing, found.doing),
            (self.statuses, found.status),
            (self.modules, module),
        )
        for known, one in pairs:
            if one and one not in known:
                known.append(one)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Found:
    """One place that names a code; what cannot be read from the source is empty."""

    code: str
    message: str
    remedy: str
    doing: str = ""
    status: int = 0


def codes_of_source() -> dict[str, Told]:
    """Every code of the package by its name, sorted."""
    known: dict[str, Told] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE.parent).as_posix()
        for found in codes_in(ast.parse(path.read_text(encoding="utf-8"))):
            known.setdefault(found.code, Told()).add(found, module)
    for code, words in {**_texts("reporting/pages/check_titles.yaml"), **_texts("codes/words.yaml")}.items():
        if code in known:
            known[code].title = words
    for code, words in _texts("codes/remedies.yaml").items():
        known[code].remedies.append(words)
    return dict(sorted(known.items()))


def _texts(file: str) -> dict[str, str]:
    return yaml.safe_load((PACKAGE / file).read_text(encoding="utf-8"))


def codes_in(tree: ast.Module) -> Iterator[Found]:
    """Every place of a module that names a code."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr) or not (code := _code(node)):
            continue
        holder = parents.get(node)
        while isinstance(holder, ast.IfExp):
            holder = parents.get(holder)
        status = 0
        if isinstance(holder, ast.Call):
            values, keywords = holder.args, {one.arg: one.value for one in holder.keywords}
            status = _STATUS.get(holder.func.id, 0) if isinstance(holder.func, ast.Name) else 0
        elif isinstance(holder, ast.Tuple):
            values, keywords = holder.elts, {}
        else:
            values, keywords = [], {}
        scope = _scope(node, parents, tree)
        place = next((index for index, value in enumerate(values) if node in ast.walk(value)), -1)
        follows = values[place + 1] if 0 <= place < len(values) - 1 else None
        message = _text(follows, scope, node.lineno)
        remedy = _text(keywords.get("fix"), scope, node.lineno)
        yield Found(code, message if " " in message else "", remedy, _doing(scope, tree), status)


def _code(node: ast.AST) -> str:
    """The code that an expression is; `…_ENDING` where its beginning is told by the caller."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        return node.value
    if isinstance(node, ast.JoinedStr) and len(node.values) == 2:
        ending = node.values[1]
        if isinstance(ending, ast.Constant) and isinstance(ending.value, str) and ENDING.fullmatch(ending.value):
            return ANY + ending.value
    return ""


def _scope(node: ast.AST, parents: dict[ast.AST, ast.AST], tree: ast.Module) -> ast.AST:
    while node in parents and not isinstance(node, ast.FunctionDef):
        node = parents[node]
    return node if isinstance(node, ast.FunctionDef) else tree


def _doing(scope: ast.AST, tree: ast.Module) -> str:
    """The first sentence of the docstring of a function, else of its module."""
    for one in (scope, tree):
        text = ast.get_docstring(one) if isinstance(one, ast.FunctionDef | ast.Module) else None
        if text and not text.startswith(("Raises:", "As ")):
            sentence = re.split(r"(?<=[.:;])\s", " ".join(text.split("\n\n")[0].split()))[0]
            return re.sub(r":[a-z]+:`~?([^`]*)`", r"`\1`", sentence).replace("``", "`").rstrip(".:;")
    return ""


def _text(node: ast.AST | None, scope: ast.AST, line: int) -> str:
    """The text of an expression with … for what is known only when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, scope, line) or ANY for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_text(node.left, scope, line) or ANY) + (_text(node.right, scope, line) or ANY)
    if isinstance(node, ast.IfExp):
        return " | ".join(filter(None, (_text(part, scope, line) for part in (node.body, node.orelse))))
    if isinstance(node, ast.Name):
        return _assigned(node.id, scope, line)
    return ""


def _assigned(name: str, scope: ast.AST, line: int) -> str:
    """The text that was last given to a name above a line of its function."""
    for node in sorted(ast.walk(scope), key=lambda one: -getattr(one, "lineno", 0)):
        if not (isinstance(node, ast.Assign) and node.lineno <= line):
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        for one, given in pairs:
            if isinstance(one, ast.Name) and one.id == name:
                return _text(given, ast.Module([], []), line)
    return ""
