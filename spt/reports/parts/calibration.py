"""Whether the probabilities can be trusted: calibration, and accuracy where the model is sure."""

from __future__ import annotations

from spt.reports.charts import confidence_chart
from spt.reports.drawing import Picture
from spt.reports.page import Cell, Content, Section, Table
from spt.reports.run_files import RunFiles
from spt.reports.wording import percent

NOT_NOTED = "This run did not note how sure its answers were (an older version)."


def calibration_section(run: RunFiles) -> Section:
    """Show how probable and how often right answers are."""
    answers = run.metrics.get("answers")
    if answers is None:
        return Section("Calibration", [NOT_NOTED])
    errors: list[list[Content]] = []
    for split in ("test", "dev"):
        values = [answers[split][which]["ece"] for which in ("calibrated", "uncalibrated")]
        errors.append([split, *(Cell(percent(value), value) for value in values)])
    temperature = f"{answers['temperature']:.2f}"
    head = ["expected calibration error", f"at temperature {temperature}", "at 1"]
    text = [
        f"A temperature of {temperature} was fitted on dev: it makes probabilities agree with frequencies, "
        "and changes no answer."
        if answers["temperature"] != 1
        else "No temperature was fitted."
    ]
    tables = [Table(head, errors)]
    if answers["test"]["selective_accuracy"]:
        tables.append(_selective(run))
    return Section("Calibration", text, pictures=_pictures(run), tables=tables)


def _selective(run: RunFiles) -> Table:
    answers = run.metrics["answers"]
    rows: list[list[Content]] = [
        [f"the surest {percent(float(share), 0)}", Cell(percent(accuracy), accuracy)]
        for share, accuracy in answers["test"]["selective_accuracy"].items()
    ]
    if answered := answers["test"]["answered"]:
        least = f"{answers['threshold']:.2f}"
        title = f"answered on test: {percent(answered['coverage'])}, of a probability of {least} or more"
        accuracy = answered["accuracy"]
        rows.append([title, "-" if accuracy is None else Cell(percent(accuracy), accuracy)])
    return Table(["rows of test", "accuracy"], rows)


def _pictures(run: RunFiles) -> list[Picture]:
    if run.analysis is None or not run.analysis.bins:
        return []
    bins = [(one.rows, one.confidence, one.accuracy) for one in run.analysis.bins]
    caption = (
        "How often answers of a probability are right: on the dashed line the two agree, below it the model "
        "is too sure. Larger dots stand for more rows."
    )
    shown = "; ".join(
        f"{confidence:.2f}: {percent(accuracy, 0)} of {rows}" for rows, confidence, accuracy in bins
    )
    return [
        Picture("calibration", confidence_chart(bins), caption, f"Right answers by probability: {shown}.")
    ]
