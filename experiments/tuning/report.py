"""The HTML page of a tuning study: its best trials, all trials, and Optuna's own plots."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from experiments.tuning.config import TuneConfig
from experiments.tuning.searcher import ATTEMPTS, failure
from spt.provenance import Provenance
from spt.reports.charts import as_svg
from spt.reports.page import Figure, Section, write_page

# fANOVA needs a few trials to say anything
ENOUGH = 4
MEANING = {
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "not ended",
    "WAITING": "not begun",
}


def write_study_report(
    path: Path, study: optuna.Study, config: TuneConfig, best: Sequence[FrozenTrial]
) -> None:
    """Write a study's page, one file without outside parts.

    Args:
        path: of the HTML file.
        study: with at least one trial.
        config: that it ran with.
        best: the best trial or the Pareto set.
    """
    trials = study.get_trials(deepcopy=False)
    ended = sum(trial.state.is_finished() for trial in trials)
    title = "Pareto set" if len(config.objectives) > 1 else "Best trial"
    sections = [
        Section(title, *_table(study, config, best))
        if best
        else Section(title, text="No trial is complete."),
        Section("Optuna's plots", text=_plot_text(study), figures=list(_figures(study, config))),
        Section("All trials", *_table(study, config, trials)),
    ]
    write_page(
        path,
        config.name,
        f"{ended} of {config.trials} trials, sampler {config.sampler}, seed {config.seed}, "
        f"for {' and '.join(config.objectives)}",
        sections,
        Provenance.now("spt tune").as_json(),
    )


def _table(
    study: optuna.Study, config: TuneConfig, trials: Sequence[FrozenTrial]
) -> tuple[list[str], list[list[str]]]:
    head = ["trial", "state", *config.objectives, *config.search_space, "attempts", "failure"]
    return head, [_row(study, config, trial) for trial in trials]


def _row(study: optuna.Study, config: TuneConfig, trial: FrozenTrial) -> list[str]:
    values = trial.values if trial.state == TrialState.COMPLETE else [""] * len(config.objectives)
    return [
        str(trial.number),
        MEANING[trial.state.name],
        *map(_short, values),
        *(_short(trial.params.get(name, "")) for name in config.search_space),
        str(len(trial.user_attrs.get(ATTEMPTS, []))),
        failure(study, trial.number) or "",
    ]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _plot_text(study: optuna.Study) -> str:
    if len(_complete(study)) < ENOUGH:
        return f"There are no importances: they need {ENOUGH} complete trials with different results."
    return "Importances are fANOVA's: shares of the variance of the results of complete trials."


def _figures(study: optuna.Study, config: TuneConfig) -> Iterator[Figure]:
    if not _complete(study):
        return
    # a report is also written where there is no screen
    os.environ.setdefault("MPLBACKEND", "Agg")
    from optuna.visualization import matplotlib as plots  # noqa: PLC0415

    if len(config.objectives) == 2:
        yield _figure(plots.plot_pareto_front, study, "The Pareto set among all complete trials.")
    for index, objective in enumerate(config.objectives):
        # Optuna wants a target for one of several objectives only
        which: dict[str, Any] = {"target_name": objective}
        if len(config.objectives) > 1:
            which["target"] = lambda trial, index=index: trial.values[index]
        yield _figure(plots.plot_optimization_history, study, f"{objective}: each trial.", **which)
        yield _figure(plots.plot_slice, study, f"{objective} over each parameter.", **which)
        if _differ(study, index):
            yield _figure(plots.plot_param_importances, study, f"{objective}: importances.", **which)


def _differ(study: optuna.Study, index: int) -> bool:
    values = [trial.values[index] for trial in _complete(study)]
    return len(values) >= ENOUGH and len(set(values)) > 1


def _figure(plot: Callable[..., Any], study: optuna.Study, caption: str, **options: Any) -> Figure:
    with warnings.catch_warnings():
        # experimental in Optuna's terms, tight layout of many axes
        warnings.simplefilter("ignore")
        axes = np.ravel(plot(study, **options))
        return Figure(as_svg(axes[0].get_figure()), caption)
