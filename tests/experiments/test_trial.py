import io
import json
import math
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nni
import pytest
from nni.runtime.trial_command_channel import ParameterRecord, TrialCommandChannel

from experiments import trial
from experiments.config import RunConfig
from experiments.nni_trials import channel as trial_channel
from experiments.nni_trials.channel import RecordedParameters
from experiments.nni_trials.concurrency import trials_at_a_time
from spt.errors import TrialFailed

METRICS = {
    "metric": "f1",
    "dev_metric": 0.7,
    "dev_accuracy": 0.9,
    "test_accuracy": 0.8,
    "layers": [3, 5],
    "task": "trec",
    "test_f1": math.nan,
    "ok": True,
}


class Reports:
    """What NNI and the pipeline were given."""

    def __init__(self) -> None:
        self.config: RunConfig | None = None
        self.folder = Path()
        self.intermediate: list[float] = []
        self.final: list[Any] = []


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Reports:
    found = Reports()

    def run(config: RunConfig, folder: Path, on_epoch: Callable[[str, int, float], None]) -> Any:
        found.config, found.folder = config, folder
        on_epoch("search", 0, 0.1)
        on_epoch("train", 0, 0.2)
        on_epoch("train", 1, 0.3)
        return SimpleNamespace(as_json=lambda: METRICS)

    monkeypatch.setattr(trial.pipeline, "run", run)
    monkeypatch.setattr(nni, "report_intermediate_result", found.intermediate.append)
    monkeypatch.setattr(nni, "report_final_result", found.final.append)
    return found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text("name: small\n", encoding="utf-8")
    return path


def test_by_hand_it_runs_in_the_runs_folder_and_reports_numbers(config: Path, reports: Reports) -> None:
    assert trial.main(["--config", str(config), "--runs", "there"]) == 0
    assert reports.folder == Path("there/small")
    assert reports.intermediate == [0.2, 0.3]
    assert reports.final == [{"default": 0.7, "dev_metric": 0.7, "dev_accuracy": 0.9, "test_accuracy": 0.8}]


def test_in_nni_it_takes_the_parameters_as_overrides(
    config: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nni, "get_trial_id", lambda: "T")
    monkeypatch.setattr(nni, "get_experiment_id", lambda: "E")
    monkeypatch.setattr(nni, "get_next_parameter", lambda: {"search.consistency": 0.25})
    assert trial.main(["--config", str(config)]) == 0
    assert reports.folder == Path("runs/E/T")
    assert reports.config is not None
    assert reports.config.search.consistency == 0.25


@pytest.mark.parametrize(("told", "threads"), [("", 4), ("threads: 3\n", 3)])
def test_in_nni_it_takes_its_part_of_the_cores(
    config: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch, told: str, threads: int
) -> None:
    config.write_text(f"name: small\n{told}", encoding="utf-8")
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setenv("NNI_TRIAL_COMMAND_CHANNEL", "ws://localhost:1/platform")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("spt.cores.cores", lambda: 8)
    answers(monkeypatch, {"params": {"trialConcurrency": 2}})
    assert trial.main(["--config", str(config)]) == 0
    assert reports.config is not None
    assert reports.config.threads == threads


def test_where_nni_does_not_answer_a_trial_takes_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {"error": "busy"})
    assert trials_at_a_time("ws://localhost:1/platform") == 1


def test_bad_input_ends_with_2_and_reports_nothing(
    config: Path, reports: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("serch: {}\n", encoding="utf-8")
    assert trial.main(["--config", str(config)]) == 2
    assert "Did you mean 'search'" in capsys.readouterr().err
    assert reports.final == []


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_a_failed_trial_ends_with_1_and_reports_nothing(
    how: str,
    config: Path,
    reports: Reports,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*_: Any) -> Any:
        if how == "raises":
            raise TrialFailed("The loss is nan.")
        return SimpleNamespace(as_json=lambda: {"dev_metric": math.nan})

    monkeypatch.setattr(trial.pipeline, "run", run)
    assert trial.main(["--config", str(config)]) == 1
    assert "nan" in capsys.readouterr().err
    assert reports.final == []


class Queue(TrialCommandChannel):
    """NNI's channel, giving another trial's parameters."""

    def __init__(self, given: ParameterRecord | None) -> None:
        self.given = given
        self.metrics: list[tuple[Any, ...]] = []

    def receive_parameter(self) -> ParameterRecord | None:
        return self.given

    def send_metric(self, *metric: Any) -> None:
        self.metrics.append(metric)


def answers(monkeypatch: pytest.MonkeyPatch, *jobs: dict[str, Any]) -> None:
    queue = [json.dumps(job) for job in jobs]
    monkeypatch.setattr(urllib.request, "urlopen", lambda _, timeout: io.StringIO(queue.pop(0)))  # noqa: ARG005
    monkeypatch.setattr(trial_channel.time, "sleep", lambda _: None)


def test_a_trial_uses_what_nni_recorded_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"parameter_id": 4, "parameters": {"x": 1}}
    answers(monkeypatch, {}, {"hyperParameters": [json.dumps(mine)]})
    queue = Queue({"parameter_id": 5, "parameters": {"x": 2}})
    channel = RecordedParameters(queue, "http://localhost:1/api/v1/nni/trial-jobs/T")
    assert channel.receive_parameter() == mine
    channel.send_metric("FINAL", 4, "T", 0, 0.5)
    assert queue.metrics == [("FINAL", 4, "T", 0, 0.5)]


def test_no_parameters_stay_none() -> None:
    assert RecordedParameters(Queue(None), "http://localhost:1").receive_parameter() is None


def test_waiting_for_the_record_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {})
    monkeypatch.setattr(trial_channel, "WAIT_SECONDS", -1.0)
    channel = RecordedParameters(Queue({"parameter_id": 5, "parameters": {}}), "http://localhost:1/T")
    with pytest.raises(TimeoutError, match="no parameters for this trial at http://localhost:1/T"):
        channel.receive_parameter()
