"""Strategies against a small made-up truth: look-ups in full, and one-shot searches on the tiny backbone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record
from benchmarks.layers import strategies
from benchmarks.layers.strategies import VARIANTS, measure_strategies, summary
from experiments.comparing.grid import RunOutcome, outcome_of, run_config
from experiments.comparing.table_search import search_table
from experiments.comparing.truth import TruthTable
from spt.errors import InputError
from strategies.options import EvolutionOptions, ExhaustiveOptions, MultiTrialOptions, RandomOptions
from strategies.registry import STRATEGIES, new_strategy
from tests.support.truths import COST, write_truth


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_truth(tmp_path)


@pytest.mark.parametrize(
    "options", [RandomOptions(), EvolutionOptions(population=2, tournament=2), ExhaustiveOptions()]
)
def test_a_strategy_looks_candidates_up(options: MultiTrialOptions, truth: Path) -> None:
    table = TruthTable.load(truth)
    found = search_table(table, new_strategy(options, seed=0), seed=0)
    assert found.best(table.budget).layers == (2, 3)
    assert found.best(table.budget).dev == 0.5
    assert len(found.tried) == 6
    assert found.ledger.flops == 6 * COST


def test_a_budget_is_kept_and_one_that_pays_nothing_refused(truth: Path) -> None:
    table = TruthTable.load(truth)
    found = search_table(table, new_strategy(RandomOptions(), seed=0), seed=1, budget_flops=2.9 * COST)
    assert (len(found.tried), found.ledger.flops) == (2, 2 * COST)
    with pytest.raises(InputError, match="a single candidate may take 1e"):
        search_table(table, new_strategy(RandomOptions(), seed=0), seed=1, budget_flops=COST - 1)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("k", 1),
        ("exactly", False),
        ("candidates", (0, 1)),
        ("candidates_by", "probe:2"),
        ("most_operations", 0.5),
        ("most_parameters", 9),
        ("kinds", ("free",)),
        ("lengths", (3,)),
        ("cost_weight", 0.1),
    ],
)
def test_an_option_that_a_table_cannot_heed_is_refused(option: str, value: Any, truth: Path) -> None:
    strategy = new_strategy(RandomOptions(**{option: value}), seed=0)
    with pytest.raises(
        InputError, match=rf"^search\.{option} is .*, but candidates are looked up in a table"
    ):
        search_table(TruthTable.load(truth), strategy, seed=0)


def test_the_shipped_variants_are_every_strategy_that_searches() -> None:
    text = VARIANTS.read_text(encoding="utf-8")
    assert all(f"\n{name}: {{search.strategy: {name}" in text for name in STRATEGIES if name != "manual")


def in_this_process(
    configs: dict[str, Any], folder: Path, workers: int, on_done: Any, search_only: bool
) -> dict[str, RunOutcome]:
    """What run_grid does, without starting processes."""
    assert search_only
    assert workers == 1
    found = {}
    for name, config in configs.items():
        found[name] = outcome_of(partial(run_config, config, search_only=search_only), folder / name)
        on_done(name, found[name])
    return found


def jobs_in_this_process(jobs: dict[str, Any], folder: Path, workers: int) -> dict[str, RunOutcome]:
    """What run_jobs does, likewise."""
    assert workers == 1
    return {name: outcome_of(job, folder / name) for name, job in jobs.items()}


@pytest.mark.slow
def test_every_variant_is_judged_by_the_table(
    truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(strategies, "run_grid", in_this_process)
    monkeypatch.setattr(strategies, "run_jobs", jobs_in_this_process)
    variants = tmp_path / "variants.yml"
    variants.write_text(
        "random: {search.strategy: random}\n"
        "all: {search.strategy: exhaustive, search.evaluations: 6}\n"
        "darts: {search.strategy: darts, search.epochs: 1, search.warmup_epochs: 0, every_derivation: true}\n"
        "shared: {search.strategy: one_shot_random, search.epochs: 1}\n"
        "set: {search.strategy: darts, search.epochs: 1, search.warmup_epochs: 0, "
        "search.derivation: ablation}\n",
        encoding="utf-8",
    )
    told: list[str] = []

    def judged() -> dict[str, Any]:
        failed = measure_strategies(
            tmp_path / "runs",
            truth,
            variants,
            seeds=[0, 1],
            trainings=6,
            workers=1,
            on_done=lambda name, _: told.append(name),
            result="tiny",
        )
        assert failed == 0
        content: dict[str, Any] = json.loads((tmp_path / "results" / "tiny.json").read_text("utf-8"))
        return content

    content = judged()
    assert sorted(told) == [f"{name}/seed{seed}" for name in ("darts", "set", "shared") for seed in (0, 1)]
    assert content["budget_flops"] == 6 * COST
    records = content["records"]
    table = TruthTable.load(truth)
    for found in records:
        assert found["regret"] == pytest.approx(table.regret(tuple(found["layers"])))
        assert found["total_flops"] <= 6 * COST
    assert [r["regret"] for r in records if r["variant"] == "all"] == [0, 0]
    assert [r["total_flops"] for r in records if r["variant"] == "all"] == [6 * COST, 6 * COST]
    rules = [r["derivation"] for r in records if (r["variant"], r["seed"]) == ("darts", 0)]
    assert rules == ["top_k", "ablation", "pruned"]
    assert [r["derivation"] for r in records if (r["variant"], r["seed"]) == ("shared", 1)] == ["pruned"]
    # the same hyper-network, and the same ablation
    (compared,) = (
        r for r in records if (r["variant"], r["seed"], r["derivation"]) == ("darts", 0, "ablation")
    )
    (alone,) = (r for r in records if (r["variant"], r["seed"]) == ("set", 0))
    assert {**alone, "search_seconds": 0} == {
        **compared,
        "variant": "set",
        "search_seconds": 0,
    }
    for found in records:
        if found["derivation"]:
            # the retraining is that of the table, and scoring dev costs something
            assert found["total_flops"] > COST
            scores = {int(layer): score for layer, score in found["scores"].items()}
            if found["kendall_tau"] is not None:
                assert found["kendall_tau"] == pytest.approx(table.kendall(scores))
    flops = {r["derivation"]: r["total_flops"] for r in records if (r["variant"], r["seed"]) == ("darts", 0)}
    assert flops["ablation"] > flops["pruned"] > flops["top_k"]
    rows = {(row["variant"], row["derivation"]): row for row in content["summary"]}
    assert rows["all", None]["regret"] == {"mean": 0.0, "sd": 0.0, "n": 2}
    assert rows["all", None]["stability"] == 1.0
    assert judged()["records"] == records


def test_failures_are_left_out_of_the_summary() -> None:
    whole = {
        "variant": "a",
        "derivation": None,
        "layers": (0, 1),
        "metric": "accuracy",
        "test_metric": 0.8,
        "regret": 0.1,
        "total_flops": 5,
        "kendall_tau": None,
    }
    (row,) = summary([whole, {**whole, "regret": 0.3, "layers": (1, 2)}, {"variant": "a", "failure": "no"}])
    assert row["regret"]["mean"] == pytest.approx(0.2)
    assert row["stability"] == pytest.approx(1 / 3)
    assert row["kendall_tau"] is None


def test_some_variants_can_be_run_alone(truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    arguments: dict[str, Any] = {"seeds": [0], "trainings": 6, "workers": 1, "result": "tiny"}
    assert measure_strategies(tmp_path / "runs", truth, only=["random"], **arguments) == 0
    content = json.loads((tmp_path / "tiny.json").read_text("utf-8"))
    assert {found["variant"] for found in content["records"]} == {"random"}
    assert content["command"].endswith("strategies --only=random --seeds 1 --trainings 6 --result tiny")
    with pytest.raises(InputError, match=r"Unknown variant 'rndom'\. Did you mean 'random'"):
        measure_strategies(tmp_path / "runs", truth, only=["rndom"], **arguments)


def test_a_seed_that_the_table_lacks_is_refused(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no seeds \[2\], only \[0, 1\]"):
        measure_strategies(tmp_path, truth, seeds=[0, 2])


def test_variants_that_cannot_be_read_are_refused(truth: Path, tmp_path: Path) -> None:
    path = tmp_path / "variants.yml"
    path.write_text("- 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"must map names to keys, as strategies\.yml does"):
        measure_strategies(tmp_path, truth, path, seeds=[0])
    path.write_text("a: {search.strategy: drats}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"(?s)variant 'a' of .*search\.strategy"):
        measure_strategies(tmp_path, truth, path, seeds=[0])
