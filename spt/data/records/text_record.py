"""A record without a label: the texts that a model reads, and the columns that it came with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class TextRecord(NamedTuple):
    """Hold a record of a file.

    Attributes:
        texts: (text,) or (text, text_pair), without the spaces around them; None where one is missing.
        columns: what the file has, by name and as it was written, the texts among it.
    """

    texts: tuple[str, ...] | None
    columns: Mapping[str, Any]
