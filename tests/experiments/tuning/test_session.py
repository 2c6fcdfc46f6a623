"""Tuning studies with real processes: what breaks, what Optuna is told, and what goes on."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import ray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray.cluster_utils import Cluster

from experiments import pipeline
from experiments.cluster.connect import cluster
from experiments.config import load_config
from experiments.nni_trials.tuner import OptunaTuner
from experiments.tuning.config import TuneConfig
from experiments.tuning.searcher import ATTEMPTS, failure
from experiments.tuning.session import metrics_of, tune
from spt.errors import InputError, MachineFault
from tests.support.ray_processes import node, private_ray
from tests.support.ray_runs import (
    SPACE,
    beginnings,
    driven_study,
    fake_run,
    make_plan,
    report_threads,
    score,
    slow_spt_run,
    study,
)
from tests.support.tiny import tiny_tree

pytestmark = [pytest.mark.ray, pytest.mark.slow]

# a node's death is seen within seconds
HEALTH = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    with private_ray():
        yield


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of one node with two CPUs."""
    running = Cluster(initialize_head=True, head_node_args=node(2))
    yield running.address
    running.shutdown()


def states(found: optuna.Study) -> list[str]:
    return [trial.state.name for trial in found.trials]


def read_study(folder: Path, name: str) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    return optuna.load_study(study_name=name, storage=storage)


