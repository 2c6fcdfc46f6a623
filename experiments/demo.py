"""`python -m experiments.demo`: an NNI experiment of searches on TREC questions, beside two baselines."""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from experiments.console import exit_code
from experiments.live.run_progress import read_run
from experiments.live.screen import redraws
from experiments.live.trials import TrialRow, TrialTable, changes, counts, row_of_run
from experiments.logs import quiet_libraries
from experiments.nni_trials.experiment import BEST, ExperimentError, NniExperiment, Trial
from experiments.run.results import RunMetrics
from spt.assets import fetch
from spt.metrics import TITLES
from spt.reports.wording import percent
from spt.storage.files import write_text
from spt.storage.yaml_files import read_yaml

if TYPE_CHECKING:
    from experiments.config import RunConfig
    from experiments.without_search import WithoutSearch

HERE = Path(__file__).parent
EXPERIMENT = HERE / "spt.yml"
RUN_CONFIG = HERE / "configs" / "demo.yml"
RUNS = Path("runs")
ASSETS = ("minilm-l6", "trec")
BASELINES: Mapping["WithoutSearch", str] = {"head": "head alone", "input_prompt": "input prompt"}
# the fewest whose operations are no fewer than those of a trial's search and training
INPUT_EPOCHS = 6
# the best on dev of those that `python -m benchmarks demo` tries, with a seed of its own
INPUT_RATE = 0.02
# how NNI calls a trial that has not begun
WAITING = ("WAITING", "UNKNOWN")
# of the experiment, as in its file; on a busy machine it takes long
LIMIT_SECONDS = 7200.0


def main() -> int:
    """Run the demo in the working directory.

    Returns:
        The exit code: 1 if the experiment or all its trials failed, else as `exit_codes` has them.
    """
    quiet_libraries(quiet=False)
    console = Console(highlight=False)
    complain = partial(console.print, style="red", markup=False)
    try:
        return exit_code(
            lambda: run_demo(console, RUNS / "demo"), "Stopped. The same command begins anew.", complain
        )
    except ExperimentError as error:
        complain(f"Error: {error}")
        return 1


def run_demo(console: Console, folder: Path, seed: int = 0) -> int:
    """Run the demo's steps; write `folder`/summary.json and trials.json, and the baselines' runs.

    Args:
        console: for what is shown.
        folder: of what the demo leaves beside the trials' runs.
        seed: of the trials, of the tuner that chooses their parameters, and of the baselines.

    Returns:
        0, or 1 if no trial succeeded.
    """
    started = time.monotonic()
    for asset in ASSETS:
        console.print(f"Getting {asset} ...")
        fetch(asset)
    make_room(folder)
    with NniExperiment(write_experiment(folder, seed), environment={"OMP_NUM_THREADS": "1"}) as experiment:
        console.print(f"Experiment {experiment.id}; NNI's web UI while it runs: {experiment.url}")
        trials = follow(console, experiment.watch(LIMIT_SECONDS), RUNS / experiment.id)
        experiment.export(folder / "trials.json")
    return compare_best(console, folder, experiment.id, trials, seed, started)


def compare_best(
    console: Console, folder: Path, experiment: str, trials: Sequence[Trial], seed: int, started: float
) -> int:
    """Train the baselines, and show and write how the best trial stands beside them.

    Args:
        console: as of `run_demo`, as folder and seed.
        folder: that gets summary.json and the baselines' runs.
        experiment: NNI's id of it, which names the folder of the trials' runs.
        trials: that have ended.
        seed: of the baselines.
        started: when the demo began, by the monotonic clock.

    Returns:
        0, or 1 if no trial succeeded.
    """
    winner = best(trials)
    if winner is None:
        report_failures(console, trials)
    kinds = BASELINES if winner else ()
    summary = {
        "seed": seed,
        "metrics": read_metrics(RUNS / experiment / winner.id) if winner else None,
        "baselines": {kind: run_baseline(console, kind, folder / kind, seed) for kind in kinds},
        "trials": len(trials),
        "failed_trials": sum(trial.failed for trial in trials),
        "trials_flops": sum(trial_flops(RUNS / experiment / trial.id) for trial in trials),
        "wall_seconds": round(time.monotonic() - started, 1),
        "experiment_id": experiment,
        "best_trial": winner.id if winner else None,
    }
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    if winner is None:
        return 1
    show_result(console, summary, RUNS / experiment / winner.id)
    return 0


