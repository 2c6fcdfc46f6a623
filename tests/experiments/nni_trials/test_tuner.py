import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from experiments.nni_trials import tuner as optuna_tuner
from experiments.nni_trials.tuner import OptunaTuner, objective
from experiments.tuning import study as optuna_study
from experiments.tuning.study import SAMPLERS, make_sampler
from spt.errors import InputError

SPACE = {
    "search.consistency": {"_type": "loguniform", "_value": [0.1, 3.0]},
    "prompt.dropout": {"_type": "uniform", "_value": [0.0, 0.3]},
    "prompt.pooler": {"_type": "choice", "_value": ["average", "max"]},
}


def new_tuner(**arguments: Any) -> OptunaTuner:
    tuner = OptunaTuner(**{"seed": 0, **arguments})
    tuner.update_search_space(SPACE)
    return tuner


def states(tuner: OptunaTuner) -> list[str]:
    return [trial.state.name for trial in tuner.study.trials]


def finish(tuner: OptunaTuner, number: int, value: object, job: str | None = None) -> dict[str, Any]:
    parameters = tuner.generate_parameters(number)
    tuner.receive_trial_result(number, parameters, value, trial_job_id=job)
    tuner.trial_end(number, True)
    return parameters


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"cmaes"}))
def test_every_sampler_gives_parameters_within_the_space(sampler: str) -> None:
    tuner = new_tuner(sampler=sampler)
    for number in range(12):
        parameters = finish(tuner, number, number / 12)
        assert list(parameters) == list(SPACE)
        assert 0.1 <= parameters["search.consistency"] <= 3.0
        assert parameters["prompt.pooler"] in {"average", "max"}
        json.dumps(parameters)
    assert states(tuner) == ["COMPLETE"] * 12


def test_the_seed_decides_and_matters() -> None:
    first, same, other = (new_tuner(seed=seed).generate_parameters(0) for seed in (1, 1, 2))
    assert first == same != other


@pytest.mark.parametrize(("mode", "best"), [("maximize", 0.9), ("minimize", 0.1)])
def test_the_mode_decides_what_is_best(mode: str, best: float) -> None:
    tuner = new_tuner(optimize_mode=mode)
    for number, value in enumerate([0.5, {"default": 0.1, "test_accuracy": 0.7}, 0.9]):
        finish(tuner, number, value)
    assert tuner.study.best_value == best


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), ({"default": 0.5}, 0.5)]
    + [(bad, None) for bad in (float("nan"), float("-inf"), None, "0.5", True, {}, {"default": None}, [1])],
)
def test_objective_takes_finite_numbers_only(value: object, number: float | None) -> None:
    assert objective(value) == number


def test_bad_results_and_failures_are_told_as_failed() -> None:
    tuner = new_tuner()
    finish(tuner, 0, float("nan"))
    finish(tuner, 1, {"loss": 1})
    tuner.generate_parameters(2)
    tuner.trial_end(2, False)
    finish(tuner, 3, 0.5)
    assert states(tuner) == ["FAIL", "FAIL", "FAIL", "COMPLETE"]


def test_success_without_a_result_waits_for_a_late_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = new_tuner()
    for number in (0, 1):
        tuner.generate_parameters(number)
        tuner.trial_end(number, True)
    tuner.generate_parameters(2)
    assert states(tuner) == ["RUNNING", "RUNNING", "RUNNING"]
    tuner.receive_trial_result(0, None, 0.5)
    monkeypatch.setattr(optuna_tuner.time, "monotonic", lambda: float("inf"))
    tuner.generate_parameters(3)
    assert states(tuner) == ["COMPLETE", "FAIL", "RUNNING", "RUNNING"]


def test_nothing_a_trial_does_raises() -> None:
    tuner = new_tuner()
    finish(tuner, 0, 0.5)
    tuner.trial_end(0, False)
    tuner.receive_trial_result(0, None, 0.7)
    tuner.receive_trial_result(99, None, 0.7)
    tuner.trial_end(99, False)
    assert [trial.value for trial in tuner.study.trials] == [0.5]


def test_a_trial_wrongly_named_as_failed_still_counts() -> None:
    tuner = new_tuner()
    parameters = tuner.generate_parameters(0)
    tuner.trial_end(0, False)
    tuner.receive_trial_result(0, parameters, 0.5)
    assert states(tuner) == ["FAIL", "COMPLETE"]
    assert tuner.study.best_params == parameters


def test_what_never_ran_is_told_as_failed_at_the_end() -> None:
    tuner = new_tuner()
    finish(tuner, 0, 0.5)
    tuner.generate_parameters(1)
    tuner._on_exit()
    assert states(tuner) == ["COMPLETE", "FAIL"]


def with_results(tuner: OptunaTuner) -> list[FrozenTrial]:
    return [trial for trial in tuner.study.trials if trial.value is not None]


