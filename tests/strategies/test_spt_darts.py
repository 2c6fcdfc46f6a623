"""SPT-DARTS: what each argument changes, what trains when, resuming, and NNI's own experiment around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import SequentialEngineConfig
from nni.nas.space import RawFormatModelSpace
from torch import Tensor

from benchmarks.cost.measure import saved_bytes
from search_spaces.budget import Budget
from search_spaces.prompt_layers import PromptLayerSpace, to_layers
from spt.data.encoded.batches import Batch
from spt.errors import TrialFailed
from spt.model import trained
from spt.workbench import Workbench
from strategies.evaluator import new_evaluator
from strategies.gate_search import GateSearchModule
from strategies.hyper_network import drop, fixed_gates, gate_values, gated_layers, remaining_budget
from strategies.options import SptDartsOptions
from strategies.spt_darts import SptDarts
from tests.support.tiny import tiny_workbench


def new_strategy(kind: type[SptDarts] = SptDarts, **arguments: Any) -> SptDarts:
    """A strategy of these options, and of arguments that are none."""
    options = {name: arguments.pop(name) for name in SptDartsOptions.model_fields.keys() & arguments.keys()}
    return kind(SptDartsOptions(**options), **arguments)


@dataclass
class Search:
    """A tiny search that can be run."""

    run: Workbench
    space: PromptLayerSpace
    evaluator: Any

    def __call__(self, **arguments: Any) -> tuple[SptDarts, PromptLayerSpace]:
        strategy = new_strategy(**arguments)
        strategy(RawFormatModelSpace(self.space, self.evaluator), SequentialExecutionEngine())
        return strategy, self.space


def new_search(
    folder: Path, epochs: int = 2, work: Path | None = None, k: int = 2, **sections: Any
) -> Search:
    run = tiny_workbench(folder, **sections)
    space = PromptLayerSpace(run.factory, Budget(run.backbone.num_layers, k))
    evaluator = new_evaluator(
        run.batches("train", space, shuffled=True).loader,
        run.batches("dev", space).loader,
        run.spec.task,
        run.training.model_copy(update={"epochs": epochs}),
        seed=0,
        folder=work or folder / "search",
    )
    return Search(run, space, evaluator)


def weights(space: PromptLayerSpace) -> Tensor:
    return torch.cat([p.detach().flatten() for name, p in trained(space) if not name.endswith("alpha")])


DEFAULT = {"warmup_epochs": 0, "gate_learning_rate": 0.1}


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, float], Tensor]:
    _, space = new_search(tmp_path_factory.mktemp("default"))(**DEFAULT)
    return gate_values(space), weights(space)


def test_gates_move_away_from_one_half(default: tuple[dict[int, float], Tensor]) -> None:
    assert all(abs(gate - 0.5) > 1e-3 for gate in default[0].values())


def test_the_weight_step_has_the_rates_of_vectors_generators_and_head(tmp_path: Path) -> None:
    strategy, space = new_search(tmp_path, epochs=1)(**DEFAULT)
    weights, _ = strategy.oneshot_module.trainer.optimizers
    rates = {id(p): group["initial_lr"] for group in weights.param_groups for p in group["params"]}
    named = {name: rates.get(id(p)) for name, p in trained(space)}
    assert named["head.linear.weight"] == 0.01
    assert named["choices.1.gated.insert.generator.bias"] == 0.05
    assert named["choices.1.gated.insert.generator.down.weights"] == 0.003
    assert named["choices.1.gated.alpha"] is None


@pytest.mark.parametrize(
    "argument",
    [
        {"gate_learning_rate": 0.2},
        {"gate_weight_decay": 10.0},
        {"consistency": 0.0},
        {"consistency": 5.0},
        {"distance": "kl"},
        {"mask_probability": 0.9},
        {"warmup_epochs": 1},
        {"gate_every": 1},
        {"bilevel": False},
        {"seed": 1},
    ],
    ids=str,
)
def test_each_training_argument_changes_gates_and_weights(
    argument: dict[str, Any], default: tuple[dict[int, float], Tensor], tmp_path: Path
) -> None:
    _, space = new_search(tmp_path)(**{**DEFAULT, **argument})
    assert gate_values(space) != pytest.approx(default[0], abs=1e-6)
    assert not torch.allclose(weights(space), default[1])


def test_the_same_arguments_give_the_same_search(
    default: tuple[dict[int, float], Tensor], tmp_path: Path
) -> None:
    _, space = new_search(tmp_path)(**DEFAULT)
    assert gate_values(space) == default[0]
    assert torch.equal(weights(space), default[1])


@pytest.mark.parametrize("bilevel", [True, False])
def test_gates_learn_from_rows_of_their_own_only_where_the_search_is_bilevel(
    bilevel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Batch]] = {"_gate_step": [], "_weight_step": []}
    for name, batches in seen.items():
        monkeypatch.setattr(
            GateSearchModule, name, lambda _, batch, __, batches=batches: batches.append(batch)
        )
    new_search(tmp_path, epochs=1)(warmup_epochs=0, gate_every=1, bilevel=bilevel)
    gates, rows = seen.values()
    assert len(gates) == len(rows) > 0
    assert all((gate is row) != bilevel for gate, row in zip(gates, rows, strict=True))
    trained_on = sum(len(batch["labels"]) for batch in rows)
    assert trained_on == (60 if bilevel else 120)


def test_no_candidate_is_dropped_where_costs_are_weighed(tmp_path: Path) -> None:
    arguments = {"warmup_epochs": 0, "shrink": 1}
    for weight, left in ((0.0, 3), (0.1, 4)):
        _, space = new_search(tmp_path / str(weight), epochs=3, k=1)(cost_weight=weight, **arguments)
        assert len(remaining_budget(space).allowed) <= left
        assert (len(remaining_budget(space).allowed) == 4) == bool(weight)


def test_the_time_of_the_derivation_counts(tmp_path: Path) -> None:
    strategy, _ = new_search(tmp_path)(**DEFAULT)
    before = strategy.seconds
    assert strategy.derived.evaluations > 0
    assert strategy.seconds > before > 0


def test_gates_rest_during_warm_up(tmp_path: Path) -> None:
    _, space = new_search(tmp_path, epochs=1)(warmup_epochs=1)
    assert set(gate_values(space).values()) == {0.5}


def test_a_gate_step_moves_gates_only_and_a_weight_step_everything_else(tmp_path: Path) -> None:
    search = new_search(tmp_path, epochs=1)
    seen: list[tuple[str, set[str]]] = []

    class Watched(SptDarts):
        def configure_oneshot_module(self, training_module: Any) -> Any:
            module = super().configure_oneshot_module(training_module)
            for kind in ("_gate_step", "_weight_step"):
                setattr(module, kind, watch(kind, getattr(module, kind)))
            return module

    def watch(kind: str, step: Any) -> Any:
        def watched(*arguments: Any) -> None:
            before = {name: p.detach().clone() for name, p in search.space.named_parameters()}
            step(*arguments)
            after = dict(search.space.named_parameters())
            seen.append((kind, {n for n, p in before.items() if not torch.equal(p, after[n])}))

        return watched

    strategy = new_strategy(Watched, warmup_epochs=0)
    strategy(RawFormatModelSpace(search.space, search.evaluator), SequentialExecutionEngine())
    alphas = {name for name, _ in search.space.named_parameters() if name.endswith("alpha")}
    others = {name for name, _ in trained(search.space)} - alphas
    assert {kind for kind, _ in seen} == {"_gate_step", "_weight_step"}
    assert all(moved == alphas for kind, moved in seen if kind == "_gate_step")
    assert all(moved <= others and moved for kind, moved in seen if kind == "_weight_step")
    assert set().union(*(moved for kind, moved in seen if kind == "_weight_step")) == others


def test_the_two_halves_of_the_data_are_disjoint_and_complete(tmp_path: Path) -> None:
    search = new_search(tmp_path)
    loader = search.run.batches("train", search.space, shuffled=True).loader
    parts = new_strategy(seed=3).train_dataloader(lambda: loader, None)
    rows = [{int(row) for batch in parts[name] for row in batch["rows"]} for name in ("train", "val")]
    assert not rows[0] & rows[1]
    assert len(rows[0] | rows[1]) == search.run.rows("train")


@pytest.mark.parametrize("derivation", ["top_k", "ablation", "pruned"])
def test_derivations_respect_the_budget_and_say_what_they_cost(derivation: str, tmp_path: Path) -> None:
    strategy, space = new_search(tmp_path, epochs=1)(derivation=derivation, warmup_epochs=0)
    (found,) = strategy.list_models()
    found_layers = to_layers(found.sample, space.budget)
    assert found_layers.layers == strategy.derived.layers
    assert found_layers in space.budget
    assert strategy.derived.evaluations == {"top_k": 0, "ablation": 9, "pruned": 6}[derivation]
    assert strategy.derived.scores.keys() == {0, 1, 2, 3}


def test_history_is_written_as_often_as_asked(tmp_path: Path) -> None:
    counts = []
    for every in (1, 4):
        path = tmp_path / f"{every}.jsonl"
        search = new_search(tmp_path, epochs=1, work=tmp_path / str(every))
        _, space = search(history=path, record_every=every, warmup_epochs=0)
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert lines[-1]["gates"] == {str(k): v for k, v in gate_values(space).items()}
        counts.append(len(lines))
    assert counts[0] > 2 * counts[1]


@pytest.mark.parametrize("economy", [{}, {"shrink": 1, "patience": 2}], ids=str)
def test_a_killed_search_goes_on_and_ends_with_the_same_numbers(
    economy: dict[str, int], tmp_path: Path
) -> None:
    options = {**DEFAULT, **economy}
    whole = tmp_path / "whole.jsonl"
    _, expected = new_search(tmp_path, epochs=3, work=tmp_path / "a", k=1)(**options, history=whole)

    class KilledError(RuntimeError):
        pass

    def kill(*_: Any) -> None:
        raise KilledError

    part = tmp_path / "part.jsonl"
    first = new_search(tmp_path, epochs=3, work=tmp_path / "b", k=1)
    step = first.evaluator.module.check_finite
    calls: list[int] = []

    def killed_later(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) > 28:
            kill()
        step(*arguments)

    first.evaluator.module.check_finite = killed_later
    with pytest.raises(KilledError):
        first(**options, history=part)
    _, resumed = new_search(tmp_path, epochs=3, work=tmp_path / "b", k=1)(**options, history=part)
    _, finished = new_search(tmp_path, epochs=3, work=tmp_path / "b", k=1)(**options, history=part)
    assert gate_values(finished) == gate_values(resumed) == gate_values(expected)
    assert torch.equal(weights(resumed), weights(expected))
    assert part.read_text(encoding="utf-8") == whole.read_text(encoding="utf-8")


def test_shrinking_drops_the_lowest_gates_down_to_twice_k(tmp_path: Path) -> None:
    path = tmp_path / "gates.jsonl"
    search = new_search(tmp_path, epochs=5, k=1)
    _, space = search(**DEFAULT, shrink=1, history=path, record_every=1000)
    lines = [json.loads(line)["gates"] for line in path.read_text(encoding="utf-8").splitlines()]
    ends = lines[1::2]
    assert [sum(gate == 0 for gate in gates.values()) for gates in ends] == [0, 1, 2, 2, 2]
    for before, after in pairwise(ends[:3]):
        (gone,) = {layer for layer in after if after[layer] == 0 < before[layer]}
        assert before[gone] == min(gate for gate in before.values() if gate > 0)
    assert gate_values(space) == {int(layer): gate for layer, gate in ends[-1].items()}
    assert gated_layers(space).keys() == {layer for layer, gate in gate_values(space).items() if gate > 0}


@pytest.mark.parametrize("derivation", ["top_k", "ablation", "pruned"])
def test_a_dropped_layer_is_never_chosen(derivation: str, tmp_path: Path) -> None:
    strategy, space = new_search(tmp_path, epochs=1)(derivation=derivation, warmup_epochs=0)
    whole = strategy.derived.layers
    drop(space, whole[:1])
    del strategy.derived
    assert not set(strategy.derived.layers) & set(whole[:1])


def test_below_the_first_candidate_that_is_left_nothing_is_generated_nor_saved(tmp_path: Path) -> None:
    search = new_search(tmp_path)
    model: PromptLayerSpace = new_strategy().mutate_model(search.space)
    batch = next(iter(search.evaluator.datamodule.train_dataloader()))
    kept, parameters = [], list(model.parameters())
    with fixed_gates(model, {(0, "insert"): 0.0, (1, "insert"): 0.0}):
        expected = model(batch).logits
    for _ in range(2):
        kept.append(saved_bytes(lambda: model(batch).logits, parameters))
        drop(model, [layer for layer in (0, 1) if layer in gated_layers(model)])
    assert model.first_prompt_layer == 2
    assert torch.allclose(model(batch).logits, expected, atol=1e-5)
    assert kept[1] < 0.7 * kept[0]
    assert len(list(model.parameters())) == len(parameters)


@pytest.mark.parametrize(("patience", "epochs"), [(0, 4), (1, 2), (2, 3)])
def test_the_search_ends_when_the_best_layers_stay_the_same(
    patience: int, epochs: int, tmp_path: Path
) -> None:
    for _ in range(2):
        search = new_search(tmp_path, epochs=4, k=4)
        search(**DEFAULT, patience=patience)
        assert search.evaluator.trainer.current_epoch == epochs


def test_checkpoints_leave_the_backbone_out(tmp_path: Path) -> None:
    new_search(tmp_path, epochs=1, work=tmp_path / "c")(warmup_epochs=0)
    assert (tmp_path / "c" / "last.ckpt").stat().st_size < 150_000


def test_a_loss_that_is_not_a_number_fails_the_search(tmp_path: Path) -> None:
    search = new_search(tmp_path, training={"epochs": 2, "batch_size": 8, "learning_rate": 1e30})
    with pytest.raises(TrialFailed, match=r"loss is (nan|inf).*learning_rate"):
        search(warmup_epochs=0)


@pytest.mark.nni
def test_runs_through_nnis_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    search = new_search(tmp_path, epochs=1)
    experiment = NasExperiment(search.space, search.evaluator, new_strategy(warmup_epochs=0))
    experiment.config.execution_engine = SequentialEngineConfig()
    experiment.config.experiment_working_directory = tmp_path / "nni"
    try:
        assert experiment.run()
    finally:
        experiment.stop()
    (sample,) = experiment.export_top_models(formatter="dict")
    (model,) = experiment.export_top_models(formatter="instance")
    assert to_layers(sample, search.space.budget) in search.space.budget
    assert model.first_prompt_layer == min(to_layers(sample, search.space.budget).layers)
