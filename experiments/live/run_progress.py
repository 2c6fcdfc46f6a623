"""Where one run is, read from its folder alone, whichever process fills it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments.config import RunConfig
from experiments.live.time_left import candidate_epochs, run_seconds_left
from experiments.run.folder import HISTORY, RunFolder, stored_config
from experiments.run.listing import State, state_of_run
from experiments.run.results import RunMetrics, SearchResult
from spt.architecture import Kinds, Layers, PromptLayers
from spt.errors import InputError
from spt.storage.json_files import read_json_lines
from spt.training.history import ADVICE
from spt.training.progress import TrainingProgress, progress_path
from strategies.options import MultiTrialOptions, SpaceOptions

# what the search and the training are preceded and followed by is not told apart in the folder
RunStage = Literal["beginning", "search", "train", "scores"]
# bytes at the end of a file in which its last line is looked for
TAIL = 2**16


@dataclass(frozen=True)
class RunProgress:
    """Hold where a run is.

    Attributes:
        state: as `spt runs` lists it.
        stage: that is under way, or was when the run ended.
        epoch: from 1, that is under way, or the last one that was begun; None before the first.
        epochs: of the stage, or of the candidate's training, at most.
        share: of that epoch's steps that are done, in [0, 1]; None where nobody trains.
        candidate: from 1, that the search trains; None where it trains none.
        candidates: that it trains at most.
        loss: mean of the epoch so far, or of the last one.
        ended_loss: mean of the last epoch that ended.
        dev: last score of dev in the task's metric.
        best_dev: best one of the stage.
        metric: name of the task's metric.
        layers: that have been chosen, or would be now, the lowest first.
        gates: of the layers, where the search learns some.
        kinds: what each of the layers gets; none where all get what the section `prompt` says.
        seconds_left: of the run, as far as one can tell; None where one cannot.
        test: score of a finished run in the task's metric.
        seconds: that a finished run took.
        resumed: whether the training under way goes on where an earlier session was stopped.
        failure: why it failed.
    """

    state: State
    stage: RunStage = "beginning"
    epoch: int | None = None
    epochs: int | None = None
    share: float | None = None
    candidate: int | None = None
    candidates: int | None = None
    loss: float | None = None
    ended_loss: float | None = None
    dev: float | None = None
    best_dev: float | None = None
    metric: str | None = None
    layers: tuple[int, ...] = ()
    gates: Mapping[int, float] | None = None
    seconds_left: float | None = None
    test: float | None = None
    seconds: float | None = None
    resumed: bool = False
    failure: str | None = None
    kinds: tuple[str, ...] = ()


def read_run(folder: Path) -> RunProgress | None:
    """Read where the run in a folder is; None where no run has begun there.

    Nothing is written. What is damaged, or vanishes while it is read, is taken as not there.
    """
    config = stored_config(folder)
    if config is None:
        return None
    place = RunFolder(folder)
    return _Reader(place, config).progress(state_of_run(place))


class _Reader:
    """Reads the files of one run's folder.

    Args:
        place: of the run.
        config: of the run.
    """

    def __init__(self, place: RunFolder, config: RunConfig) -> None:
        self.place = place
        self.config = config

    def progress(self, state: State) -> RunProgress:
        """Return where the run is, given how far it has come."""
        metrics = self._metrics() if self.place.metrics.exists() else None
        if metrics is not None:
            return RunProgress(
                state,
                "scores",
                dev=metrics.dev_metric,
                best_dev=metrics.dev_metric,
                metric=metrics.metric,
                layers=metrics.layers,
                kinds=metrics.kinds,
                gates=_of(metrics.layers, metrics.gates),
                test=metrics.test_metric,
                seconds=metrics.total_seconds,
            )
        if self.place.training_result.exists():
            return self._stage(state, "scores", self.place.train)
        if self.place.architecture.exists():
            return self._stage(state, "train", self.place.train)
        return self._stage(state, "search", self.place.search)

    def _stage(self, state: State, stage: RunStage, folder: Path) -> RunProgress:
        """Return where a stage is that keeps its epochs in a folder, or in those of candidates."""
        trainings = self._trainings(folder) if state == "running" and stage != "scores" else []
        training = None
        if trainings:
            folder, training = trainings[0]
        lines = _lines(folder / HISTORY)
        scores = [line["dev"] for line in lines if isinstance(line.get("dev"), int | float)]
        epoch = training.epoch + 1 if training else len(lines) or None
        begun = self.place.search.exists() or stage != "search"
        (layers, kinds), gates = self._layers()
        tried, options = self._candidates(), self.config.search
        among_candidates = stage == "search" and isinstance(options, MultiTrialOptions)
        best = self._best_candidate_dev() if among_candidates else max(scores, default=None)
        return RunProgress(
            state,
            stage if begun else "beginning",
            epoch=epoch,
            epochs=training.epochs if training else self._epochs(stage),
            share=None if training is None else training.step / max(1, training.steps),
            candidate=len(tried) + 1 if among_candidates else None,
            candidates=options.evaluations if isinstance(options, MultiTrialOptions) else None,
            loss=_ended_loss(lines) if training is None or training.loss is None else training.loss,
            ended_loss=_ended_loss(lines),
            dev=scores[-1] if scores else best,
            best_dev=best,
            metric=self.config.task.metric,
            layers=layers,
            kinds=kinds,
            gates=gates,
            seconds_left=run_seconds_left(self.config, stage, len(tried), training, len(trainings)),
            resumed=training is not None and training.began > 0,
            failure=self._failure() if state == "failed" else None,
        )

    def _trainings(self, folder: Path) -> list[tuple[Path, TrainingProgress]]:
        """Return the trainings that go on in a folder or of candidates, the one that moved last first."""
        # of candidates, and of their folds; a training by folds judges the layers there as well
        paths = [progress_path(folder), *(self.place.search / "candidates").rglob(progress_path(Path()).name)]
        running = []
        for path in sorted((path for path in paths if path.is_file()), key=_changed, reverse=True):
            with suppress(InputError, OSError):
                running.append((path.parent, TrainingProgress.read(path.parent)))
        return running

    def _epochs(self, stage: RunStage) -> int:
        """Return the most epochs of a stage that is not under way."""
        return candidate_epochs(self.config) if stage == "search" else self.config.training.epochs

    def _layers(self) -> tuple[tuple[Layers, Kinds], Mapping[int, float] | None]:
        """Return the layers and kinds that were chosen, or would be now, and the layers' gates."""
        with suppress(InputError, OSError):
            if self.place.architecture.exists():
                chosen = PromptLayers.load(self.place.architecture)
                gates = SearchResult.read(self.place.search_result).gates
                return (chosen.layers, chosen.kinds), _of(chosen.layers, gates)
        last = last_line(self.place.gates) or {}
        learned = last.get("gates")
        if isinstance(learned, dict) and isinstance(self.config.search, SpaceOptions):
            values = {int(layer): float(gate) for layer, gate in learned.items()}
            highest = sorted(values, key=lambda layer: -values[layer])[: self.config.search.k]
            return (tuple(sorted(highest)), ()), _of(highest, values)
        best = self._best_candidate() or {"layers": ()}
        return (tuple(best["layers"]), tuple(best.get("kinds", ()))), None

    def _candidates(self) -> list[dict[str, Any]]:
        return _lines(self.place.candidates)

    def _best_candidate(self) -> dict[str, Any] | None:
        scored = [tried for tried in self._candidates() if isinstance(tried.get("dev"), int | float)]
        return max(scored, key=lambda tried: tried["dev"], default=None)

    def _best_candidate_dev(self) -> float | None:
        best = self._best_candidate()
        return None if best is None else float(best["dev"])

    def _metrics(self) -> RunMetrics | None:
        with suppress(InputError, OSError):
            return RunMetrics.read(self.place.metrics)
        return None

    def _failure(self) -> str | None:
        with suppress(OSError):
            return self.place.failure.read_text(encoding="utf-8").strip()
        return None


def last_line(path: Path) -> dict[str, Any] | None:
    """Return the last whole line of a file of JSON objects that may be long; None where there is none."""
    with suppress(OSError, ValueError):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read().split(b"\n")[:-1]
        content = json.loads(lines[-1]) if lines else None
        return content if isinstance(content, dict) else None
    return None


def _lines(path: Path) -> list[dict[str, Any]]:
    with suppress(InputError, OSError):
        return read_json_lines(path, ADVICE)
    return []


def _ended_loss(lines: list[dict[str, Any]]) -> float | None:
    loss = lines[-1].get("loss") if lines else None
    return loss if isinstance(loss, int | float) else None


def _of(layers: Any, gates: Mapping[int, float] | None) -> Mapping[int, float] | None:
    return None if not gates else {layer: gates[layer] for layer in sorted(layers) if layer in gates}


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