def test_resume_keeps_finished_trials_once_and_fails_running_ones(tmp_path: Path) -> None:
    journal = str(tmp_path / "optuna.journal")
    tuner = new_tuner(journal=journal)
    finished = [finish(tuner, number, number / 10, f"job{number}") for number in range(3)]
    running = tuner.generate_parameters(3)

    again = new_tuner(journal=journal)
    assert states(again) == ["COMPLETE"] * 3 + ["FAIL"]
    # what NNI sends on resume: its records, one of them mispaired, and later the trial that it ran again
    again.import_data(
        [
            {"parameter": finished[0], "value": {"default": 0.0}, "trialJobId": "job0"},
            {"parameter": finished[2], "value": {"default": 0.1}, "trialJobId": "job1"},
            {"parameter": finished[1], "value": {"default": 0.2}, "trialJobId": "job2"},
        ]
    )
    again.import_data([{"parameter": running, "value": 0.9}])
    assert [trial.value for trial in with_results(again)] == [0.0, 0.1, 0.2, 0.9]
    assert again.study.best_params == running

    third = new_tuner(journal=journal)
    third.import_data([{"parameter": running, "value": {"default": 0.9}, "trialJobId": "job3"}])
    assert len(with_results(third)) == 4


def test_resume_does_not_repeat_the_first_suggestions(tmp_path: Path) -> None:
    journal = str(tmp_path / "optuna.journal")
    first = finish(new_tuner(journal=journal), 0, 0.5)
    assert new_tuner(journal=journal).generate_parameters(0) != first


def test_import_takes_what_fits_and_leaves_the_rest() -> None:
    tuner = new_tuner()
    good = {"search.consistency": 1.0, "prompt.dropout": 0.1, "prompt.pooler": "max"}
    tuner.import_data(
        [
            {"parameter": good, "value": 0.8},
            {"parameter": {**good, "search.consistency": 9.0}, "value": 0.8},
            {"parameter": {**good, "prompt.pooler": "min"}, "value": 0.8},
            {"parameter": {**good, "prompt.dropout": "high"}, "value": 0.8},
            {"parameter": {"prompt.dropout": 0.1}, "value": 0.8},
            {"parameter": {**good, "prompt.pooler": ["max"]}, "value": 0.8},
            {"parameter": good, "value": float("nan")},
            {"parameter": None, "value": 0.8},
            {},
        ]
    )
    assert [(trial.params, trial.value) for trial in tuner.study.trials] == [(good, 0.8)]


def test_the_journal_is_in_the_experiments_log_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_LOG_DIRECTORY", str(tmp_path))
    new_tuner()
    assert (tmp_path / "optuna.journal").is_file()


def test_a_search_space_can_widen_but_not_change_kind() -> None:
    tuner = new_tuner()
    finish(tuner, 0, 0.5)
    tuner.update_search_space({**SPACE, "prompt.dropout": {"_type": "uniform", "_value": [0.8, 0.9]}})
    assert tuner.generate_parameters(1)["prompt.dropout"] >= 0.8
    tuner.update_search_space({**SPACE, "prompt.pooler": {"_type": "choice", "_value": ["first"]}})
    tuner.update_search_space({"x": {"_type": "normal", "_value": [0, 1]}})
    assert tuner.generate_parameters(2)["prompt.dropout"] >= 0.8


def test_a_first_search_space_that_cannot_be_used_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x: Optuna cannot sample 'normal'"):
        OptunaTuner().update_search_space({"x": {"_type": "normal", "_value": [0, 1]}})
    journal = str(tmp_path / "optuna.journal")
    finish(new_tuner(journal=journal), 0, 0.5)
    with pytest.raises(InputError, match=r"prompt\.pooler: the study 'nni' holds trials of another kind"):
        OptunaTuner(journal=journal).update_search_space(
            {"prompt.pooler": {"_type": "choice", "_value": ["first"]}}
        )


def test_bad_arguments_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="Did you mean 'maximize'"):
        OptunaTuner(optimize_mode="maximise")
    with pytest.raises(InputError, match=r"Unknown sampler 'tpee'\. Did you mean 'tpe'"):
        OptunaTuner(sampler="tpee")
    monkeypatch.setattr(optuna_study, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install cmaes"):
        make_sampler("cmaes", 0)
    journal = str(tmp_path / "optuna.journal")
    OptunaTuner(journal=journal)
    with pytest.raises(InputError, match="there to maximize, not to minimize"):
        OptunaTuner(journal=journal, optimize_mode="minimize")


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_an_error_ends_nnis_tuner_process(tmp_path: Path) -> None:
    code = (
        "from experiments.nni_trials.tuner import OptunaTuner\n"
        "try: OptunaTuner().update_search_space({})\n"
        "except Exception: print('raised')\n"
    )
    assert run_python(code).stdout == "raised\n"
    inside = run_python(code, SDK_PROCESS="dispatcher", NNI_LOG_DIRECTORY=str(tmp_path))
    assert inside.returncode == 1
    assert "at least one parameter" in inside.stderr


@pytest.mark.slow
def test_the_tuner_starts_without_torch() -> None:
    """NNI gives a tuner ten seconds to start."""
    done = run_python("import experiments.nni_trials.tuner, sys; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr
