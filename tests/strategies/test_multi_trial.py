"""Strategies that score candidates one by one, on scores that can be looked up."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nni
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.execution.event import TrainingEndEvent
from nni.nas.space import ModelStatus, RawFormatModelSpace

from search_spaces.budget import Budget
from search_spaces.prompt_layers import PromptLayerSpace, to_layers
from search_spaces.subsets import LayerSubsets
from spt.architecture import Layers, PromptLayers
from spt.build import ModelFactory
from spt.errors import InputError, TrialFailed
from spt.heads import ClassificationHead
from spt.prompts.config import PromptConfig
from spt.training.result import TrainingResult
from strategies.candidates import Candidate, Candidates, LayersEvaluator, explore
from strategies.costs import pareto_front, scored_subsets
from strategies.evolution import Evolution
from strategies.ledger import Ledger
from strategies.multi_trial import Exhaustive, Manual, RandomSearch
from strategies.options import EvolutionOptions, ExhaustiveOptions, ManualOptions, RandomOptions
from tests.support.families import HIDDEN, shared_backbone
from tests.support.out_of_order import OutOfOrder

COST = 100


def evolution(seed: int = 0, **options: Any) -> Evolution:
    return Evolution(EvolutionOptions(**options), seed=seed)


def exhaustive(evaluations: int, seed: int = 0) -> Exhaustive:
    return Exhaustive(ExhaustiveOptions(evaluations=evaluations), seed=seed)


MAKE: dict[str, Callable[[int], Any]] = {
    "random": lambda seed: RandomSearch(RandomOptions(), seed=seed),
    "evolution": lambda seed: evolution(seed, population=4, tournament=2),
    "crossover": lambda seed: evolution(seed, population=4, tournament=2, crossover=True),
    "concurrent": lambda seed: evolution(seed, population=4, tournament=2, concurrent=3),
    "exhaustive": lambda seed: exhaustive(100_000, seed),
}
every = pytest.mark.parametrize("name", MAKE)


def score(layers: PromptLayers) -> TrainingResult:
    """The higher the layers the better, up to 1."""
    dev = sum(layers.layers) / sum(range(layers.total))
    return TrainingResult(dev, epochs=1, steps=10, seconds=0.5, flops=COST - min(layers.layers))


def tried(found: Candidates) -> list[Layers]:
    return [candidate.layers for candidate in found.tried]


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    total = draw(st.integers(2, 7))
    candidates = tuple(draw(st.sets(st.integers(0, total - 1), min_size=1)))
    return Budget(total, draw(st.integers(1, len(candidates))), draw(st.booleans()), candidates)


@every
@given(budget=budgets(), evaluations=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_valid_distinct_candidates_as_many_as_allowed(
    name: str, budget: Budget, evaluations: int, seed: int
) -> None:
    found = explore(MAKE[name](seed), budget, score, evaluations)
    assert all(PromptLayers.of(layers, budget.total) in budget for layers in tried(found))
    assert len(set(tried(found))) == len(found.tried) == min(evaluations, budget.num_subsets)
    best = max(score(PromptLayers.of(layers, budget.total)).dev for layers in tried(found))
    assert found.best(budget).dev == best


@every
def test_the_seed_decides(name: str) -> None:
    def run(seed: int) -> list[Layers]:
        return tried(explore(MAKE[name](seed), Budget(8, 3), score, 20))

    assert run(0) == run(0) != run(1)


def test_random_tries_the_last_of_many_subsets_too() -> None:
    budget = Budget(40, 2)
    found = explore(RandomSearch(RandomOptions()), budget, score, 1_000)
    assert set(tried(found)) == {subset.layers for subset in budget}


def test_random_goes_on_from_the_state_of_another_and_ends() -> None:
    budget = Budget(6, 2)
    first, second = (RandomSearch(RandomOptions()) for _ in range(2))
    before = tried(explore(first, budget, score, 9))
    second.load_state_dict(first.state_dict())
    after = tried(explore(second, budget, score, 99))
    # what was drawn in vain when the first had enough is not drawn again
    assert not set(before) & set(after)
    assert len(before) + len(after) == budget.num_subsets


def test_candidates_leave_what_is_reserved_for_what_follows_the_search() -> None:
    options = {"max_candidate_flops": COST, "ledger": Ledger(budget=3.5 * COST)}
    assert len(explore(RandomSearch(RandomOptions()), Budget(8, 2), score, 9, **options).tried) == 3
    options["ledger"] = Ledger(budget=3.5 * COST)
    reserved = explore(RandomSearch(RandomOptions()), Budget(8, 2), score, 9, reserved_flops=COST, **options)
    assert len(reserved.tried) == 2


def test_what_ended_an_engine_while_the_strategy_waited_is_raised() -> None:
    class Ending(SequentialExecutionEngine):  # type: ignore[misc]
        submitted = 0

        def submit_models(self, *models: Any) -> None:
            super().submit_models(*models)
            self.submitted += len(models)

        def idle_worker_available(self) -> bool:
            if self.submitted:
                raise InputError("a worker met a full disk")
            return bool(super().idle_worker_available())

    with pytest.raises(InputError, match="full disk"):
        explore(Manual(ManualOptions(manual_layers=[1, 2])), Budget(8, 2), score, 3, engine=Ending())


def test_evolution_climbs() -> None:
    budget = Budget(16, 4)
    found = {
        name: [explore(MAKE[name](seed), budget, score, 60).best(budget).dev for seed in range(8)]
        for name in ("random", "evolution", "crossover")
    }
    assert sum(found["evolution"]) > sum(found["random"])
    assert sum(found["crossover"]) > sum(found["random"])


def test_evolutions_options_change_what_it_tries() -> None:
    options: list[dict[str, Any]] = [
        {},
        {"population": 8},
        {"tournament": 1},
        {"crossover": True},
        {"concurrent": 2},
    ]
    runs = [
        tried(explore(evolution(**{"population": 4, **option}), Budget(10, 4), score, 30))
        for option in options
    ]
    assert len(set(map(tuple, runs))) == len(options)


def test_a_search_of_more_subsets_than_len_can_say() -> None:
    for name in ("random", "evolution", "crossover"):
        assert len(explore(MAKE[name](0), Budget(80, 40), score, 9).tried) == 9


def test_a_child_has_layers_of_two_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    parents: list[tuple[PromptLayers, PromptLayers]] = []
    real = Budget.child

    def watched(budget: Budget, first: PromptLayers, second: PromptLayers, random: Any) -> PromptLayers:
        parents.append((first, second))
        return real(budget, first, second, random)

    monkeypatch.setattr(Budget, "child", watched)
    explore(evolution(population=6, tournament=1, crossover=True), Budget(10, 4), score, 30)
    assert any(first != second for first, second in parents)


@pytest.mark.parametrize("concurrent", [1, 2, 4])
def test_a_candidate_waits_for_all_but_the_ones_just_before_it(
    concurrent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    still_open: list[int] = []
    real = Evolution.new_individual

    def watched(strategy: Evolution) -> Any:
        still_open.append(len(strategy._running_models))
        return real(strategy)

    monkeypatch.setattr(Evolution, "new_individual", watched)
    explore(evolution(population=6, concurrent=concurrent), Budget(10, 4), score, 20)
    assert set(still_open[concurrent:]) == {concurrent - 1}


def test_the_one_subset_that_there_is() -> None:
    for name, make in MAKE.items():
        assert tried(explore(make(0), Budget(2, 2), score, 9)) == [(0, 1)], name


def test_exhaustive_refuses_a_large_space() -> None:
    with pytest.raises(InputError, match=r"train 66 subsets of layers, but search\.evaluations allows 65"):
        explore(exhaustive(65), Budget(12, 2), score, 65)
    assert len(explore(exhaustive(66), Budget(12, 2), score, 66).tried) == 66


@pytest.mark.parametrize(("layers", "chosen"), [([2, 0], (0, 2)), ("every_2", (0, 2))])
def test_manual_tries_the_layers_named(layers: Any, chosen: Layers) -> None:
    assert tried(explore(Manual(ManualOptions(manual_layers=layers)), Budget(4, 2), score, 9)) == [chosen]


def test_manual_refuses_layers_outside_the_budget() -> None:
    with pytest.raises(InputError, match=r"layers \[1\] are not exactly 2 of \[0, 1, 2, 3\]"):
        explore(Manual(ManualOptions(manual_layers=(1,))), Budget(4, 2), score, 9)


def raising_once(
    scored: Callable[[PromptLayers], TrainingResult], number: int, error: BaseException, calls: list[Layers]
) -> Callable[[PromptLayers], TrainingResult]:
    """What scores candidates but for the one of a number, from 1, and notes them all."""

    def score_or_raise(layers: PromptLayers) -> TrainingResult:
        calls.append(layers.layers)
        if len(calls) == number:
            raise error
        return scored(layers)

    return score_or_raise


class Killed(BaseException):
    """What a kill looks like from inside."""


@every
@pytest.mark.parametrize("after", [0, 1, 5, 11])
def test_a_killed_search_goes_on_with_the_same_candidates(name: str, after: int, tmp_path: Path) -> None:
    budget, whole, record = Budget(6, 3), tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    expected = explore(MAKE[name](0), budget, score, 12, record=whole)
    calls: list[Layers] = []

    def counted(layers: PromptLayers) -> TrainingResult:
        calls.append(layers.layers)
        return score(layers)

    def killed(layers: PromptLayers) -> TrainingResult:
        if len(calls) == after:
            raise Killed
        return counted(layers)

    with pytest.raises(Killed):
        explore(MAKE[name](0), budget, killed, 12, record=record)
    assert len(record.read_text("utf-8").splitlines() if record.exists() else []) == after
    # as if the kill had come in the middle of a line
    with record.open("a", encoding="utf-8") as file:
        file.write('{"layers": [0, ')
    again = explore(MAKE[name](0), budget, counted, 12, record=record)
    assert again.tried == expected.tried
    assert calls == tried(expected)
    assert record.read_text("utf-8") == whole.read_text("utf-8")


def fails_at_times(layers: PromptLayers) -> TrainingResult:
    if 5 in layers.layers:
        raise TrialFailed("the loss is nan")
    return score(layers)


def out_of_order(
    name: str, workers: int, monkeypatch: pytest.MonkeyPatch, scored: Any = fails_at_times, **options: Any
) -> set[Candidate]:
    """Explore with workers whose candidates end in another order with each number of them."""
    engine = OutOfOrder(workers, seed=workers)
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", engine.end_one)
        found = explore(MAKE[name](0), Budget(7, 2), scored, 16, engine=engine, **options)
    assert not engine.waiting
    return set(found.tried)


@every
@pytest.mark.parametrize("workers", [1, 2, 3, 9])
@pytest.mark.parametrize("budget", [None, 7.5 * COST])
def test_any_number_of_workers_tries_the_same(
    name: str, workers: int, budget: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def account() -> dict[str, Any]:
        return {"ledger": Ledger(budget=budget), "max_candidate_flops": COST, "reserved_flops": COST}

    expected = explore(MAKE[name](0), Budget(7, 2), fails_at_times, 16, **account()).tried
    assert out_of_order(name, workers, monkeypatch, **account()) == set(expected)
    assert (len(expected) == 16) == (budget is None)


@every
def test_a_search_killed_among_workers_goes_on_with_the_same_candidates(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = explore(MAKE[name](0), Budget(7, 2), fails_at_times, 16).tried
    calls: list[Layers] = []
    killed = raising_once(fails_at_times, 6, Killed(), calls)
    record = tmp_path / "record.jsonl"
    with pytest.raises(Killed):
        out_of_order(name, 3, monkeypatch, killed, record=record)
    assert out_of_order(name, 2, monkeypatch, killed, record=record) == set(expected)
    # the one that was killed is repeated, and no other
    assert len(calls) == 17


@every
def test_a_search_killed_after_its_last_candidate_is_read_back(name: str, tmp_path: Path) -> None:
    def run(scored: Callable[[PromptLayers], TrainingResult]) -> Candidates:
        ledger = Ledger(tmp_path / "ledger.json", budget=3.5 * COST)
        record = tmp_path / "record.jsonl"
        return explore(
            MAKE[name](0), Budget(6, 3), scored, 12, ledger=ledger, max_candidate_flops=COST, record=record
        )

    def never(_: PromptLayers) -> TrainingResult:
        raise AssertionError("a known candidate was run again")

    expected = run(score)
    again = run(never)
    assert again.tried == expected.tried
    assert again.ledger.flops == expected.ledger.flops


@every
def test_a_failing_candidate_is_reported_and_survived(name: str, tmp_path: Path) -> None:
    error = TrialFailed("the loss is nan")
    error.flops = 7

    def failing(layers: PromptLayers) -> TrainingResult:
        if 5 in layers.layers:
            raise error
        return score(layers)

    budget, record = Budget(6, 2), tmp_path / "record.jsonl"
    found = explore(MAKE[name](0), budget, failing, 15, record=record)
    assert len(found.tried) == 15
    failed = [candidate for candidate in found.tried if candidate.failure]
    assert {candidate.layers for candidate in failed} == {(layer, 5) for layer in range(5)}
    reason = "the loss is nan"
    assert all((c.failure, c.dev) == (reason, None) for c in failed)
    assert {c.flops for c in failed} == {7}
    assert found.best(budget).layers == (3, 4)
    lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    assert sum(line["failure"] == reason for line in lines) == 5
    again = explore(MAKE[name](0), budget, score, 15, record=record)
    assert again.tried == found.tried


@every
def test_a_failure_that_may_pass_is_survived_and_tried_again_where_the_search_goes_on(
    name: str, tmp_path: Path
) -> None:
    error = TrialFailed("the device is out of memory")
    error.may_pass = True
    expected = explore(MAKE[name](0), Budget(6, 2), score, 8)
    calls: list[Layers] = []
    failing = raising_once(score, 4, error, calls)
    record = tmp_path / "record.jsonl"
    found = explore(MAKE[name](0), Budget(6, 2), failing, 8, record=record)
    assert [c.failure for c in found.tried if c.dev is None] == ["the device is out of memory"]
    assert len(record.read_text("utf-8").splitlines()) == len(found.tried) - 1
    assert explore(MAKE[name](0), Budget(6, 2), failing, 8, record=record).tried == expected.tried
    assert calls[3] in calls[len(found.tried) :]


@every
@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), MemoryError(), ZeroDivisionError(), Killed()]
)
def test_what_is_no_failure_of_a_training_ends_the_search_and_the_candidate_is_repeated(
    name: str, fault: BaseException, tmp_path: Path
) -> None:
    expected = explore(MAKE[name](0), Budget(6, 2), score, 8)
    calls: list[Layers] = []
    failing = raising_once(score, 4, fault, calls)
    record = tmp_path / "record.jsonl"
    with pytest.raises(type(fault)):
        explore(MAKE[name](0), Budget(6, 2), failing, 8, record=record)
    assert len(calls) == 4
    assert len(record.read_text("utf-8").splitlines()) == 3
    assert explore(MAKE[name](0), Budget(6, 2), failing, 8, record=record).tried == expected.tried
    assert calls[3] == calls[4]


class OneAtATime(Ledger):
    """Refuses a charge while another is entered."""

    entering = False

    def charge(self, what: str, flops: int, steps: int = 0) -> None:
        assert not self.entering
        self.entering = True
        time.sleep(0.05)
        super().charge(what, flops, steps)
        self.entering = False


def test_ends_that_are_told_of_at_once_are_entered_one_after_the_other() -> None:
    found = Candidates(SequentialExecutionEngine(), 9, OneAtATime())
    models = list(LayerSubsets(Budget(3, 2), LayersEvaluator(score)).grid())
    with ThreadPoolExecutor() as threads:
        for model in models:
            threads.submit(found.engine.dispatch_model_event, TrainingEndEvent(model, ModelStatus.Failed))
    assert len(found.tried) == len(models) == 3


def test_nothing_is_found_where_every_candidate_fails() -> None:
    def failing(layers: PromptLayers) -> TrainingResult:
        raise TrialFailed(f"no luck with {layers}")

    for make in MAKE.values():
        found = explore(make(0), Budget(3, 2), failing, 9)
        with pytest.raises(TrialFailed, match=r"All 3 candidates failed: .*0\+2: no luck with \[0, 2\] of 3"):
            found.best(Budget(3, 2))


def test_a_failure_is_not_the_best_and_a_tie_goes_to_the_cheapest_layers() -> None:
    found = Candidates(SequentialExecutionEngine(), 9)
    found.tried = [
        Candidate((4, 5), failure="no"),
        Candidate((0, 3), dev=0.5),
        Candidate((2, 3), dev=0.5),
        Candidate((2, 4), dev=0.5),
        Candidate((3, 4), dev=0.4),
    ]
    assert found.best(Budget(6, 2)).layers == (2, 3)
    assert found.best(Budget(6, 2), cost_weight=1.0).layers == (3, 4)


@every
def test_of_equal_dev_scores_the_layers_on_the_front_are_found(name: str) -> None:
    budget = Budget(5, 2)
    found = explore(MAKE[name](0), budget, lambda _: TrainingResult(1.0, 1, 10, 0.5, COST), 10)
    (cheapest,) = pareto_front(scored_subsets(found.scores(5), budget))
    assert found.best(budget).layers == cheapest.layers == (3, 4)


@every
@given(trainings=st.floats(1, 8), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_budget_in_flops_is_never_passed_and_is_used(name: str, trainings: float, seed: int) -> None:
    ledger = Ledger(budget=trainings * COST)
    found = explore(MAKE[name](seed), Budget(6, 2), score, 99, ledger=ledger, max_candidate_flops=COST)
    assert ledger.flops == sum(candidate.flops for candidate in found.tried) <= trainings * COST
    assert ledger.flops + COST > trainings * COST or len(found.tried) == 15
    assert ledger.steps == 10 * len(found.tried)


@every
def test_a_budget_that_pays_no_candidate_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"budget is 99 training operations, but .* may take 100"):
        explore(MAKE[name](0), Budget(6, 2), score, 9, ledger=Ledger(budget=99), max_candidate_flops=COST)


@every
def test_the_space_of_models_gives_the_same_search(name: str) -> None:
    prompt = PromptConfig(length=2, bottleneck=4, phm_order=1)
    factory = ModelFactory(
        shared_backbone("bert", "sdpa"), prompt, lambda: ClassificationHead(HIDDEN, 2), seed=0
    )
    space = PromptLayerSpace(factory, Budget(4, 2))
    strategy, candidates = MAKE[name](0), Candidates(SequentialExecutionEngine(), 4)
    strategy(RawFormatModelSpace(space, LayersEvaluator(score)), candidates)
    assert candidates.tried == explore(MAKE[name](0), Budget(4, 2), score, 4).tried
    (best,) = strategy.list_models(limit=1)
    assert to_layers(best.sample, space.budget).layers == candidates.best(space.budget).layers
    assert best.metric == candidates.best(space.budget).dev


@nni.trace
class Lookup:
    """A score that can travel."""

    def __init__(self, worth: dict[str, float]) -> None:
        self.worth = worth

    def __call__(self, layers: PromptLayers) -> TrainingResult:
        return TrainingResult(sum(self.worth[str(layer)] for layer in layers.layers), 1, 1, 1.0, 1)


LOOKUP = Lookup({"0": 0.5, "1": 0.25, "2": 0.125})


@pytest.mark.parametrize("scored", [score, LOOKUP], ids=["function", "object"])
def test_a_candidate_travels_with_its_evaluator(scored: Any) -> None:
    space = LayerSubsets(Budget(3, 2), LayersEvaluator(scored))
    model = next(iter(space.grid()))
    arrived = nni.load(nni.dump(model))
    SequentialExecutionEngine().submit_models(arrived)
    assert arrived.metric == scored(PromptLayers.of([0, 1], 3)).dev
