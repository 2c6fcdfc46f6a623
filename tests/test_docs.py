"""README, CONTRIBUTING, SECURITY and docs say what is so: files exist, commands parse, examples run."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from benchmarks.cli import app as benchmarks_app
from benchmarks.layers.recipe import read_recipe_bench
from benchmarks.methods.bench import MethodBench
from experiments.cli import app as spt_app
from experiments.comparing.experiment_file import Experiment
from experiments.config import checked, load_config
from experiments.keys import parse_overrides
from experiments.tuning.config import load_tune_config
from spt.assets import ASSETS
from spt.backbones.registry import FAMILIES
from spt.tasks import TASKS
from strategies.options import readers
from tests.support.tiny import make_backbone, make_data, tiny_tree

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
CONFIGURATION, COMMANDS = DOCS["configuration.md"], DOCS["commands.md"]
TEXTS = {"README.md": README, "CONTRIBUTING.md": CONTRIBUTING, "SECURITY.md": SECURITY, **DOCS}
ROOMS = ("spt", "search_spaces", "strategies", "experiments", "benchmarks", "tests", "docs", "examples")
PROGRAMS = (("spt",), ("python", "-m", "benchmarks"), ("python3", "-m", "benchmarks"))


@dataclass(frozen=True)
class Line:
    """One command of a text, without what is piped into it or where its output goes."""

    text: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.text}: {' '.join(self.words)}"


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of a language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [body for name, body in fences if name == language]


def section(title: str) -> str:
    return CONFIGURATION.split(f"\n## {title}\n")[1].split("\n## ")[0]


def shell_lines(text: str) -> Iterator[str]:
    """Lines of the shell blocks of a text, continued lines joined, comments left out."""
    for block in blocks("sh", text) + blocks("", text):
        for line in block.replace("\\\n", " ").splitlines():
            yield from (part.partition(" # ")[0] for part in re.split(r" \| | -- ", line))


def commands() -> list[Line]:
    """The commands of all texts, in blocks and in the running text."""
    lines: list[Line] = []
    for name, text in TEXTS.items():
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
        for line in [*shell_lines(text), *(code for code in inline if code.startswith(("spt ", "python")))]:
            words = shlex.split(line.partition(" > ")[0].rstrip(" &"))
            lines.append(Line(name, tuple(words)))
    return list(dict.fromkeys(line for line in lines if line.words))


def ours() -> list[Line]:
    """The commands that this project answers to itself."""
    return [line for line in commands() if any(line.words[: len(name)] == name for name in PROGRAMS)]


def group_of(line: Line) -> tuple[Any, tuple[str, ...]]:
    """Return the command group that a command asks, and the words that it gets."""
    app, start = (spt_app, 1) if line.words[0] == "spt" else (benchmarks_app, 3)
    return typer.main.get_command(app), line.words[start:]


def parsed(line: Line) -> tuple[str, dict[str, Any]]:
    """Parse a command with its own parser: the subcommand's name and its arguments.

    Raises:
        click.UsageError: as the command line would say it.
    """
    group, words = group_of(line)
    for name, command in group.commands.items():
        command.callback = partial(lambda name, **arguments: (name, arguments), name)
    result: tuple[str, dict[str, Any]] = group(words, standalone_mode=False)
    return result


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_is_named_exists(name: str) -> None:
    base = (ROOT / name if (ROOT / name).exists() else ROOT / "docs" / name).parent
    named = re.findall(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})/[\w./-]*", TEXTS[name])
    named = [path.rstrip(".") for path in named if not path.endswith("/NAME.json")]
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXTS[name])
    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [path for path in links if not (base / path).exists()]
    assert missing == []


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake (\w+)", " ".join(re.findall(r"`[^`]+`", README)))
    targets += [line.words[1] for line in commands() if line.words[0] == "make"]
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_there_are_commands_to_look_at() -> None:
    assert {line.text for line in ours()} == set(TEXTS)
    assert len(ours()) > 40


@pytest.mark.parametrize("line", ours(), ids=str)
def test_every_command_parses_and_its_keys_exist(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    group, words = group_of(line)
    if len(words) < 2:
        # only named: `spt run`
        assert set(words) <= set(group.commands)
        return
    monkeypatch.chdir(ROOT)
    name, arguments = parsed(line)
    changes = parse_overrides(arguments.get("overrides") or [])
    file = next((arguments[key] for key in ("config", "experiment", "bench") if arguments.get(key)), None)
    file = file if file and file.exists() else None
    if name == "tune":
        load_tune_config(file or Path("experiments/tune.yml"), changes)
    elif name == "compare":
        Experiment.load(file or Path("experiments/compare.yml")).cells(changes)
    elif name == "methods":
        bench = MethodBench.load(file or Path("experiments/methods.yml")).changed(changes)
        bench = bench.chosen(arguments["only"] or (), arguments["on"] or ())
        assert all(bench.config_of(cell, Path("experiments")) for cell in bench.sweep())
    elif name == "recipe":
        read_recipe_bench(arguments["bench"]).changed(changes, arguments["on"] or ())
    else:
        load_config(file, changes)


@pytest.mark.parametrize("line", [line for line in commands() if line.words[0] == "nnictl"], ids=str)
def test_every_nni_experiment_runs_a_configuration(line: Line) -> None:
    if "--config" in line.words:
        experiment = Experiment.load(ROOT / line.words[line.words.index("--config") + 1])
        load_config(experiment.config)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_files_that_commands_read_are_shipped_or_made_before(name: str) -> None:
    # what `spt init` writes, and what a shell does
    made = {"config.yml", *re.findall(r" > (\S+)", TEXTS[name])}
    words = {word for line in ours() if line.text == name for word in line.words if word.endswith(".yml")}
    assert [word for word in sorted(words - made) if not (ROOT / word).exists()] == []


def test_the_configuration_example_is_valid() -> None:
    (block,) = blocks("yaml", CONFIGURATION)
    checked(yaml.safe_load(block), "the page")


def test_the_keys_that_are_listed_exist() -> None:
    defaults = checked({}, "the defaults").model_dump()
    keys = re.findall(r"`((?:data|backbone|head|prompt|search|training|answers)\.\w+)`", CONFIGURATION)
    assert keys
    for key in keys:
        part, name = key.split(".")
        assert name in defaults[part] or (part == "search" and readers(name)), key


def test_the_table_of_families_is_that_of_the_registry() -> None:
    rows = [
        line.split("|")[1] for line in section("Backbone families").splitlines() if line.startswith("| `")
    ]
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(FAMILIES)


def test_the_table_of_tasks_is_that_of_the_registry() -> None:
    rows = [line for line in section("Tasks").splitlines() if line.startswith("| `")]
    expected = [
        f"| `{task.name}` | {2 if task.text_pair else 1} | "
        f"{len(task.labels) if task.labels else 'those of the data'} | {task.metric} |"
        for task in TASKS.values()
    ]
    assert rows == expected


def test_the_embedded_names_are_listed() -> None:
    assert all(f"`{name}`" in section("Embedded backbones and data") for name in ASSETS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory as the README's, with a tiny run in the place of the shipped one."""
    folder = tmp_path_factory.mktemp("readme")
    shipped = folder / "experiments" / "configs" / "trec.yml"
    shipped.parent.mkdir(parents=True)
    shipped.write_text(yaml.safe_dump(tiny_tree(folder, name="trec")), encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


# of a whole run in seconds
QUICK = "training.epochs=2 search.epochs=1 search.warmup_epochs=0 prompt.bottleneck=8 prompt.phm_order=2"


def typed(line: str) -> None:
    """Do what a shell does with one line: text piped into a command, its output written to a file."""
    given, _, rest = line.rpartition(" | ")
    command, _, target = rest.partition(" > ")
    result = CliRunner().invoke(
        spt_app, shlex.split(command)[1:], input=shlex.split(given)[1] if given else None
    )
    assert result.exit_code == 0, f"{line}\n{result.output}"
    if target:
        Path(target.strip()).write_text(result.stdout, encoding="utf-8")


@pytest.mark.slow
def test_the_commands_of_one_run_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (block,) = (block for block in blocks("sh", COMMANDS) if "spt evaluate" in block)
    for line in block.splitlines():
        typed(line)
    assert (home / "runs" / "three" / "metrics.json").exists()
    assert (home / "runs" / "trec" / "metrics.json").exists()


@pytest.mark.slow
def test_the_road_from_a_csv_to_its_answers_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # a test must leave nothing in the user's cache folder
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    backbone = make_backbone(tmp_path / "backbone", longest=128)
    for name in ("tickets.csv", "march.csv", "new.csv"):
        make_data(tmp_path / name, rows=80)
    frame = pd.read_csv("new.csv").drop(columns="label")
    frame.to_csv("new.csv", index=False)
    (block,) = (block for block in blocks("sh") if "spt init" in block)
    for line in block.splitlines():
        typed(f"{line} backbone.name={backbone} {QUICK}" if "spt init" in line else line)
    answers = pd.read_csv("answers.csv")
    assert answers["text"].tolist() == frame["text"].tolist()
    assert set(answers["label"]) <= {"good", "bad"}
    (code,) = blocks("python")
    exec(compile(code.replace("minilm-l6", str(backbone)), "README.md", "exec"), {})
    assert {"['good']", "['bad']"} & set(re.findall(r"\['\w+'\]", capsys.readouterr().out))
    assert (tmp_path / "my-prompt" / "prompt.json").exists()
    assert set(re.findall(r"^from (spt\S*|experiments\S*) import", code, re.MULTILINE)) == {"spt"}