def wait_until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def test_what_optuna_is_told(tmp_path: Path, address: str) -> None:
    plan = make_plan(tmp_path / "plan", "ok", "nan", "full", "fail", "kill")
    config, run = study("told", trials=6, max_failures=1), partial(fake_run, plan=plan)
    (plan / "full").touch()
    with pytest.raises(MachineFault, match=r"trial 2 ended with .*No space left on device"):
        tune(config, tmp_path / "study", address=address, run=run)
    # a fault of the machine is no end of a trial, and no other one is begun
    assert states(read_study(tmp_path / "study", "told")) == ["COMPLETE", "FAIL", "RUNNING"]
    (plan / "full").unlink()
    found = tune(config, tmp_path / "study", address=address, run=run, resume=True)

    assert states(found) == ["COMPLETE", "FAIL", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    reasons = [failure(found, number) for number in range(6)]
    assert reasons[0] is reasons[2] is reasons[4] is reasons[5] is None
    assert reasons[1] == "dev_metric: not a finite number"
    assert reasons[3] == "the loss is nan"
    # only what may pass with another worker, or later, is tried again
    begun = beginnings(plan)
    assert [begun[trial.params["search.consistency"]] for trial in found.trials] == [1, 1, 3, 1, 2, 1]
    killed = found.trials[4]
    first, second = killed.user_attrs[ATTEMPTS]
    assert (first["resumed_at"], second["resumed_at"]) == (0, 2)
    assert first["pid"] != second["pid"]
    assert killed.value == pytest.approx(1 - (killed.params["search.consistency"] - 0.3) ** 2)
    assert sorted(killed.intermediate_values) == [1, 2, 3, 4]
    # the journal alone holds all of it
    assert states(read_study(tmp_path / "study", "told")) == states(found)


def test_asha_stops_weak_trials_and_optuna_is_told_pruned(tmp_path: Path, address: str) -> None:
    plan = make_plan(tmp_path / "plan")
    config = study("asha", trials=6, asha={"grace_epochs": 1, "reduction_factor": 2})
    found = tune(config, tmp_path / "study", address=address, run=partial(fake_run, plan=plan))
    pruned = [trial for trial in found.trials if trial.state.name == "PRUNED"]
    assert {"PRUNED", "COMPLETE"} == set(states(found))
    assert all(1 <= len(trial.intermediate_values) < 4 for trial in pruned)
    assert found.best_trial.value > max(score(config.trial_run(trial.params)) for trial in pruned)


def test_a_study_goes_on_after_its_driver_was_killed(tmp_path: Path, address: str) -> None:
    plan = make_plan(tmp_path / "plan")
    folder = tmp_path / "study"
    module = "tests.support.ray_runs"
    driver = subprocess.Popen([sys.executable, "-m", module, str(folder), str(plan), address])

    def well_under_way() -> bool:
        assert driver.poll() is None
        if not (folder / "optuna.journal").exists():
            return False
        trials = read_study(folder, "driven").trials
        ended = sum(trial.state.is_finished() for trial in trials)
        return ended >= 2 and any(
            len(t.intermediate_values) == 3 for t in trials if not t.state.is_finished()
        )

    wait_until(lambda: (folder / "tune.yml").exists() and well_under_way())
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = read_study(folder, "driven")
    ended = [trial.number for trial in before.trials if trial.state.is_finished()]
    running = [trial.number for trial in before.trials if not trial.state.is_finished()]
    assert ended and running

    with pytest.raises(InputError, match=r"holds a study\. Go on with it with --resume"):
        tune(driven_study(), folder, address=address)
    with pytest.raises(InputError, match=r"another configuration \(different: seed\)"):
        tune(driven_study().model_copy(update={"seed": 1}), folder, address=address, resume=True)
    run = partial(fake_run, plan=plan)
    found = tune(driven_study(), folder, address=address, run=run, resume=True)

    assert states(found) == ["COMPLETE"] * 6
    assert [trial.params for trial in found.trials[: len(before.trials)]] == [t.params for t in before.trials]
    assert len({trial.params["search.consistency"] for trial in found.trials}) == 6
    begun = beginnings(plan)
    assert all(begun[found.trials[number].params["search.consistency"]] == 1 for number in ended)
    resumed = [found.trials[number].user_attrs[ATTEMPTS][-1]["resumed_at"] for number in running]
    assert max(resumed) > 0
    assert all(sorted(trial.intermediate_values) == [1, 2, 3, 4] for trial in found.trials)


class NodeKiller:
    """Takes the node of the one running trial away as soon as it has a checkpoint to go on from."""

    def __init__(self, running: Cluster, folder: Path, name: str) -> None:
        self.running, self.folder, self.name = running, folder, name
        self.killed = ""
        self.thread = threading.Thread(target=self.kill, daemon=True)

    def kill(self) -> None:
        def due() -> bool:
            if not (self.folder / "tune.yml").exists():
                return False
            trials = read_study(self.folder, self.name).trials
            return bool(trials) and len(trials[0].intermediate_values) >= 2

        wait_until(due)
        attempts = read_study(self.folder, self.name).trials[0].user_attrs[ATTEMPTS]
        self.killed = attempts[0]["node"]
        (its,) = [node for node in self.running.worker_nodes if node.node_id == self.killed]
        self.running.remove_node(its, allow_graceful=False)


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    """A head that runs no trials, and two nodes that do."""
    running = Cluster(initialize_head=True, head_node_args={"_system_config": HEALTH, **node(0)})
    for _ in range(2):
        running.add_node(**node(1))
    running.wait_for_nodes()
    yield running
    running.shutdown()


def spt_study(tmp_path: Path, name: str, **keys: Any) -> TuneConfig:
    """One slow trial of a real run, over storage that both nodes reach."""
    run = tiny_tree(tmp_path, training={"epochs": 5}, search={"strategy": "manual", "manual_layers": [1, 3]})
    # the strategy manual reads no option of a search
    space = {"prompt.dropout": {"_type": "uniform", "_value": [0.0, 0.3]}}
    storage = str(tmp_path / "storage")
    return study(name, trials=1, run=run, searchSpace=space, storage_path=storage, **keys)


def test_a_trial_goes_on_at_another_node_when_its_own_dies(tmp_path: Path, two_nodes: Cluster) -> None:
    config = spt_study(tmp_path, "moves")
    killer = NodeKiller(two_nodes, tmp_path / "study", "moves")
    killer.thread.start()
    found = tune(config, tmp_path / "study", address=two_nodes.address, run=slow_spt_run)

    assert states(found) == ["COMPLETE"]
    first, second = found.trials[0].user_attrs[ATTEMPTS]
    assert first["node"] == killer.killed != second["node"]
    assert second["resumed_at"] > 0
    # and with the numbers of a run that nothing happened to
    metrics = metrics_of(found.trials[0])
    whole = pipeline.run(config.trial_run(found.trials[0].params), tmp_path / "whole").as_json()
    names = ("dev_metric", "test_metric", "train_steps", "train_epochs", "tunable_parameters", "train_flops")
    assert {name: metrics[name] for name in names} == {name: whole[name] for name in names}

    # the same without retries: the trial stays open, for a session to go on with it
    killer = NodeKiller(two_nodes, tmp_path / "control", "stays")
    two_nodes.add_node(**node(1))
    killer.thread.start()
    with pytest.raises(MachineFault, match=r"trial 0 ended with ") as fault:
        tune(
            spt_study(tmp_path, "stays", max_failures=0),
            tmp_path / "control",
            address=two_nodes.address,
            run=slow_spt_run,
        )
    assert killer.killed and "--resume" in fault.value.again
    assert states(read_study(tmp_path / "control", "stays")) == ["RUNNING"]


def test_nodes_without_common_storage_are_refused(tmp_path: Path, two_nodes: Cluster) -> None:
    with pytest.raises(InputError, match="has 3 nodes, but storage_path is not set"):
        tune(study("apart"), tmp_path / "study", address=two_nodes.address)


def test_a_request_that_no_node_can_meet_is_refused_at_once(tmp_path: Path, address: str) -> None:
    began = time.monotonic()
    for resources in ({"cpus": 64}, {"gpus": 0.5}):
        with pytest.raises(InputError, match=r"Its 1 node\(s\) have: 2 CPUs and 0 GPUs"):
            tune(study("large", resources=resources), tmp_path / "study", address=address)
    assert time.monotonic() - began < 30
    assert not (tmp_path / "study" / "tune.yml").exists()


def test_nnictl_and_ray_are_suggested_the_same(tmp_path: Path, address: str) -> None:
    space = {**SPACE, "prompt.dropout": {"_type": "quniform", "_value": [0.0, 0.4, 0.1]}}
    space["search.warmup_epochs"] = {"_type": "randint", "_value": [0, 3]}
    config = study("same", trials=14, seed=3, searchSpace=space)
    plan = make_plan(tmp_path / "plan")
    found = tune(config, tmp_path / "study", address=address, run=partial(fake_run, plan=plan))

    tuner = OptunaTuner(seed=3)
    tuner.update_search_space(space)
    suggested = []
    for number in range(14):
        suggested.append(tuner.generate_parameters(number))
        value = score(config.trial_run(suggested[-1]))
        tuner.receive_trial_result(number, suggested[-1], {"default": value})
        tuner.trial_end(number, True)
    assert [trial.params for trial in found.trials] == suggested


def test_whole_runs_share_one_backbone_and_leave_all_results(tmp_path: Path, address: str) -> None:
    config = TuneConfig.model_validate(
        {
            "name": "pareto",
            "trials": 4,
            "concurrency": 2,
            "objectives": ["dev_metric", "tunable_parameters"],
            "asha": None,
            "run": tiny_tree(tmp_path, search={"strategy": "manual", "manual_layers": [1, 3]}),
            "searchSpace": {"prompt.length": {"_type": "randint", "_value": [1, 5]}},
        }
    )
    folder = tmp_path / "study"
    found = tune(config, folder, address=address)

    assert states(found) == ["COMPLETE"] * 4
    best = load_config(folder / "best.yml")
    chosen = max(found.best_trials, key=lambda trial: trial.values[0])
    assert best.prompt.length == chosen.params["prompt.length"]
    assert (best.threads, best.device) == (1, "cpu")
    whole = pipeline.run(best, tmp_path / "whole")
    assert [whole.dev_metric, whole.tunable_parameters] == chosen.values
    assert (folder / "best" / "model" / "prompt.safetensors").is_file()
    pareto = sorted(path.name for path in (folder / "pareto").iterdir())
    assert pareto == sorted(f"trial_{trial.number:04d}.yml" for trial in found.best_trials)
    logs = list((folder / "ray").rglob("events.out.tfevents*"))
    assert {log.parent.name for log in logs} == {f"trial_{number:04d}" for number in range(4)}
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "Pareto set" in report and report.count("<svg") >= 5
    assert not [part for part in ("<script src", "<img", 'src="', "@import") if part in report]
    assert (folder / "figures" / "pareto.png").is_file()


def test_a_study_goes_on_with_its_own_data_alone(tmp_path: Path, address: str) -> None:
    run = tiny_tree(tmp_path, training={"epochs": 1}, search={"strategy": "manual", "manual_layers": [1]})
    space = {"prompt.length": {"_type": "randint", "_value": [1, 5]}}
    folder, data = tmp_path / "study", tmp_path / "data.csv"
    tune(study("data", trials=1, run=run, searchSpace=space), folder, address=address)
    before, stored = data.read_bytes(), (folder / "tune.yml").read_bytes()
    data.write_bytes(before.replace(b"film", b"plot", 1))
    for trials in (1, 2):
        more = study("data", trials=trials, run=run, searchSpace=space)
        with pytest.raises(InputError, match=rf"'{data}' has changed since the study in '{folder}' began"):
            tune(more, folder, address=address, resume=True)
    assert (folder / "tune.yml").read_bytes() == stored
    data.write_bytes(before)
    assert states(tune(more, folder, address=address, resume=True)) == ["COMPLETE"] * 2


def test_gpus_and_threads_follow_the_resources(tmp_path: Path, address: str) -> None:
    config = study("threads", trials=1, resources={"cpus": 2})
    found = tune(config, tmp_path / "study", address=address, run=report_threads)
    assert metrics_of(found.trials[0])["threads"] == 2
    assert metrics_of(found.trials[0])["visible"] == 0


def test_a_cluster_of_this_machine_ends_with_its_block() -> None:
    with cluster():
        assert ray.is_initialized()
    assert not ray.is_initialized()
