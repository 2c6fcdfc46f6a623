"""The parts that all pages are made of: an answer, facts, sections with tables and pictures, one template."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from spt.reports.drawing import Picture
from spt.reports.palette import css_variables
from spt.storage.files import write_text
from spt.templates import templates_of

FIGURES = "figures"
# shares above this are dark enough to be written on in the colour of the paper
DEEP = 0.55
# characters of words that get room of their own
LONG = 30


@dataclass(frozen=True)
class Cell:
    """Hold what stands in a cell of a table.

    Attributes:
        text: to read.
        number: by which the column is sorted, and for which it stands at the right; None for words.
        share: in [0, 1], shown as a shade or a bar; None for neither.
        look: how the share is shown, or a cell of what was chosen.
        href: of a page beside this one.
        hover: said where the mouse rests.
    """

    text: str
    number: float | None = None
    share: float | None = None
    look: Literal["", "shade", "bar", "chosen"] = ""
    href: str | None = None
    hover: str | None = None

    @property
    def classes(self) -> str:
        """Return the names by which the style sheet knows the cell."""
        names = [self.look, "number" if self.number is not None else ""]
        names.append("long" if self.number is None and len(self.text) > LONG else "")
        names.append("deep" if self.look == "shade" and (self.share or 0) > DEEP else "")
        return " ".join(filter(None, names))


Content = Cell | str


@dataclass(frozen=True)
class Table:
    """Hold a table; the first cell of each row is its title.

    Attributes:
        head: titles of the columns.
        rows: of cells.
        caption: what the table shows.
        sortable: whether a click on a column's title sorts by it.
        grid: whether the cells are those of a picture, small and side by side.
        wide: whether it takes the width of the page; else it stands beside a picture or another table.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Content]]
    caption: str = ""
    sortable: bool = False
    grid: bool = False
    wide: bool = False

    @property
    def cells(self) -> list[list[Cell]]:
        """List the rows with every cell a Cell."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """Say of each column whether it holds numbers."""
        return [
            any(row[place].number is not None for row in self.cells if place < len(row))
            for place in range(len(self.head))
        ]


@dataclass(frozen=True)
class Section:
    """Hold a part of a page.

    Attributes:
        title: of the part.
        text: paragraphs, before the rest.
        bullets: a list, after them.
        pictures: side by side where there is room.
        tables: below them.
        code: shown as it is, with its line breaks.
        folded: whether it is opened by a click.
    """

    title: str
    text: Sequence[str] = ()
    bullets: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    code: str = ""
    folded: bool = False

    @property
    def anchor(self) -> str:
        """Return what a link to the section names."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "part"


@dataclass(frozen=True)
class Fact:
    """Hold a number that stands out: its value, what it is, and a remark."""

    value: str
    label: str
    remark: str = ""


@dataclass(frozen=True)
class Page:
    """Hold a page: what it is of, the answer in a sentence, and everything that bears it out.

    Attributes:
        kind: of what it reports, above the title.
        title: its name.
        subtitle: what it was made of.
        answer: the conclusion, in a sentence or two.
        facts: few.
        sections: in order.
    """

    kind: str
    title: str
    subtitle: str
    answer: str
    facts: Sequence[Fact] = ()
    sections: Sequence[Section] = ()

    @property
    def pictures(self) -> list[Picture]:
        """List the pictures of all sections."""
        return [picture for section in self.sections for picture in section.pictures]


def write_page(path: Path, page: Page) -> None:
    """Write a page, one file without outside parts, and its pictures as files into figures/ beside it.

    Args:
        path: of the HTML file.
        page: what it says.
    """
    template = templates_of("spt.reports").get_template("page.html")
    write_text(path, template.render(page=page, colours=css_variables()))
    if page.pictures:
        folder = path.parent / FIGURES
        folder.mkdir(exist_ok=True)
        for picture in _of_own_names(page.pictures):
            picture.save(folder)


def _of_own_names(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Yield the pictures, each under a name of its own, so that no file is written over."""
    times: Counter[str] = Counter()
    for picture in pictures:
        times[picture.name] += 1
        number = times[picture.name]
        yield picture if number == 1 else replace(picture, name=f"{picture.name}-{number}")


def made_with(provenance: Mapping[str, Any]) -> Section:
    """Return the folded section of the command, date, versions and machine, by name."""
    rows = [
        *((name, provenance.get(name)) for name in ("command", "date")),
        *provenance["versions"].items(),
        *provenance["machine"].items(),
    ]
    table = Table(["what", "value"], [[str(name), str(value)] for name, value in rows if value is not None])
    return Section("Made with", tables=[table], folded=True)
