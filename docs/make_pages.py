"""Writes the pages that come out of the source: the API, every code, equations, formats, examples.

python docs/make_pages.py
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path

import yaml

import polypda
from polypda import metrics
from polypda.importing.readers import annotated
from polypda.importing.registry import READERS
from polypda.methods.registry import METHODS, TERMS

DOCS = Path(__file__).parent
PACKAGE = Path(polypda.__file__).parent
CODE = re.compile(r"[EWN]_[A-Z0-9_]*[A-Z0-9]")
ENDING = re.compile(r"_[A-Z_]+")
HEADINGS = {
    "E": "Errors",
    "W": "Warnings: nothing stops, but look",
    "N": "Notes: what was found",
    "…": "Endings: how codes of files go on (E_IMAGE…, E_MASK…, E_PREDICTION…, E_FRAMES_CSV…, E_VIDEO…)",
}
MADE = "<!-- Written by `python docs/make_pages.py` from the source: change it there. -->\n\n"


@dataclass
class Told:
    """What the source says of a code."""

    messages: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)

    def add(self, message: str, remedy: str, module: str) -> None:
        for known, one in ((self.messages, message), (self.remedies, remedy), (self.modules, module)):
            if one and one not in known:
                known.append(one)


def errors_page() -> str:
    """Every code with its message, its remedy and the modules that raise it."""
    found: dict[str, Told] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE.parent).as_posix()
        for code, message, remedy in _codes(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(code, Told()).add(message, remedy, module)
    titles = {
        **yaml.safe_load((PACKAGE / "reporting/pages/check_titles.yaml").read_text(encoding="utf-8")),
        **yaml.safe_load((DOCS / "code_words.yaml").read_text(encoding="utf-8")),
    }
    parts = [
        MADE + "# Every code\n\n"
        "A message prints as `CODE where: what happened. Fix: remedy`. Exit status: 2 wrong usage, 3 data, 4 a result "
        "that must not be trusted (leakage), 130 interrupted (143 by SIGTERM, 129 by a closed terminal). "
        "`polypda --debug …` shows a traceback. "
        "`…` stands for what differs from case to case.\n"
    ]
    for letter, heading in HEADINGS.items():
        parts.append(f"\n## {heading}\n")
        parts += [_entry(code, told, titles.get(code, "")) for code, told in sorted(found.items()) if code[0] == letter]
    return "".join(parts)


def _entry(code: str, told: Told, title: str) -> str:
    lines = [f"\n### `{code}`\n"]
    lines += [f"\n*{title}*\n"] if title else []
    lines += ["\n" + "".join(f"- {_plain(message)}\n" for message in told.messages)] if told.messages else []
    if told.remedies:
        lines.append("\nFix: " + " / ".join(map(_plain, told.remedies)) + "\n")
    lines.append("\nFrom " + ", ".join(f"`{module}`" for module in told.modules) + "\n")
    return "".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it stands; what stands between backticks stays code."""
    parts = re.sub("…{2,}", "…", " ".join(text.split())).split("`")
    return "`".join(
        part if number % 2 else re.sub(r"([\\*_<>\[\]|#])", r"\\\1", part) for number, part in enumerate(parts)
    )


