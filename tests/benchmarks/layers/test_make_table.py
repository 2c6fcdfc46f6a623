"""The truth table: trainings whose workers keep their workbench give what runs give, and go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record
from benchmarks.layers import fixed_training
from benchmarks.layers import make_table as make_table_module
from benchmarks.layers.make_table import fixed, make_table, name_of
from benchmarks.layers.trainings import digest_of, stored, train
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.comparing.truth import TruthTable
from experiments.config import RunConfig
from experiments.pipeline import run
from spt.errors import InputError
from tests.support.runs import tiny_config

Measure = Callable[..., int]


def test_a_training_gives_the_numbers_of_a_run(tmp_path: Path) -> None:
    config = fixed(tiny_config(tmp_path, search={"k": 1}), (1,), seed=3)
    metrics = run(config, tmp_path / "run")
    training = train(config, tmp_path / "training")
    for key in ("dev_metric", "test_metric", "train_flops", "train_epochs", "tunable_parameters"):
        # the training's dev score went through 32 bits
        assert training[key] == pytest.approx(getattr(metrics, key), rel=1e-6)
    assert [file.name for file in (tmp_path / "training").iterdir()] == ["training.json"]


def test_the_workbench_stays_while_data_backbone_and_seed_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = fixed_training.load_workbench
    monkeypatch.setattr(
        fixed_training, "load_workbench", lambda config: loads.append(config.seed) or load(config)
    )
    fixed_training._loaded.cache_clear()
    base = tiny_config(tmp_path, search={"k": 1})
    other = base.model_copy(update={"training": base.training.model_copy(update={"learning_rate": 0.5})})
    results = [
        train(fixed(config, layers, seed), tmp_path / f"{index}")
        for index, (config, layers, seed) in enumerate(
            [(base, (1,), 0), (base, (0,), 0), (other, (1,), 0), (base, (1,), 1)]
        )
    ]
    assert loads == [0, 1]
    # the rate of the third is its own, and so is the prompt's place of the second
    assert len({result["config"] for result in results}) == 4
    assert results[2]["dev_metric"] is not None


def test_what_is_done_is_not_repeated_and_another_configuration_is(tmp_path: Path) -> None:
    config = fixed(tiny_config(tmp_path, search={"k": 1}), (1,), seed=0)
    assert stored(config, tmp_path / "a") is None
    first = train(config, tmp_path / "a")
    assert stored(config, tmp_path / "a") == first
    assert stored(config.model_copy(update={"seed": 1}), tmp_path / "a") is None
    assert digest_of(config) == digest_of(config.model_copy(update={"name": "other", "cache": "off"}))


@pytest.mark.parametrize("steps", [0, 2])
def test_a_killed_training_of_another_configuration_is_not_gone_on_with(tmp_path: Path, steps: int) -> None:
    base = fixed(tiny_config(tmp_path, search={"k": 1}, training={"contrastive_steps": steps}), (1,), seed=0)
    changed = base.training.model_copy(update={"prompt_rate": 0.5, "generator_rate": 0.5})
    other = base.model_copy(update={"training": changed})
    # as a kill before the result leaves it
    fixed_training.figures_of(base, tmp_path / "killed")
    again, fresh = train(other, tmp_path / "killed"), train(other, tmp_path / "fresh")
    assert {**again, "train_seconds": 0} == {**fresh, "train_seconds": 0}
    assert again["train_flops"] > 0


@pytest.mark.slow
def test_a_table_names_data_by_its_file_alone_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path, search={"k": 1})
    path = tmp_path / "config.yml"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    table = tmp_path / "table.json"
    done = []
    failed = make_table(
        tmp_path / "runs",
        table,
        seeds=(0, 1),
        workers=1,
        on_done=lambda name, _: done.append(name),
        config=path,
        overrides={"seed": 5},
        layers=4,
    )
    assert failed == 0
    assert sorted(done) == sorted({name_of((layer,), seed) for layer in range(4) for seed in (0, 1)})
    assert json.loads(table.read_text())["run"]["data"]["train"] == Path(str(config.data.train)).name
    assert json.loads(table.read_text())["command"].endswith(" seed=5 --layers 4 --seeds 2")
    assert TruthTable.load(table).budget.k == 1


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the trainings, whose figures are made up; the folder of one that fails has the name bad."""
    names: list[str] = []

    def run_trainings(configs: Mapping[str, RunConfig], folder: Path, _workers: int, on_done: OnDone) -> None:
        for name, config in list(configs.items())[: int(folder.name)]:
            names.append(name)
            score = config.seed + config.search.model_dump()["manual_layers"][0] / 10
            figures = {"dev_metric": score, "test_metric": score, "train_flops": 5, "train_seconds": 1.5}
            metrics = {**figures, "tunable_parameters": 7, "train_epochs": 1, "config": "digest"}
            on_done(
                name,
                RunOutcome(failure="no")
                if name == "1-seed1" and "bad" in str(folder)
                else RunOutcome(metrics),
            )

    monkeypatch.setattr(make_table_module, "run_trainings", run_trainings)
    return names


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Make a table of the tiny backbone's single layers, with so many trainings in a folder."""
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    tree = tiny_config(tmp_path, search={"k": 1}).model_dump(mode="json", exclude_unset=True)
    (tmp_path / "config.yml").write_text(json.dumps(tree), encoding="utf-8")

    def measured(folder: str, **options: Any) -> int:
        defaults = {"seeds": (0, 1), "config": tmp_path / "config.yml", "layers": 4}
        return make_table(tmp_path / folder, tmp_path / "truth.json", **{**defaults, **options})

    return measured


