"""Texts that are the same to a model that reads neither case, spaces nor Unicode's forms, in two splits."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import combinations

log = logging.getLogger(__name__)


def warn_of_look_alikes(texts: Mapping[str, Sequence[tuple[str, ...]]]) -> None:
    """Say in one line how many rows of a split differ from some of another in nothing but their spelling.

    Rows of equal texts are not counted.

    Args:
        texts: of the rows of each split, one or two each.
    """
    folded = {split: [_folded(row) for row in rows] for split, rows in texts.items()}
    shared = []
    for split, other in combinations(texts, 2):
        equal, alike = set(texts[other]), set(folded[other])
        rows = zip(texts[split], folded[split], strict=True)
        if count := sum(row not in equal and fold in alike for row, fold in rows):
            shared.append(f"{count} of {len(texts[split])} rows of {split} are so like rows of {other}")
    if shared:
        log.warning(
            "rows of two splits differ in case, spaces or Unicode's form alone, which many models do not "
            "read: %s; they stay, and make scores of dev and test too high; remove them",
            ", ".join(shared),
        )


def _folded(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in row)
