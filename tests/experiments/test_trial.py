import errno
import io
import json
import math
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nni
import pytest
import yaml
from nni.runtime.trial_command_channel import (
    ParameterRecord,
    TrialCommandChannel,
    get_default_trial_command_channel,
    set_default_trial_command_channel,
)

from experiments import pipeline, trial
from experiments.config import RunConfig
from experiments.nni_trials import channel as trial_channel
from experiments.nni_trials.channel import RecordedParameters
from experiments.nni_trials.concurrency import trials_at_a_time
from experiments.run.results import RunMetrics
from spt.errors import TrialFailed
from tests.support.metrics import run_metrics
from tests.support.tiny import tiny_tree

METRICS = run_metrics(metric="f1", dev_metric=0.7, test_metric=0.8, layers=(3, 5), total_flops=3 * 10**12)


class Reports(TrialCommandChannel):
    """What NNI's channel and the pipeline were given."""

    def __init__(self) -> None:
        self.config: RunConfig | None = None
        self.folder = Path()
        self.parameters: dict[str, Any] = {}
        self.metrics: list[tuple[Any, ...]] = []

    def receive_parameter(self) -> ParameterRecord | None:
        return {"parameter_id": 7, "parameters": self.parameters}

    def send_metric(self, *metric: Any) -> None:
        self.metrics.append(metric)


@pytest.fixture
def channel() -> Iterator[Reports]:
    """A channel in place of NNI's."""
    before = get_default_trial_command_channel()
    reports = Reports()
    set_default_trial_command_channel(reports)
    yield reports
    set_default_trial_command_channel(before)


@pytest.fixture
def reports(channel: Reports, monkeypatch: pytest.MonkeyPatch) -> Reports:
    """A pipeline that only reports, too."""

    def run(config: RunConfig, folder: Path, on_epoch: Callable[[str, int, float], None]) -> RunMetrics:
        channel.config, channel.folder = config, folder
        on_epoch("search", 0, 0.1)
        on_epoch("train", 0, 0.2)
        on_epoch("train", 1, 0.3)
        return METRICS

    monkeypatch.setattr(pipeline, "run", run)
    monkeypatch.setattr(trial, "summary", lambda folder: {"layers": "3, 5 of 0 to 5", "folder": str(folder)})
    return channel


