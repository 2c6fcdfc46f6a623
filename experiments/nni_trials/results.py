"""What an experiment's trials have found, in the folder above theirs: a comparison, and best.yml."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from experiments.comparing.cell_names import group_names
from experiments.comparing.compare import COLUMNS, gate_histories, record_of
from experiments.comparing.experiment_file import GridCell, check_metrics, compared_cells
from experiments.comparing.grid import RunOutcome
from experiments.comparing.groups import Comparison, RunRecord
from experiments.comparing.page import write_results
from experiments.comparing.truth import TREC, TruthTable
from experiments.config import RunConfig
from experiments.nested_choices import Parameters
from experiments.nni_trials.experiment import BEST
from experiments.run.folder import LOCK, RunFolder, stored_config
from experiments.run.results import RunMetrics
from spt.architecture import layers_text
from spt.metrics import TITLES
from spt.reports.wording import percent
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json
from strategies.options import ManualOptions, OneShotOptions

TRIAL = "trial.json"
DIGITS = 4
ADVICE = "Delete it to leave the trial out of the experiment's report."


@dataclass(frozen=True)
class TrialNote:
    """What trial.json holds, once the trial has ended.

    Attributes:
        number: NNI's, from 0, in the order of submission.
        parameters: that NNI's tuner chose, choices nested.
    """

    number: int
    parameters: Parameters

    def write(self, folder: Path) -> None:
        """Write trial.json into the trial's folder."""
        write_text(folder / TRIAL, json.dumps(asdict(self)) + "\n")


@dataclass(frozen=True)
class EndedTrial:
    """A trial that has ended, in its folder.

    Attributes:
        metrics: None if it failed.
        failure: why it failed.
    """

    folder: Path
    note: TrialNote
    config: RunConfig
    metrics: RunMetrics | None
    failure: str | None


def write_experiment_results(folder: Path, experiment: str, command: str) -> str:
    """Compare an experiment's trials that have ended, as `spt compare` does, and write the best one's config.

    Args:
        folder: of the trials' folders; gets results.json, table.csv, runs.csv, report.html and best.yml.
        experiment: NNI's id of it.
        command: that is noted in the results.

    Returns:
        Where the files are, in a line or two.

    Raises:
        InputError: for a damaged file, or trials on one task whose metrics differ.
    """
    # two trials may end at once, and the last one must see both
    with FileLock(folder / LOCK):
        trials = ended_trials(folder)
        done = [trial for trial in trials if trial.metrics is not None]
        if not done:
            return "No trial of the experiment has given results so far."
        _write_comparison(folder, f"NNI experiment {experiment}", trials, command)
        report = (
            f"report of {_count(trials)}: {(folder / 'report.html').absolute()}, with results.json beside it"
        )
        return f"{report}\n{_write_best(folder / BEST, experiment, done)}"


def ended_trials(folder: Path) -> list[EndedTrial]:
    """List the trials of an experiment that have ended, in NNI's order.

    Raises:
        InputError: for a damaged file.
    """
    trials = []
    for path in folder.glob(f"*/{TRIAL}"):
        note = checked(TrialNote, read_json(path, ADVICE), f"'{path}'", ADVICE)
        config = stored_config(path.parent)
        if config is not None:
            trials.append(EndedTrial(path.parent, note, config, *_outcome(RunFolder(path.parent))))
    return sorted(trials, key=lambda trial: trial.note.number)


def rerun_config(trial: EndedTrial, metrics: RunMetrics, name: str) -> RunConfig:
    """Return the config of a run that gives a trial's numbers again, without its search where it can be.

    Weights that a search left to the retraining are had by the search only.
    """
    search = trial.config.search
    inherits = isinstance(search, OneShotOptions) and search.inherit
    if not inherits and not isinstance(search, ManualOptions):
        search = ManualOptions(
            manual_layers=dict(zip(metrics.layers, metrics.kinds, strict=True))
            if metrics.kinds
            else metrics.layers
        )
    return trial.config.model_copy(update={"name": name, "search": search})


def _outcome(place: RunFolder) -> tuple[RunMetrics | None, str | None]:
    """Return the metrics of a run, or why it failed."""
    if place.metrics.exists():
        metrics = RunMetrics.read(place.metrics)
        if math.isfinite(metrics.dev_metric):
            return metrics, None
        return None, f"the metric on dev is {metrics.dev_metric}"
    failed = place.failure.exists()
    return None, place.failure.read_text(encoding="utf-8").strip() if failed else "it did not end"


def _write_comparison(folder: Path, title: str, trials: Sequence[EndedTrial], command: str) -> None:
    truth = TruthTable.load(TREC) if TREC.exists() else None
    cells = dict(zip([trial.folder.name for trial in trials], _cells(trials), strict=True))
    check_metrics(list(cells.values()))
    records: dict[tuple[str, str, int], RunRecord] = {}
    for trial, cell in zip(trials, cells.values(), strict=True):
        outcome = RunOutcome(trial.metrics.as_json() if trial.metrics else None, trial.failure)
        record = record_of(trial.folder.name, cell, outcome, truth)
        key = (record.group, record.condition, record.seed)
        # a tuner may try the same twice
        if key not in records or records[key].metrics is None:
            records[key] = record
    comparison = Comparison(list(records.values()), [column.key for column in COLUMNS])
    write_results(folder, title, comparison, COLUMNS, command, gate_histories(cells, folder))


def _cells(trials: Sequence[EndedTrial]) -> list[GridCell]:
    """Name what the trials compare; numbers are short where that leaves the trials different."""
    rows = [trial.note.parameters for trial in trials]
    cells = compared_cells(rows, [trial.config for trial in trials])
    short = group_names([_shortened(row) for row in rows])
    # whatever the seeds and tasks of those that would become one
    if len(set(short)) < len({cell.group for cell in cells}):
        return cells
    return [replace(cell, group=group or cell.group) for cell, group in zip(cells, short, strict=True)]


def _shortened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shortened(inner) for key, inner in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _write_best(path: Path, experiment: str, done: Sequence[EndedTrial]) -> str:
    """Write the config of the trial that is best on dev, the earlier one of two equals, and say where."""
    if len({(trial.config.task.name, trial.config.task.metric) for trial in done}) > 1:
        path.unlink(missing_ok=True)
        return f"There is no {BEST}: scores of different tasks cannot be ranked."
    trial = max(done, key=_dev_metric)
    metrics = trial.metrics
    assert metrics is not None
    config = rerun_config(trial, metrics, f"{experiment}-best")
    title = TITLES[metrics.metric]
    layers = layers_text(metrics.layers, metrics.kinds)
    scores = f"dev {title} {percent(metrics.dev_metric)}, test {title} {percent(metrics.test_metric)}"
    head = f"# trial {trial.note.number} ({trial.folder.name}) of NNI's experiment {experiment}: {scores}"
    choice = f"# layers {layers} of 0 to {metrics.layers_total - 1}, by {metrics.strategy}"
    content = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(path, f"{head}\n{choice}\n{content}")
    return f"best so far, trial {trial.note.number}, {scores}: spt run {shlex.quote(str(path.absolute()))}"


def _dev_metric(trial: EndedTrial) -> float:
    return trial.metrics.dev_metric if trial.metrics else -math.inf


def _count(trials: Sequence[EndedTrial]) -> str:
    return f"{len(trials)} trial" if len(trials) == 1 else f"{len(trials)} trials"
