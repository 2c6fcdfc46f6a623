import errno
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest
import yaml
from rich.console import Console

from experiments import demo, pipeline, without_search
from experiments.comparing.experiment_file import Experiment
from experiments.config import RunConfig, load_config
from experiments.nni_trials.experiment import ExperimentError, Trial
from experiments.run.results import RunMetrics
from experiments.tuning.space import distributions
from spt.errors import InputError, MachineFault
from tests.support.metrics import run_metrics
from tests.support.runs import tiny_config

METRICS = run_metrics(
    metric="f1", layers=(3, 5), dev_metric=0.9, test_metric=0.88, test_accuracy=0.99, tunable_parameters=25222
)


def trial(number: int, status: str, result: float | None = None, log: Path = Path()) -> Trial:
    curve = (0.5, 0.7) if result else ()
    return Trial(f"T{number}", number, status, {"search.consistency": 0.25}, curve, result, log)


class FakeExperiment:
    """An experiment that ends with the trials it was given."""

    id = "E"
    url = "http://localhost:1"
    looks: tuple[list[Trial], ...] = ()
    stopped = False

    def __init__(self, config: Path, environment: dict[str, str]) -> None:
        assert config.is_file()
        assert environment == {"OMP_NUM_THREADS": "1"}

    def __enter__(self) -> "FakeExperiment":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        FakeExperiment.stopped = True

    def watch(self, seconds: float) -> Iterator[list[Trial]]:
        assert seconds > 0
        yield from self.looks

    def export(self, file: Path) -> None:
        file.write_text("[]", encoding="utf-8")


Runner = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs the demo over given trials: its exit code and what it printed."""

    def baseline(config: RunConfig, kind: str, folder: Path, rate: float | None) -> RunMetrics:
        assert rate == {"head": None, "input_prompt": demo.INPUT_RATE}[kind]
        epochs = {"training.epochs": 6, "training.patience": 6} if kind == "input_prompt" else {}
        assert config == load_config(demo.RUN_CONFIG, {"seed": 3, **epochs})
        folder.mkdir()
        flops = {"head": 10**11, "input_prompt": 4 * 10**12}[kind]
        score = {"head": 0.8, "input_prompt": 0.85}[kind]
        return replace(METRICS, layers=(), test_metric=score, total_flops=flops)

    monkeypatch.setattr(demo, "NniExperiment", FakeExperiment)
    monkeypatch.setattr(without_search, "run_without_search", baseline)
    monkeypatch.setattr(demo, "fetch", Path)
    monkeypatch.setattr(demo, "RUNS", tmp_path)

    def call(*looks: list[Trial], terminal: bool = False) -> tuple[int, str]:
        FakeExperiment.looks = looks
        for one in looks[-1]:
            folder = tmp_path / "E" / one.id
            folder.mkdir(parents=True, exist_ok=True)
            if not one.failed:
                replace(METRICS, dev_metric=one.result or 0.0).write(folder / "metrics.json")
            (tmp_path / "E" / "best.yml").touch()
        printed = io.StringIO()
        console = Console(file=printed, width=120, force_terminal=terminal, highlight=False)
        return demo.run_demo(console, tmp_path / "demo", seed=3), printed.getvalue()

    return call


DONE = [
    trial(0, "SUCCEEDED", 0.8),
    trial(1, "FAILED"),
    trial(2, "SUCCEEDED", 0.9),
    trial(3, "SUCCEEDED", 0.9),
]


@pytest.mark.parametrize("terminal", [False, True])
def test_it_shows_and_writes_the_best_trial_beside_the_baselines(
    run: Runner, tmp_path: Path, terminal: bool
) -> None:
    code, printed = run([trial(0, "RUNNING")], DONE, terminal=terminal)
    assert code == 0
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text(encoding="utf-8"))
    assert summary["metrics"] == METRICS.as_json()
    assert summary["best_trial"] == "T2"
    assert summary["baselines"]["head"]["test_metric"] == 0.8
    assert summary["baselines"]["input_prompt"]["test_metric"] == 0.85
    assert (summary["seed"], summary["trials"], summary["failed_trials"]) == (3, 4, 1)
    assert summary["trials_flops"] == 3 * METRICS.total_flops
    assert (summary["experiment_id"], summary["wall_seconds"] >= 0) == ("E", True)
    for text in ("layers 3, 5 of 0-5", "head alone", "input prompt", "85.0 %", "88.0 %", "test F1", "25,222"):
        assert text in printed
    said = " ".join(printed.split())
    assert "reach 88.0 % on 20 test rows, 3.0 points above a prompt at the input" in said
    assert "took 4.0 x 10^12 operations; search and training of the best trial took 0.75 times" in said
    assert "nnictl view E" in printed and "99.0 %" not in printed
    assert f"spt run {tmp_path / 'E' / 'best.yml'}" in printed
    assert printed.splitlines()[-2:] == [
        f"Report of all trials: {tmp_path / 'E' / 'report.html'}",
        f"Report of the best trial: {tmp_path / 'E' / 'T2'}",
    ]


def test_without_a_terminal_each_change_is_one_line(run: Runner) -> None:
    running = [trial(0, "RUNNING"), trial(1, "WAITING")]
    _, printed = run(running, running, [trial(0, "SUCCEEDED", 0.8), trial(1, "FAILED")])
    assert [line for line in printed.splitlines() if line.startswith("trial ")] == [
        "trial 0: running  search.consistency=0.25",
        "trial 0: finished  dev 80.0 %  search.consistency=0.25",
        "trial 1: failed  search.consistency=0.25",
    ]


def test_a_trial_is_shown_where_its_run_is(tmp_path: Path) -> None:
    run_folder = tmp_path / "T0"
    config = tiny_config(tmp_path, search={"strategy": "manual", "manual_layers": [1]})
    metrics = pipeline.run(config, run_folder)
    row = demo.trial_row(trial(0, "RUNNING"), tmp_path)
    assert (row.name, row.state, row.layers) == ("trial 0", "finished", "1")
    assert (row.dev, row.test) == (metrics.dev_metric, metrics.test_metric)
    assert row.values == {"search.consistency": "0.25"}
    assert demo.trial_row(trial(0, "FAILED"), tmp_path).state == "failed"


def test_it_ends_with_1_and_their_last_words_if_all_trials_failed(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "trial.stderr").write_text("Traceback\nThe loss is [nan].\n", encoding="utf-8")
    code, printed = run([trial(0, "FAILED", log=tmp_path), trial(1, "FAILED", log=tmp_path / "none")])
    assert code == 1
    assert "Trial 0: The loss is [nan]." in printed
    assert "Trial 1: said nothing" in printed
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["metrics"], summary["trials"], summary["failed_trials"]) == (None, 2, 2)


def test_it_runs_again_and_keeps_the_earlier_results_once(run: Runner, tmp_path: Path) -> None:
    for _ in range(3):
        assert run(DONE)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"E", "demo", "demo.previous"}


def fail(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo raise an error."""

    def fails(*_: object) -> int:
        raise error

    monkeypatch.setattr(demo, "run_demo", fails)
    monkeypatch.setattr(demo, "quiet_libraries", lambda quiet: None)  # noqa: ARG005


