"""The parts of every page: sections with tables, texts and drawings, and the templates they go into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from spt.files import write_text


@dataclass(frozen=True)
class Figure:
    """Hold a drawing, as SVG text, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """Hold a part of a page: a title, and a table, a text and figures where there are any."""

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    text: str = ""
    figures: Sequence[Figure] = ()


def write_page(
    path: Path, title: str, subtitle: str, sections: Sequence[Section], made_with: Mapping[str, Any]
) -> None:
    """Write a page of tables and drawings, one file without outside parts.

    Args:
        path: of the HTML file.
        title: at its top.
        subtitle: below it.
        sections: in order.
        made_with: the command, and the versions and the machine by name.
    """
    page = templates().get_template("comparison.html")
    write_text(path, page.render(title=title, subtitle=subtitle, sections=sections, **made_with))


def templates() -> Environment:
    """Return the templates of all pages, with the filters that they use."""
    environment = Environment(
        loader=PackageLoader("spt.reports"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda fraction: f"{100 * fraction:.1f} %"
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment
