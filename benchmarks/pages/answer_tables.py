"""What calibration, windows on long texts and folds on few rows do, from `python -m benchmarks answers`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.pages import markdown
from benchmarks.record import load

Means = Mapping[str, Mapping[str, Any]]
DISTANCE = ("dev_metric", "test_metric", "dev_test_distance")


def answers() -> str:
    """Show a table a part: errors of probabilities, long texts, and how far dev is from test."""
    result = load("answers")
    summary: Mapping[str, Means] = result["summary"]
    seeds = next(iter(next(iter(summary.values())).values()))["n"]
    title = (
        f"On splade-tiny, a prompt at its last layer, {seeds} seeds ({markdown.command(result['command'])}). "
        "Probabilities before and after the temperature that dev chose, and accuracy on the rows that are "
        "surest:"
    )
    calibrated = [
        [
            condition,
            _percent(means["test_metric"]),
            *(_percent(means[f"ece_{when}"]) for when in ("before", "after")),
            *(f"{means[f'nll_{when}']['mean']:.2f}" for when in ("before", "after")),
            *(_percent(means[f"accuracy_of_surest_{share}"]) for share in (0.9, 0.5)),
        ]
        for condition, means in _part(summary, "calibration")
    ]
    head = [
        "rows",
        "test %",
        "ECE before, %",
        "ECE after, %",
        "NLL before",
        "NLL after",
        "surest 90 %",
        "surest 50 %",
    ]
    read = [
        [condition, *(_percent(means[key]) for key in ("test_metric", "cut_texts")), _seconds(means)]
        for condition, means in _part(summary, "windows")
    ]
    judged = [
        [
            judge,
            *(_percent(means[key]) for key in DISTANCE),
            _seconds(means),
        ]
        for judge, means in _part(summary, "folds")
    ]
    return "\n".join(
        [
            title,
            *markdown.table(head, calibrated),
            "",
            "Long texts, cut at 32 tokens, in windows of 32, and whole. The class shows in all parts of a "
            "text, or in one among parts of something else:",
            *markdown.table(["texts: read", "test %", "cut texts, %", "seconds"], read),
            "",
            "120 rows, judged by a dev split of 40 and by five folds:",
            *markdown.table(["judged by", "dev %", "test %", "apart, points", "seconds"], judged),
        ]
    )


def _part(summary: Mapping[str, Means], name: str) -> Iterator[tuple[str, Means]]:
    for title, means in summary.items():
        part, condition = title.split(": ", 1)
        if part == name:
            yield condition, means


def _percent(score: Mapping[str, Any]) -> str:
    return f"{100 * score['mean']:.1f}"


def _seconds(means: Means) -> str:
    return f"{means['total_seconds']['mean']:.0f}"