def _codes(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """(code, message, remedy) of every place that names a code; what cannot be read from the source is empty."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        code = _code(node)
        if not code:
            continue
        holder = parents.get(node)
        while isinstance(holder, ast.IfExp):
            holder = parents.get(holder)
        if isinstance(holder, ast.Call):
            values, keywords = holder.args, {one.arg: one.value for one in holder.keywords}
        elif isinstance(holder, ast.Tuple):
            values, keywords = holder.elts, {}
        else:
            values, keywords = [], {}
        scope = _scope(node, parents, tree)
        place = next((index for index, value in enumerate(values) if node in ast.walk(value)), -1)
        follows = values[place + 1] if 0 <= place < len(values) - 1 else None
        message = _text(follows, scope, node.lineno)
        yield code, message if " " in message else "", _text(keywords.get("fix"), scope, node.lineno)


def _code(node: ast.AST) -> str:
    """The code that an expression is; `…_ENDING` where its beginning is told by the caller."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        return node.value
    if isinstance(node, ast.JoinedStr) and len(node.values) == 2:
        ending = node.values[1]
        if isinstance(ending, ast.Constant) and ENDING.fullmatch(str(ending.value)):
            return f"…{ending.value}"
    return ""


def _scope(node: ast.AST, parents: dict[ast.AST, ast.AST], tree: ast.Module) -> ast.AST:
    while node in parents and not isinstance(node, ast.FunctionDef):
        node = parents[node]
    return node if isinstance(node, ast.FunctionDef) else tree


def _text(node: ast.AST | None, scope: ast.AST, line: int) -> str:
    """The text of an expression with … for what is known only when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, scope, line) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_text(node.left, scope, line) or "…") + (_text(node.right, scope, line) or "…")
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


def api_page() -> str:
    """What `import polypda` offers, with its docstrings."""
    names = sorted(polypda.__all__, key=lambda name: (not inspect.isfunction(getattr(polypda, name)), name.lower()))
    parts = [MADE + "# Python API\n\n" + _body(polypda)]
    for name in names:
        if name != "metrics":
            parts.append(_described(name, getattr(polypda, name), 2))
    parts.append(f"\n## `polypda.metrics`\n\n{_body(metrics)}")
    parts += [_described(f"metrics.{name}", getattr(metrics, name), 3) for name in metrics.__all__]
    return "".join(parts)


def _described(name: str, value: object, level: int) -> str:
    head = f"\n{'#' * level} `{name}`\n\n"
    if not inspect.isclass(value):
        return f"{head}```text\n{_signature(name, value)}\n```\n\n{_body(value)}"
    made = f"```text\n{_signature(name, value)}\n```\n\n" if is_dataclass(value) else ""
    parts = [head + made + _body(value)]
    for method, found in vars(value).items():
        documented = inspect.isfunction(found) or isinstance(found, (property, classmethod))
        if not method.startswith("_") and documented and inspect.getdoc(found):
            plain = found.__func__ if isinstance(found, classmethod) else found
            shown = "" if isinstance(found, property) else f"```text\n{_signature(method, plain)}\n```\n\n"
            parts.append(f"\n{'#' * (level + 1)} `{name}.{method}`\n\n{shown}{_body(found)}")
    return "".join(parts)


def _signature(name: str, value: object) -> str:
    """As it is written in the source, a line for each parameter where it is long."""
    signature = inspect.signature(value)  # type: ignore[arg-type]
    answer = signature.return_annotation
    answers = "" if answer in (signature.empty, None, "None") or inspect.isclass(value) else f" -> {answer}"
    lines = _parameter_lines(signature)
    text = f"{name}({', '.join(lines)}){answers}"
    return text if len(text) <= 100 else "\n".join([f"{name}(", *(f"    {line}," for line in lines), f"){answers}"])


def _parameter_lines(signature: inspect.Signature) -> list[str]:
    lines, starred = [], False
    for one in signature.parameters.values():
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not starred:
            lines.append("*")
            starred = True
        starred = starred or one.kind is one.VAR_POSITIONAL
        kind = "" if one.annotation is one.empty else f": {one.annotation}"
        default = "" if one.default is one.empty else f"{' = ' if kind else '='}{one.default!r}"
        lines.append({one.VAR_KEYWORD: "**", one.VAR_POSITIONAL: "*"}.get(one.kind, "") + one.name + kind + default)
    return lines


def _prose(value: object) -> str:
    """A docstring whose equations are indented and whose lists begin with a star: Markdown as it stands."""
    return re.sub(r":[a-z]+:`~?([^`]*)`", r"`\1`", inspect.getdoc(value) or "").replace("``", "`")


def _body(value: object) -> str:
    """A docstring as Markdown: examples and lists of arguments are set apart."""
    text = _prose(value)
    out: list[str] = []
    example = False
    for line in text.splitlines():
        starts = line.startswith(">>>")
        if starts and not example:
            out += ["", "```python"]
        if example and not line.strip():
            out.append("```")
        example = (example or starts) and bool(line.strip())
        if example:
            out.append(line)
            continue
        heading = re.match(r"(Args|Returns|Raises):\s*(.*)", line)
        if heading:
            out += ["", f"**{heading[1]}** {heading[2]}".rstrip()]
            out += [""] if not heading[2] else []
        elif re.match(r" {4}[a-z]\S*.*?(:|  )", line):
            out.append("- " + line.strip())
        else:
            out.append(("    " if line.startswith("        ") else "") + line.strip())
    return "\n".join([*out, "```"] if example else out).strip() + "\n"


def equations_page() -> str:
    """Each method with its paper and the equations of its file."""
    parts = [
        MADE + "# Equations\n\nWhat stands at the head of each method's file, to be read beside its paper. "
        "[What each was verified against](methods.md); `polypda methods NAME` lists the options.\n"
    ]
    files: dict[str, list[type]] = {}
    own = [kind for name, kind in METHODS.items() if name not in TERMS]  # a term by itself stands for source-only+TERM
    for kind in (*own, *TERMS.values()):
        files.setdefault(kind.__module__, []).append(kind)
    for module, kinds in files.items():
        names = ", ".join(f"`{kind.name}`" for kind in kinds)
        papers = "; ".join(dict.fromkeys(kind.paper for kind in kinds))
        text = _prose(inspect.getmodule(kinds[0]))
        parts.append(f"\n## {names}\n\n{papers}. File: `{module.replace('.', '/')}.py`\n\n{text}\n")
    return "".join(parts)


FORMATS = """# Formats

`polypda cohorts import SRC --as ID --out DATA` reads a folder, an archive or a file, which is never written to.
`--format auto` finds the format; `-O NAME=VALUE` gives what a format alone understands.

## An ordinary cohort folder

What an import writes, and what may as well be laid out by hand below a data root:

    DATA/haining/images/0001.png …    masks/0001.png …    boxes.csv    ignore/0001.png
    DATA/haining/frames.csv           (frame, patient, sequence, t_s, split, label_state, mode)
    DATA/haining/manifest.yaml        what is known of the cohort

Masks are of their image's size, 0 and 255. Pixels of `ignore/` count nowhere. A public release can also lie as it
was released, where its manifest describes the layout (`polypda cohorts show ID`).

## Beside images

With `folders`, label files beside the frames are read as well: YOLO texts, VOC XML, VIA as JSON or CSV, run-length
tables, masks as `.npy` or `.mat`, nnU-Net folders. Of others it tells. Tables (`.csv`, `.tsv`, `.txt`) tell
patient, sequence, time, split and label state under many common column names, English and Chinese.
"""


def formats_page() -> str:
    """What `cohorts import` reads: each format with its rules and its options."""
    parts = [MADE + FORMATS]
    for name, reader in READERS.items():
        home = inspect.getmodule(reader)
        parts.append(f"\n## `{name}`\n\n{reader.title[:1].upper()}{reader.title[1:]}.\n")
        shared = sum(inspect.getmodule(one) is home for one in READERS.values()) > 1
        parts.append(f"\n{_prose(reader if shared else home)}\n")
        own = {one: annotated.OPTIONS[one] for one in getattr(reader, "known_options", ())}
        options = own or getattr(home, "OPTIONS", {})
        parts += [f"\n- `-O {option}=…` {_plain(words)}" for option, words in options.items()]
        parts.append("\n" if options else "")
    return "".join(parts)


def examples_page() -> str:
    """The scripts of docs/examples as they stand."""
    parts = [MADE + "# Examples\n\nScripts that a test runs; each needs a minute at most on its own.\n"]
    for path in sorted((DOCS / "examples").glob("*.py")):
        text = path.read_text(encoding="utf-8").rstrip()
        parts.append(f"\n## {path.stem.replace('_', ' ').capitalize()}\n\n`docs/examples/{path.name}`\n")
        parts.append(f"\n```python\n{text}\n```\n")
    return "".join(parts)


PAGES = {
    "api.md": api_page,
    "errors.md": errors_page,
    "equations.md": equations_page,
    "examples.md": examples_page,
    "formats.md": formats_page,
}

if __name__ == "__main__":
    for page, made in PAGES.items():
        (DOCS / page).write_text(made(), encoding="utf-8")
