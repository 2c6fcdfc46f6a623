import csv
import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset
from numpy.typing import NDArray
from typer.testing import CliRunner

from experiments import pipeline
from experiments.cli import app
from experiments.config import load_config
from experiments.console import tell_watchers
from experiments.run.results import SearchResult
from spt.errors import TrialFailed
from spt.serving.classifier import PromptClassifier
from tests.support.tiny import tiny_tree

COMMANDS = tuple(command.name or command.callback.__name__ for command in app.registered_commands)
MADE = {
    "config.yml",
    "architecture.json",
    "search",
    "train",
    "model",
    "metrics.json",
    "error_analysis.json",
    "report.html",
    "figures",
}


def spt(*arguments: object, given: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(tiny_tree(folder)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(config: Path) -> Path:
    """The folder of a finished run."""
    folder = config.parent / "finished"
    result = spt("run", config, "--folder", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_help_is_there_for_every_command() -> None:
    for command in COMMANDS:
        result = spt(command, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout
    assert spt("--help").exit_code == 0


@pytest.mark.slow
def test_the_command_is_there_as_a_module_too() -> None:
    asked = [sys.executable, "-m", "experiments.cli", "--version"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.startswith("spt ")


def test_help_shows_lists_of_values() -> None:
    # square brackets are markup to what writes it
    assert "search.strategy=[spt_darts, random]" in " ".join(spt("compare", "--help").stdout.split())


def test_a_shell_completes_commands() -> None:
    asked = {"_SPT_COMPLETE": "complete_bash", "COMP_WORDS": "spt pre", "COMP_CWORD": "1"}
    result = CliRunner().invoke(app, [], prog_name="spt", env=asked)
    assert result.stdout.split() == ["predict"]


@pytest.mark.slow
def test_the_command_line_itself_imports_nothing_heavy() -> None:
    loads = "import sys, experiments.cli, experiments.config"
    code = f"{loads}; sys.exit('torch' in sys.modules or 'nni' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_run_fills_the_folder_and_prints_the_numbers(finished: Path, config: Path) -> None:
    assert {path.name for path in finished.iterdir()} >= MADE
    assert (finished / "model" / "README.md").exists()
    again = spt("run", config, "--folder", finished)
    assert again.exit_code == 0
    metrics = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    for value in (f"{metrics['tunable_parameters']:,}", f"{100 * metrics['test_metric']:.1f} %"):
        assert str(value) in again.stdout


@pytest.mark.slow
def test_quiet_prints_nothing(finished: Path, config: Path) -> None:
    assert spt("run", config, "--folder", finished, "--quiet").stdout == ""


@pytest.mark.slow
def test_each_stage_runs_what_is_missing_before_it(config: Path, tmp_path: Path) -> None:
    assert spt("search", config, "--folder", tmp_path / "a").exit_code == 0
    assert (tmp_path / "a" / "architecture.json").exists()
    assert not (tmp_path / "a" / "model").exists()
    assert spt("train", config, "--folder", tmp_path / "a").exit_code == 0
    assert (tmp_path / "a" / "model" / "prompt.safetensors").exists()
    assert not (tmp_path / "a" / "metrics.json").exists()
    assert spt("evaluate", config, "--folder", tmp_path / "a").exit_code == 0
    assert (tmp_path / "a" / "metrics.json").exists()


def test_the_folder_is_named_after_the_run(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "search", leave_layers)
    assert spt("search", config, "name=other").exit_code == 0
    assert (tmp_path / "runs" / "other" / "architecture.json").exists()


def test_the_command_that_comes_next_can_be_pasted(
    finished: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(finished, tmp_path / "ü -x [1]")
    monkeypatch.setattr(pipeline, "run", lambda *_: None)
    result = spt("run", config, "--folder", folder)
    command = shlex.split(result.stderr.rpartition("Next: ")[2].split("`")[1])
    assert command == ["spt", "predict", str(folder / "model"), "FILE"]


LAYERS = '{"layers": [1], "total": 4}'


def leave_layers(_: Any, folder: Path) -> None:
    (folder / "search").mkdir(parents=True)
    SearchResult((1,), 0, 0.0, 0, 0).write(folder / "search" / "search.json")
    (folder / "architecture.json").write_text(LAYERS, encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search.layer=3"], "Did you mean 'k'"),
        (["search.k=9"], "must be from 1 to 4"),
        (["task.name=sst3"], "Unknown task"),
        (["layers"], "key=value"),
        (["task.template={text} {mask}"], "is not YAML"),
        (["backbone.name=./nowhere"], "nowhere"),
    ],
)
def test_bad_input_ends_with_two_and_one_message(
    config: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = spt("run", config, *arguments, "--folder", tmp_path / "run")
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "none.yml"],
        ["search", "none.yml"],
        ["train", "none.yml"],
        ["evaluate", "none.yml"],
        ["config", "none.yml"],
        ["compare", "none.yml"],
        ["transfer", "none", "none.yml"],
        ["tune", "none.yml"],
        ["neighbours", "none"],
        ["predict", "none"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_command_ends_with_two_for_bad_input(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = spt(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ") and "none" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    result = spt("run", tmp_path / "none.yml")
    assert result.exit_code == 2
    assert "none.yml" in result.stderr


def stopped_by_lightning(*_: Any) -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


def stopped(*_: Any) -> None:
    raise KeyboardInterrupt


def failed(*_: Any) -> None:
    raise TrialFailed("The loss is nan.")


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "runs/a/ledger.json")


def out_of_memory(*_: Any) -> None:
    raise MemoryError


def asked_to_end(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


def asked_to_end_in_lightning(*_: Any) -> None:
    try:
        asked_to_end()
    except KeyboardInterrupt:
        sys.exit(1)


def asked_to_end_in_ray(*_: Any) -> None:
    try:
        asked_to_end()
    except KeyboardInterrupt:
        sys.exit(signal.SIGTERM)


@pytest.mark.parametrize(
    ("stage", "code", "said"),
    [
        (stopped, 130, "goes on"),
        (stopped_by_lightning, 130, "goes on"),
        (asked_to_end, 143, "goes on"),
        (asked_to_end_in_lightning, 143, "goes on"),
        (asked_to_end_in_ray, 143, "goes on"),
        (failed, 1, "The loss is nan."),
        (full, 1, "The machine failed: [Errno 28] No space left on device: 'runs/a/ledger.json'."),
        (out_of_memory, 1, "The machine failed: it is out of memory."),
    ],
)
def test_what_ends_a_training_gives_its_code(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Any, code: int, said: str
) -> None:
    monkeypatch.setattr(pipeline, "run", stage)
    result = spt("run", config, "--folder", tmp_path / "run")
    assert result.exit_code == code
    assert said in result.stderr


@pytest.mark.slow
def test_predict_answers_line_by_line(finished: Path, tmp_path: Path) -> None:
    texts = ["it was superb", "the plot was dull and very very poor .", "fine"]
    plain = spt("predict", finished / "model", given="\n".join(texts))
    assert plain.exit_code == 0
    answers = [json.loads(line) for line in plain.stdout.splitlines()]
    assert [set(answer) for answer in answers] == [{"label", "probability"}] * 3
    assert {answer["label"] for answer in answers} <= {"good", "bad"}

    lines = tmp_path / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    assert spt("predict", finished / "model", lines).stdout == plain.stdout


@pytest.mark.slow
def test_predict_runs_on_the_device_that_trains(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    def predict_proba(classifier: PromptClassifier, texts: list[str], _pairs: None) -> NDArray[Any]:
        devices.append(classifier.model.backbone.device.type)
        return np.full((len(texts), 2), 0.5)

    monkeypatch.setattr("spt.process.devices.best_device", lambda: torch.device("meta"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setattr(PromptClassifier, "predict_proba", predict_proba)
    assert spt("predict", finished / "model", given="fine").exit_code == 0
    assert devices == ["meta"]


@pytest.mark.parametrize(
    ("group", "arguments"),
    [("answering", ["predict", "none"]), ("stages", ["evaluate", "none", "--on", "none.csv"])],
)
def test_what_is_read_is_said_before_it_is_loaded(
    group: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(f"experiments.commands.{group}.tell_watchers", said.append)
    spt(*arguments)
    assert said == ["reading none and its backbone"]
    spt(*arguments, "--quiet")
    assert len(said) == 1


@pytest.mark.parametrize("watched", [True, False])
def test_only_a_terminal_is_told_what_will_take_seconds(
    watched: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    tell_watchers("reading")
    assert capsys.readouterr() == ("", "reading\n" if watched else "")


@pytest.mark.slow
def test_predict_refuses_what_is_not_utf8(finished: Path) -> None:
    result = spt("predict", finished / "model", given=b"fine\n\xff\n")
    assert result.exit_code == 2
    assert "Line 2: not UTF-8" in result.stderr


def test_predict_refuses_what_is_not_a_model(tmp_path: Path) -> None:
    result = spt("predict", tmp_path, given="a text")
    assert result.exit_code == 2
    assert "not a saved prompt" in result.stderr
    assert spt("predict", tmp_path, tmp_path / "none.txt").exit_code == 2
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "prompt.json").write_text("{}", encoding="utf-8")
    result = spt("predict", tmp_path, given="a text")
    assert f"'{tmp_path}' is not a saved prompt" in result.stderr
    assert f"give '{tmp_path / 'model'}'." in result.stderr


TICKETS = [
    ("it was superb", "good"),
    ('the plot was dull,\nand very "poor" .', "bad"),
    ("fine", "good"),
    ("awful", "bad"),
]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_predict_answers_each_record_of_a_table_and_no_header(
    finished: Path, tmp_path: Path, ending: str
) -> None:
    tickets = [(text.replace("\n", " ") if ending == "tsv" else text, label) for text, label in TICKETS]
    records = [{"id": row, "text": text, "label": label} for row, (text, label) in enumerate(tickets)]
    path = tmp_path / f"tickets.{ending}"
    if ending in ("csv", "tsv"):
        quoting = csv.QUOTE_MINIMAL if ending == "csv" else csv.QUOTE_NONE
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(
                file,
                ["id", "text", "label"],
                dialect="excel" if ending == "csv" else "excel-tab",
                quoting=quoting,
                quotechar='"' if ending == "csv" else None,
            )
            writer.writeheader()
            writer.writerows(records)
    elif ending == "parquet":
        Dataset.from_list(records).to_parquet(path)
    else:
        text = "\n".join(map(json.dumps, records)) if ending == "jsonl" else json.dumps(records)
        path.write_text(text, encoding="utf-8")
    result = spt("predict", finished / "model", path)
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    expected = PromptClassifier.from_pretrained(finished / "model").predict([text for text, _ in tickets])
    assert [answer["label"] for answer in answers] == [prediction.label for prediction in expected]
    assert [answer["probability"] for answer in answers] == pytest.approx(
        [prediction.probability for prediction in expected], abs=1e-6
    )


@pytest.mark.slow
def test_predict_refuses_a_file_that_is_not_there(finished: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        result = spt("predict", finished / "model", file)
        assert result.exit_code == 2
        assert f"no file '{file}'" in result.stderr or f"'{file}' is no file" in result.stderr


@pytest.mark.slow
def test_predict_refuses_a_table_without_the_texts_column(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("id,message\n1,fine\n", encoding="utf-8")
    result = spt("predict", finished / "model", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(said in result.stderr for said in (str(path), "'id', 'message'", "reads 'text'", "Name the"))


def test_the_schema_is_a_config_of_defaults(tmp_path: Path) -> None:
    path = tmp_path / "all.yml"
    path.write_text(spt("config").stdout, encoding="utf-8")
    assert load_config(path) == load_config(None)


def test_a_resolved_config_is_a_config(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "resolved.yml"
    path.write_text(spt("config", config, "search.k=3").stdout, encoding="utf-8")
    assert load_config(path) == load_config(config, {"search.k": 3})
