"""Text cells as a LaTeX table by booktabs: escaped, over as many pages as it needs, with its facts in the caption."""

from __future__ import annotations

import pandas as pd

from polypda.evaluation.aggregation.table_facts import TEXT_HEADS

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "−": r"$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "∞": r"$\infty$",
    "†": r"\dag{}",
    "τ": r"$\tau$",
    "λ": r"$\lambda$",
    "\u00a0": "~",
    "\n": " ",
}
BOLD_START, BOLD_END = "\x02", "\x03"
"""Stand around text that shall be bold until it is escaped; control characters, so no cell can hold them by itself."""
PREAMBLE = "% Needs \\usepackage{booktabs,longtable} (and an engine that reads UTF-8)."


def bold(text: str) -> str:
    """Mark a cell for bold type."""
    return f"{BOLD_START}{text}{BOLD_END}"


def escaped(text: str) -> str:
    """Text as LaTeX shows it literally; marks of :func:`bold` become \\textbf."""
    plain = "".join(SPECIAL.get(letter, letter) for letter in str(text))
    # At the start of a row "[" and "*" would be read as belonging to the \\ before it.
    plain = "{" + plain[0] + "}" + plain[1:] if plain.startswith(("[", "*")) else plain
    return plain.replace(BOLD_START, r"\textbf{").replace(BOLD_END, "}")


def latex_table(cells: pd.DataFrame, *, caption: str, label: str, banner: str = "", group: str | None = None) -> str:
    """A longtable of text cells.

    Args:
        cells: at least one row and column; columns of words (TEXT_HEADS) to the left, all others to the right.
        caption, banner: plain text; the banner comes first, in bold, and as a comment at the top of the file.
        label: letters, digits, "-" and ":" only.
        group: column at whose changes a thin rule separates the rows.
    """
    columns = "".join("l" if str(name) in TEXT_HEADS else "r" for name in cells.columns)
    head = " & ".join(escaped(str(name)) for name in cells.columns) + r" \\"
    told = (rf"\textbf{{{escaped(banner)}.}} " if banner else "") + escaped(caption)
    lines = [
        PREAMBLE,
        *([f"% {banner}."] if banner else []),
        r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\textwidth}",
        rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{told}}}\label{{{label}}}\\",
        r"\toprule",
        head,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        head,
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *_rows(cells, group),
        r"\end{longtable}",
        r"\endgroup",
    ]
    return "\n".join(lines) + "\n"


def _rows(cells: pd.DataFrame, group: str | None) -> list[str]:
    lines: list[str] = []
    groups = list(cells[group]) if group else [None] * len(cells)
    for place, row in enumerate(cells.itertuples(index=False)):
        if place and groups[place] != groups[place - 1]:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(escaped(str(cell)) for cell in row) + r" \\")
    return lines