@pytest.fixture
def in_nni(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial of an experiment."""
    monkeypatch.setattr(nni, "get_trial_id", lambda: "T")
    monkeypatch.setattr(nni, "get_experiment_id", lambda: "E")
    monkeypatch.setattr(nni, "get_sequence_id", lambda: 2)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text("name: small\n", encoding="utf-8")
    return path


RESULT = {"default": 0.7, "test_metric": 0.8, "layers": "3 5", "total_flops": 3 * 10**12}


def test_by_hand_it_runs_in_the_runs_folder_and_reports_the_curve_from_the_search_on(
    config: Path, reports: Reports, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(config.parent))
    assert trial.main([f"--config=~/{config.name}", "--runs=~/there"]) == 0
    assert reports.folder == config.parent / "there" / "small"
    assert reports.metrics == [
        ("PERIODICAL", None, "STANDALONE", 0, 0.1),
        ("PERIODICAL", None, "STANDALONE", 1, 0.2),
        ("PERIODICAL", None, "STANDALONE", 2, 0.3),
        ("FINAL", None, "STANDALONE", 0, RESULT),
    ]
    assert capsys.readouterr().out == f"layers: 3, 5 of 0 to 5\nfolder: {reports.folder}\n"


@pytest.mark.usefixtures("in_nni")
def test_in_nni_it_takes_the_parameters_as_overrides(
    config: Path, reports: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/E/T").mkdir(parents=True)
    reports.parameters = {"task": {"_name": "trec", "prompt.dropout": 0.25}}
    assert trial.main(["--config", str(config)]) == 0
    assert reports.folder == Path("runs/E/T")
    assert reports.config is not None
    assert reports.config.prompt.dropout == 0.25
    assert reports.metrics[-1] == ("FINAL", 7, "T", 0, RESULT)
    note = json.loads(Path("runs/E/T/trial.json").read_text(encoding="utf-8"))
    assert note == {"number": 2, "parameters": reports.parameters}


@pytest.mark.slow
def test_a_trials_log_holds_no_line_of_another_library(tmp_path: Path) -> None:
    path = tmp_path / "small.yml"
    tree = tiny_tree(tmp_path, search={"strategy": "spt_darts", "k": 1, "epochs": 1}, training={"epochs": 1})
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    command = [sys.executable, "-m", "experiments.trial", "--config", path, "--runs", tmp_path / "runs"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Warning" not in done.stderr and "deprecated" not in done.stderr
    assert done.stdout.startswith("layers: ")


def test_a_test_metric_that_is_not_finite_is_left_out_and_no_layers_are_said() -> None:
    odd = replace(METRICS, test_metric=math.nan, layers=())
    assert trial.final_result(odd) == {"default": 0.7, "layers": "none", "total_flops": 3 * 10**12}


@pytest.mark.slow
@pytest.mark.usefixtures("in_nni")
def test_the_reports_of_a_search_among_candidates_are_the_trials(channel: Reports, tmp_path: Path) -> None:
    """The engine that trains candidates puts their channel and parameters under NNI's own functions."""
    search = {"strategy": "random", "evaluations": 2, "k": 1}
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(tiny_tree(tmp_path, search=search, training={"epochs": 1})), "utf-8")
    assert trial.main(["--config", str(path), "--runs", str(tmp_path / "runs")]) == 0
    assert [metric[:4] for metric in channel.metrics] == [
        ("PERIODICAL", 7, "T", 0),
        ("PERIODICAL", 7, "T", 1),
        ("FINAL", 7, "T", 0),
    ]
    metrics = RunMetrics.read(tmp_path / "runs" / "E" / "T" / "metrics.json")
    assert channel.metrics[-1][4] == trial.final_result(metrics)
    assert max(metric[4] for metric in channel.metrics[:2]) == pytest.approx(metrics.dev_metric)


@pytest.mark.usefixtures("in_nni", "reports")
def test_a_failed_trial_is_added_to_the_report_too(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: RunConfig, folder: Path, __: object) -> RunMetrics:
        folder.mkdir(parents=True)
        raise TrialFailed("The loss is nan.")

    monkeypatch.setattr(pipeline, "run", run)
    assert trial.main(["--config", str(config), "--runs", str(tmp_path)]) == 1
    assert (tmp_path / "E" / "T" / "trial.json").exists()
    assert "No trial of the experiment has given results so far." in capsys.readouterr().out


@pytest.mark.usefixtures("in_nni")
def test_a_report_that_cannot_be_written_is_said_and_the_trial_is_done(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "U"
    other.mkdir()
    (other / "trial.json").write_text("{", encoding="utf-8")
    (tmp_path / "T").mkdir()
    trial.report_experiment(tmp_path / "T", {}, "")
    assert f"There is no new report of the experiment: '{other / 'trial.json'}'" in capsys.readouterr().err


@pytest.mark.parametrize(("told", "threads"), [("", 4), ("threads: 3\n", 3)])
def test_in_nni_it_takes_its_part_of_the_cores(
    config: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch, told: str, threads: int
) -> None:
    config.write_text(f"name: small\n{told}", encoding="utf-8")
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setenv("NNI_TRIAL_COMMAND_CHANNEL", "ws://localhost:1/platform")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("spt.process.cores.cores", lambda: 8)
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
    assert all(kind == "PERIODICAL" for kind, *_ in reports.metrics)


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
        return replace(METRICS, dev_metric=math.nan)

    monkeypatch.setattr(pipeline, "run", run)
    assert trial.main(["--config", str(config)]) == 1
    assert "nan" in capsys.readouterr().err
    assert all(kind == "PERIODICAL" for kind, *_ in reports.metrics)


def test_a_full_disk_ends_a_trial_with_1_and_one_message(
    config: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: Any) -> RunMetrics:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipeline, "run", run)
    assert trial.main(["--config", str(config)]) == 1
    assert capsys.readouterr().err.startswith("The machine failed: [Errno 28] No space left on device.")
    assert reports.metrics == []


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
