"""The file of methods at equal operations: what is run on what, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.equal_operations.bench import BudgetedBench
from benchmarks.equal_operations.cells import with_defaults
from benchmarks.equal_operations.measure import BENCH
from benchmarks.methods.bench import BenchRun
from experiments.config import load_config
from spt.errors import InputError
from spt.training.config import TrainingConfig
from strategies.options import ManualOptions

CONTENT: dict[str, Any] = {
    "name": "tiny",
    "config": "base.yml",
    "budgets": [10.0, 5.0],
    "seeds": [0, 1],
    "sweep_seed": 9,
    "conditions": {
        "long": {"set": {"task": "sst2"}, "recipe": {"training.epochs": 7}},
        "few": {"set": {"task": "sst2"}, "seeds": [3], "budgets": [5.0]},
        "other": {"set": {"task": "trec"}},
    },
    "methods": {
        "lora": {"baseline": "lora", "learning_rates": [0.01, 0.03]},
        "default": {},
        "setfit": {"other": "setfit"},
    },
}


def bench(**changes: Any) -> BudgetedBench:
    return BudgetedBench.model_validate({**CONTENT, **changes})


def test_the_shipped_bench_is_right() -> None:
    shipped = BudgetedBench.load(BENCH)
    tasks = set()
    for condition in shipped.conditions:
        tasks.add(shipped.conditions[condition].set["task"])
        for method in shipped.methods_on(condition):
            rates = shipped.methods[method].learning_rates
            assert shipped.sweep_seed not in (shipped.conditions[condition].seeds or shipped.seeds)
            config = shipped.config_of(
                BenchRun(method, condition, 0, rates[0] if rates else 0.0), BENCH.parent
            )
            last = condition.split("-")[-1]
            assert config.data.shots_per_class == (int(last) if last.isdigit() else None)
            if rates:
                few = config.data.shots_per_class is not None
                assert config.training.patience == config.training.epochs == (40 if few else 50)
                assert config.training.contrastive_steps == 0
                assert not config.prompt.token_offset or shipped.methods[method].baseline
    assert tasks == {"trec", "sst2", "mr"}
    assert shipped.budgets == (5e12, 1e13, 2e13)
    assert next(iter(shipped.methods)) == "lora"


def test_a_method_without_rates_has_nothing_set_but_the_data(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text("name: base\n", encoding="utf-8")
    path = tmp_path / "bench.yml"
    path.write_text(yaml.safe_dump(CONTENT), encoding="utf-8")
    read = BudgetedBench.load(path)
    config = read.config_of(BenchRun("default", "long", 1, 0.0), tmp_path)
    assert config.model_dump(exclude_unset=True).keys() == {"name", "seed", "task"}
    config = read.config_of(BenchRun("lora", "long", 1, 0.03), tmp_path)
    assert (config.training.epochs, config.training.learning_rate) == (7, 0.03)
    assert not isinstance(config.search, ManualOptions)


def test_budgets_and_seeds_are_those_of_the_condition_or_of_the_bench() -> None:
    found = bench()
    assert (found.budgets_on("long"), found.budgets_on("few")) == ((5.0, 10.0), (5.0,))
    cells = found.reported_within("lora", "long", 10.0, 0.01)
    assert [(cell.budget, cell.run.seed) for cell in cells] == [(10, 0), (10, 1)]
    assert [cell.run.seed for cell in found.reported_within("lora", "few", 5.0, 0.01)] == [3]
    assert [(cell.run.rate, cell.run.seed) for cell in found.swept("lora", "few", 5)] == [
        (0.01, 9),
        (0.03, 9),
    ]
    assert found.swept("default", "few", 5) == []
    with pytest.raises(InputError, match=r"no budget of 2e-12 .* It has: 5e-12, 1e-11"):
        found.chosen_budgets([2.0])


def test_overrides_name_a_condition_or_a_task_or_neither() -> None:
    changed = bench().changed({"sst2.data.format": "lines", "few.data.encoding": "latin-1", "seed": 4})
    keys = {name: condition.set for name, condition in changed.conditions.items()}
    assert keys["long"] == {"task": "sst2", "data.format": "lines", "seed": 4}
    assert keys["few"] == {**keys["long"], "data.encoding": "latin-1"}
    assert keys["other"] == {"task": "trec", "seed": 4}


def test_what_no_loop_trains_takes_no_rates() -> None:
    with pytest.raises(ValueError, match="other is tfidf, which takes no baseline, learning_rates"):
        bench(methods={"x": {"other": "tfidf", "baseline": "lora", "learning_rates": [0.1]}})
    assert bench().without_setfit().methods.keys() == {"lora", "default"}


@pytest.mark.parametrize(
    ("keys", "training"),
    [
        ({"data.shots_per_class": 16}, {"contrastive_steps": 25}),
        ({"data.shots_per_class": 50}, {"epochs": 20, "patience": 20, "batch_size": 16}),
        ({"data.shots_per_class": 16, "training.epochs": 3}, {"epochs": 3}),
        ({"data.shots_total": 96}, {"contrastive_steps": 25}),
        ({"data.train_size": 2000}, {"batch_size": 16}),
        ({}, {}),
    ],
)
def test_defaults_are_those_for_as_many_rows(keys: dict[str, int], training: dict[str, int]) -> None:
    found = with_defaults(load_config(None, {"task": "trec", **keys})).training
    assert found == TrainingConfig(**training)  # type: ignore[arg-type]
