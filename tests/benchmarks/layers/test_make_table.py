"""The truth table: trainings whose workers keep their workbench give what runs give, and go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.layers import fixed_training
from benchmarks.layers.make_table import fixed, make_table, name_of
from benchmarks.layers.trainings import digest_of, stored, train
from experiments.comparing.truth import TruthTable
from experiments.pipeline import run
from tests.support.runs import tiny_config


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
def test_a_table_names_data_by_its_file_alone_and_can_be_read(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, search={"k": 1})
    path = tmp_path / "config.yml"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
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
