"""Numbers and names as the sentences of a report have them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def listed(names: Sequence[object], word: str = "and") -> str:
    """Write names one after the other: '1, 3 and 4'."""
    texts = [str(name) for name in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def named_layers(layers: Sequence[int]) -> str:
    """Write layers: 'layer 3', 'layers 3 and 4', 'no layer'."""
    if not layers:
        return "no layer"
    return f"layer{'s' * (len(layers) > 1)} {listed(layers)}"


def percent(fraction: float, decimals: int = 1) -> str:
    """Write a fraction as percent: 0.8066 -> '80.7 %'."""
    return f"{100 * fraction:.{decimals}f} %"


def range_text(interval: Sequence[float], signed: bool = False) -> str:
    """Write the two ends of an interval of fractions in percent, without the sign: '87.6 to 92.8'."""
    low, high = interval
    form = "+.1f" if signed else ".1f"
    return f"{100 * low:{form}} to {100 * high:{form}}"


def score_text(score: float) -> str:
    """Write a score of a layer, which may be small, to three digits that say something: '0.00187'."""
    return f"{score:#.3g}"


def ratio_text(ratio: float) -> str:
    """Write a ratio to two digits that say something, never as a power of ten: '2.3', '0.0038', '120'."""
    return f"{Decimal(f'{ratio:#.2g}'):f}"


def count(number: int, thing: str) -> str:
    """Write how many there are of a thing: '1 row', '2 rows'."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
