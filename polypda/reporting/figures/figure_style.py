"""What all figures share: colours, type, panels laid out in inches, and writing them as SVG and PNG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import yaml
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.files import write_whole

# Okabe and Ito's colours: told apart by all common kinds of colour vision, and by lightness in print.
BEFORE, AFTER, WORSE, BETTER = "#E69F00", "#56B4E9", "#D55E00", "#0072B2"
SAME, INK, SOFT_INK, RULE = "#9A9A9A", "#222222", "#555555", "#E4E4E4"
CHANGES = ((BETTER, "better"), (WORSE, "worse"), (SAME, "about the same"), (INK, "mean"))
"""Colours of paired values and what they mean, for legends."""
BANNER_PAPER = "#FFD666"
DPI = 160
BANNER_IN = 0.36
"""Kept free at the top of a figure of rendered frames."""


def power_of_ten(value: float, _index: int = 0) -> str:
    """ "10²" of 100, for the ticks of logarithmic axes; "1" of 1; nothing of what is no power."""
    exponent = math.log10(value) if value > 0 else math.nan
    if math.isnan(exponent) or abs(exponent - round(exponent)) > 1e-9:
        return ""
    digits = str(round(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if round(exponent) == 0 else f"10{digits}"


STYLE: Any = {  # matplotlib types its keys as one long literal
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titley": 1.0,  # titles need not be moved out of anything's way: looking for it costs a fifth of the time
    "svg.fonttype": "path",  # the page needs no font of the reader's machine
    "text.parse_math": False,  # a centre's name may hold "$"
    "svg.hashsalt": "polypda",  # the same cases give the same file
}

REFERENCE_LINE: dict[str, Any] = {"color": INK, "linewidth": 2.4, "linestyle": "-"}
"""How source-only is drawn wherever models share a panel."""
MODEL_LINES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linewidth": 1.7, "linestyle": (0, (6, 1.5))},
    {"color": "#D55E00", "linewidth": 1.7, "linestyle": (0, (1.2, 1.2))},
    {"color": "#009E73", "linewidth": 1.7, "linestyle": (0, (6, 1.5, 1.2, 1.5))},
    {"color": "#CC79A7", "linewidth": 1.7, "linestyle": "-"},
)
"""Told apart by dash as well as by colour; more models than these go into further panels."""
MODEL_MARKERS = ("o", "^", "D", "v")


@dataclass(frozen=True)
class ReportFigure:
    """A figure on disk. caption says what is seen; all files show the same.

    narrow: the same drawing laid out for a page of a phone's width, for the page only; None: there is none.
    """

    title: str
    caption: str
    png: Path
    svg: Path
    narrow: Path | None = None


@dataclass(frozen=True)
class Layout:
    """The room that a drawing has. width_in: of the whole figure, in inches."""

    width_in: float

    @property
    def is_narrow(self) -> bool:
        return self.width_in < NARROW_BELOW_IN


LONG_DECIMALS = re.compile(rb"(\b[1-9]\d*\.\d{2})\d+")
"""A hundredth of a point cannot be seen, and matplotlib's six digits are a third of the file. Not below 1: scales."""
LEAST_WIDTH_IN = 3.9
"""Room for the banner and a legend, however few panels there are."""
NARROW_FOLDER = "narrow"
NARROW_BELOW_IN = 5.0
WIDE, NARROW = Layout(9.4), Layout(4.1)


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn at any width. name: its files' stem.

    for_small_pages: also laid out for a phone; with hundreds of panels that is not worth its time.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Layout], Figure]
    for_small_pages: bool = True


def described(page: str, name: str, **facts: Any) -> tuple[str, str]:
    """Title and caption of a figure, from captions.yaml. facts: what its caption names."""
    texts = _captions()[page][name]
    return texts["title"], texts["caption"].format(**facts)


