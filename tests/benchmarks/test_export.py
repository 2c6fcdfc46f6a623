"""The figures of docs/export.md are those that `python -m benchmarks export` wrote."""

from __future__ import annotations

from benchmarks import CHECKOUT
from benchmarks.record import load


def test_the_page_shows_the_measured_figures() -> None:
    page = (CHECKOUT / "docs" / "export.md").read_text(encoding="utf-8")
    measured = load("export")
    records = {record["system"]: record for record in measured["records"]}
    assert list(records) == ["torch", "onnx", "onnx int8"]
    for name, record in records.items():
        cells = [
            name,
            f"{100 * record['test_accuracy']:.1f} %",
            f"{100 * record['same_answers']:.1f} %",
            f"{record['largest_difference']:.0e}",
            str(record["megabytes"]),
        ]
        assert f"| {' | '.join(cells)} |" in page
    assert f"answers the {measured['rows']} of test" in page
    # a graph gives the model's answers, and one of 8 bits almost
    assert records["onnx"]["largest_difference"] < 1e-4
    assert records["onnx int8"]["test_accuracy"] > records["torch"]["test_accuracy"] - 0.02
