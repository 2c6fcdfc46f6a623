"""Logs of runs: what each tracker is told, once, however often the run was stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.config import RunConfig
from experiments.pipeline import claimed
from experiments.run.folder import RunFolder
from experiments.tracking.records import Record, run_records
from experiments.tracking.run_log import RunLog, run_log
from spt.errors import InputError
from tests.support.run_folders import plain_config, write_history, write_lines

METRICS = {"dev_metric": 0.75, "test_metric": 0.5, "test_macro_f1": None}
Points = dict[str, list[tuple[int, float]]]


def tracked(*loggers: str, **sections: Any) -> RunConfig:
    return plain_config(name="named", loggers=list(loggers), **sections)


@pytest.fixture
def place(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def search_epochs(place: RunFolder, *scores: float) -> None:
    write_history(place.search, *scores)
    lines = ({"epoch": epoch, "gates": {"3": 0.5, "4": dev}} for epoch, dev in enumerate(scores))
    write_lines(place.search / "gates.jsonl", {"epoch": 0, "gates": {"3": 0.1, "4": 0.1}}, *lines)


def event_points(place: RunFolder) -> Points:
    log = EventAccumulator(str(place.path / "tensorboard"))
    log.Reload()
    return {tag: [(e.step, e.value) for e in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


class Store:
    """What a fake tracker was told, and by which it is found again."""

    def __init__(self) -> None:
        self.points: Points = {}
        self.config: dict[str, Any] = {}
        self.begun: list[str | None] = []
        self.ended: list[Any] = []
        self.fails = False

    def add(self, values: Mapping[str, float], step: int) -> None:
        if self.fails:
            raise ConnectionError("no route to host")
        for tag, value in values.items():
            self.points.setdefault(tag, []).append((step, value))


def fake_mlflow(store: Store) -> dict[str, ModuleType]:
    """As much of MLflow as is used."""

    class Client:
        def get_experiment_by_name(self, name: str) -> None:
            store.config["experiment"] = name

        def create_experiment(self, _name: str) -> str:
            return "7"

        def create_run(self, experiment: str, run_name: str) -> Any:
            assert experiment == "7"
            store.begun.append(None)
            store.config["name"] = run_name
            return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

        def update_run(self, run_id: str, status: str) -> None:
            assert status == "RUNNING"
            store.begun.append(run_id)

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
            assert run_id == "abc" and len(params) <= 100
            store.config |= {key: value for key, value in [*params, *tags]}
            for key, value, _, step in metrics:
                store.add({key: value}, step)

        def set_terminated(self, _run_id: str, status: str) -> None:
            store.ended.append(status)

    entities, tracking = ModuleType("mlflow.entities"), ModuleType("mlflow.tracking")
    vars(entities).update(Metric=lambda *a: a, Param=lambda *a: a, RunTag=lambda *a: a)
    vars(tracking).update(MlflowClient=Client)
    return {"mlflow": ModuleType("mlflow"), "mlflow.entities": entities, "mlflow.tracking": tracking}


def fake_wandb(store: Store) -> dict[str, ModuleType]:
    """As much of Weights & Biases as is used."""

    def init(**options: Any) -> Any:
        store.begun.append(options["id"])
        store.config |= {**options["config"], "name": options["name"], "project": options["project"]}
        return SimpleNamespace(
            id="abc",
            define_metric=lambda *_a, **_k: None,
            log=store.add,
            summary=SimpleNamespace(update=lambda values: store.add(values, 0)),
            finish=lambda exit_code: store.ended.append(bool(exit_code)),
        )

    wandb = ModuleType("wandb")
    vars(wandb).update(init=init, Settings=lambda **options: options)
    return {"wandb": wandb}


def fake_trackio(store: Store) -> dict[str, ModuleType]:
    """As much of trackio as is used."""

    def init(**options: Any) -> Any:
        # it tells a lot, which must not get into what a command gives
        print("* Trackio project initialized")
        store.begun.append(options["name"] if options["resume"] == "allow" else None)
        store.config |= options["config"]
        return SimpleNamespace(name=options["name"], log=lambda values, step=0: store.add(values, step))

    trackio = ModuleType("trackio")
    vars(trackio).update(init=init, finish=lambda: store.ended.append(None))
    return {"trackio": trackio}


FAKES = {"mlflow": fake_mlflow, "wandb": fake_wandb, "trackio": fake_trackio}


@pytest.fixture(params=FAKES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(name: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Stands in the place of a tracker's package."""
    store = Store()
    for module, fake in FAKES[name](store).items():
        monkeypatch.setitem(sys.modules, module, fake)
    monkeypatch.delitem(sys.modules, f"experiments.tracking.{name}", raising=False)
    return store


def series(points: Points, tag: str) -> list[float]:
    return [value for _, value in points[tag]]


def test_tensorboard_gets_losses_scores_gates_rates_and_the_last_numbers(place: RunFolder) -> None:
    config = tracked("tensorboard")
    search_epochs(place, 0.25, 0.75)
    with run_log(config, place) as log:
        log.update()
        assert event_points(place)["search/dev"] == [(1, 0.25), (2, 0.75)]
        write_history(place.train, 0.5)
        log.finish(METRICS)
    points = event_points(place)
    assert points["search/loss"] == [(1, 1.0), (2, 0.5)]
    # the last ones of each epoch
    assert points["search/gate/4"] == [(1, 0.25), (2, 0.75)]
    assert points["train/dev"] == [(1, 0.5)]
    assert points["train/rate/learning_rate"][0][1] == pytest.approx(config.training.learning_rate / 2)
    assert points["search/rate/gates"][0][1] == pytest.approx(config.search.gate_learning_rate)
    assert points["final/test_metric"] == [(0, 0.5)] and "final/test_macro_f1" not in points


