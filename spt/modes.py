"""Names of what a configuration may choose, known to configurations and to the code that obeys them."""

from __future__ import annotations

from typing import Literal

Precision = Literal["32", "bf16"]
CacheMode = Literal["auto", "memory", "disk", "off"]