@cache
def _captions() -> dict[str, dict[str, dict[str, str]]]:
    return yaml.safe_load(Path(__file__).with_name("captions.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class PanelSize:
    """Inches. width, height: of one panel's plotting area at least, at most ``stretch`` times as wide.

    left, right, above, below: beside each panel for its labels. first_left: room left of the first column only,
    for labels that are not repeated.
    """

    width: float
    height: float
    left: float = 0.2
    right: float = 0.15
    above: float = 0.5
    below: float = 0.5
    first_left: float = 0.45
    stretch: float = 1.5


@dataclass(frozen=True)
class PanelGrid:
    """A figure of equal panels. axes: in reading order. first: whether a panel begins its row."""

    figure: Figure
    axes: list[Axes]
    first: list[bool]

    def label_y(self, label: str, size: float = 8.5) -> None:
        """Label the vertical axis of the panels that begin a row; the others share its ticks."""
        for axis, first in zip(self.axes, self.first, strict=True):
            if first:
                axis.set_ylabel(label, fontsize=size)
            else:
                axis.tick_params(axis="y", labelleft=False, length=0)


def panel_grid(
    count: int, size: PanelSize, layout: Layout, *, phantom: bool, foot_in: float = 0.0, group: int = 0
) -> PanelGrid:
    """Lay out ``count`` equal panels in rows that fill the width; ``foot_in`` inches are kept free at the bottom.

    group: this many panels belong together: a row holds whole groups, or a group fills its own rows evenly; 0: none.

    A panel that is wider than the layout makes the figure wider: nothing is squeezed until it cannot be read.
    Positions are computed in inches: quick with many panels, and the same at every number of them.
    """
    room = layout.width_in - size.first_left
    columns = max(1, min(count, int(room / (size.left + size.width + size.right))))
    columns, cells = _cells(count, columns, group)
    rows = cells[-1][0] + 1
    filled = room / columns - size.left - size.right
    width = max(size.width, min(filled, size.width * size.stretch))
    head = BANNER_IN if phantom else 0.08
    cell_height = size.above + size.height + size.below
    needed = size.first_left + columns * (size.left + width + size.right)
    total = (max(needed, LEAST_WIDTH_IN), head + rows * cell_height + foot_in)
    figure = empty_figure(total[0], total[1], phantom=phantom)
    axes = []
    for row, column in cells:
        left = size.first_left + column * (size.left + width + size.right) + size.left
        bottom = total[1] - head - (row + 1) * cell_height + size.below
        axes.append(
            figure.add_axes((left / total[0], bottom / total[1], width / total[0], size.height / total[1]))
        )  # fmt: skip
    return PanelGrid(figure, axes, [column == 0 for _, column in cells])


def _cells(count: int, columns: int, group: int) -> tuple[int, list[tuple[int, int]]]:
    """How many columns are used, and row and column of each panel."""
    if not group or group <= columns:
        columns = columns // group * group if group else columns
        return columns, [divmod(index, columns) for index in range(count)]
    rows_per_group = -(-group // columns)
    columns = -(-group // rows_per_group)
    numbers = [divmod(index, group) for index in range(count)]
    return columns, [(block * rows_per_group + number // columns, number % columns) for block, number in numbers]


def titled(
    size: PanelSize, pairs: Sequence[tuple[str, str]], letter_in: float, line_in: float
) -> tuple[PanelSize, list[str]]:
    """The titles "source → target" of panels, on two lines where one would be too wide, and the size that has room.

    letter_in, line_in: mean width of a letter and height of a line, inches.
    """
    size = replace(size, width=max(size.width, *(len(name) * letter_in for pair in pairs for name in pair)))
    fitting = [len(f"{source} → {target}") * letter_in <= size.width for source, target in pairs]
    titles = [f"{one} →" + (" " if fits else "\n") + other for (one, other), fits in zip(pairs, fitting, strict=True)]
    return size if all(fitting) else replace(size, above=size.above + line_in), titles


def empty_figure(width_in: float, height_in: float, *, phantom: bool) -> Figure:
    """A figure without panels; rendered frames carry their banner at its top."""
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    if phantom:
        figure.text(
            0.5, 1 - 0.12 / height_in, PHANTOM_BANNER, ha="center", va="top", fontsize=9, backgroundcolor=BANNER_PAPER
        )  # fmt: skip
    return figure


def write_drawings(drawings: Iterable[Drawing], folder: Path) -> list[ReportFigure]:
    """Write each as NAME.svg and NAME.png, and as narrow/NAME.svg for small pages.

    Raises: DataError E_WRITE_FAILED.
    """
    (folder / NARROW_FOLDER).mkdir()
    return [_written(drawing, folder) for drawing in drawings]


def _written(drawing: Drawing, folder: Path) -> ReportFigure:
    png, svg = folder / f"{drawing.name}.png", folder / f"{drawing.name}.svg"
    with mpl.rc_context(STYLE):
        figure = drawing.draw(WIDE)
        write_whole(png, rendered(figure, "png"))
        write_whole(svg, rendered(figure, "svg"))
        narrow = None
        if drawing.for_small_pages:
            narrow = folder / NARROW_FOLDER / svg.name
            write_whole(narrow, rendered(drawing.draw(NARROW), "svg"))
    return ReportFigure(drawing.title, drawing.caption, png, svg, narrow)


def rendered(figure: Figure, kind: str) -> bytes:
    """The file of a figure, "png" or "svg"; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue() if kind != "svg" else LONG_DECIMALS.sub(rb"\1", buffer.getvalue())
