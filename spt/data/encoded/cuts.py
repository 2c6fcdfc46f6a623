"""Texts that lost their end: how many there are, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from spt.data.encoded.examples import Examples


def cut_shares(splits: Mapping[str, Examples]) -> dict[str, float]:
    """Return the share of texts that lost their end of each split, in [0, 1]."""
    return {split: examples.cut_texts / max(1, examples.num_rows) for split, examples in splits.items()}


def cut_signs(shares: Mapping[str, float], max_length: int, limit: int, pairs: bool) -> list[str]:
    """Return one line that says how many texts were cut and what to try, if any was.

    Args:
        shares: of `cut_shares`.
        max_length: tokens that were kept.
        limit: tokens that the backbone reads.
        pairs: whether the task has two texts a row.
    """
    if not any(shares.values()):
        return []
    parts = ", ".join(f"{_percent(share)} of {split}" for split, share in shares.items() if share)
    ways = [f"raise data.max_length (this backbone reads up to {limit:,})"] if limit > max_length else []
    ways += [] if pairs else ["set data.windows=true to read them in windows"]
    advice = " or ".join(ways) or "choose a backbone that reads more"
    return [f"texts longer than data.max_length = {max_length} tokens lost their end: {parts}; {advice}"]


def _percent(share: float) -> str:
    """Write a share so that a few of many do not look like none."""
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
