"""The score of a run with its interval over rows, beside what needs no prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spt.metrics import scores_beside
from spt.reports.charts import Interval, interval_chart
from spt.reports.drawing import Picture
from spt.reports.page import Cell, Section, Table
from spt.reports.run_files import RunFiles
from spt.reports.wording import percent, range_text

INTERVALS = (
    "Intervals are 95 % intervals over the rows of test: what the same prompt would score on other texts of "
    "their kind. They say nothing of another seed. A gain is the difference on the same rows. There is no "
    "interval where a score is the same whichever rows are left out, as where all are right."
)
NO_BASELINES = "No baseline was measured beside this run (baselines: false, or an older version)."
THIS_RUN = "this run"


def score_section(run: RunFiles) -> Section:
    """Show the scores of dev and test, and those of the baselines."""
    # older runs noted none
    text = [INTERVALS] if "test_interval" in run.metrics else []
    if not run.baselines:
        text.append(NO_BASELINES)
    pictures = [_picture(run)] if run.baselines else []
    return Section("Score", text, pictures=pictures, tables=[_other_scores(run), _table(run)])


def _table(run: RunFiles) -> Table:
    metrics = run.metrics
    rows = [_row(Cell(THIS_RUN, look="chosen"), metrics, metrics["test_metric"])]
    ranked = sorted(run.baselines.items(), key=lambda named: -named[1]["test_metric"])
    rows += [_row(f"without prompts: {title}", score, metrics["test_metric"]) for title, score in ranked]
    head = ["", f"test {run.metric}", "interval", f"dev {run.metric}"]
    if not run.baselines:
        return Table(head, [row[:4] for row in rows])
    return Table([*head, "gain of this run, points", "interval"], rows, wide=True)


def _row(title: Cell | str, score: Mapping[str, Any], run_score: float) -> list[Cell | str]:
    test, dev = score["test_metric"], score.get("dev_metric")
    interval, gains = score.get("test_interval"), score.get("gain_interval")
    is_run = isinstance(title, Cell)
    return [
        title,
        Cell(percent(test), test),
        Cell(range_text(interval), interval[0]) if interval else "",
        "" if dev is None else Cell(percent(dev), dev),
        "" if is_run else Cell(f"{100 * (run_score - test):+.1f}", run_score - test),
        Cell(range_text(gains, signed=True), gains[0]) if gains else "",
    ]


def _picture(run: RunFiles) -> Picture:
    named = {THIS_RUN: run.metrics, **run.baselines}
    lines = {
        title: Interval((), score["test_metric"], *(score.get("test_interval") or (None, None)))
        for title, score in sorted(named.items(), key=lambda named: -named[1]["test_metric"])
    }
    shown = "; ".join(f"{title} {percent(line.mean)}" for title, line in lines.items())
    chart = interval_chart(lines, f"test {run.metric}", emphasised=[THIS_RUN])
    caption = "This run beside what needs no prompt: the score on test and its interval."
    return Picture("scores", chart, caption, f"Scores on test: {shown}.")


def _other_scores(run: RunFiles) -> Table:
    metrics = run.metrics
    rows: list[list[Cell | str]] = [
        ["accuracy", *(Cell(percent(metrics[f"{split}_accuracy"]), 0) for split in ("test", "dev"))]
    ]
    rows += [[title, Cell(percent(value), 0), ""] for title, value in scores_beside(metrics).items()]
    if folds := metrics.get("fold_metrics"):
        shown = f"{percent(min(folds))} to {percent(max(folds))}"
        rows.append([f"{run.metric} on {len(folds)} folds", "", Cell(shown, 0)])
    sizes = [Cell(f"{metrics[f'{split}_size']:,}", 0) for split in ("test", "dev")]
    return Table(["other scores", "test", "dev"], [*rows, ["rows", *sizes]])
