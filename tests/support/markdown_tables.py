"""Tables in Markdown as cells, so that a test compares numbers and not sentences."""

from __future__ import annotations

from itertools import groupby

Row = dict[str, str]


def tables(text: str) -> list[list[Row]]:
    """Return each table's rows, title -> cell."""
    lines = groupby(text.splitlines(), key=lambda line: line.startswith("|"))
    return [_rows([_cells(line) for line in block]) for is_table, block in lines if is_table]


def table(text: str) -> list[Row]:
    """Return the rows of the only table."""
    (rows,) = tables(text)
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _rows(lines: list[list[str]]) -> list[Row]:
    head, rule, *rows = lines
    assert set("".join(rule)) == {"-"}
    return [dict(zip(head, row, strict=True)) for row in rows]
