"""README, CONTRIBUTING, SECURITY and docs say what is so: files exist, commands parse, tables are whole."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from benchmarks.cli import app as benchmarks_app
from benchmarks.equal_operations.bench import BudgetedBench
from benchmarks.layers.recipe import read_recipe_bench
from benchmarks.layers.search_deep import configs_of, load_tables, tables_of, variants_of
from benchmarks.layers.strategies import read_variants
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
from tests.support.pages import blocks_of, lines_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
DOCS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs").rglob("*.md"))
}
CONFIGURATION = DOCS["docs/configuration.md"]
TEXTS = {"README.md": README, "CONTRIBUTING.md": CONTRIBUTING, "SECURITY.md": SECURITY, **DOCS}
ROOMS = ("spt", "search_spaces", "strategies", "experiments", "benchmarks", "tests", "docs", "examples")
# a strategy that its page adds to the registry
ADDED = "hill_climbing"
PROGRAMS = (("spt",), ("python", "-m", "benchmarks"), ("python3", "-m", "benchmarks"))


@dataclass(frozen=True)
class Line:
    """One command of a text, without what is piped into it or where its output goes."""

    text: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.text}: {' '.join(self.words)}"


def section(title: str) -> str:
    return CONFIGURATION.split(f"\n## {title}\n")[1].split("\n## ")[0]


def shell_lines(text: str) -> Iterator[str]:
    """Lines of the shell blocks of a text, continued lines joined, comments left out."""
    for block in blocks_of(text):
        for line in lines_of(block.body) if block.language == "sh" else ():
            yield from re.split(r" \| | -- ", line)


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
    named = [line for line in commands() if any(line.words[: len(name)] == name for name in PROGRAMS)]
    return [line for line in named if ADDED not in " ".join(line.words)]


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
    base = (ROOT / name).parent
    named = re.findall(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})/[\w./-]*", TEXTS[name])
    named = [path.rstrip(".") for path in named if not path.endswith(("/NAME.json", f"/{ADDED}.py"))]
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


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_holds_both_sides_of_a_conflict(name: str) -> None:
    assert re.findall(r"^(?:<|>){7} .*$", TEXTS[name], re.MULTILINE) == []


@pytest.mark.parametrize("app", [spt_app, benchmarks_app])
def test_the_page_of_commands_names_every_command(app: typer.Typer) -> None:
    names = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    page = DOCS["docs/commands.md"]
    assert [name for name in names if not re.search(rf"`(?:spt |python -m benchmarks )?{name}\b", page)] == []


def test_there_are_commands_to_look_at() -> None:
    assert {"README.md", "docs/commands.md"} <= {line.text for line in ours()}
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
    elif name == "methods-deep":
        budgeted = BudgetedBench.load(arguments["bench"]).changed(changes)
        budgeted.chosen_budgets([budget * 1e12 for budget in arguments["budget"] or ()])
        assert budgeted.chosen(arguments["only"] or (), arguments["on"] or ()).groups()
    elif name == "search-deep":
        variants = arguments["variants"] or variants_of(arguments["k"])
        deep = load_tables(changes, tables_of(arguments["on"] or (), arguments["k"]))
        assert configs_of(deep, read_variants(variants), variants)
    elif name == "recipe":
        read_recipe_bench(arguments["bench"]).changed(changes, arguments["on"] or ())
    elif name == "prompt-tuning":
        # keys of a task's runs, after its name
        load_config(None, {key.partition(".")[2]: value for key, value in changes.items()})
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
    (block,) = blocks_of(CONFIGURATION)
    checked(yaml.safe_load(block.body), "the page")


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
