"""What a server of prompts may be told, whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from experiments.keys import bad_config
from spt.sections import ConfigSection


class ServingOptions(ConfigSection):
    """Bound what requests may ask, how they are gathered, and how long they take."""

    batch_size: int = Field(
        64, ge=1, le=4096, description="Answers, texts times tasks, that are computed together."
    )
    batch_ms: float = Field(
        5, ge=0, le=10_000, description="Milliseconds that a request waits for others to share its batch."
    )
    queue: int = Field(
        2048,
        ge=1,
        le=10**6,
        description="Answers that may wait; what comes on top gets 429 and a Retry-After.",
    )
    timeout: float = Field(
        30,
        gt=0,
        le=3600,
        description="Seconds until a request is answered or gets 504, and to send its body.",
    )
    max_texts: int = Field(128, ge=1, le=10**5, description="Texts of a request; more get 413.")
    max_characters: int = Field(20_000, ge=1, le=10**7, description="Of a text; longer ones get 413.")
    max_bytes: int = Field(2**20, ge=2, le=2**30, description="Of a request's body; larger ones get 413.")
    cache_mb: int = Field(
        64,
        ge=0,
        le=10**7,
        description="Megabytes of hidden states kept for texts that come again; 0 for none.",
    )
    reload_seconds: float = Field(
        2,
        ge=0,
        le=86_400,
        description="Seconds between looks at the folders for changed prompts; 0 for never.",
    )
    token_file: Path | None = Field(
        None,
        description="File of the token that requests must bear; the variable SPT_SERVE_TOKEN by default.",
    )


Options = TypeVar("Options", bound=ServingOptions)


def checked_options(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """Return options by their names.

    Args:
        kind: of the options.
        values: by name.

    Raises:
        InputError: with all names that there are none of, and all values that are out of range.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise bad_config(error, "the options", kind) from error
