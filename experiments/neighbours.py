"""Prompts as tables of their nearest words."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from spt.serving.neighbours import Neighbour, Reading


def neighbour_table(readings: Sequence[Reading]) -> Table:
    """Return a row for each prompt vector: its nearest words and those of a random vector, with cosines."""
    table = Table(title="Nearest words of the prompt (cosine)", title_justify="left")
    for column in ("layer", "position"):
        table.add_column(column, justify="right")
    table.add_column("prompt")
    table.add_column("random vector")
    for reading in readings:
        table.add_row(str(reading.layer), str(reading.position), _line(reading.words), _line(reading.control))
    return table


def _line(neighbours: Iterable[Neighbour]) -> str:
    words = ", ".join(f"{neighbour.word} {neighbour.cosine:.2f}" for neighbour in neighbours)
    # brackets would be markup, and many vocabularies have them
    return words.replace("[", r"\[")
