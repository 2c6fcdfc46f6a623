"""How many rows are held out of train for the splits that are not given, and how many stay there."""

from __future__ import annotations

from collections.abc import Collection

from spt.data.config import DataConfig

MOST = 500


def default_size(rows: int) -> int:
    """Return how many of so many rows are held out for a split without a size: a tenth, at most 500."""
    return max(1, min(MOST, rows // 10))


def rows_left_for_train(rows: int, classes: int, data: DataConfig, given: Collection[str]) -> int:
    """Return about how many rows are trained on, of so many that do not repeat.

    Args:
        rows: that train is given as.
        classes: C, of which each has as many shots.
        data: has the sizes.
        given: splits that have rows of their own; the others are held out.
    """
    if shots := data.shots_total or (data.shots_per_class or 0) * classes:
        return min(rows, shots)
    sizes = {"dev": data.dev_size, "test": data.test_size}
    held_out = [size for split, size in sizes.items() if split not in given]
    left = max(0, rows - sum(default_size(rows) if size is None else size for size in held_out))
    return min(left, data.train_size or left)
