"""The bench of deep searches: what is looked up, what runs, and when it is written."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record
from benchmarks.layers import search_deep
from benchmarks.layers.search_deep import load_tables, measure_search_deep, tables_of, variants_of
from experiments.comparing.grid import RunOutcome, outcome_of, run_config
from experiments.comparing.truth import TruthTable
from experiments.run.folder import stored_config
from spt.errors import InputError
from spt.storage.yaml_files import read_yaml
from strategies.options import OPTIONS, ProbeOptions
from tests.support.truths import COST, write_truth

pytestmark = pytest.mark.slow
QUICK = (
    "probe: {search.strategy: probe}\n"
    "random: {search.strategy: random, search.evaluations: 3}\n"
    "last: {search.strategy: manual, search.manual_layers: [3]}\n"
)


def measured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variants: str,
    fails: str = "",
    task: str = "tiny",
    **options: Any,
) -> dict[str, Any]:
    """What the bench writes of the tiny backbone's single layers."""

    def in_this_process(
        configs: dict[str, Any], folder: Path, workers: int, on_done: Any, search_only: bool
    ) -> None:
        assert (search_only, workers) == (True, 1)
        for name, config in configs.items():
            job = partial(run_config, config, search_only=search_only)
            failure = RunOutcome(failure="no") if fails and fails in name else None
            on_done(name, failure or outcome_of(job, folder / name))

    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(search_deep, "run_grid", in_this_process)
    path = tmp_path / "variants.yml"
    path.write_text(variants, encoding="utf-8")
    tables = {task: write_truth(tmp_path, k=1)}
    failed = measure_search_deep(
        tmp_path / "runs", {f"{task}.training.batch_size": 16}, tables, path, 1, None, "deep", **options
    )
    assert failed == (1 if fails else 0)
    content: dict[str, Any] = json.loads((tmp_path / "results" / "deep.json").read_text("utf-8"))
    return content


def test_searches_are_judged_by_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = measured(tmp_path, monkeypatch, QUICK)
    table = TruthTable.load(tmp_path / "truth.json")
    by_cell = {(r["strategy"], r["seed"]): r for r in content["records"]}
    assert set(by_cell) == {(name, seed) for name in ("probe", "random", "last") for seed in (0, 1)}
    for (name, _), found in by_cell.items():
        assert found["regret"] == pytest.approx(table.regret(tuple(found["layers"])))
        assert (found["k"], found["task"], found["ceiling"]) == (1, "tiny", pytest.approx(1))
        assert found["prompt_tuning_flops"] == COST
        assert (found["kendall_tau"] is None) == (name != "probe")
    assert by_cell["last", 0]["total_flops"] == COST
    assert by_cell["random", 0]["total_flops"] == 3 * COST
    assert COST < by_cell["probe", 0]["total_flops"] < 2 * COST
    assert by_cell["probe", 0]["total_flops"] == COST + by_cell["probe", 0]["search_flops"]
    config = stored_config(tmp_path / "runs" / "tiny" / "probe" / "seed1")
    assert config is not None
    assert isinstance(config.search, ProbeOptions)
    assert (config.seed, config.training.batch_size, config.search.k) == (1, 16, 1)
    assert content["command"] == (
        f"python -m benchmarks search-deep --on=tiny --variants {tmp_path / 'variants.yml'} --result deep "
        "tiny.training.batch_size=16"
    )
    rows = {row["strategy"]: row for row in content["summary"]}
    assert rows["random"]["cost"] == 3
    assert rows["last"]["regret"] == {"mean": 0.0, "sd": 0.0, "n": 2}


def test_layers_that_a_search_gave_up_are_ranked_below_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = {"search.strategy": "spt_darts", "search.epochs": 3, "search.shrink": 2}
    variants = json.dumps({"darts": {**search, "search.derivation": "ablation"}})
    for found in measured(tmp_path, monkeypatch, variants)["records"]:
        assert len(found["scores"]) < 4 and found["kendall_tau"] is not None


@pytest.mark.parametrize(
    ("change", "numbers"),
    [
        ({"search.strategy": "probe", "search.k": 2}, "2"),
        ({"search.strategy": "manual", "search.manual_layers": [0, 1]}, "2"),
        ({"search.strategy": "random", "search.k": 2, "search.exactly": False}, "1 to 2"),
    ],
)
def test_layers_that_the_table_does_not_have_are_refused_before_any_search(
    change: dict[str, Any], numbers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=rf"variant 'other' .* finds {numbers} layers, .* every 1 of 4"):
        measured(tmp_path, monkeypatch, json.dumps({"other": change}))
    assert not (tmp_path / "runs").exists()


