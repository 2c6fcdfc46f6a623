import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from nni.nas.space import ModelStatus

from search_spaces.budget import Budget
from search_spaces.prompt_layers import to_sample
from search_spaces.subsets import LayerSubsets
from spt.architecture import PromptLayers
from spt.errors import InputError, MachineFault
from strategies.candidates import LayersEvaluator, explore
from strategies.evolution import Evolution
from strategies.multi_trial import Exhaustive, RandomSearch
from strategies.options import EvolutionOptions, ExhaustiveOptions, RandomOptions
from strategies.ray_engine import RayEngine
from tests.support.ray_processes import STORE, private_ray
from tests.support.ray_scores import meet, score
from tests.support.workers import threads_as_score

pytestmark = [pytest.mark.ray, pytest.mark.slow]

BUDGET = Budget(6, 2)
EVERY_SUBSET = ExhaustiveOptions(evaluations=15)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with private_ray():
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=STORE)
        yield
        ray.shutdown()


@pytest.mark.parametrize(
    ("strategy", "evaluations"),
    [
        (partial(RandomSearch, RandomOptions(), seed=3), 5),
        (partial(Exhaustive, EVERY_SUBSET, seed=3), 15),
        (partial(Evolution, EvolutionOptions(population=3, tournament=2, concurrent=2), seed=3), 9),
    ],
)
def test_the_same_candidates_and_results_as_in_one_process(strategy: Any, evaluations: int) -> None:
    here = explore(strategy(), BUDGET, score, evaluations)
    there = explore(strategy(), BUDGET, score, evaluations, engine=RayEngine())
    assert len(there.tried) == evaluations
    assert sorted(there.tried, key=lambda tried: tried.layers) == sorted(
        here.tried, key=lambda tried: tried.layers
    )
    assert there.best(BUDGET) == here.best(BUDGET)
    assert there.ledger.flops == here.ledger.flops == 11 * evaluations


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_candidate_computes_with_the_threads_of_its_cpus(cpus: int) -> None:
    search, engine = RandomSearch(RandomOptions(), seed=3), RayEngine(cpus=cpus)
    found = explore(search, BUDGET, threads_as_score, 1, engine=engine)
    assert [tried.dev for tried in found.tried] == [cpus]


def test_a_candidate_whose_worker_dies_is_retried_and_one_that_raises_is_not(tmp_path: Path) -> None:
    found = explore(
        Exhaustive(EVERY_SUBSET),
        BUDGET,
        partial(score, folder=tmp_path),
        15,
        engine=RayEngine(retries=1),
    )
    tried = {candidate.layers: candidate for candidate in found.tried}
    assert len(found.tried) == len(tried) == 15
    assert tried[1, 2].failure == "the loss is nan"
    failed = {(1, 2)}
    assert all(
        candidate.dev == sum(layers) / 10 for layers, candidate in tried.items() if layers not in failed
    )
    trainings = {layers: len(list(tmp_path.glob(f"{layers[0]}+{layers[1]}_*"))) for layers in tried}
    # the first death is retried; what raises is not
    assert all(number == (2 if layers == (0, 4) else 1) for layers, number in trainings.items())


def test_a_candidate_whose_worker_always_dies_ends_the_search_and_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    record = tmp_path / "record.jsonl"
    always = partial(score, folder=tmp_path / "notes", deaths=9)
    with pytest.raises(MachineFault, match=r"A candidate's worker died"):
        explore(Exhaustive(EVERY_SUBSET), BUDGET, always, 15, engine=RayEngine(retries=1), record=record)
    assert "[0, 4]" not in (record.read_text("utf-8") if record.exists() else "")


def test_candidates_run_side_by_side_in_other_processes(tmp_path: Path) -> None:
    engine = RayEngine()
    found = explore(Exhaustive(EVERY_SUBSET), Budget(3, 2), partial(meet, folder=tmp_path), 3, engine=engine)
    assert [candidate.failure for candidate in found.tried] == [None, None, None]
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}


def frozen(layers: tuple[int, ...]) -> LayerSubsets:
    return LayerSubsets(BUDGET, LayersEvaluator(partial(score, seconds=30.0))).freeze(
        to_sample(PromptLayers.of(layers, 6), BUDGET)
    )


def test_a_shutdown_cancels_what_runs() -> None:
    engine = RayEngine(max_models=2)
    models = [frozen((1, 2)), frozen((2, 3))]
    assert engine.idle_worker_available() and engine.budget_available()
    engine.submit_models(*models)
    assert not engine.idle_worker_available()
    assert not engine.budget_available()
    assert engine.list_models(ModelStatus.Training) == models
    engine.shutdown()
    assert [model.status for model in models] == [ModelStatus.Interrupted] * 2
    with pytest.raises(RuntimeError, match="must be frozen"):
        engine.submit_models(models[0])


def test_what_no_node_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in ({"cpus": 64}, {"gpus": 1}):
        with pytest.raises(InputError, match="which no node of the cluster has"):
            RayEngine(**wanted)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InputError, match="Ray is not initialised"):
        RayEngine()


def test_an_error_in_a_strategys_callback_is_not_lost() -> None:
    engine = RayEngine()

    def broken(event: Any) -> None:
        raise ValueError(f"no room for {event}")

    engine.register_model_event_callback("training_end", broken)
    engine.submit_models(
        LayerSubsets(BUDGET, LayersEvaluator(score)).freeze(to_sample(PromptLayers.of((1, 2), 6), BUDGET))
    )
    engine.wait_models()
    with pytest.raises(RuntimeError, match="callback ended with an error"):
        engine.idle_worker_available()
    # between the two another strategy's next candidate is drawn
    late = frozen((2, 3))
    with pytest.raises(RuntimeError, match="callback ended with an error"):
        engine.submit_models(late)
    assert engine.list_models(ModelStatus.Training) == []
    assert late.status == ModelStatus.Frozen
