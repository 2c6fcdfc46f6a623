"""Candidates: subsets of layers that are scored one by one, by training them or by looking them up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from threading import Lock
from typing import Any, cast

import nni
from nni.nas.evaluator import Evaluator
from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.execution.engine import Middleware
from nni.nas.execution.event import (
    FinalMetricEvent,
    IntermediateMetricEvent,
    ModelEventType,
    TrainingEndEvent,
)
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy

from search_spaces.budget import Budget
from search_spaces.subsets import LayerSubsets, layers_of
from spt.architecture import Kinds, Layers, PromptLayers, layers_name
from spt.errors import InputError, TrialFailed
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json_lines
from spt.training.result import TrainingResult
from strategies.costs import choose, scored_subsets
from strategies.ledger import Ledger

ADVICE = "Delete it to train the candidates again."
TrainCandidate = Callable[[PromptLayers], TrainingResult]


class LayersEvaluator(Evaluator):  # type: ignore[misc]
    """Scores layers: the dev score goes to NNI as the result, and what it cost beside it.

    Args:
        score: PromptLayers -> TrainingResult. To be carried to another process by `nni.dump`, it must be an
            importable function or an object of a class made with `nni.trace`.
    """

    def __init__(self, score: TrainCandidate) -> None:
        self.score = score

    def _execute(self, model: ExecutableModelSpace) -> float:
        return self.evaluate(layers_of(model))

    def evaluate(self, layers: PromptLayers) -> float:
        """Train layers, and return their dev score.

        A training's own failure is reported to NNI as an intermediate result, not a number with its reason
        and whether it may pass, and raised; anything else that is raised says nothing of the candidate.
        """
        try:
            fit = self.score(layers)
        except TrialFailed as error:
            report = {"default": nan, "failure": str(error), "flops": error.flops}
            nni.report_intermediate_result({**report, "may_pass": error.may_pass})
            raise
        except BaseException:
            # a kill, bad input or a full disk ends the search, and the candidate is trained again
            nni.report_intermediate_result({"default": nan, "killed": True})
            raise
        nni.report_final_result(
            {"default": fit.dev, "flops": fit.flops, "steps": fit.steps, "seconds": fit.seconds}
        )
        return fit.dev

    def _dump(self) -> dict[str, Any]:
        return {"score": self.score}

    @classmethod
    def _load(cls, **state: Any) -> LayersEvaluator:
        return cls(**state)


@dataclass(frozen=True)
class Candidate:
    """A subset that was tried: its dev score, or why it failed, and what it took."""

    layers: Layers
    dev: float | None = None
    failure: str | None = None
    flops: int = 0
    steps: int = 0
    seconds: float = 0.0
    kinds: Kinds = ()

    @property
    def name(self) -> str:
        """Return the layers as `layers_name` writes them."""
        return layers_name(self.layers, self.kinds)

    def as_json(self) -> dict[str, Any]:
        """Return what the record has: kinds where there are some."""
        content = asdict(self)
        if not self.kinds:
            del content["kinds"]
        return content


class Candidates(Middleware):  # type: ignore[misc]
    """Stands between a strategy and an engine: counts, charges, records and replays candidates.

    A strategy that repeats its choices from the same seed goes on after a kill where it was: what the record
    holds is answered from it, and not run again. A failure that may pass is not in it: that one is run again.

    Args:
        engine: runs the candidates.
        evaluations: most candidates, >= 1.
        ledger: is charged for each.
        max_candidate_flops: operations of the most expensive candidate that there may be. No candidate is
            begun which the ledger's budget might not pay.
        reserved_flops: operations of what follows the search, which no candidate may take.
        record: JSON lines, one a candidate that ended for good; None for none.
    """

    def __init__(
        self,
        engine: ExecutionEngine,
        evaluations: int,
        ledger: Ledger | None = None,
        max_candidate_flops: float = 0,
        reserved_flops: float = 0,
        record: Path | None = None,
    ) -> None:
        self.evaluations = evaluations
        self.ledger = ledger or Ledger()
        self.max_candidate_flops = max_candidate_flops
        self.reserved_flops = reserved_flops
        self.record = record
        self.tried: list[Candidate] = []
        self._models: list[ExecutableModelSpace] = []
        self._reported: dict[int, dict[str, Any]] = {}
        self._known = _read(record)
        # an engine with workers tells of an end while another candidate is replayed
        self._ending = Lock()
        super().__init__(engine)

    def set_engine(self, engine: ExecutionEngine) -> None:
        super().set_engine(engine)
        # before those of the strategy, so that the record is complete when it decides
        engine.register_model_event_callback(ModelEventType.IntermediateMetric, self._on_metric)
        engine.register_model_event_callback(ModelEventType.FinalMetric, self._on_metric)
        engine.register_model_event_callback(ModelEventType.TrainingEnd, self._on_end)

    def register_model_event_callback(
        self, event_type: ModelEventType, callback: Callable[..., None]
    ) -> None:
        self.engine.register_model_event_callback(event_type, callback)

    def unregister_model_event_callback(
        self, event_type: ModelEventType, callback: Callable[..., None]
    ) -> None:
        self.engine.unregister_model_event_callback(event_type, callback)

    def submit_models(self, *models: ExecutableModelSpace) -> None:
        for model in models:
            self._models.append(model)
            subset = layers_of(model)
            known = self._known.get((subset.layers, subset.kinds))
            if known is None:
                self._begin(model)
            else:
                self._replay(model, known)

    def _begin(self, model: ExecutableModelSpace) -> None:
        try:
            self.engine.submit_models(model)
        except TrialFailed:
            # an engine in this process tells of the candidate's end, and raises what the candidate raised
            if not model.status.completed():
                raise

    def _replay(self, model: ExecutableModelSpace, known: Candidate) -> None:
        model.status = ModelStatus.Training
        values = {name: getattr(known, name) for name in ("flops", "steps", "seconds")}
        if known.failure is None:
            self.engine.dispatch_model_event(FinalMetricEvent(model, {"default": known.dev, **values}))
            self.engine.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))
        else:
            report = {"default": nan, "failure": known.failure, **values}
            self.engine.dispatch_model_event(IntermediateMetricEvent(model, report))
            self.engine.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Failed))

    def _on_metric(self, event: FinalMetricEvent | IntermediateMetricEvent) -> None:
        if isinstance(event.metric, dict):
            self._reported[id(event.model)] = event.metric

    def _on_end(self, event: TrainingEndEvent) -> None:
        report = self._reported.pop(id(event.model), {})
        if "killed" in report:
            return
        subset = layers_of(event.model)
        spent = {name: report[name] for name in ("flops", "steps", "seconds") if name in report}
        if event.status == ModelStatus.Trained and "failure" not in report:
            result: dict[str, Any] = {"dev": report["default"]}
        else:
            result = {"failure": report.get("failure", "it ended without a result")}
        with self._ending:
            candidate = Candidate(subset.layers, kinds=subset.kinds, **result, **spent)
            self._enter(candidate, recorded=not report.get("may_pass"))

    def _enter(self, candidate: Candidate, *, recorded: bool) -> None:
        """Charge a candidate that has ended, and record it where it would end so again."""
        self.ledger.charge(f"candidate {candidate.name}", candidate.flops, candidate.steps)
        if recorded and self.record is not None and (candidate.layers, candidate.kinds) not in self._known:
            with self.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(candidate.as_json()) + "\n")
        self.tried.append(candidate)

    def budget_available(self) -> bool:
        """Say whether another candidate may be begun, now or once those that run have ended."""
        return len(self._models) < self.evaluations and self._pays() and bool(self.engine.budget_available())

    def idle_worker_available(self) -> bool:
        """Say whether a worker is free, and the budget surely pays for another candidate, or none runs.

        So the number of candidates within a budget is that of one worker, however many there are.
        """
        if not self.engine.idle_worker_available():
            return False
        running = len(self._models) - len(self.tried)
        return running == 0 or self._pays(running)

    def _pays(self, running: int = 0) -> bool:
        """Say whether the budget pays what has ended, so many of the dearest that run, and one more."""
        if self.ledger.budget is None:
            return True
        # not the ledger's total, which after a kill holds candidates that are yet to be replayed
        spent = sum(tried.flops for tried in self.tried) + (running + 1) * self.max_candidate_flops
        return spent + self.reserved_flops <= self.ledger.budget

    def list_models(self, status: ModelStatus | None = None) -> list[ExecutableModelSpace]:
        return [model for model in self._models if status is None or model.status == status]

    def shutdown(self) -> None:
        self.engine.shutdown()

    @property
    def scored(self) -> list[Candidate]:
        """Return the candidates that have a dev score.

        Raises:
            TrialFailed: if none has.
        """
        scored = [candidate for candidate in self.tried if candidate.dev is not None]
        if not scored:
            reasons = "; ".join(f"{tried.name}: {tried.failure}" for tried in self.tried)
            raise TrialFailed(f"All {len(self.tried)} candidates failed: {reasons}")
        return scored

    def scores(self, total: int) -> dict[PromptLayers, float]:
        """Return the dev score of each candidate that has one, of a backbone with L = `total` layers.

        Raises:
            TrialFailed: if none has.
        """
        return {
            PromptLayers.of(candidate.layers, total, candidate.kinds): cast(float, candidate.dev)
            for candidate in self.scored
        }

    def best(self, budget: Budget, cost_weight: float = 0.0) -> Candidate:
        """Return the candidate that `choose` takes: by default the cheapest of the highest dev score.

        Args:
            budget: of which the candidates are.
            cost_weight: what costs count, >= 0.

        Raises:
            TrialFailed: if none has a score.
        """
        best = choose(scored_subsets(self.scores(budget.total), budget), cost_weight)
        return self[best.layers, best.kinds]

    def __getitem__(self, subset: tuple[Layers, Kinds]) -> Candidate:
        """Return the candidate of these layers and kinds, which was tried."""
        return next(tried for tried in self.tried if (tried.layers, tried.kinds) == subset)


def explore(
    strategy: Strategy,
    budget: Budget,
    score: TrainCandidate,
    evaluations: int,
    engine: ExecutionEngine | None = None,
    ledger: Ledger | None = None,
    max_candidate_flops: float = 0,
    reserved_flops: float = 0,
    record: Path | None = None,
) -> Candidates:
    """Run a multi-trial strategy over all subsets of a budget.

    Args:
        strategy: new; it runs once.
        budget: which subsets of layers are valid.
        score: PromptLayers -> TrainingResult; a TrialFailed is the candidate's failure, all
            else ends the search.
        evaluations: most candidates, >= 1.
        engine: runs the candidates; in this process, one after the other, by default.
        ledger: is charged for each candidate, as of `Candidates`; so are the others.
        max_candidate_flops: operations of the most expensive candidate.
        reserved_flops: operations of what follows the search.
        record: JSON lines, one a candidate; None for none.

    Returns:
        What was tried.

    Raises:
        InputError: if the ledger's budget might not pay a single candidate.
    """
    candidates = Candidates(
        engine or SequentialExecutionEngine(),
        min(evaluations, budget.num_subsets),
        ledger,
        max_candidate_flops,
        reserved_flops,
        record,
    )
    allowed = candidates.ledger.budget
    needed = candidates.max_candidate_flops + candidates.reserved_flops
    if allowed is not None and needed > allowed:
        raise InputError(
            f"The budget is {allowed:.3g} training operations, but a single candidate may take {needed:.3g}, "
            "with a training on all rows where data.folds is set. Raise it."
        )
    strategy(LayerSubsets(budget, LayersEvaluator(score)), candidates)
    # an engine with workers tells here what ended it while the strategy waited
    candidates.idle_worker_available()
    return candidates


def _read(record: Path | None) -> dict[tuple[Layers, Kinds], Candidate]:
    """Read the record of an earlier session; a line that was cut off while it was written is dropped."""
    if record is None or not record.exists():
        return {}
    lines = read_json_lines(record, ADVICE)
    candidates = [
        checked(Candidate, line, f"Line {number} of '{record}'", ADVICE)
        for number, line in enumerate(lines, 1)
    ]
    write_text(record, "".join(f"{json.dumps(line)}\n" for line in lines))
    return {(candidate.layers, candidate.kinds): candidate for candidate in candidates}