def test_a_strategy_without_all_of_its_seeds_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = measured(tmp_path, monkeypatch, QUICK, fails="seed1")
    assert {r["strategy"] for r in content["records"]} == {"random", "last"}


def test_what_other_commands_measured_is_kept_where_searches_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(content: dict[str, Any]) -> list[tuple[str, str]]:
        assert len(content["records"]) == 2 * len(content["summary"])
        return [(row["strategy"], row["task"]) for row in content["summary"]]

    first = measured(tmp_path, monkeypatch, QUICK, only=["last"])
    assert groups(first) == [("last", "tiny")] and "earlier" not in first
    both = measured(tmp_path, monkeypatch, QUICK, only=["probe"], add=True)
    assert groups(both) == [("probe", "tiny"), ("last", "tiny")]
    assert both["records"][2:] == first["records"] and list(both["variants"]) == ["probe", "last"]
    assert both["command"].split(" --")[2:] == [
        "only=probe",
        f"variants {tmp_path / 'variants.yml'}",
        "result deep",
        "add tiny.training.batch_size=16",
    ]
    assert [made["command"] for made in both["earlier"]] == [first["command"]]
    # of another task too, and again in the place of what was
    other = measured(tmp_path, monkeypatch, QUICK, task="other", only=["last"], add=True)
    assert groups(other) == [("probe", "tiny"), ("last", "other"), ("last", "tiny")]
    assert other["tables"].keys() == {"tiny", "other"} and len(other["earlier"]) == 2
    again = measured(tmp_path, monkeypatch, QUICK, task="other", only=["last"], add=True)
    assert {**again, "date": None} == {**other, "date": None}
    # what fails takes nobody's place
    failed = measured(tmp_path, monkeypatch, QUICK, fails="probe/seed1", only=["probe"], add=True)
    assert groups(failed) == groups(other)
    assert groups(measured(tmp_path, monkeypatch, QUICK, only=["last"])) == [("last", "tiny")]


def test_searches_are_not_added_to_what_they_cannot_be_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(tmp_path, monkeypatch, QUICK, only=["last"])
    path = tmp_path / "results" / "deep.json"
    before = path.read_text("utf-8")
    with pytest.raises(InputError, match=r"deep.json' has searches by what is another now: last\. Leave out"):
        measured(tmp_path, monkeypatch, QUICK.replace("[3]", "[2]"), only=["last"], add=True)
    path.write_text(before.replace('"best": 0.3', '"best": 0.4'), "utf-8")
    assert path.read_text("utf-8") != before
    with pytest.raises(InputError, match="what is another now: the table of tiny"):
        measured(tmp_path, monkeypatch, QUICK, add=True)
    path.write_text('{"records": []}', "utf-8")
    with pytest.raises(InputError, match="is no result of `python -m benchmarks search-deep`"):
        measured(tmp_path, monkeypatch, QUICK, add=True)
    assert path.read_text("utf-8") == '{"records": []}'
    with pytest.raises(InputError, match="Unknown variant 'lost'"):
        measured(tmp_path, monkeypatch, QUICK, only=["lost"])


@pytest.mark.parametrize("key", ["mr.data.train", "seed", "training.epochs"])
def test_a_key_of_no_task_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{key}: a key begins with a task, tiny"):
        load_tables({key: 1}, {"tiny": write_truth(tmp_path, k=1)})


def test_the_shipped_variants_name_strategies_and_tables() -> None:
    for k in (1, 2):
        variants = read_yaml(variants_of(k), "file of variants")
        assert {keys["search.strategy"] for keys in variants.values()} <= OPTIONS.keys()
        # named ones stand for one layer, or for a table's first, middle or last
        by_hand = [keys.get("search.manual_layers") for keys in variants.values()]
        assert all(len(layers) == k for layers in by_hand if isinstance(layers, list))
    assert list(tables_of(())) == ["sst2", "trec"]
    assert list(tables_of(["trec"])) == ["trec"]
    with pytest.raises(InputError, match="no truth table of K 1 and mr, only of sst2, trec"):
        tables_of(["trec", "mr"])
    with pytest.raises(InputError, match="no truth table of K 5 and any task, only of other K"):
        tables_of((), 5)