def test_another_machine_goes_on_with_a_table_that_is_begun(
    tmp_path: Path, trained: list[str], measure: Measure
) -> None:
    table, begun = tmp_path / "truth.json", tmp_path / "results" / "truth_begun.json"
    assert measure("a/3") == 0
    assert begun.exists() and not table.exists()
    with pytest.raises(InputError, match="must hold the same two or more seeds"):
        TruthTable.load(begun)
    # a seed is no table
    assert measure("b/2", add=True) == 0
    assert begun.exists() and not table.exists()
    assert measure("bad/9", add=True) == 1
    assert begun.exists() and not table.exists()
    assert measure("c/9", add=True) == 0
    assert table.exists() and not begun.exists()
    everything = [name_of((layer,), seed) for seed in (0, 1) for layer in range(4)]
    assert trained == [*everything, "1-seed1"]
    added = TruthTable.load(table)
    commands = [made["command"] for made in json.loads(table.read_text("utf-8"))["earlier"]]
    assert len(commands) == 1 and not commands[0].endswith("--add")
    # the same as on one machine
    assert measure("d/9") == 0
    assert TruthTable.load(table) == added
    assert "earlier" not in json.loads(table.read_text("utf-8"))
    # of further seeds only what is missing, and the table is as it was until they are whole
    assert measure("e/2", seeds=range(3), add=True) == 0
    assert trained[-2:] == ["0-seed2", "1-seed2"]
    assert TruthTable.load(table) == added and begun.exists()
    assert measure("f/9", seeds=range(3), add=True) == 0
    assert TruthTable.load(table).seeds == (0, 1, 2) and not begun.exists()


@pytest.mark.usefixtures("trained")
def test_a_table_of_other_trainings_is_not_added_to(tmp_path: Path, measure: Measure) -> None:
    measure("a/3")
    before = (tmp_path / "results" / "truth_begun.json").read_bytes()
    with pytest.raises(
        InputError, match=r"truth_begun.json' is of other .*training.epochs \(2 there, 3 now\)"
    ):
        measure("b/9", add=True, overrides={"training.epochs": 3})
    with pytest.raises(InputError, match="is of other trainings: not of every 2 of 4 layers"):
        measure("b/9", add=True, overrides={"search.k": 2})
    assert (tmp_path / "results" / "truth_begun.json").read_bytes() == before
    # what changes no number does not matter
    assert measure("b/9", add=True, overrides={"name": "other", "threads": 2, "cache": "off"}) == 0


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("damage", ['"records": []', '"records": [{"layers": [0], "seeds": [0]}]', '"x": 1'])
def test_what_is_no_table_is_not_added_to(damage: str, tmp_path: Path, measure: Measure) -> None:
    measure("a/3")
    begun = tmp_path / "results" / "truth_begun.json"
    begun.write_text(begun.read_text("utf-8").split('"records"')[0] + damage + "}", encoding="utf-8")
    with pytest.raises(InputError, match=r"truth_begun\.json'"):
        measure("b/9", add=True)


@pytest.mark.usefixtures("trained")
def test_a_subset_whose_figures_are_not_one_a_seed_is_refused(tmp_path: Path, measure: Measure) -> None:
    measure("a/3")
    begun = tmp_path / "results" / "truth_begun.json"
    content = json.loads(begun.read_text("utf-8"))
    content["records"][1]["train_flops"] = []
    begun.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"layers \[1\] have not a figure a seed"):
        measure("b/9", add=True)
