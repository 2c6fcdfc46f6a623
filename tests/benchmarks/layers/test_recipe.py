"""The recipe bench: cells of a bench, what they change, and the means of each variant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from benchmarks import CHECKOUT, record
from benchmarks.layers.recipe import cells, config_of, measure_recipe, read_recipe_bench, summary
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
    overrides, options = {"small.seed": 7}, {"only": ["small"], "result": "mine"}
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


@pytest.mark.parametrize("name", ["recipe.yml", "few_rows.yml", "placements.yml"])
def test_each_cell_of_a_shipped_bench_is_a_configuration_of_its_own(name: str) -> None:
    bench = CHECKOUT / "benchmarks" / "layers" / name
    read = read_recipe_bench(bench)
    shipped = cells(read, 0)
    configs = {config_of(read, bench.parent, cell).model_dump_json() for cell in shipped}
    assert len(configs) == len(shipped) == len({cell.name for cell in shipped})


def test_a_condition_that_the_bench_lacks_is_refused(bench: Path, tmp_path: Path) -> None:
    for overrides, only in (({"smal.seed": 1}, ()), ({}, ["smal"])):
        with pytest.raises(InputError, match="'small'"):
            measure_recipe(bench, tmp_path / "runs", overrides, [0], only=only)


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
