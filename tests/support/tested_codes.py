"""Which codes the tests hold the product to: asserted, matched by `pytest.raises`, or expected by a table that is.

A code that is only mentioned (in a docstring, as the input of a test, in an error that a test makes itself) is not.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CODE = re.compile(r"(?<![A-Z_])[EWN]_[A-Z0-9_]*[A-Z0-9]")
ALTERNATIVES = re.compile(r"(?<![A-Z_])([EWN]_[A-Z0-9_]*)\(([A-Z0-9_|]+)\)")
MADE_BY_THE_TEST = re.compile(
    r"\w*(Error|Interrupted|Finding|Remark|Ledgered|Fault)|leave_out|remark|write_\w+|explained"
)
"""Calls that are given a code, and do not say that it came."""
EXPECTING = ("raises", "warns")
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module, ast.Lambda)


def held_codes(tree: ast.Module) -> set[str]:
    """The codes that a module of tests expects."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = set()
    for node in ast.walk(tree):
        codes = codes_of(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()
        found |= codes if codes and _is_expected(node, parents, tree) else set()
    return found


def codes_of(text: str) -> set[str]:
    """The codes in a text, or in a pattern: E_ACCEPTED_(FILE|MASK) is two."""
    codes = set(CODE.findall(ALTERNATIVES.sub("", text)))
    for beginning, endings in ALTERNATIVES.findall(text):
        codes |= {beginning + ending for ending in endings.split("|")}
    return codes


def _is_expected(node: ast.AST, parents: dict[ast.AST, ast.AST], tree: ast.Module) -> bool:
    for child, parent in _upwards(node, parents):
        if isinstance(parent, ast.Call):
            name = _name(parent.func)
            if MADE_BY_THE_TEST.fullmatch(name):
                return False
            if name in EXPECTING:
                return True
            if name == "parametrize":
                return _parametrized(parent, parents)
        if isinstance(parent, ast.Assert | ast.Compare):
            return True
        if isinstance(parent, ast.For | ast.comprehension) and child is parent.iter:
            return _is_asserted(_read(parent.target), parent if isinstance(parent, ast.For) else parents[parent])
        if isinstance(parent, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            scope = next((one for _, one in _upwards(parent, parents) if isinstance(one, SCOPES)), tree)
            return any(_is_read(name, scope) for target in targets for name in _read(target))
        if isinstance(parent, ast.Yield | ast.Return):  # of a table, or of a helper whose answer is looked at
            return True
        if isinstance(parent, ast.FunctionDef | ast.Lambda):
            return False
    return False


def _upwards(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[tuple[ast.AST, ast.AST]]:
    while node in parents:
        yield node, parents[node]
        node = parents[node]


def _parametrized(call: ast.Call, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether the function under a table asserts something of one of the table's columns."""
    function = next((one for _, one in _upwards(call, parents) if isinstance(one, ast.FunctionDef)), None)
    columns = ",".join(one.value for one in ast.walk(call.args[0]) if isinstance(one, ast.Constant))
    return function is not None and _is_asserted({name.strip() for name in columns.split(",")}, function)


def _is_asserted(names: set[str], scope: ast.AST) -> bool:
    """Whether one of the names comes up where something is expected, or is handed to a function that refuses."""
    return any(
        names & _read(node)
        for node in ast.walk(scope)
        if isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and (_name(node.func) in EXPECTING or "refuse" in _name(node.func)))
    )


def _is_read(name: str, scope: ast.AST) -> bool:
    return any(
        isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load) and one.id == name for one in ast.walk(scope)
    )


def _read(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _name(function: ast.AST) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def held_in(folder: Path) -> set[str]:
    """The codes that the tests below a folder expect, and those of the documents that they compare byte by byte."""
    found = set()
    for path in folder.rglob("*.py"):
        found |= held_codes(ast.parse(path.read_text(encoding="utf-8")))
    for path in (folder / "fixtures" / "golden").rglob("*"):
        found |= codes_of(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else set()
    return found
