"""Writes the pages that come out of the source: the API, every code, equations, formats, examples.

python docs/make_pages.py
"""

from __future__ import annotations

import inspect
import re
from dataclasses import is_dataclass
from pathlib import Path

import polypda
from polypda import metrics
from polypda.codes.index import FILE, index_text
from polypda.codes.reading import LEVELS, Told, codes_of_source
from polypda.importing.readers import annotated
from polypda.importing.registry import READERS
from polypda.methods.registry import METHODS, TERMS

DOCS = Path(__file__).parent
MADE = "<!-- Written by `python docs/make_pages.py` from the source: change it there. -->\n\n"


def errors_page() -> str:
    """Every code with its message, its remedy and the modules that raise it."""
    found = codes_of_source()
    parts = [
        MADE + "# Every code\n\n"
        "A message prints as `CODE where: what happened. Fix: remedy`. Exit status: 2 wrong usage, 3 data, 4 a result "
        "that must not be trusted (leakage), 130 interrupted (143 by SIGTERM, 129 by a closed terminal). "
        "`polypda --debug …` shows a traceback. "
        "`…` stands for what differs from case to case.\n"
    ]
    for letter, heading in LEVELS.items():
        parts.append(f"\n## {heading}\n")
        parts += [_entry(code, told) for code, told in found.items() if code[0] == letter]
    return "".join(parts)


def _entry(code: str, told: Told) -> str:
    lines = [f"\n### `{code}`\n"]
    lines += [f"\n*{told.title}*\n"] if told.title else []
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

From 50,000 frames on an import writes `frames.parquet` instead of `frames.csv`: the same columns, text but for `t_s`,
checked alike. It is read and written by pyarrow (`pip install 'polypda[large]'`); without it an import writes CSV, and
a Parquet table that lies there ends with a code. One of the two may lie in a folder, not both;
`python -c "import pandas; pandas.read_parquet('frames.parquet').to_csv('frames.csv', index=False)"` makes one of the
other. [How large cohorts may be](growth.md).

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
    FILE.write_text(index_text(codes_of_source()), encoding="utf-8")
