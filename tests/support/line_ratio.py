"""How many lines of tests there are for each line of code, room by room."""

import ast
import io
import tokenize
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
TOP = "(top)"


class Room(NamedTuple):
    """A folder of the package and the tests' folder of that name."""

    name: str
    code: int
    tests: int

    @property
    def ratio(self) -> float:
        """Test lines per line of code."""
        return self.tests / self.code if self.code else float("inf")


def code_lines(text: str) -> int:
    """Lines that say something to Python: neither blank nor comment nor docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    used = {line for token in tokens if token.type not in SILENT for line in range(token.start[0], token.end[0] + 1)}
    return len(used - _docstring_lines(ast.parse(text)))


def _docstring_lines(tree: ast.AST) -> set[int]:
    """Lines of strings that stand alone: docstrings, and those below a constant."""
    alone = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    texts = [value for value in alone if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    return {line for value in texts for line in range(value.lineno, (value.end_lineno or value.lineno) + 1)}


def rooms(package: Path, tests: Path) -> list[Room]:
    """Every room of the package, by name; what lies beside the rooms is one of its own."""
    code, tested = _by_room(package), _by_room(tests)
    return [Room(name, code[name], tested.get(name, 0)) for name in sorted(code)]


def _by_room(folder: Path) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).parts
        counts[parts[0] if len(parts) > 1 else TOP] += code_lines(path.read_text(encoding="utf-8"))
    return dict(counts)
