"""The texts of a split as they were read, for people who look at single rows."""

from __future__ import annotations

from dataclasses import dataclass

from datasets import Dataset


@dataclass(frozen=True, eq=False)
class SplitTexts:
    """Hold the texts of a split's rows.

    Args:
        rows: with the columns text and, of pairs, text_pair.
    """

    rows: Dataset

    def __getitem__(self, row: int) -> tuple[str, ...]:
        """Return the text of a row, or the two of a pair."""
        texts = self.rows[row]
        return tuple(texts[column] for column in ("text", "text_pair") if column in texts)
