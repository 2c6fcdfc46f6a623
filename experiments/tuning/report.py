"""The page of a tuning study: what it found, how it got there, what decided, and every trial."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from urllib.parse import quote

import optuna
from optuna.trial import FrozenTrial, TrialState

from experiments.tuning.charts import (
    TrialPoint,
    history_chart,
    importance_chart,
    option_chart,
    pareto_chart,
)
from experiments.tuning.config import OBJECTIVES, TuneConfig
from experiments.tuning.searcher import ATTEMPTS, CHECKPOINT, failure
from experiments.tuning.trial import METRICS
from spt.process.provenance import Provenance
from spt.reports.drawing import Picture
from spt.reports.page import Cell, Content, Fact, Page, Section, Table, made_with, write_page
from spt.reports.wording import percent

KIND = "tuning study"
# fANOVA needs a few trials to say anything
ENOUGH = 4
# numbers from here on that are whole are counts
WHOLE = 1000
# options that are drawn one by one
MOST_OPTIONS = 12
MEANING = {
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "not ended",
    "WAITING": "not begun",
}
EVERY_TRIAL = "Every trial; the number of one that is complete leads to the report of its run."
CHOSEN_ON_DEV = (
    "A trial is chosen by its own score on dev, the highest of many: expect less on other rows. Its score on "
    "test was not looked at before."
)


def write_study_report(
    path: Path, study: optuna.Study, config: TuneConfig, best: Sequence[FrozenTrial]
) -> None:
    """Write a study's page, one file without outside parts, and its pictures beside it.

    Args:
        path: of the HTML file.
        study: with at least one trial.
        config: that it ran with.
        best: the best trial or the Pareto set, best first.
    """
    write_page(path, study_page(study, config, best, path.parent))


def study_page(study: optuna.Study, config: TuneConfig, best: Sequence[FrozenTrial], folder: Path) -> Page:
    """Make the page of a study: the best first, then how it was found; from `folder` trials are linked."""
    trials = study.get_trials(deepcopy=False)
    points = _points(study, best)
    sections = [
        _best_section(study, config, best, folder),
        Section("How it went", pictures=_histories(points, config)),
        Section("What decided", [_importance_text(points)], pictures=_importances(study, points, config)),
        Section("Options", pictures=_options(points, config)),
        Section("All trials", tables=[_table(study, config, trials, EVERY_TRIAL, folder)]),
        made_with(Provenance.now("spt tune").as_json()),
    ]
    ended = sum(trial.state.is_finished() for trial in trials)
    subtitle = (
        f"{ended} of {config.trials} trials, sampler {config.sampler}, seed {config.seed}, for "
        f"{' and '.join(config.objectives)}"
    )
    shown = [section for section in sections if section.pictures or section.tables or section.text]
    return Page(KIND, config.name, subtitle, _answer(points, config, best), _facts(config, best), shown)


def _points(study: optuna.Study, best: Sequence[FrozenTrial]) -> list[TrialPoint]:
    """Return the complete trials, in the order of their numbers."""
    chosen = {trial.number for trial in best}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [TrialPoint(t.number, t.params, t.values, t.number in chosen) for t in complete]


def _answer(points: Sequence[TrialPoint], config: TuneConfig, best: Sequence[FrozenTrial]) -> str:
    if not best:
        return "No trial is complete."
    first, objective = best[0], config.objectives[0]
    reached = f"{objective} {first.values[0]:.4g}"
    if len(config.objectives) > 1:
        return (
            f"{len(best)} of {len(points)} complete trials are the Pareto set: no other is as good in all of "
            f"{', '.join(config.objectives)} and better in one. The best of them in {objective} is trial "
            f"{first.number}, with {reached}."
        )
    middle = median(point.values[0] for point in points)
    said = f"Trial {first.number} is the best of {len(points)} that are complete, with {reached}"
    return f"{said}; the middle one of them has {middle:.4g}." if len(points) > 1 else f"{said}."


def _facts(config: TuneConfig, best: Sequence[FrozenTrial]) -> list[Fact]:
    """Return the objectives of the best trial, and its score on test."""
    if not best:
        return []
    facts = [
        Fact(_short(value), f"{name} of trial {best[0].number}")
        for name, value in zip(config.objectives, best[0].values, strict=True)
    ]
    test = best[0].user_attrs.get(METRICS, {}).get("test_metric")
    return (
        facts if test is None else [*facts, Fact(percent(test), "its score on test", "no part of the choice")]
    )


def _best_section(
    study: optuna.Study, config: TuneConfig, best: Sequence[FrozenTrial], folder: Path
) -> Section:
    title = "Pareto set" if len(config.objectives) > 1 else "Best trial"
    if not best:
        return Section(title, ["No trial is complete."])
    return Section(title, [CHOSEN_ON_DEV], tables=[_table(study, config, best, "", folder)])


def _table(
    study: optuna.Study, config: TuneConfig, trials: Sequence[FrozenTrial], caption: str, folder: Path
) -> Table:
    head = ["trial", "state", *config.objectives, *config.search_space, "attempts", "failure"]
    rows = [_row(study, config, trial, folder) for trial in trials]
    return Table(head, rows, caption, sortable=True, wide=True)


def _row(study: optuna.Study, config: TuneConfig, trial: FrozenTrial, folder: Path) -> list[Content]:
    values = trial.values if trial.state == TrialState.COMPLETE else [""] * len(config.objectives)
    return [
        Cell(str(trial.number), trial.number, href=_report_of(trial, folder)),
        MEANING[trial.state.name],
        *map(_cell, values),
        *(_cell(trial.params.get(name, "")) for name in config.search_space),
        str(len(trial.user_attrs.get(ATTEMPTS, []))),
        failure(study, trial.number) or "",
    ]


def _report_of(trial: FrozenTrial, folder: Path) -> str | None:
    """Return the way from a folder to the report of a trial's run, where the study's storage is here."""
    report = Path(trial.user_attrs.get(CHECKPOINT, "")) / "report.html"
    return quote(os.path.relpath(report, folder)) if report.is_file() else None


def _cell(value: object) -> Content:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(_short(value), float(value)) if is_number else _short(value)  # type: ignore[arg-type]


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= WHOLE else f"{value:.4g}"
    return str(value)


def _histories(points: Sequence[TrialPoint], config: TuneConfig) -> list[Picture]:
    if not points:
        return []
    pictures = []
    for which, objective in enumerate(config.objectives):
        chart = history_chart(points, which, objective, OBJECTIVES[objective] == "maximize")
        caption = (
            f"{objective} of each trial as a dot, the best of all until then as a line; chosen ones are blue."
        )
        values = [point.values[which] for point in points]
        said = f"{objective} of {len(points)} trials, from {min(values):.4g} to {max(values):.4g}."
        pictures.append(Picture(f"history-{objective}", chart, caption, said))
    if len(config.objectives) == 2:
        caption = "The trials by both objectives: those in blue are the Pareto set."
        best = sum(point.best for point in points)
        said = f"{best} of {len(points)} trials are the Pareto set."
        pictures.append(Picture("pareto", pareto_chart(points, config.objectives), caption, said))
    return pictures


def _options(points: Sequence[TrialPoint], config: TuneConfig) -> list[Picture]:
    """Draw the first objective over each option that was tried."""
    objective = config.objectives[0]
    tried = [name for name in config.search_space if any(name in point.options for point in points)]
    return [
        Picture(
            f"option-{re.sub(r'[^a-zA-Z0-9_-]+', '-', name)}",
            option_chart(points, 0, objective, name),
            f"{objective} over {name}: each complete trial as a dot.",
            f"{objective} of each trial over {name}.",
        )
        for name in tried[:MOST_OPTIONS]
    ]


def _importance_text(points: Sequence[TrialPoint]) -> str:
    if len(points) < ENOUGH:
        return f"There are no importances: they need {ENOUGH} complete trials with different results."
    return "Importances are fANOVA's: shares of the variance of the results of complete trials."


def _importances(study: optuna.Study, points: Sequence[TrialPoint], config: TuneConfig) -> list[Picture]:
    pictures = []
    for which, objective in enumerate(config.objectives):
        if len(points) < ENOUGH or len({point.values[which] for point in points}) < 2:
            continue
        shares = _shares(study, which)
        said = "; ".join(f"{name} {share:.2f}" for name, share in shares.items())
        caption = f"How much of the variance of {objective} each option accounts for."
        if shares:
            chart = importance_chart(shares, objective)
            pictures.append(Picture(f"importance-{objective}", chart, caption, f"{caption} {said}."))
    return pictures


def _shares(study: optuna.Study, which: int) -> dict[str, float]:
    with warnings.catch_warnings():
        # experimental in Optuna's terms
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(study, target=lambda trial: trial.values[which])
