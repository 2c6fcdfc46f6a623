"""The answer of a run in two sentences, true to its intervals, and the few numbers that stand out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spt.reports.page import Fact
from spt.reports.run_files import RunFiles
from spt.reports.wording import count, named_layers, percent, range_text, ratio_text


def answer(run: RunFiles) -> str:
    """Say what the run reached, beside the best of what needs no prompt, and what it took."""
    return f"{_reached(run)}{_beside(run)}. {_took(run)}."


def facts(run: RunFiles) -> list[Fact]:
    """Return the scores, the gain, the parameters and the cost."""
    metrics = run.metrics
    shown = [
        Fact(percent(metrics["test_metric"]), f"test {run.metric}", _interval(metrics.get("test_interval"))),
        Fact(
            percent(metrics["dev_metric"]),
            f"dev {run.metric}",
            f"{metrics['dev_size']:,} rows, which select",
        ),
    ]
    if run.baselines:
        title, best = best_baseline(run.baselines)
        shown.append(Fact(percent(best["test_metric"]), "best without prompts", title))
    head = metrics["head_parameters"]
    shown.append(
        Fact(f"{metrics['tunable_parameters']:,}", "tunable parameters", f"{head:,} of them the head's")
    )
    if ratio := cost_ratio(run):
        shown.append(
            Fact(
                ratio_text(ratio),
                "prompt-tuning runs' operations",
                "search and training together, beside runs of all epochs",
            )
        )
    return shown


def best_baseline(baselines: Mapping[str, Mapping[str, Any]]) -> tuple[str, Mapping[str, Any]]:
    """Return the title and the scores of the baseline that is best on test."""
    return max(baselines.items(), key=lambda named: named[1]["test_metric"])


def has_epochs(run: RunFiles) -> bool:
    """Say whether the training was of epochs, not of contrastive steps."""
    return not run.config.get("training", {}).get("contrastive_steps")


def prompt_tuning_flops(run: RunFiles) -> int | None:
    """Return the operations of one prompt-tuning run of all epochs; None of runs without, or older ones."""
    # older runs noted it under contrastive steps too, of epochs that nothing had read
    return run.metrics.get("prompt_tuning_flops") if has_epochs(run) else None


def cost_ratio(run: RunFiles) -> float | None:
    """Return the run's operations in units of one prompt-tuning run's; None of runs that do not know it."""
    unit, total = prompt_tuning_flops(run), run.metrics.get("total_flops")
    return total / unit if unit and total is not None else None


def _reached(run: RunFiles) -> str:
    metrics, layers = run.metrics, run.layers
    top = run.architecture.total - 1
    if layers:
        subject = f"Prompt{'s' * (len(layers) > 1)} at {named_layers(layers)} (of 0 to {top})"
        if run.architecture.kinds:
            subject = f"Layer{'s' * (len(layers) > 1)} {run.architecture.text} of 0 to {top}"
    else:
        subject = "Without any prompt, the head alone"
    verb = "reach" if len(layers) > 1 else "reaches"
    interval = metrics.get("test_interval")
    beside = f" (95 % interval {range_text(interval)})" if interval else ""
    rows = count(metrics["test_size"], "test row")
    return f"{subject} {verb} {percent(metrics['test_metric'])} {run.metric} on {rows}{beside}"


def _beside(run: RunFiles) -> str:
    if not run.baselines:
        return "; no baseline was measured beside it"
    title, best = best_baseline(run.baselines)
    named = f"the best score without prompts ({title})"
    score, interval = run.metrics["test_metric"], best.get("gain_interval")
    gain = 100 * (score - best["test_metric"])
    bounds = f" ({range_text(interval, signed=True)})" if interval else ""
    if interval and interval[0] <= 0 <= interval[1]:
        return f". These rows do not tell that from {named}: the difference is {gain:+.1f} points{bounds}"
    if abs(gain) < 0.05:
        return f", level with {named}"
    return f", {abs(gain):.1f} points{bounds} {'above' if gain > 0 else 'below'} {named}"


def _took(run: RunFiles) -> str:
    parameters = run.metrics["tunable_parameters"]
    subject = "Prompts and head have" if run.layers else "The head has"
    parts = f"{subject} {count(parameters, 'parameter')}"
    ratio = cost_ratio(run)
    if ratio is None:
        return parts
    # what rounds to 1.0 is no part
    amount = f"{ratio_text(ratio)} {'of' if ratio < 0.995 else 'times'}"
    return f"{parts}; search and training took {amount} the operations of one full-length prompt-tuning run"


def _interval(interval: Any) -> str:
    return f"{range_text(interval)}, 95 % over rows" if interval else "no interval over rows"
