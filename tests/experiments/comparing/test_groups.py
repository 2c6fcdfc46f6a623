"""Records to table, tests, ranks and files; the groups here are methods, to show that any will do."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.comparing.columns import Column, ComparisonTable, percent, points, tera, whole_number
from experiments.comparing.compare import COLUMNS as COMPARED
from experiments.comparing.groups import Comparison, RunRecord
from experiments.comparing.page import write_results
from experiments.comparing.statistics import Spread
from experiments.comparing.terminal import show
from spt.errors import InputError
from tests.support.comparisons import read_records

COLUMNS = (
    Column("test_metric", "test {metric}", percent),
    Column("bytes", "bytes on disk", whole_number),
    Column("regret", "regret", points),
)
SCORES = {"lora": [0.90, 0.92, 0.94], "prompt": [0.80, 0.81, 0.79], "head": [0.7, 0.7, 0.7]}


def records() -> list[RunRecord]:
    """Three methods on one task over three seeds; the second method failed once more."""
    found = [
        RunRecord(
            group,
            "sst2",
            seed,
            {"method": group},
            {"metric": "accuracy", "test_metric": score, "bytes": 1000 * seed},
        )
        for group, scores in SCORES.items()
        for seed, score in enumerate(scores)
    ]
    return [*found, RunRecord("prompt", "sst2", 3, {"method": "prompt"}, failure="The loss is nan")]


def comparison(found: list[RunRecord] | None = None, reference: str | None = None) -> Comparison:
    return Comparison(found or records(), [column.key for column in COLUMNS], reference)


def test_rows_hold_the_spread_over_seeds() -> None:
    lora, prompt, _ = comparison().rows
    assert (lora.group, lora.condition, lora.runs, lora.failures) == ("lora", "sst2", 3, {})
    assert lora.numbers["test_metric"].mean == pytest.approx(0.92)
    assert lora.numbers["test_metric"].sd == pytest.approx(0.02)
    assert prompt.runs == 3 and prompt.failures == {3: "The loss is nan"}


def test_the_table_reads_as_people_write_it() -> None:
    table = ComparisonTable(comparison(), COLUMNS)
    assert table.head("sst2") == ["", "runs", "test accuracy", "bytes on disk"]
    assert [table.cells(row) for row in table.comparison.rows] == [
        ["lora", "3", "92.0 ± 2.0 %", "1,000"],
        ["prompt", "3, 1 failed", "80.0 ± 1.0 %", "1,000"],
        ["head", "3", "70.0 ± 0.0 %", "1,000"],
    ]


def test_layers_bring_their_columns() -> None:
    found = [
        RunRecord(
            "spt",
            "trec",
            seed,
            {},
            {"metric": "accuracy", "test_metric": 0.9, "layers": layers, "layers_total": 4},
        )
        for seed, layers in enumerate([[1, 3], [1, 2]])
    ]
    made = comparison(found)
    assert made.rows[0].shares == [0.0, 1.0, 0.5, 0.5]
    table = ComparisonTable(made, COLUMNS)
    assert table.head("trec")[-2:] == ["stability", "layers of each seed"]
    assert table.cells(made.rows[0])[-2:] == ["0.33", "1 3; 1 2"]


def test_what_each_layer_got_stands_beside_it() -> None:
    metrics = {"metric": "accuracy", "test_metric": 0.9, "layers": [1, 3], "layers_total": 4}
    kinds = [["free", "generated_offset_5"], None]
    made = comparison(
        [RunRecord("spt", "trec", seed, {}, {**metrics, "kinds": each}) for seed, each in enumerate(kinds)]
    )
    text = "1 (free) 3 (generated + offset, 5 vectors)"
    table = ComparisonTable(made, COLUMNS)
    assert table.cells(made.rows[0])[-1] == f"{text}; 1 3"
    assert [line["layers"] for line in csv.DictReader(io.StringIO(table.runs_csv()))] == [text, "1 3"]


@pytest.mark.parametrize(
    ("format", "text"),
    [(percent, "91.2 ± 1.0 %"), (points, "+91.2 ± 1.0"), (whole_number, "1"), (tera, "0.00")],
)
def test_numbers_with_and_without_spread(format: Any, text: str) -> None:
    assert format(Spread(0.912, 0.01, 0.9, 0.92, 5)) == text
    assert format(Spread(0.912, None, None, None, 1)) == re.sub(r" ± \d+\.\d", "", text)


def test_groups_are_tested_against_the_reference_over_pairs() -> None:
    prompt, head = comparison().tests
    assert (prompt.group, prompt.pairs, prompt.p, prompt.smallest) == ("prompt", 3, 0.25, 0.25)
    assert prompt.difference == pytest.approx(-0.12)
    assert [prompt.adjusted, head.adjusted] == [0.5, 0.5]
    assert [test.group for test in comparison(reference="head").tests] == ["lora", "prompt"]
    with pytest.raises(InputError, match=r"Unknown reference 'lara'\. Did you mean 'lora'"):
        comparison(reference="lara")


def test_a_single_pair_is_not_tested() -> None:
    one = [record for record in records() if record.seed == 0]
    assert comparison(one).tests == []
    assert comparison(one).ranks is None


def test_ranks_are_over_what_all_groups_have() -> None:
    ranked = comparison().ranks
    assert ranked is not None
    groups, ranks = ranked
    assert groups == ["lora", "prompt", "head"]
    assert (ranks.mean, ranks.blocks) == ([1.0, 2.0, 3.0], 3)
    # a group that always failed takes no part
    failed = [RunRecord("dead", "sst2", seed, {}, failure="x") for seed in range(3)]
    with_dead = comparison([*records(), *failed]).ranks
    assert with_dead is not None and with_dead[0] == groups
    two = [record for record in records() if record.group != "head"]
    assert comparison(two).ranks is None


@pytest.mark.parametrize(
    ("values", "varied"),
    [
        ([{"k": 1}, {"k": 2.5}], ("k", {"a": 1, "b": 2.5})),
        ([{"k": True}, {"k": False}], None),
        ([{"k": "x"}, {"k": 2}], None),
        ([{"k": 1, "l": 1}, {"k": 2, "l": 1}], None),
    ],
)
def test_a_sweep_of_numbers_is_known(values: list[dict[str, Any]], varied: Any) -> None:
    found = [
        RunRecord(group, "t", 0, value, {"metric": "accuracy", "test_metric": 0.5})
        for group, value in zip("ab", values, strict=True)
    ]
    assert comparison(found).varied_number == varied


def gates(seed: int) -> list[dict[str, Any]]:
    return [{"epoch": e, "step": s, "gates": {"0": 0.5, "1": seed / 3}} for e in (0, 1) for s in (0, 9)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    layered = [
        RunRecord(
            r.group,
            r.condition,
            r.seed,
            r.values,
            r.metrics and {**r.metrics, "layers": [0], "layers_total": 2},
        )
        if r.failure is None
        else r
        for r in records()
    ]
    histories = {("prompt", "sst2"): [gates(seed) for seed in range(3)]}
    write_results(
        tmp_path, "<Methods>", comparison(layered), COLUMNS, "python -m benchmarks methods", histories
    )
    return tmp_path


def test_the_page_has_the_table_every_drawing_and_the_failures(written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    for shown in (
        "92.0 ± 2.0 %",
        "3, 1 failed",
        "Beside lora",
        "-12.0",
        "The loss is nan",
        "python -m benchmarks methods",
    ):
        assert shown in html
    # scores, ranks, gates; layers are a table
    assert html.count("<svg") == 3
    assert "The share of runs, in %, that chose each layer" in html
    assert "&lt;Methods&gt;" in html and "<Methods>" not in html


def test_the_page_needs_nothing_from_outside(written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    outside = r"<script[^>]*src|@import|<img|<image|src=\"|url\([^#)]|href=\"(?!#|data:,|\w+/report.html)"
    assert not re.search(outside, html)


def test_json_gives_the_records_back(written: Path) -> None:
    results = json.loads((written / "results.json").read_text(encoding="utf-8"))
    assert {"command", "date", "versions", "machine", "rows", "tests", "ranks"} <= set(results)
    assert results["reference"] == "lora"
    again = comparison(read_records(written / "results.json"))
    assert ComparisonTable(again, COLUMNS).csv() == (written / "table.csv").read_text(encoding="utf-8")
    assert again.tests == comparison().tests


def test_csv_holds_the_same_numbers(written: Path) -> None:
    table = list(csv.DictReader(io.StringIO((written / "table.csv").read_text(encoding="utf-8"))))
    assert [line["group"] for line in table] == list(SCORES)
    assert float(table[0]["test_metric_mean"]) == pytest.approx(0.92)
    assert (table[1]["runs"], table[1]["failed"]) == ("3", "1")
    runs = list(csv.DictReader(io.StringIO((written / "runs.csv").read_text(encoding="utf-8"))))
    assert len(runs) == 10
    assert float(runs[1]["test_metric"]) == 0.92
    assert runs[-1]["test_metric"] == "" and runs[-1]["failure"] == "The loss is nan"


def test_a_sweep_is_drawn_as_a_line(tmp_path: Path) -> None:
    found = [
        RunRecord(
            str(value),
            "trec",
            seed,
            {"search.consistency": value},
            {"metric": "accuracy", "test_metric": value / 10 + seed / 100},
        )
        for value in (0.1, 3.0)
        for seed in (0, 1)
    ]
    write_results(tmp_path, "sweep", comparison(found), COLUMNS, "x")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Test accuracy against search.consistency" in html
    assert html.count("<svg") == 1


def test_pictures_of_conditions_that_look_alike_are_files_of_their_own(tmp_path: Path) -> None:
    found = [
        RunRecord(group, condition, 0, metrics={"metric": "accuracy", "test_metric": 0.5})
        for condition in ("trec on a/b", "trec on a-b")
        for group in ("lora", "prompt")
    ]
    write_results(tmp_path, "alike", comparison(found), COLUMNS, "x")
    names = {path.name for path in (tmp_path / "figures").glob("*.svg")}
    assert names == {"trec-on-a-b-scores.svg", "trec-on-a-b-scores-2.svg"}


def test_the_terminal_shows_the_table_and_the_tests(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    table = ComparisonTable(comparison(), COLUMNS)
    show(table)
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    runs = [line for line in lines if line[0] in SCORES and len(line) == 4]
    assert runs == [table.cells(row) for row in table.comparison.rows]
    assert [line for line in lines if len(line) == 5] == [
        ["prompt", "3", "-12.0", "0.250", "0.500"],
        ["head", "3", "-22.0", "0.250", "0.500"],
    ]


def test_a_narrow_terminal_gets_fewer_columns_whole(capsys: pytest.CaptureFixture[str]) -> None:
    keys = [column.key for column in COMPARED]
    layers = {"metric": "accuracy", "layers": (3, 5), "layers_total": 12}
    metrics = {**layers, **dict.fromkeys(keys, 0.9)}
    found = [RunRecord("a group of a long name", "trec", seed, {}, metrics) for seed in range(5)]
    show(ComparisonTable(Comparison(found, keys), COMPARED), width=80)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    left_out = "regret in points, Kendall's tau, 10^12 FLOPs, seconds, parameters"
    assert f"further columns in table.csv: {left_out}" in " ".join(shown.split())
    (row,) = (line for line in shown.splitlines() if "0.0 %" in line)
    assert re.search(r"5 +90\.0 ± 0\.0 %   90\.0 ± 0\.0 %   1\.00", row)


def test_each_condition_has_the_titles_of_its_metric() -> None:
    runs = [
        RunRecord("a", condition, 0, {}, {"metric": metric, "test_metric": 0.5})
        for condition, metric in (("sst2", "accuracy"), ("cola", "matthews"), ("mrpc", "accuracy_and_f1"))
    ]
    table = ComparisonTable(comparison(runs), COLUMNS)
    assert [table.head(condition)[2] for condition in ("sst2", "cola", "mrpc")] == [
        "test accuracy",
        "test Matthews correlation",
        "test mean of accuracy and F1",
    ]
    lines = list(csv.DictReader(io.StringIO(table.csv())))
    assert [line["metric"] for line in lines] == ["accuracy", "matthews", "accuracy_and_f1"]


def test_records_of_older_versions_are_read_under_the_names_of_today(tmp_path: Path) -> None:
    older = {"dev_accuracy": 0.7, "test_accuracy": 0.8, "f1": 0.6, "total_flops": 9, "seconds": 3.0}
    record = {"group": "a", "condition": "sst2", "seed": 0, "values": {}, "metrics": older, "failure": None}
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"records": [record, {**record, "metrics": None}]}), encoding="utf-8")
    first, failed = read_records(path)
    assert first.metrics is not None and failed.metrics is None
    assert (first.metrics["test_metric"], first.metrics["total_seconds"]) == (0.8, 3.0)
    assert comparison([first]).rows[0].numbers["test_metric"].mean == 0.8
