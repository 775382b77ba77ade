"""A table as text cells, and the three forms in which it is written: Markdown, LaTeX and (by a template) HTML."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from polypda.reporting.wording import NOT_KNOWN

STRONG_START, STRONG_END = "\x02", "\x03"
"""Stand around text that shall be bold until a form is chosen; control characters, so no cell can hold them."""
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "−": r"$-$", "–": "--",
    "→": r"$\rightarrow$", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$", "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$", "∞": r"$\infty$", "†": r"\dag{}", "τ": r"$\tau$", "λ": r"$\lambda$", "\u00a0": "~", "\n": " ",
    STRONG_START: r"\textbf{", STRONG_END: "}",
}  # fmt: skip
PREAMBLE = "% Needs \\usepackage{booktabs,longtable} (and an engine that reads UTF-8)."
TAG = re.compile(r"<(?=[A-Za-z/!?])")


@dataclass(frozen=True)
class TextTable:
    """rows: text cells. left: how many columns, from the first on, are words: they read from the left, numbers from
    the right. tones: for the colour of each row, or none."""

    headings: list[str]
    rows: list[list[str]]
    left: int = 2
    tones: tuple[str, ...] = ()

    def tone(self, index: int) -> str:
        """ "" where no tone is given."""
        return self.tones[index] if self.tones else ""

    def without_empty_columns(self) -> TextTable:
        """Columns of numbers that hold only dashes left out."""
        filled = [
            index
            for index in range(len(self.headings))
            if index < self.left or any(row[index] not in ("", NOT_KNOWN) for row in self.rows)
        ]
        rows = [[row[index] for index in filled] for row in self.rows]
        return replace(self, headings=[self.headings[index] for index in filled], rows=rows)


def strong(text: str) -> str:
    """Mark a cell, or a part of it, for bold type."""
    return f"{STRONG_START}{text}{STRONG_END}"


def markdown_table(table: TextTable) -> str:
    """Markdown, padded so that a terminal shows the table as well as a browser; no tag in a cell comes to life."""
    grid = [[markdown_escaped(cell) for cell in row] for row in (table.headings, *table.rows)]
    return padded_markdown(grid, [index >= table.left for index in range(len(table.headings))])


def padded_markdown(grid: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A Markdown table of cells that are Markdown already, the headings first. right: columns set to the right."""
    # The rule below the headings is no rule without a dash, which stands before the colon of a column set to the right
    widths = [max(1 + right[index], *(_width(row[index]) for row in grid)) for index in range(len(right))]

    def line(row: Sequence[str]) -> str:
        padded = []
        for cell, width, flush in zip(row, widths, right, strict=True):
            rest = " " * (width - _width(cell))
            padded.append(rest + cell if flush else cell + rest)
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if flush else "-" * width for width, flush in zip(widths, right, strict=True)]
    return "\n".join([line(grid[0]), f"| {' | '.join(rule)} |", *map(line, grid[1:])])


def markdown_escaped(cell: str) -> str:
    """Text on one line, so that no tag, link or column in it comes to life; marks of :func:`strong` become ``**``."""
    text = TAG.sub(r"\\<", cell.replace("\\", "\\\\")).replace("|", "\\|").replace("\n", " ").replace("](", "]\\(")
    return text.replace(STRONG_START, "**").replace(STRONG_END, "**")


def _width(text: str) -> int:
    """Columns in a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def latex_escaped(text: str) -> str:
    """Text as LaTeX shows it literally; marks of :func:`strong` become \\textbf."""
    plain = "".join(LATEX.get(letter, letter) for letter in text)
    # At the start of a row "[" and "*" would be read as belonging to the \\ before it.
    return "{" + plain[0] + "}" + plain[1:] if plain.startswith(("[", "*")) else plain


def latex_table(table: TextTable, *, caption: str, label: str, banner: str = "", group: str = "") -> str:
    """A longtable by booktabs, over as many pages as it needs.

    Args:
        table: at least one row and column.
        caption, banner: plain text; the banner comes first, in bold, and as a comment at the top of the file.
        label: letters, digits, "-" and ":" only.
        group: heading of the column at whose changes a small space parts the rows; "" for none.
    """
    columns = "".join("l" if index < table.left else "r" for index in range(len(table.headings)))
    head = " & ".join(map(latex_escaped, table.headings)) + r" \\"
    text = (rf"\textbf{{{latex_escaped(banner)}.}} " if banner else "") + latex_escaped(caption)
    lines = [
        PREAMBLE,
        *([f"% {banner}."] if banner else []),
        r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\textwidth}",
        rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{text}}}\label{{{label}}}\\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        *(r"\bottomrule", r"\endfoot"),
        *_latex_rows(table, group),
        *(r"\end{longtable}", r"\endgroup"),
    ]
    return "\n".join(lines) + "\n"


def _latex_rows(table: TextTable, group: str) -> list[str]:
    lines: list[str] = []
    index = table.headings.index(group) if group else None
    for number, row in enumerate(table.rows):
        if index is not None and number and row[index] != table.rows[number - 1][index]:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(map(latex_escaped, row)) + r" \\")
    return lines
