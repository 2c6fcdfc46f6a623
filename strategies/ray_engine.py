"""An NNI execution engine whose candidates run as Ray tasks, on all cores, GPUs and nodes of a cluster."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from math import floor
from typing import Any, Literal

import nni
import ray
from nni.nas.execution import ExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, IntermediateMetricEvent, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.runtime.trial_command_channel import (
    ParameterRecord,
    TrialCommandChannel,
    set_default_trial_command_channel,
)

from spt.errors import InputError, MachineFault, TrialFailed
from spt.process.devices import use_threads

LOOK_SECONDS = 0.2


@dataclass
class CandidateOutcome:
    """What a candidate reported, in order, and whether it ended without an error."""

    trained: bool = False
    reports: list[tuple[Literal["PERIODICAL", "FINAL"], Any]] = field(default_factory=list)


class Recorder(TrialCommandChannel):  # type: ignore[misc]
    """Stands in a worker where NNI's trials have their manager, and writes down what is reported."""

    def __init__(self, model: ExecutableModelSpace, outcome: CandidateOutcome) -> None:
        self.model = model
        self.outcome = outcome

    def receive_parameter(self) -> ParameterRecord:
        return ParameterRecord(parameter_id=0, parameters=self.model)

    def send_metric(
        self,
        type: Literal["PERIODICAL", "FINAL"],
        parameter_id: int | None,
        trial_job_id: str,
        sequence: int,
        value: Any,
    ) -> None:
        self.outcome.reports.append((type, value))


def execute(model: ExecutableModelSpace, threads: int) -> CandidateOutcome:
    """Run one candidate in this process; a failure of its own training is part of the outcome."""
    use_threads(threads)
    outcome = CandidateOutcome()
    set_default_trial_command_channel(Recorder(model, outcome))
    nni.get_next_parameter()
    try:
        model.execute()
    except TrialFailed:
        # the evaluator has reported why
        return outcome
    outcome.trained = True
    return outcome


class RayEngine(ExecutionEngine):  # type: ignore[misc]
    """Runs submitted models as Ray tasks and tells the strategy of each one's end.

    A model travels to its worker with all that its evaluator holds: let that be small, or a reference into
    Ray's object store.
    Ray must be initialised.

    Args:
        cpus: CPUs and torch threads of a candidate, >= 1.
        gpus: GPUs of a candidate, >= 0; a fraction shares one.
        retries: times that a candidate whose worker or node died is run again, >= 0. One that raises is not.
        max_models: most models, >= 1; None for no end, where a middleware sets it.

    Raises:
        InputError: Ray is not initialised, or no node has what a candidate asks for.
    """

    def __init__(
        self, *, cpus: int = 1, gpus: float = 0, retries: int = 2, max_models: int | None = None
    ) -> None:
        super().__init__()
        if not ray.is_initialized():
            raise InputError("Ray is not initialised. Call ray.init() before a RayEngine is made.")
        self.wanted = {"CPU": float(cpus), "GPU": float(gpus)}
        self.max_models = max_models
        if not self._slots():
            raise InputError(
                f"A candidate asks for {cpus} CPUs and {gpus:g} GPUs, which no node of the cluster has: "
                f"{[node['Resources'] for node in ray.nodes() if node['Alive']]}. Ask for less."
            )
        self._execute = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(execute)
        self._threads = cpus
        self._models: list[ExecutableModelSpace] = []
        self._running: dict[Any, ExecutableModelSpace] = {}
        # a model that came in after the others were interrupted would be waited for without end
        self._changing = threading.Lock()
        self._collector: threading.Thread | None = None
        self._stopped = threading.Event()
        self._error: Exception | None = None

    def _slots(self) -> int:
        """Count the candidates that the cluster as it is now can run at a time."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        wanted = {kind: amount for kind, amount in self.wanted.items() if amount}
        return sum(min(floor(node.get(kind, 0) / wanted[kind]) for kind in wanted) for node in nodes)

    def submit_models(self, *models: ExecutableModelSpace) -> None:
        """Begin candidates; they wait for a worker where there are more than slots.

        Raises:
            RuntimeError: a model is not frozen or has run before, or a callback of the strategy ended with an
                error.
            InputError: as a candidate raised it.
            MachineFault: a candidate raised anything else, or its worker died.
        """
        with self._changing:
            self._check()
            for model in models:
                if not model.status.frozen() or model.status.completed():
                    raise RuntimeError(f"A model must be frozen and not have run before, but is {model}.")
                model.status = ModelStatus.Training
                self._models.append(model)
                self._running[self._execute.remote(model, self._threads)] = model
        if self._collector is None:
            self._collector = threading.Thread(target=self._collect, daemon=True)
            self._collector.start()

    def _collect(self) -> None:
        try:
            while not self._stopped.wait(LOOK_SECONDS):
                running = list(self._running)
                ended, _ = ray.wait(running, timeout=0) if running else ([], [])
                for task in ended:
                    # reported first, so that no strategy sees a free slot and an open result at once
                    self._report(self._running[task], _outcome(task))
                    del self._running[task]
        except Exception as error:
            # a strategy that waits for its models would else wait for ever
            self._error = error
            self._interrupt()

    def _report(self, model: ExecutableModelSpace, outcome: CandidateOutcome) -> None:
        for kind, value in outcome.reports:
            event = FinalMetricEvent if kind == "FINAL" else IntermediateMetricEvent
            self.dispatch_model_event(event(model, value))
        status = ModelStatus.Trained if outcome.trained else ModelStatus.Failed
        self.dispatch_model_event(TrainingEndEvent(model, status))

    def list_models(self, status: ModelStatus | None = None) -> list[ExecutableModelSpace]:
        """Return all models submitted, or those of a status."""
        return [model for model in self._models if status is None or model.status == status]

    def idle_worker_available(self) -> bool:
        """Say whether a candidate submitted now would begin at once."""
        self._check()
        return len(self._running) < self._slots()

    def budget_available(self) -> bool:
        """Say whether more models may be submitted."""
        self._check()
        return not self._stopped.is_set() and (self.max_models is None or len(self._models) < self.max_models)

    def shutdown(self) -> None:
        """Take no more models, and cancel those that run."""
        self._stopped.set()
        if self._collector is not None:
            self._collector.join()
        self._interrupt()

    def _interrupt(self) -> None:
        with self._changing:
            for task, model in self._running.items():
                ray.cancel(task, force=True)
                model.status = ModelStatus.Interrupted
            self._running.clear()

    def _check(self) -> None:
        if isinstance(self._error, InputError | MachineFault):
            raise self._error
        if self._error is not None:
            raise RuntimeError("The strategy's callback ended with an error.") from self._error

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: what has run is for a middleware to record."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load nothing, as `state_dict` returns."""


def _outcome(task: Any) -> CandidateOutcome:
    """Return what a candidate reported.

    Raises:
        InputError: as the candidate raised it.
        MachineFault: if the candidate raised anything else, or its worker died.
    """
    try:
        outcome: CandidateOutcome = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from error
        reason = f"{type(error.cause).__name__}: {error.cause}"
        raise MachineFault(f"A candidate's worker ended with {reason}") from error
    except ray.exceptions.RayError as error:
        raise MachineFault(f"A candidate's worker died ({str(error).strip().splitlines()[0]})") from error
    return outcome