def make_room(folder: Path) -> None:
    """Make an empty folder; what was there becomes NAME.previous, in the place of an earlier one."""
    if folder.exists():
        previous = folder.with_name(f"{folder.name}.previous")
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    folder.mkdir(parents=True)


def write_experiment(folder: Path, seed: int) -> Path:
    """Write the shipped experiment for trials of the code here, with their runs in the working directory."""
    settings = read_yaml(EXPERIMENT, "experiment")
    settings["trialCommand"] += f" --runs {shlex.quote(str(RUNS.absolute()))}"
    settings["trialCodeDirectory"] = settings["tuner"]["codeDirectory"] = str(HERE.parent)
    settings["tuner"]["classArgs"]["seed"] = seed
    settings["searchSpace"]["seed"] = {"_type": "choice", "_value": [seed]}
    path = folder / "experiment.yml"
    write_text(path, yaml.safe_dump(settings, sort_keys=False))
    return path


def follow(console: Console, looks: Iterable[Sequence[Trial]], folder: Path) -> list[Trial]:
    """Show the trials until they are done: a live table on a terminal, else a line for each begin and end.

    Args:
        console: for what is shown.
        looks: the trials as NNI sees them, again and again.
        folder: of the trials' runs.
    """
    trials: Sequence[Trial] = []
    rows: Sequence[TrialRow] = []
    with Live(console=console) if redraws(console) else nullcontext() as live:
        for trials in looks:
            before, rows = rows, [trial_row(trial, folder) for trial in trials]
            if live is not None:
                live.update(TrialTable(f"trials of {folder.name}", rows, counts(rows)))
                continue
            for line in changes(before, rows):
                console.print(line, markup=False, soft_wrap=True)
    return list(trials)


def trial_row(trial: Trial, folder: Path) -> TrialRow:
    """Return what is shown of a trial: NNI's word on how it ended, and where its run is until then."""
    name, values = f"trial {trial.number}", {key: f"{value:.3g}" for key, value in trial.parameters.items()}
    progress = read_run(folder / trial.id)
    if trial.failed or trial.status in WAITING:
        row = TrialRow(name, "failed" if trial.failed else "queued")
    elif progress is None or progress.state not in ("running", "finished"):
        # its run has not begun, or NNI is yet to hear how it ended
        row = TrialRow(name, "finished" if trial.result is not None else "running", dev=trial.result)
    else:
        row = row_of_run(name, progress)
    return replace(row, values=values)


def best(trials: Iterable[Trial]) -> Trial | None:
    """Return the successful trial of the best metric on dev; the earlier one of two equals."""
    done = [trial for trial in trials if trial.status == "SUCCEEDED" and trial.result is not None]
    return max(done, key=lambda trial: trial.result or 0.0, default=None)


def run_baseline(console: Console, kind: "WithoutSearch", folder: Path, seed: int) -> dict[str, Any]:
    """Train a baseline on the demo's data."""
    # imports torch, which an experiment under way should not wait for
    from experiments.without_search import run_without_search  # noqa: PLC0415

    console.print(f"Training for comparison: {BASELINES[kind]} ...")
    rate = INPUT_RATE if kind == "input_prompt" else None
    return run_without_search(compared_config(kind, seed), kind, folder, rate).as_json()


def compared_config(kind: "WithoutSearch", seed: int) -> "RunConfig":
    """Return the config that a baseline is trained with: the input prompt's has more epochs."""
    from experiments.config import load_config  # noqa: PLC0415

    epochs = {"training.epochs": INPUT_EPOCHS, "training.patience": INPUT_EPOCHS}
    return load_config(RUN_CONFIG, {"seed": seed, **(epochs if kind == "input_prompt" else {})})


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read what a trial wrote."""
    return RunMetrics.read(folder / "metrics.json").as_json()


def trial_flops(folder: Path) -> int:
    """Return the operations of a trial's search and training; 0 of one that failed."""
    done = (folder / "metrics.json").exists()
    return RunMetrics.read(folder / "metrics.json").total_flops if done else 0


