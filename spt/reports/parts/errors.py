"""Where the answers are wrong: labels by answers, every class for itself, and the surest mistakes."""

from __future__ import annotations

from collections.abc import Sequence

from spt.answers.error_analysis import ErrorAnalysis, Mistake
from spt.reports.charts import confusion_chart
from spt.reports.drawing import Picture
from spt.reports.page import Cell, Content, Section, Table
from spt.reports.run_files import RunFiles
from spt.reports.wording import count, percent

# classes that a table of labels by answers can show
MOST_CLASSES = 24
# pairs of classes that are told in its place
MOST_PAIRS = 15
NOT_NOTED = (
    "This run did not note its answers (an older version), so that there is no confusion matrix and no list "
    "of mistakes. Delete its metrics.json and give its command again to have it scored anew."
)


def errors_section(run: RunFiles) -> Section:
    """Show the answers to test by label and by class, and the wrong ones that were most probable."""
    analysis = run.analysis
    if analysis is None:
        return Section("Errors", [NOT_NOTED])
    wrong = f"{count(analysis.mistakes, 'row')} of {analysis.rows:,}"
    text = [f"{wrong} in {analysis.split} {'has' if analysis.mistakes == 1 else 'have'} a wrong answer."]
    tables = [_confusion(analysis)] if analysis.confusion is not None else []
    tables.append(_classes(analysis))
    if analysis.surest_mistakes:
        tables.append(_mistakes(analysis.surest_mistakes))
    return Section("Errors", text, pictures=_pictures(analysis), tables=tables)


def _confusion(analysis: ErrorAnalysis) -> Table:
    names = [one.label for one in analysis.classes]
    counts = analysis.confusion or ()
    if len(names) > MOST_CLASSES:
        return _frequent_pairs(names, counts)
    rows: list[list[Content]] = []
    for label, line in zip(names, counts, strict=True):
        total = max(1, sum(line))
        row: list[Content] = [label]
        row += [
            Cell(
                str(number),
                share=number / total,
                look="shade",
                hover=f"{number} of {total} rows of {label} were answered {answer}",
            )
            for answer, number in zip(names, line, strict=True)
        ]
        rows.append(row)
    caption = (
        "Confusion matrix: rows by label (lines) and answer (columns), shaded by their share of the line."
    )
    return Table(["label", *names], rows, caption, grid=True)


def _frequent_pairs(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """List the wrong answers that came most often, where a matrix would be too large to read."""
    pairs = [
        (number, sum(line), names[label], names[answer])
        for label, line in enumerate(counts)
        for answer, number in enumerate(line)
        if number and label != answer
    ]
    rows: list[list[Content]] = [
        [label, answer, Cell(str(number), number), Cell(percent(number / total), number / total)]
        for number, total, label, answer in sorted(pairs, key=lambda pair: -pair[0])[:MOST_PAIRS]
    ]
    caption = f"The most frequent wrong answers; a matrix of {len(names)} classes would be too large to read."
    return Table(["label", "answer", "rows", "of the label's"], rows, caption, sortable=True)


def _classes(analysis: ErrorAnalysis) -> Table:
    rows: list[list[Content]] = [
        [
            one.label,
            *(Cell(percent(value), value, value, "bar") for value in (one.precision, one.recall, one.f1)),
            Cell(f"{one.rows:,}", one.rows),
        ]
        for one in analysis.classes
    ]
    caption = (
        "Every class: precision is the share of its answers that is right, recall of its rows that was found."
    )
    return Table(["class", "precision", "recall", "F1", "rows"], rows, caption, sortable=True)


def _mistakes(mistakes: Sequence[Mistake]) -> Table:
    rows: list[list[Content]] = [
        [
            " / ".join(mistake.texts) or f"row {mistake.row + 1}, whose text was not kept",
            ", ".join(mistake.labels) or "none",
            ", ".join(mistake.answers) or "none",
            Cell(f"{mistake.probability:.2f}", mistake.probability),
        ]
        for mistake in mistakes
    ]
    caption = (
        "The surest mistakes. Look for wrong labels, classes that overlap, and texts that lack something."
    )
    return Table(["text", "label", "answer", "probability"], rows, caption, sortable=True, wide=True)


def _pictures(analysis: ErrorAnalysis) -> list[Picture]:
    names = [one.label for one in analysis.classes]
    if analysis.confusion is None or len(names) > MOST_CLASSES:
        return []
    chart = confusion_chart(names, analysis.confusion)
    return [Picture("confusion", chart, "Labels by answers.", "Labels by answers.", inline=False)]
