"""The recipe bench: cells of a bench, what they change, and the means of each variant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import CHECKOUT, record
from benchmarks.layers import recipe
from benchmarks.layers.common_config import without_folders
from benchmarks.layers.recipe import cells, config_of, measure_recipe, read_recipe_bench, summary
from experiments.comparing.grid import RunOutcome
from experiments.config import load_config
from spt.errors import InputError
from tests.support.tiny import tiny_tree


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    (tmp_path / "config.yml").write_text(yaml.safe_dump(tiny_tree(tmp_path)))
    path = tmp_path / "bench.yml"
    path.write_text(
        yaml.safe_dump(
            {
                "config": "config.yml",
                "conditions": {"small": {"data.dev_size": 20}, "other": {}},
                "placements": {"middle": [1]},
                "variants": {"default": {}, "free": {"prompt.generator": "free"}},
            }
        )
    )
    return path


@pytest.mark.slow
def test_every_variant_is_trained_on_the_conditions_asked_for(bench: Path, tmp_path: Path) -> None:
    overrides, options = {"small.seed": 7}, {"conditions": ["small"], "result": "mine"}
    failed = measure_recipe(bench, tmp_path / "runs", overrides, [0, 1], 1, **options)
    assert failed == 0
    content = json.loads((tmp_path / "results" / "mine.json").read_text())
    asked = f"--on=small --bench {bench} --seeds 2 --result mine small.seed=7"
    assert content["command"] == f"python -m benchmarks recipe {asked}"
    records = content["records"]
    assert [(r["variant"], r["seed"]) for r in records] == [
        ("default", 0),
        ("free", 0),
        ("default", 1),
        ("free", 1),
    ]
    assert {r["condition"] for r in records} == {"small"}
    assert records[0]["tunable_parameters"] > records[1]["tunable_parameters"]
    assert [line["variant"] for line in content["summary"]] == ["default", "free"]


@pytest.mark.parametrize("name", ["recipe.yml", "few_rows.yml", "placements.yml", "width.yml"])
def test_each_cell_of_a_shipped_bench_is_a_configuration_of_its_own(name: str) -> None:
    bench = CHECKOUT / "benchmarks" / "layers" / name
    read = read_recipe_bench(bench)
    shipped = cells(read, 0)
    configs = {config_of(read, bench.parent, cell).model_dump_json() for cell in shipped}
    assert len(configs) == len(shipped) == len({cell.name for cell in shipped})


def test_a_condition_that_the_bench_lacks_is_refused(bench: Path, tmp_path: Path) -> None:
    for overrides, conditions in (({"smal.seed": 1}, ()), ({}, ["smal"])):
        with pytest.raises(InputError, match="'small'"):
            measure_recipe(bench, tmp_path / "runs", overrides, [0], conditions=conditions)
    with pytest.raises(InputError, match=r"Unknown variant 'fre'. Did you mean 'free'"):
        measure_recipe(bench, tmp_path / "runs", {}, [0], variants=["fre"])


def test_what_other_commands_measured_is_kept_where_trainings_are_added(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_trainings(configs: dict[str, Any], *_: Any) -> dict[str, RunOutcome]:
        score = {"dev_metric": 0.5, "train_flops": 1, "tunable_parameters": 2, "config": "digest"}
        return {name: RunOutcome({**score, "test_metric": len(done)}) for name in configs}

    def measured(conditions: list[str], variants: list[str], add: bool = True) -> dict[str, Any]:
        measure_recipe(bench, tmp_path, {}, [0], conditions=conditions, variants=variants, add=add)
        done.append(json.loads((tmp_path / "results" / "recipe.json").read_text("utf-8")))
        return done[-1]

    def cells_of(content: dict[str, Any]) -> list[tuple[str, str, int]]:
        return [
            (record["condition"], record["variant"], record["test_metric"]) for record in content["records"]
        ]

    done: list[dict[str, Any]] = []
    monkeypatch.setattr(recipe, "run_trainings", run_trainings)
    first = measured(["other"], ["free"])
    assert list(first["variants"]) == ["free"] and "earlier" not in first
    second = measured(["small"], [])
    assert cells_of(second) == [("other", "free", 0), ("small", "default", 1), ("small", "free", 1)]
    assert list(second["variants"]) == ["default", "free"] and len(second["summary"]) == 3
    assert [made["command"] for made in second["earlier"]] == [first["command"]]
    # in the place of what was, and without --add in the place of all
    assert cells_of(measured(["small"], ["free"]))[2] == ("small", "free", 2)
    assert cells_of(measured(["small"], ["free"], add=False)) == [("small", "free", 3)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "is no result of `python -m benchmarks recipe`"),
        ({"variants": {"free": {"prompt.generator": "scaling"}}}, "is another now: variant free. Leave out"),
        ({"conditions": {"small": {}}, "placements": {"low": [0]}}, "now: condition small, placement low"),
        # what all of them share
        ({"run": {"training": {"epochs": 9}}}, r"now: .*training\.epochs \(9 there, 2 now\)"),
    ],
)
def test_trainings_are_not_added_to_what_they_cannot_be_compared_with(
    content: dict[str, Any], message: str, bench: Path, tmp_path: Path
) -> None:
    run = without_folders(load_config(tmp_path / "config.yml"))
    whole = {"run": run, "placements": {}, "variants": {}, "records": [], **record.made_with("recipe")}
    whole |= content
    record.save("recipe", whole if content else {"records": []})
    with pytest.raises(InputError, match=message):
        measure_recipe(bench, tmp_path / "runs", {}, [0], add=True)
    assert not (tmp_path / "runs").exists()


def test_a_failed_training_has_no_part_in_the_means() -> None:
    cell = {"condition": "a", "placement": "b", "variant": "c", "train_flops": 2, "tunable_parameters": 3}
    records = [
        {**cell, "dev_metric": 0.5},
        {**cell, "dev_metric": 0.7},
        {"failure": "the loss is nan", **cell},
    ]
    (line,) = summary(records)
    assert line["dev_metric"]["mean"] == pytest.approx(0.6)
    assert line["dev_metric"]["n"] == 2
