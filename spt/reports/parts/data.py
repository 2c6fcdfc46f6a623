"""What the run was trained and scored on: rows, rows left out, texts that were cut, weights of classes."""

from __future__ import annotations

from spt.reports.page import Cell, Content, Section, Table
from spt.reports.run_files import RunFiles
from spt.reports.wording import percent

SPLITS = {"train": "training", "dev": "dev", "test": "test"}


def data_section(run: RunFiles) -> Section:
    """Show the splits, and the weights of classes where there are any."""
    metrics = run.metrics
    cut = metrics.get("cut_texts")
    text = [] if cut is not None else ["Whether texts lost their end was not noted (an older version)."]
    rows: list[list[Content]] = [
        [
            name,
            Cell(f"{metrics[f'{split}_size']:,}", 0),
            "-" if cut is None or split not in cut else Cell(percent(cut[split]), 0),
            Cell(f"{(metrics.get('left_out') or {}).get(split, 0):,}", 0),
        ]
        for split, name in SPLITS.items()
    ]
    head = ["split", "rows", "texts that lost their end", "rows left out, without text or label"]
    tables = [Table(head, rows)]
    if weights := metrics.get("class_weights"):
        tables.append(
            Table(
                ["class", "weight in the loss"],
                [[name, Cell(f"{value:.3g}", 0)] for name, value in weights.items()],
            )
        )
    return Section("Data", text, tables=tables)