@pytest.mark.parametrize(
    ("error", "code"), [(InputError("no network"), 2), (ExperimentError("the tuner died"), 1)]
)
def test_errors_are_one_line_and_an_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(error, monkeypatch)
    assert demo.main() == code
    assert capsys.readouterr().out == f"Error: {error}\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left on device"),
        (MemoryError(), "it is out of memory"),
        (MachineFault("a worker died"), "a worker died"),
    ],
)
def test_a_fault_of_the_machine_is_said_without_a_traceback(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(error, monkeypatch)
    assert demo.main() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said == f"The machine failed: {reason}. Nothing of that was recorded: the same command repeats it."


def test_trials_run_from_any_folder_and_their_runs_are_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = Experiment.load(demo.write_experiment(tmp_path, 3))
    assert experiment.config == demo.RUN_CONFIG
    settings = yaml.safe_load((tmp_path / "experiment.yml").read_text(encoding="utf-8"))
    assert settings["trialCommand"].endswith(f"--runs {tmp_path / 'runs'}")
    assert Path(settings["tuner"]["codeDirectory"]) == demo.HERE.parent
    shipped = yaml.safe_load(demo.EXPERIMENT.read_text(encoding="utf-8"))
    seed = {"_type": "choice", "_value": [3]}
    assert settings["searchSpace"] == {**shipped["searchSpace"], "seed": seed}
    assert (settings["tuner"]["classArgs"]["seed"], shipped["tuner"]["classArgs"]["seed"]) == (3, 0)


def test_a_winner_that_is_behind_is_said_to_be() -> None:
    ours, theirs = replace(METRICS, test_metric=0.8), replace(METRICS, test_metric=0.85, total_flops=10**12)
    summary = {"metrics": ours.as_json(), "baselines": {"input_prompt": theirs.as_json()}}
    said = demo.conclusion(summary)
    assert "5.0 points below a prompt at the input" in said and "took 3.00 times as many" in said


def test_scores_have_their_interval_over_rows() -> None:
    assert demo.interval_of({"metric": "accuracy", "test_metric": 0.891, "test_size": 1000}) == (
        " (87.0 to 90.9)"
    )


def test_the_shipped_experiment_fits_the_shipped_config() -> None:
    settings = yaml.safe_load(demo.EXPERIMENT.read_text(encoding="utf-8"))
    assert settings["trialCommand"].endswith(demo.RUN_CONFIG.relative_to(demo.HERE.parent).as_posix())
    for name, values in settings["searchSpace"].items():
        for value in values["_value"]:
            load_config(demo.RUN_CONFIG, {name: value})
    assert len(distributions(settings["searchSpace"])) == 4


CONFIGS = demo.HERE / "configs"
SHIPPED = [*CONFIGS.glob("*.yml"), *CONFIGS.glob("backbones/*.yml")]


@pytest.mark.parametrize("path", sorted(SHIPPED), ids=lambda path: path.stem)
def test_shipped_configs_load(path: Path) -> None:
    assert load_config(path).name == path.stem
