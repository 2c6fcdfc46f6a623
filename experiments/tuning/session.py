"""A tuning study: Ray Tune runs the trials, Optuna chooses their values, and the journal remembers them."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import yaml
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError
from ray import tune as ray_tune

from experiments.cluster.connect import check_feasible, cluster, nodes
from experiments.cluster.shared import SharedWorkbench, share
from experiments.config import RunConfig
from experiments.live.time_left import duration
from experiments.run.data_report import check_data
from experiments.run.search_budget import check_search
from experiments.run.training import load_workbench
from experiments.tuning.asha import ResumableAsha
from experiments.tuning.callbacks import Notes, TrialLogs
from experiments.tuning.config import TuneConfig, stored_study
from experiments.tuning.journal import ADVICE
from experiments.tuning.report import MEANING, write_study_report
from experiments.tuning.searcher import CHECKPOINT, SESSIONS, SafeOptunaSearch, failure
from experiments.tuning.space import short
from experiments.tuning.study import check_compatible, open_study
from experiments.tuning.trial import METRICS, Runner, run_trial, trial
from experiments.tuning.trial_inputs import check_trial_inputs
from spt.errors import InputError, MachineFault, TrialFailed
from spt.metrics import TITLES
from spt.reports.wording import percent
from spt.storage.files import write_text

# keys of a study that may change as it goes on: none of them changes what a trial gives
MAY_CHANGE = {"trials", "concurrency", "resources", "max_failures"}
# a look at the lock takes less
LOCK_SECONDS = 1.0
# Tune's own output is replaced by our table; several objectives are only known at the end
SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def tune(
    config: TuneConfig,
    folder: Path,
    address: str | None = None,
    resume: bool = False,
    run: Runner | None = None,
    watch: ray_tune.Callback | None = None,
) -> optuna.Study:
    """Run a study's trials, those that are missing when it goes on, and write what came out.

    In `folder`: tune.yml, optuna.journal, best.yml (for `spt run`), best/ (its run folder), with several
    objectives pareto/*.yml, and report.html. Every trial's run folder and TensorBoard log are below
    storage_path/NAME.

    Args:
        config: of the study.
        folder: of the study, on the machine that drives it.
        address: of a Ray cluster; see `experiments.cluster.connect.cluster`.
        resume: go on with the study in `folder`.
        run: what runs in a trial, in the place of a whole SPT run.
        watch: told by Tune what happens.

    Returns:
        The study; its journal can be opened with Optuna's own tools.

    Raises:
        InputError: for bad input, an unusable cluster, a folder that is in use, holds another study, or
            whose journal is damaged, or data or backbones that are not those of the trials before.
        MachineFault: the machine failed a trial more often than max_failures; the study goes on with it.
        TrialFailed: no trial was completed.
        KeyboardInterrupt: the study was stopped before its end.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    # what they say is in the table and the report, and a failed trial's traceback in its error.txt
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _claimed(folder, config, resume), cluster(address):
        _check_cluster(config)
        if run is None:
            check_data(config.conditions())
        # loads data and backbone, and so refuses what does not fit, before anything is written
        shared = _shared(config.run) if run is None else None
        study = _open(config, folder)
        _run_trials(config, folder, study, run or run_trial, shared, watch)
    write_results(config, folder, study)
    _check_ended(config, study)
    return study


@contextmanager
def _claimed(folder: Path, config: TuneConfig, resume: bool) -> Iterator[None]:
    """Hold the folder against other drivers, and check that it is of this study."""
    check_folder(folder, config, resume)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / ".lock", timeout=LOCK_SECONDS).acquire()
    except Timeout as error:
        raise InputError(
            f"The study folder '{folder}' is in use by another process. Wait for it, or choose another."
        ) from error
    with held:
        yield


def check_folder(folder: Path, config: TuneConfig, resume: bool) -> None:
    """Refuse a folder that does not hold what is asked for: a study of this configuration, or none.

    Raises:
        InputError: naming the keys that differ, or saying whether --resume must be given.
    """
    path = folder / "tune.yml"
    if not path.exists():
        if resume:
            raise InputError(
                f"There is no study in '{folder}' to go on with. Leave out --resume to begin one."
            )
        return
    if not resume:
        raise InputError(f"'{folder}' holds a study. Go on with it with --resume, or choose another folder.")
    before, now = _stored_config(path), _resolved(config)
    different = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    changed = sorted(different - MAY_CHANGE)
    if changed:
        raise InputError(
            f"The study in '{folder}' has another configuration (different: {', '.join(changed)}). "
            f"It goes on only with its own; {', '.join(sorted(MAY_CHANGE))} may change."
        )


def _stored_config(path: Path) -> dict[str, Any]:
    """Read a study's tune.yml, with the defaults of the options that are newer than it."""
    stored = stored_study(path)
    try:
        return _resolved(TuneConfig.model_validate(stored))
    except ValidationError:
        return stored


def _check_cluster(config: TuneConfig) -> None:
    check_feasible(config.resources.cpus, config.resources.gpus)
    if config.storage_path is None and len(nodes()) > 1:
        raise InputError(
            f"The cluster has {len(nodes())} nodes, but storage_path is not set. "
            "Set it to a path or a URI that all of them reach."
        )


def _shared(config: RunConfig) -> SharedWorkbench:
    """Load and check what all trials share."""
    workbench = load_workbench(config)
    check_search(workbench, config)
    return share(workbench, config)


def _open(config: TuneConfig, folder: Path) -> optuna.Study:
    journal = folder / "optuna.journal"
    if (folder / "tune.yml").exists() and not (journal.is_file() and journal.stat().st_size):
        raise InputError(f"'{journal}' is missing or empty, but the study has begun. {ADVICE}")
    study = open_study(config.name, config.directions, config.sampler, config.seed, journal)
    with warnings.catch_warnings():
        # experimental in Optuna's terms
        warnings.simplefilter("ignore")
        study.set_metric_names(list(config.objectives))
    check_compatible(study, config.distributions)
    check_trial_inputs(config, study, folder)
    write_text(folder / "tune.yml", yaml.safe_dump(config.as_tree(), sort_keys=False, allow_unicode=True))
    return study


def _run_trials(
    config: TuneConfig,
    folder: Path,
    study: optuna.Study,
    run: Runner,
    shared: SharedWorkbench | None,
    watch: ray_tune.Callback | None,
) -> None:
    if _ended(study) >= config.trials:
        return
    storage = f"{config.storage_path or folder.resolve() / 'ray'}/{config.name}"
    # of its own, so that nothing a dying session still writes gets in the way of the next
    session = int(study.user_attrs.get(SESSIONS, 0))
    while Path(f"{storage}/session_{session}").exists():
        # the record of it was cut off with the journal's end
        session += 1
    study.set_user_attr(SESSIONS, session + 1)
    search = SafeOptunaSearch(study, config.distributions, config.objectives, config.trials)
    trainable = ray_tune.with_parameters(trial, tuning=config, run=run, shared=shared, home=str(Path.cwd()))
    with closing(TrialLogs()) as logs:
        callbacks = [Notes(search, storage), logs, *([watch] if watch else [])]
        run_config = ray_tune.RunConfig(
            name=f"session_{session}",
            storage_path=storage,
            failure_config=ray_tune.FailureConfig(max_failures=config.max_failures),
            # the one before the last is what the journal names while the last is being noted
            checkpoint_config=ray_tune.CheckpointConfig(num_to_keep=2),
            callbacks=callbacks,
            verbose=0,
        )
        _tuner(trainable, config, study, search, run_config).fit()
    if search.fault is not None:
        raise MachineFault(search.fault, "the same command with --resume goes on")


def _tuner(
    trainable: Any,
    config: TuneConfig,
    study: optuna.Study,
    search: SafeOptunaSearch,
    run_config: ray_tune.RunConfig,
) -> ray_tune.Tuner:
    resources = {"cpu": config.resources.cpus, "gpu": config.resources.gpus}
    return ray_tune.Tuner(
        ray_tune.with_resources(trainable, resources),
        tune_config=ray_tune.TuneConfig(
            search_alg=search,
            scheduler=ResumableAsha(config, study) if config.asha else None,
            # those that the study lacks
            num_samples=config.trials - _ended(study),
            max_concurrent_trials=config.concurrency,
            reuse_actors=True,
            trial_dirname_creator=lambda started: f"trial_{started.config['number']:04d}",
        ),
        run_config=run_config,
    )


def _ended(study: optuna.Study) -> int:
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """List the best trial, or with several objectives the Pareto set, best first by the first objective."""
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return []
    first = study.directions[0] == optuna.study.StudyDirection.MAXIMIZE
    chosen = study.best_trials if len(study.directions) > 1 else [study.best_trial]
    return sorted(chosen, key=lambda trial: trial.values[0], reverse=first)


def write_results(config: TuneConfig, folder: Path, study: optuna.Study) -> None:
    """Write best.yml, best/, pareto/ and report.html of a study, as far as it has come."""
    chosen = best_trials(study)
    if chosen:
        write_text(folder / "best.yml", _run_yaml(config, chosen[0]))
        _fetch(chosen[0], folder / "best")
    if len(config.objectives) > 1:
        shutil.rmtree(folder / "pareto", ignore_errors=True)
        (folder / "pareto").mkdir()
        for best in chosen:
            write_text(folder / "pareto" / f"trial_{best.number:04d}.yml", _run_yaml(config, best))
    write_study_report(folder / "report.html", study, config, chosen)


def _run_yaml(config: TuneConfig, ended: FrozenTrial) -> str:
    """Write the run of a trial as a config for `spt run`."""
    values = ", ".join(
        f"{name} {value:g}" for name, value in zip(config.objectives, ended.values, strict=True)
    )
    run = config.trial_run(ended.params).model_copy(update={"name": f"{config.name}-trial-{ended.number}"})
    text = yaml.safe_dump(run.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return f"# trial {ended.number} of the study '{config.name}': {values}\n{text}"


def _fetch(ended: FrozenTrial, folder: Path) -> None:
    """Copy the run folder of a trial out of the study's storage."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    ray_tune.Checkpoint(ended.user_attrs[CHECKPOINT]).to_directory(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _check_ended(config: TuneConfig, study: optuna.Study) -> None:
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    if len(ended) < config.trials:
        raise KeyboardInterrupt
    if not best_trials(study):
        reasons = [failure(study, trial.number) for trial in ended if trial.state == TrialState.FAIL]
        raise TrialFailed(f"None of the {len(ended)} trials was completed. The last reason: {reasons[-1]}")


def summary(config: TuneConfig, folder: Path, study: optuna.Study, seconds: float) -> str:
    """Write the best trials with their values and test score, the time, and where everything is.

    Args:
        config: of the study.
        folder: of the study.
        study: that has ended.
        seconds: that the command took.
    """
    lines = [_best_line(config, best) for best in best_trials(study)]
    states = Counter(MEANING[trial.state.name] for trial in study.get_trials(deepcopy=False))
    counted = ", ".join(f"{count} {meaning}" for meaning, count in states.items())
    lines.append(f"{sum(states.values())} trials ({counted}), {duration(seconds)}")
    return "\n".join([*lines, f"best config: {folder / 'best.yml'}", f"report: {folder / 'report.html'}"])


def _best_line(config: TuneConfig, best: FrozenTrial) -> str:
    objectives = zip(config.objectives, best.values, strict=True)
    parts = [f"{name} {value:g}" for name, value in objectives]
    test = metrics_of(best).get("test_metric")
    if test is not None:
        parts.append(f"test {TITLES[config.run.task.metric]} {percent(test)}")
    values = [f"{name}={short(value)}" for name, value in best.params.items()]
    return f"best: trial {best.number}, {', '.join(parts)}, with {' '.join(values)}"


def metrics_of(ended: FrozenTrial) -> Mapping[str, float]:
    """Return all numbers of a completed trial's run."""
    metrics: Mapping[str, float] = ended.user_attrs[METRICS]
    return metrics


def _resolved(config: TuneConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", by_alias=True)