def report_failures(console: Console, trials: Iterable[Trial]) -> None:
    """Print the last words of each trial."""
    console.print("Every trial failed.", style="red")
    for trial in trials:
        errors = trial.log / "trial.stderr"
        lines = errors.read_text(encoding="utf-8").split("\n") if errors.is_file() else []
        last = next((line for line in reversed(lines) if line.strip()), "said nothing")
        console.print(f"Trial {trial.number}: {last} ({errors})", markup=False, soft_wrap=True)


def show_result(console: Console, summary: Mapping[str, Any], folder: Path) -> None:
    """Print what was found in a sentence, the best trial beside the baselines, and where to look further."""
    console.print(f"\n{conclusion(summary)}")
    console.print(result_table(summary))
    counted = f"{summary['trials']} trials, {summary['failed_trials']} failed"
    console.print(
        f"{counted}, {tera(summary['trials_flops'])} x 10^12 operations, {summary['wall_seconds']:.0f} s in "
        f"all. One seed: `python -m benchmarks demo` repeats it over several."
    )
    experiment = folder.parent
    if (experiment / BEST).exists():
        console.print(f"The best trial's run again: spt run {experiment / BEST}", soft_wrap=True)
    console.print(f"NNI's web UI again: nnictl view {summary['experiment_id']} --port 8080")
    if (experiment / BEST).exists():
        console.print(f"Report of all trials: {experiment / 'report.html'}", soft_wrap=True)
    report = folder / "report.html"
    console.print(f"Report of the best trial: {report if report.exists() else folder}", soft_wrap=True)


def conclusion(summary: Mapping[str, Any]) -> str:
    """Say in a sentence how the best trial stands beside the input prompt, and what both took."""
    best_run, input_prompt = summary["metrics"], summary["baselines"]["input_prompt"]
    points = 100 * (best_run["test_metric"] - input_prompt["test_metric"])
    side = "above" if points >= 0 else "below"
    share = best_run["total_flops"] / input_prompt["total_flops"]
    return (
        f"Prompts at layers {layers_and_range(best_run)} reach {percent(best_run['test_metric'])} on "
        f"{best_run['test_size']:,} test rows, {abs(points):.1f} points {side} a prompt at the input, whose "
        f"training took {tera(input_prompt['total_flops'])} x 10^12 operations; search and training of the "
        f"best trial took {share:.2f} times as many."
    )


def result_table(summary: Mapping[str, Any]) -> Table:
    """Return the best trial and the baselines with scores, their 95 % intervals over rows, and costs."""
    best_run = summary["metrics"]
    rows = {f"best trial, layers {layers_and_range(best_run)}": best_run}
    rows |= {BASELINES[kind]: baseline for kind, baseline in summary["baselines"].items()}
    title = TITLES[best_run["metric"]]
    table = Table("", f"test {title}", f"dev {title}", "10^12 operations", "parameters", "seconds")
    for name, row in rows.items():
        table.add_row(
            name,
            percent(row["test_metric"]) + interval_of(row),
            percent(row["dev_metric"]),
            tera(row["total_flops"]),
            f"{row['tunable_parameters']:,}",
            f"{row['total_seconds']:.0f}",
        )
    return table


def layers_and_range(metrics: Mapping[str, Any]) -> str:
    """Name a run's prompt layers and the backbone's: '2, 3 of 0-5'."""
    return f"{', '.join(map(str, metrics['layers']))} of 0-{metrics['layers_total'] - 1}"


def interval_of(metrics: Mapping[str, Any]) -> str:
    """Write the 95 % interval of a run's test score over rows, where it is a share of them."""
    if metrics["metric"] != "accuracy":
        return ""
    # imports scipy, which an experiment under way should not wait for
    from spt.answers.score_intervals import share_interval  # noqa: PLC0415

    low, high = share_interval(metrics["test_metric"], metrics["test_size"])
    return f" ({100 * low:.1f} to {100 * high:.1f})"


def tera(operations: float) -> str:
    """Write a number of operations in units of 10^12."""
    return f"{operations / 1e12:.1f}"


if __name__ == "__main__":
    sys.exit(main())