def test_a_run_that_goes_on_has_each_step_once_in_tensorboard(place: RunFolder) -> None:
    config = tracked("tensorboard")
    search_epochs(place, 0.25, 0.75)
    with pytest.raises(KeyboardInterrupt), run_log(config, place) as log:
        log.update()
        raise KeyboardInterrupt
    # the last epoch is repeated, as one whose checkpoint was not written
    search_epochs(place, 0.25)
    with run_log(config, place) as log:
        log.update()
        search_epochs(place, 0.25, 0.75)
        log.update()
        search_epochs(place, 0.25, 0.75, 0.5)
        log.finish(METRICS)
    with run_log(config, place) as log:
        log.finish(METRICS)
    points = event_points(place)
    assert points["search/dev"] == [(1, 0.25), (2, 0.75), (3, 0.5)]
    assert points["final/dev_metric"] == [(0, 0.75)]


def test_each_tracker_is_told_the_same_and_goes_on_with_its_run(
    name: str, store: Store, place: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tracked(name)
    search_epochs(place, 0.25)
    with pytest.raises(KeyboardInterrupt), run_log(config, place) as log:
        log.update()
        raise KeyboardInterrupt
    search_epochs(place, 0.25, 0.75)
    write_history(place.train, 0.5)
    with run_log(config, place) as log:
        log.finish(METRICS)
    assert series(store.points, "search/dev") == [0.25, 0.75]
    assert series(store.points, "search/gate/4") == [0.25, 0.75]
    assert series(store.points, "train/dev") == [0.5]
    assert series(store.points, "final/test_metric") == [0.5]
    first, second = store.begun
    assert first is None and second is not None and (second == "abc" or second.startswith("named-"))
    assert len(store.ended) == 2
    assert str(place.path.resolve()) in store.config.values()
    assert capsys.readouterr().out == ""


def test_a_logger_that_is_added_later_is_told_all(name: str, store: Store, place: RunFolder) -> None:
    search_epochs(place, 0.25, 0.75)
    with run_log(tracked("tensorboard"), place) as log:
        log.update()
    with run_log(tracked("tensorboard", name), place):
        pass
    assert series(store.points, "search/dev") == [0.25, 0.75]
    assert event_points(place)["search/dev"] == [(1, 0.25), (2, 0.75)]


def test_one_that_fails_is_left_out_and_told_the_rest_later(
    name: str, store: Store, place: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    config = tracked(name, "tensorboard")
    search_epochs(place, 0.25, 0.75)
    with run_log(config, place) as log:
        store.fails = True
        log.update()
        log.finish(METRICS)
    assert caplog.messages == [f"{name} takes no more of the log of this session: no route to host"]
    assert event_points(place)["final/dev_metric"] == [(0, 0.75)]
    store.fails = False
    with run_log(config, place) as log:
        log.finish(METRICS)
    assert series(store.points, "search/dev") == [0.25, 0.75]
    assert series(store.points, "final/dev_metric") == [0.75]
    assert event_points(place)["final/dev_metric"] == [(0, 0.75)]


def test_one_that_cannot_be_opened_ends_the_run_before_it_begins(
    name: str, store: Store, place: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_options: Any) -> Any:
        raise RuntimeError("no such project")

    module = sys.modules["mlflow.tracking" if name == "mlflow" else name]
    monkeypatch.setattr(module, "MlflowClient" if name == "mlflow" else "init", broken)
    with pytest.raises(InputError, match=rf"^{name} cannot open a log\..*out of loggers.*no such project$"):
        RunLog(tracked(name), place)
    assert store.begun == []


@pytest.mark.parametrize("missing", FAKES)
def test_one_that_is_not_installed_is_named_before_anything_is_written(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "spt.process.extras.find_spec", lambda package: None if package == missing else package
    )
    with (
        pytest.raises(InputError, match=rf"needs the package {missing}.*spt-nas\[{missing}\]"),
        claimed(tracked("tensorboard", missing), RunFolder(tmp_path / "run")),
    ):
        pass
    assert not (tmp_path / "run").exists()


def test_without_loggers_nothing_is_written_and_their_packages_are_not_loaded(place: RunFolder) -> None:
    search_epochs(place, 0.25)
    before = sorted(place.path.rglob("*"))
    with run_log(tracked(), place) as log:
        log.finish(METRICS)
    assert sorted(place.path.rglob("*")) == before


def test_candidates_are_a_series_of_their_own(place: RunFolder) -> None:
    config = tracked("tensorboard", search={"strategy": "random", "k": 2, "evaluations": 5})
    tried = [{"dev": 0.5, "flops": 10}, {"dev": None, "flops": 5}, {"dev": 0.75, "flops": 20}]
    write_lines(place.search / "candidates.jsonl", *tried)
    write_history(place.train, 0.75)
    first, second, third = run_records(place, config)
    assert first == Record("candidates", 1, {"dev": 0.5, "flops": 10}, 0)
    assert second == Record("candidates", 3, {"dev": 0.75, "flops": 20}, 1)
    assert (third.series, third.number) == ("train", 2)


def test_damaged_notes_are_refused(place: RunFolder) -> None:
    (place.path / "tracking.json").write_text(json.dumps({"trackers": 1}), encoding="utf-8")
    with pytest.raises(InputError, match=r"tracking\.json.*Delete it"):
        RunLog(tracked("tensorboard"), place)


@pytest.mark.parametrize(
    ("loggers", "message"),
    [(["tensorboard"] * 2, "named twice"), (["neptune"], "'tensorboard', 'mlflow', 'wandb' or 'trackio'")],
)
def test_a_wrong_list_of_loggers_is_refused(loggers: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tracked(*loggers)
