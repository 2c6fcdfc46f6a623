"""Real NNI experiments with trials that take a second."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from optuna import load_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import experiments
from experiments.nni_trials.experiment import ExperimentError, NniExperiment, Trial
from experiments.nni_trials.processes import manager_of
from spt.errors import InputError

CHECKOUT = Path(experiments.__file__).parents[1]
NNICTL = Path(sys.executable).with_name("nnictl")

TRIAL = """
import os, sys, time
import nni
sys.path.append({checkout!r})
from experiments.nni_trials.channel import use_recorded_parameters
from experiments.nni_trials.processes import end_with_manager
end_with_manager(os.environ["NNI_TRIAL_COMMAND_CHANNEL"])
use_recorded_parameters(os.environ["NNI_TRIAL_COMMAND_CHANNEL"], nni.get_trial_id())
x = nni.get_next_parameter()["a.x"]
nni.report_intermediate_result(x / 2)
nni.report_intermediate_result(x)
time.sleep({sleep})
if {fails}:
    sys.exit("not this one")
nni.report_final_result({{"default": x, "test_accuracy": x / 2}})
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, and no process left behind in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path
    left = [process for process in psutil.process_iter() if _is_below(process, tmp_path)]
    for process in left:
        process.kill()
    assert left == []


def _is_below(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(str(folder) in part for part in process.cmdline())
    except psutil.Error:
        return False


def config(folder: Path, fails: str = "False", sleep: float = 0, **changes: Any) -> Path:
    (folder / "trial.py").write_text(
        TRIAL.format(checkout=str(CHECKOUT), fails=fails, sleep=sleep), encoding="utf-8"
    )
    path = folder / "experiment.yml"
    settings = {
        "experimentName": "test",
        "searchSpace": {"a.x": {"_type": "uniform", "_value": [0.0, 1.0]}},
        "trialCommand": "python3 trial.py",
        "trialCodeDirectory": ".",
        "trialConcurrency": 2,
        "maxTrialNumber": 4,
        "tuner": {
            "className": "experiments.nni_trials.tuner.OptunaTuner",
            "codeDirectory": str(CHECKOUT),
            "classArgs": {"seed": 0},
        },
        "trainingService": {"platform": "local"},
        **changes,
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def last(looks: Iterator[list[Trial]]) -> list[Trial]:
    *_, trials = looks
    return trials


def told(experiment: NniExperiment, state: TrialState = TrialState.COMPLETE) -> dict[float, float | None]:
    journal = experiment.folder / "log" / "optuna.journal"
    study = load_study(study_name="nni", storage=JournalStorage(JournalFileBackend(str(journal))))
    return {trial.params["a.x"]: trial.value for trial in study.get_trials(states=(state,))}


@pytest.mark.nni
def test_trials_are_watched_exported_and_told_to_optuna(home: Path) -> None:
    with NniExperiment(config(home, fails="nni.get_sequence_id() == 1")) as experiment:
        trials = last(experiment.watch(240))
        experiment.export(home / "trials.json")
    assert [trial.status for trial in trials] == ["SUCCEEDED", "FAILED", "SUCCEEDED", "SUCCEEDED"]
    for trial in trials:
        x = trial.parameters["a.x"]
        assert trial.curve == (x / 2, x)
        assert trial.result == (None if trial.failed else x)
    assert "not this one" in (trials[1].log / "trial.stderr").read_text(encoding="utf-8")
    results = {trial.result: trial.result for trial in trials if not trial.failed}
    assert told(experiment) == results
    assert list(told(experiment, TrialState.FAIL)) == [trials[1].parameters["a.x"]]
    exported = json.loads((home / "trials.json").read_text(encoding="utf-8"))
    assert {record["parameter"]["a.x"] for record in exported} == set(results)


def nnictl(*arguments: object) -> str:
    done = subprocess.run(
        [NNICTL, *map(str, arguments)],
        env={**os.environ, "PATH": f"{NNICTL.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.nni
def test_a_stopped_experiment_resumes_and_no_trial_counts_twice(home: Path) -> None:
    path = config(home, sleep=2)
    with NniExperiment(path) as experiment:
        for trials in experiment.watch(240):
            # stop while others run
            if any(trial.result is not None for trial in trials) and len(trials) > 2:
                break
    before = told(experiment)
    assert before

    with NniExperiment(path, resume=experiment.id) as again:
        assert again.id == experiment.id
        nnictl("update", "trialnum", experiment.id, "--value", 6)
        trials = last(again.watch(240))
        assert experiment.id in nnictl("experiment", "list")
        nnictl("experiment", "export", experiment.id, "--filename", home / "all.json", "--type", "json")
    after = told(experiment)
    assert before.items() <= after.items()
    results = [trial.result for trial in trials if trial.result is not None]
    assert sorted(after.values()) == sorted(results)  # type: ignore[type-var]
    exported = json.loads((home / "all.json").read_text(encoding="utf-8"))
    assert sorted(record["parameter"]["a.x"] for record in exported) == sorted(after)
    assert told(experiment, TrialState.RUNNING) == {}


DRIVER = """
import sys
from pathlib import Path
from experiments.nni_trials.experiment import NniExperiment
with NniExperiment(Path(sys.argv[1])) as experiment:
    print(experiment.port, flush=True)
    for trials in experiment.watch(600):
        print([trial.status for trial in trials], flush=True)
"""


def of_experiment(port: int | None) -> list[psutil.Process]:
    """The manager at a port, its tuner and its trials."""
    manager = manager_of(port)
    assert manager is not None
    processes = [manager, *manager.children(recursive=True)]
    assert any("trial.py" in " ".join(process.cmdline()) for process in processes)
    return processes


def gone_after(processes: list[psutil.Process], seconds: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.nni
def test_trials_and_tuner_end_with_a_manager_that_was_killed_and_the_experiment_resumes(home: Path) -> None:
    path = config(home, sleep=12, maxTrialNumber=3)
    with NniExperiment(path) as experiment:
        for trials in experiment.watch(240):
            if any(trial.result is not None for trial in trials) and len(trials) > 2:
                break
        before = told(experiment)
        processes = of_experiment(experiment.port)
        processes[0].kill()
        assert gone_after(processes, 8)
        with pytest.raises(ExperimentError, match="does not answer"):
            experiment.status()
    with NniExperiment(path, resume=experiment.id) as again:
        trials = last(again.watch(240))
    assert before.items() <= told(experiment).items()
    assert {"RUNNING", "WAITING"}.isdisjoint(trial.status for trial in trials)
    assert told(experiment, TrialState.RUNNING) == {}


@pytest.mark.nni
def test_an_experiment_ends_with_a_driver_that_was_killed(home: Path) -> None:
    path = config(home, sleep=600)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", DRIVER, str(path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        port = int(driver.stdout.readline())
        assert any("RUNNING" in line for line in driver.stdout)
        processes = of_experiment(port)
        driver.kill()
    assert gone_after(processes, 20)


@pytest.mark.nni
def test_all_trials_may_fail(home: Path) -> None:
    with NniExperiment(config(home, fails="True", maxTrialNumber=2)) as experiment:
        trials = last(experiment.watch(240))
    assert [trial.failed for trial in trials] == [True, True]


@pytest.mark.nni
def test_a_tuner_that_dies_ends_the_watch_with_its_reason(home: Path) -> None:
    space = {"a.x": {"_type": "normal", "_value": [0, 1]}}
    with (
        pytest.raises(ExperimentError, match="Optuna cannot sample 'normal'"),
        NniExperiment(config(home, searchSpace=space)) as experiment,
    ):
        last(experiment.watch(60))


@pytest.mark.nni
def test_the_deadline_ends_the_watch_and_the_running_trials(home: Path) -> None:
    with (
        pytest.raises(ExperimentError, match=r"not done after 12 s"),
        NniExperiment(config(home, sleep=600)) as experiment,
    ):
        last(experiment.watch(12))


@pytest.mark.nni
def test_a_config_that_nnictl_refuses_is_bad_input(home: Path) -> None:
    with (
        pytest.raises(InputError, match=r"nnictl cannot run .*experiment\.yml"),
        NniExperiment(config(home, trialConcurrency="many")),
    ):
        pass


def test_a_port_in_use_is_bad_input(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} is in use"), NniExperiment(tmp_path, port=port):
            pass


def test_a_missing_nnictl_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="There is no nnictl"), NniExperiment(tmp_path):
        pass
