"""What the safe searcher tells Optuna, without a cluster."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from ray.tune.schedulers import TrialScheduler

from experiments.console import Terminated, terminable
from experiments.tuning.asha import ResumableAsha
from experiments.tuning.callbacks import Notes
from experiments.tuning.config import TuneConfig
from experiments.tuning.searcher import ATTEMPTS, CHECKPOINT, SafeOptunaSearch, failure
from experiments.tuning.study import open_study

SPACE = {"x": FloatDistribution(0.0, 1.0)}


def new_search(journal: Path | None = None, trials: int = 3, objectives: tuple[str, ...] = ("dev",)) -> Any:
    study = open_study("s", ["maximize"] * len(objectives), "random", 0, journal)
    return SafeOptunaSearch(study, SPACE, objectives, trials)


def report(epoch: int, dev: float, resumed_at: int = 0, **more: Any) -> dict[str, Any]:
    about = {"node": "a", "pid": 1, "resumed_at": resumed_at}
    return {"epoch": epoch, "dev": dev, "final": False, **about, **more}


def final(resumed_at: int = 0, failed: str | None = None, **metrics: float) -> dict[str, Any]:
    told = {f"metrics/{name}": value for name, value in metrics.items()}
    return report(2, 0.5, resumed_at, **told, final=True, **({"failure": failed} if failed else {}))


def states(search: SafeOptunaSearch) -> list[str]:
    return [trial.state.name for trial in search._ot_study.trials]


def test_it_suggests_as_many_trials_as_there_are_to_be() -> None:
    search = new_search(trials=2)
    first, second = search.suggest("a"), search.suggest("b")
    assert [first["number"], second["number"]] == [0, 1]
    assert first["parameters"] != second["parameters"]
    assert search.suggest("c") == SafeOptunaSearch.FINISHED


@pytest.mark.parametrize(
    ("result", "error", "state", "reason"),
    [
        (final(dev=0.5), False, "COMPLETE", None),
        (final(dev=float("nan")), False, "FAIL", "dev: not a finite number"),
        (final(other=1.0), False, "FAIL", "dev: not a finite number"),
        (final(failed="the loss is nan"), False, "FAIL", "the loss is nan"),
        (report(1, 0.4), False, "PRUNED", None),
        (None, False, "PRUNED", None),
    ],
)
def test_every_end_is_told(result: Any, error: bool, state: str, reason: str | None) -> None:
    search = new_search()
    search.suggest("a")
    search.on_trial_complete("a", result, error)
    # and told once
    search.on_trial_complete("a", final(dev=0.9), False)
    assert states(search) == [state]
    assert failure(search._ot_study, 0) == reason


def test_a_trial_that_the_machine_failed_stays_open_and_no_other_begins() -> None:
    search = new_search()
    search.suggest("a")
    search.on_trial_complete("a", report(1, 0.4), error=True)
    assert states(search) == ["RUNNING"] and failure(search._ot_study, 0) is None
    assert search.suggest("b") == SafeOptunaSearch.FINISHED
    search.note_fault(0, "OSError: the disk is full")
    assert search.fault == "trial 0 ended with OSError: the disk is full"


def test_a_trial_whose_drawing_was_killed_is_drawn_to_its_end_as_it_would_have_been(tmp_path: Path) -> None:
    two = {**SPACE, "y": FloatDistribution(0.0, 1.0)}
    whole = open_study("s", ["maximize"], "tpe", 0, None).ask(two)
    study = open_study("s", ["maximize"], "tpe", 0, tmp_path / "optuna.journal")
    study.ask(SPACE)
    again = open_study("s", ["maximize"], "tpe", 0, tmp_path / "optuna.journal")
    suggestion = SafeOptunaSearch(again, two, ("dev",), 3).suggest("a")
    assert suggestion == {"number": 0, "parameters": whole.params, "checkpoint": None}


def test_the_curve_holds_each_epoch_once_and_the_one_that_stopped_it() -> None:
    search = new_search()
    search.suggest("a")
    search.on_trial_result("a", report(0, float("nan")))
    for epoch in (1, 2, 2):
        search.on_trial_result("a", report(epoch, epoch / 10))
    search.on_trial_complete("a", report(3, 0.3, resumed_at=1))
    (trial,) = search._ot_study.trials
    assert trial.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}
    assert trial.value == 0.3
    assert [attempt["resumed_at"] for attempt in trial.user_attrs[ATTEMPTS]] == [0, 1]


def test_several_objectives_are_told_in_order() -> None:
    search = new_search(objectives=("dev", "cost"))
    for name, cost in (("a", 3.0), ("b", float("inf"))):
        search.suggest(name)
        search.on_trial_result(name, report(1, 0.2))
        search.on_trial_complete(name, final(cost=cost, dev=0.5))
    assert states(search) == ["COMPLETE", "FAIL"]
    assert search._ot_study.trials[0].values == [0.5, 3.0]


def test_a_later_session_goes_on_with_what_was_running(tmp_path: Path) -> None:
    journal = tmp_path / "optuna.journal"
    search = new_search(journal)
    begun = [search.suggest(name) for name in "ab"]
    search.on_trial_complete("a", final(dev=0.5))
    search.on_trial_result("b", report(1, 0.1))
    search.note_checkpoint("b", "/shared/1")

    again = new_search(journal)
    resumed = again.suggest("c")
    assert resumed == {**begun[1], "checkpoint": "/shared/1"}
    fresh = again.suggest("d")
    assert fresh["number"] == 2
    assert fresh["parameters"] not in [suggested["parameters"] for suggested in begun]
    assert again.suggest("e") == SafeOptunaSearch.FINISHED
    again.on_trial_complete("c", final(dev=0.7, resumed_at=1))
    again.on_trial_complete("d", final(dev=0.6))
    assert states(again) == ["COMPLETE"] * 3
    assert again._ot_study.trials[1].user_attrs[CHECKPOINT] == "/shared/1"


def asha_over(curves: dict[int, dict[int, float]], running: set[int], **sections: Any) -> ResumableAsha:
    study = optuna.create_study(direction="maximize")
    for number, curve in curves.items():
        trial = study.ask()
        for epoch, dev in curve.items():
            trial.report(dev, epoch)
        if number not in running:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    config = TuneConfig.model_validate(
        {
            "asha": {"grace_epochs": 1, "reduction_factor": 2},
            "run": {"search": {"strategy": "spt_darts"}, "training": {"epochs": 4}, **sections},
            "searchSpace": {"search.consistency": {"_type": "uniform", "_value": [0, 1]}},
        }
    )
    return ResumableAsha(config, study)


def decide(asha: ResumableAsha, number: int, epoch: int, dev: float) -> str:
    trial = SimpleNamespace(trial_id=f"new {number}", config={"number": number, "parameters": {}})
    asha.on_trial_add(None, trial)
    return asha.on_trial_result(None, trial, {"epoch": epoch, "dev": dev})


def test_asha_judges_by_the_curves_of_earlier_sessions() -> None:
    curves = {0: {1: 0.8}, 1: {1: 0.9}}
    assert decide(asha_over({}, set()), 2, 1, 0.5) == TrialScheduler.CONTINUE
    assert decide(asha_over(curves, set()), 2, 1, 0.5) == TrialScheduler.STOP
    assert decide(asha_over(curves, set()), 2, 1, 0.95) == TrialScheduler.CONTINUE


def test_asha_does_not_judge_a_resumed_trial_again_at_a_rung_it_has_passed() -> None:
    curves = {0: {1: 0.8}, 1: {1: 0.9}, 2: {1: 0.85}}
    assert decide(asha_over(curves, {2}), 2, 1, 0.1) == TrialScheduler.CONTINUE


def test_asha_lets_a_trial_end_after_its_last_epoch() -> None:
    curves = {0: {2: 0.8, 4: 0.8}, 1: {2: 0.9, 4: 0.9}}
    assert decide(asha_over(curves, set()), 2, 3, 0.1) == TrialScheduler.STOP
    assert decide(asha_over(curves, set()), 2, 4, 0.1) == TrialScheduler.CONTINUE


@pytest.mark.parametrize(
    ("sections", "last"),
    [
        ({"training": {"contrastive_steps": 9}}, 1),
        ({"training": {"epochs": 2}, "data": {"folds": 3}}, 3),
        ({"training": {"epochs": 9}, "data": {"folds": 3}}, 3),
    ],
)
def test_asha_lets_a_trial_end_after_its_last_report_where_that_is_no_epoch(
    sections: dict[str, Any], last: int
) -> None:
    curves = {number: dict.fromkeys(range(1, last + 1), 0.9) for number in (0, 1)}
    decisions = [
        decide(asha_over(curves, set(), **sections), 2, number, 0.1) for number in range(1, last + 1)
    ]
    assert decisions == [TrialScheduler.STOP] * (last - 1) + [TrialScheduler.CONTINUE]


def test_a_study_ends_at_its_next_step_where_ray_took_the_word_to_end_for_nothing() -> None:
    notes = Notes(new_search(), "storage")
    with pytest.raises(Terminated), terminable():
        notes.on_step_begin(0, [])
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        notes.on_step_begin(1, [])
        raise AssertionError("the study went on")
    notes.on_step_begin(0, [])
