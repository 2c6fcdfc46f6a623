"""Names of what a configuration may choose, known to configurations and to the code that obeys them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

Precision = Literal["32", "bf16"]


def _cache_mode(value: Any) -> Any:
    """Return the cache mode that a value of YAML stands for, and refuse the one of earlier versions."""
    if value is False:
        # what YAML makes of an unquoted off
        return "off"
    if value == "memory":
        raise ValueError(
            "'memory' is not a mode any more: it computed in every process what disk computes once. "
            "Use auto, disk or off"
        )
    return value


CacheMode = Annotated[Literal["auto", "disk", "off"], BeforeValidator(_cache_mode)]


def without_memory_mode(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stored config as this version reads it: `cache: memory` of earlier versions becomes auto."""
    return {**stored, "cache": "auto"} if stored.get("cache") == "memory" else stored
