"""Prompts as tables of their nearest words."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from spt.serving.neighbours import Neighbour, Reading


def neighbour_table(readings: Sequence[Reading]) -> Table:
    """One row a prompt vector: its nearest words, and those of a random vector, with their cosines."""
    table = Table(title="Nearest words of the prompt (cosine)", title_justify="left")
    for column in ("layer", "position"):
        table.add_column(column, justify="right")
    table.add_column("prompt")
    table.add_column("random vector")
    for reading in readings:
        table.add_row(str(reading.layer), str(reading.position), _line(reading.words), _line(reading.control))
    return table


def _line(neighbours: Iterable[Neighbour]) -> str:
    # brackets would be markup, and many vocabularies have them
    return ", ".join(f"{one.word} {one.cosine:.2f}" for one in neighbours).replace("[", r"\[")
