"""What every picture is drawn with, and the two forms it takes: part of a page, or files of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spt.reports.palette import LIGHT, with_variables
from spt.storage.files import write_bytes, write_text

# narrow enough that its words can be read on a phone, in inches
WIDTH = 4.6
DOTS_PER_INCH = 200
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spt",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": LIGHT["ink"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.edgecolor": LIGHT["other"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT["line"],
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "legend.frameon": False,
    "legend.fontsize": 9,
}
TIP = "tip:"
# stands where a label may be broken, and is never seen
BREAK = "\x1f"
_TIP = re.compile(rf'<g id="{TIP}([^"]*)">')
# what a page has no use for, or has rules of its own for
_SURPLUS = re.compile(
    r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>| id=\"[A-Za-z][A-Za-z0-9. ]*_\d+\""
    r"| font-family: [^;\"]*;?| transform=\"rotate\(-0 [^\"]*\"",
    re.S,
)
_COORDINATES = re.compile(r" (?:d|x|y)=\"[^\"]*\"")
_DECIMALS = re.compile(r"(\.\d\d)\d+")


@dataclass(frozen=True)
class Picture:
    """Hold a drawing, and the words that stand for it.

    Attributes:
        name: of its files, without an ending.
        figure: as drawn.
        caption: what it shows and how to read it, below it.
        description: what is to be seen on it, for those who do not see it.
        inline: whether it stands in the page; else a table there says the same, and it is for papers alone.
    """

    name: str
    figure: Figure
    caption: str
    description: str
    inline: bool = True

    @cached_property
    def svg(self) -> str:
        """Return the <svg> element that stands in the page."""
        return as_svg(self.figure, self.description)

    def save(self, folder: Path) -> None:
        """Write an SVG and a PNG file of its name, on white, into a folder that exists."""
        with rc_context(STYLE):
            text, image = StringIO(), BytesIO()
            self.figure.savefig(text, format="svg", facecolor=LIGHT["paper"], metadata={"Date": None})
            self.figure.savefig(image, format="png", facecolor=LIGHT["paper"], dpi=DOTS_PER_INCH)
        write_text(folder / f"{self.name}.svg", _TIP.sub(r"<g><title>\1</title>", text.getvalue()))
        write_bytes(folder / f"{self.name}.png", image.getvalue())


@contextmanager
def drawing(
    x: str, y: str, height: float = 2.9, left: float = 0.62, right: float = 0.12, grid: str = "y"
) -> Iterator[tuple[Figure, Axes]]:
    """Hand out an empty figure and its axes, in the style of all pictures while the block lasts.

    Margins are given and not found out, which takes longer than all else.

    Args:
        x: title of the horizontal axis, or nothing.
        y: title of the vertical one, likewise.
        height: in inches.
        left: margin in inches, for what the vertical axis is labelled with.
        right: margin in inches, for what stands behind the lines' ends.
        grid: axis whose ticks have lines: x, y or both; empty for none.
    """
    with rc_context({**STYLE, "axes.grid": bool(grid), "axes.grid.axis": grid or "both"}):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.subplots()
        bottom = 0.5 if x else 0.3
        figure.subplots_adjust(left / WIDTH, bottom / height, 1 - right / WIDTH, 1 - 0.14 / height)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.tick_params(length=3)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        yield figure, axes


def label_margin(labels: Sequence[str]) -> float:
    """Return the inches that the labels of lines take."""
    return 0.2 + 0.072 * max((len(part) for label in labels for part in label.split("\n")), default=0)


def wrapped(label: str, most: int = 20) -> str:
    """Return a label that fits into the margin of a picture, on two lines where it is long.

    It may be broken at spaces, and, as the keys of options, after a dot.
    """
    if len(label) <= most:
        return label
    lines = wrap(label.replace(".", f".{BREAK} "), most, max_lines=2, placeholder="…")
    return "\n".join(line.replace(f"{BREAK} ", "").replace(BREAK, "") for line in lines)


def tip(artist: Artist, text: str) -> None:
    """Let a part of a drawing say something where the mouse rests on it."""
    artist.set_gid(f"{TIP}{text}")


def as_svg(figure: Figure, description: str) -> str:
    """Return the <svg> element alone, in the page's colours and font, to stand inside HTML."""
    file = StringIO()
    # the ids of one drawing must not be those of another on the same page
    with rc_context({**STYLE, "svg.hashsalt": description}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    (view,) = re.findall(r'viewBox="([^"]*)"', text[: text.index(">")])
    opening = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-label="{escape(description)}" viewBox="{view}">'
    )
    text = _TIP.sub(r'<g class="tip"><title>\1</title>', text[text.index(">") + 1 :])
    return with_variables(opening + _smaller(text))


def _smaller(svg: str) -> str:
    """Return a drawing of half the size that looks the same: no surplus, two decimals, no empty space."""
    svg = _COORDINATES.sub(lambda match: _DECIMALS.sub(r"\1", match[0]), _SURPLUS.sub("", svg))
    return re.sub(r"\s+", " ", re.sub(r">\s+<", "><", svg))
