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
    """Hold the task's metric of one baseline.

    Attributes:
        dev_metric: None where layers are judged by folds.
        test_metric: of the rows that the run is scored on.
        test_interval: of the metric on test, at 95 % over rows; None where these do not say how far it may
            be off, and in older files.
        gain_interval: of what the run's metric on test is above it, at 95 % over the same rows; likewise.
    """

    dev_metric: float | None
    test_metric: float
    test_interval: tuple[float, float] | None = None
    gain_interval: tuple[float, float] | None = None


BaselineScores = Mapping[str, BaselineScore]


def baseline_lines(baselines: BaselineScores, test_metric: float) -> dict[str, str]:
    """Write the test score of each, and how far the prompt is above the best, as name -> value."""
    shown = "; ".join(f"{TITLES[name]} {100 * score.test_metric:.1f} %" for name, score in baselines.items())
    name, best = max(baselines.items(), key=lambda item: item[1].test_metric)
    gain = 100 * (test_metric - best.test_metric)
    points = f"{abs(gain):.1f}"
    side = f"{points} points {'above' if gain > 0 else 'below'}" if float(points) else "level with"
    verdict = f"{side} the best of them, {TITLES[name]}"
    if best.gain_interval is not None:
        low, high = best.gain_interval
        verdict += f" (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
    return {"test without prompts": shown, "worth it?": verdict}
