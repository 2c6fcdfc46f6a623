"""`python -m experiments.demo`: an NNI experiment of searches on TREC questions, beside two baselines."""

import json
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from experiments.console import Terminated, terminable
from experiments.logs import quiet_libraries
from experiments.nni_trials.experiment import BEST, ExperimentError, NniExperiment, Trial
from experiments.run.results import RunMetrics
from experiments.run.summary import percent
from spt.assets import fetch
from spt.errors import InputError, TrialFailed
from spt.files import write_text
from spt.metrics import TITLES
from spt.yaml_files import read_yaml

if TYPE_CHECKING:
    from experiments.baselines import Baseline

HERE = Path(__file__).parent
EXPERIMENT = HERE / "spt.yml"
RUN_CONFIG = HERE / "configs" / "demo.yml"
RUNS = Path("runs")
ASSETS = ("minilm-l6", "trec")
BASELINES: Mapping["Baseline", str] = {"head": "head alone", "input_prompt": "input prompt"}
LIMIT_SECONDS = 1800.0


def main() -> int:
    """Run the demo in the working directory.

    Returns:
        The exit code: 1 if the experiment or all its trials failed, 2 for bad input, 130 after Ctrl-C and
        143 after SIGTERM.
    """
    quiet_libraries(quiet=False)
    console = Console(highlight=False)
    try:
        with terminable():
            return run_demo(console, RUNS / "demo")
    except InputError as error:
        console.print(f"Error: {error}", style="red", markup=False)
        return 2
    except (ExperimentError, TrialFailed) as error:
        console.print(f"Error: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt as error:
        console.print("Stopped. The same command begins anew.", style="red")
        return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


def run_demo(console: Console, folder: Path) -> int:
    """Run the demo's steps; write `folder`/summary.json and trials.json, and the baselines' runs.

    Returns:
        0, or 1 if no trial succeeded.
    """
    started = time.monotonic()
    for asset in ASSETS:
        console.print(f"Getting {asset} ...")
        fetch(asset)
    make_room(folder)
    with NniExperiment(write_experiment(folder), environment={"OMP_NUM_THREADS": "1"}) as experiment:
        console.print(f"Experiment {experiment.id}; NNI's web UI while it runs: {experiment.url}")
        trials = follow(console, experiment.watch(LIMIT_SECONDS))
        experiment.export(folder / "trials.json")
    winner = best(trials)
    if winner is None:
        report_failures(console, trials)
    baselines = {kind: run_baseline(console, kind, folder / kind) for kind in BASELINES} if winner else {}
    summary = {
        "metrics": read_metrics(RUNS / experiment.id / winner.id) if winner else None,
        "baselines": baselines,
        "trials": len(trials),
        "failed_trials": sum(trial.failed for trial in trials),
        "wall_seconds": round(time.monotonic() - started, 1),
        "experiment_id": experiment.id,
        "best_trial": winner.id if winner else None,
    }
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    if winner is None:
        return 1
    show_result(console, summary, RUNS / experiment.id / winner.id)
    console.print(f"Summary: {folder / 'summary.json'}", soft_wrap=True)
    return 0


def make_room(folder: Path) -> None:
    """Make an empty folder; what was there becomes NAME.previous, in the place of an earlier one."""
    if folder.exists():
        previous = folder.with_name(f"{folder.name}.previous")
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    folder.mkdir(parents=True)


def write_experiment(folder: Path) -> Path:
    """Write the shipped experiment for trials of the code here, with their runs in the working directory."""
    settings = read_yaml(EXPERIMENT, "experiment")
    settings["trialCommand"] += f" --runs {shlex.quote(str(RUNS.absolute()))}"
    settings["trialCodeDirectory"] = settings["tuner"]["codeDirectory"] = str(HERE.parent)
    path = folder / "experiment.yml"
    write_text(path, yaml.safe_dump(settings, sort_keys=False))
    return path


def follow(console: Console, looks: Iterable[Sequence[Trial]]) -> list[Trial]:
    """Show the trials until they are done: a live table on a terminal, else one line for each change."""
    trials: Sequence[Trial] = []
    if console.is_terminal:
        with Live(console=console) as live:
            for trials in looks:
                live.update(trial_table(trials))
    else:
        shown: dict[str, str] = {}
        for trials in looks:
            for trial in trials:
                line = f"Trial {trial.number}: {progress(trial)}"
                if shown.get(trial.id) != line:
                    console.print(line)
                shown[trial.id] = line
    return list(trials)


def progress(trial: Trial) -> str:
    """Say where a trial is, in a few words."""
    if trial.result is not None:
        return f"{trial.status.lower()}, dev {percent(trial.result)}"
    if trial.curve:
        return f"{trial.status.lower()}, epoch {len(trial.curve)}, dev {percent(trial.curve[-1])}"
    return "searching" if trial.status == "RUNNING" else trial.status.lower()


def trial_table(trials: Sequence[Trial]) -> Table:
    """Return the trials with their parameters and where they are."""
    table = Table("trial", "parameters", "progress")
    for trial in trials:
        parameters = ", ".join(f"{name} {value:.3g}" for name, value in trial.parameters.items())
        table.add_row(str(trial.number), parameters, progress(trial))
    return table


def best(trials: Iterable[Trial]) -> Trial | None:
    """Return the successful trial of the best metric on dev; the earlier one of two equals."""
    done = [trial for trial in trials if trial.status == "SUCCEEDED" and trial.result is not None]
    return max(done, key=lambda trial: trial.result or 0.0, default=None)


def run_baseline(console: Console, kind: "Baseline", folder: Path) -> dict[str, Any]:
    """Train a baseline on the demo's data."""
    # imports torch, which an experiment under way should not wait for
    from experiments import baselines  # noqa: PLC0415
    from experiments.config import load_config  # noqa: PLC0415

    console.print(f"Training for comparison: {BASELINES[kind]} ...")
    return baselines.baseline(load_config(RUN_CONFIG), kind, folder).as_json()


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read what a trial wrote."""
    return RunMetrics.read(folder / "metrics.json").as_json()


def report_failures(console: Console, trials: Iterable[Trial]) -> None:
    """Print the last words of each trial."""
    console.print("Every trial failed.", style="red")
    for trial in trials:
        errors = trial.log / "trial.stderr"
        lines = errors.read_text(encoding="utf-8").split("\n") if errors.is_file() else []
        last = next((line for line in reversed(lines) if line.strip()), "said nothing")
        console.print(f"Trial {trial.number}: {last} ({errors})", markup=False, soft_wrap=True)


def show_result(console: Console, summary: Mapping[str, Any], folder: Path) -> None:
    """Print a table of the best trial beside the baselines, and where to look further."""
    metrics = summary["metrics"]
    chosen = ", ".join(map(str, metrics["layers"]))
    rows = {f"SPT, prompts at layers {chosen} of 0-{metrics['layers_total'] - 1}": metrics}
    rows |= {BASELINES[kind]: baseline for kind, baseline in summary["baselines"].items()}
    title = TITLES[metrics["metric"]]
    table = Table("", f"dev {title}", f"test {title}", "tunable parameters", "search s", "training s")
    for name, row in rows.items():
        table.add_row(
            name,
            percent(row["dev_metric"]),
            percent(row["test_metric"]),
            f"{row['tunable_parameters']:,}",
            f"{row['search_seconds']:.0f}",
            f"{row['train_seconds']:.0f}",
        )
    console.print(table)
    counted = (
        f"{summary['trials']} trials, {summary['failed_trials']} failed, {summary['wall_seconds']:.0f} s."
    )
    console.print(f"{counted} One seed: differences of a point are noise.")
    report = folder / "report.html"
    console.print(f"Report of the best trial: {report if report.exists() else folder}", soft_wrap=True)
    if (folder.parent / BEST).exists():
        console.print(f"Report of all trials: {folder.parent / 'report.html'}", soft_wrap=True)
        console.print(f"The best trial's run again: spt run {folder.parent / BEST}", soft_wrap=True)
    console.print(f"NNI's web UI again: nnictl view {summary['experiment_id']} --port 8080")


if __name__ == "__main__":
    sys.exit(main())
