"""The scores of what needs no prompt, as metrics.json and the terminal have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TITLES = {
    "majority": "majority class",
    "tfidf": "TF-IDF and logistic regression",
    "linear_probe": "linear probe on the frozen backbone",
}


@dataclass(frozen=True)
class BaselineScore:
    """Hold the task's metric of one baseline; dev is None where layers are judged by folds."""

    dev_metric: float | None
    test_metric: float


BaselineScores = Mapping[str, BaselineScore]


def baseline_lines(baselines: BaselineScores, test_metric: float) -> dict[str, str]:
    """Write the test score of each, and how far the prompt is above the best, as name -> value."""
    shown = "; ".join(f"{TITLES[name]} {100 * score.test_metric:.1f} %" for name, score in baselines.items())
    name, best = max(baselines.items(), key=lambda item: item[1].test_metric)
    gain = 100 * (test_metric - best.test_metric)
    side = "above" if gain >= 0 else "below"
    return {
        "test without prompts": shown,
        "worth it?": f"{abs(gain):.1f} points {side} the best of them, {TITLES[name]}",
    }
