"""The README and CONTRIBUTING say what is so."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from experiments.cli import app
from experiments.config import checked
from experiments.pipeline import run
from spt.assets import ASSETS
from spt.backbones.registry import FAMILIES
from spt.tasks import TASKS
from tests.support.runs import tiny_config
from tests.support.tiny import tiny_tree

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROOMS = ("spt", "search_spaces", "strategies", "experiments", "tests", "docs")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") + blocks("sh", CONTRIBUTING) for line in block.splitlines()]
    return [shlex.split(part) for line in lines for part in line.split("|")]


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(rf"(?:{'|'.join(ROOMS)})/[\w./-]*", README + CONTRIBUTING)
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", README + CONTRIBUTING)
    paths = {name.rstrip(".") for name in named + links}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake (\w+)", " ".join(re.findall(r"`[^`]+`", README)))
    targets += [command[1] for command in commands() if command[0] == "make"]
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("command", [c for c in commands() if c[0] == "spt"], ids=" ".join)
def test_every_spt_command_parses(command: list[str]) -> None:
    arguments = [part for part in command[1:] if part != ">"]
    assert CliRunner().invoke(app, [arguments[0], "--help"]).exit_code == 0
    for option in (part for part in arguments if part.startswith("--")):
        assert option in CliRunner().invoke(app, [arguments[0], "--help"]).stdout


def test_the_configuration_example_is_valid() -> None:
    for block in blocks("yaml"):
        checked(yaml.safe_load(block), "the README")


def test_the_keys_that_are_listed_exist() -> None:
    defaults = checked({}, "the defaults").model_dump()
    keys = re.findall(r"`((?:data|backbone|head|prompt|search)\.\w+)`", section("Configuration"))
    assert keys
    for key in keys:
        part, name = key.split(".")
        assert name in defaults[part]


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
    assert all(f"`{name}`" in section("Configuration") for name in ASSETS)


@pytest.mark.slow
def test_the_python_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("trec", "three"):
        run(tiny_config(tmp_path), Path("runs") / name)
    shipped = Path("experiments/configs/trec.yml")
    shipped.parent.mkdir(parents=True)
    shipped.write_text(yaml.safe_dump(tiny_tree(tmp_path)), encoding="utf-8")
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "good" in printed or "bad" in printed
    assert (tmp_path / "runs" / "from_python" / "metrics.json").exists()
    shutil.rmtree(tmp_path / "runs")
