"""The code blocks of a Markdown page, and a folder to run them in, with tiny files of the names they use."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from typer.testing import CliRunner

from benchmarks.methods.bench import MethodBench
from experiments.cli import app
from experiments.comparing.experiment_file import Experiment
from experiments.config import checked
from experiments.tuning.config import TuneConfig
from tests.support.tiny import make_backbone, make_data, tiny_tree

FENCE = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^>]+?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?: +title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
# nothing to run: an output, a tree of files
PROSE = "text"
SHELL = ("cp",)
# a whole run in seconds
QUICK = ("training.epochs=2", "prompt.bottleneck=8", "prompt.phm_order=2")
BACKBONES = ("minilm-l6", "splade-tiny")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: sh, python, yaml, diff or text.
        body: what stands between the fences.
        title: the file that it is to be written to.
        not_run: why it is not run, where it is not.
    """

    language: str
    body: str
    title: str | None = None
    not_run: str | None = None


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [
        Block(match["language"], match["body"], match["title"], match["reason"])
        for match in FENCE.finditer(page)
    ]


def furnish(folder: Path) -> None:
    """Make what pages take as given: a backbone, labelled files and files without labels, and configs."""
    backbone = make_backbone(folder / "backbone", layers=4, longest=128)
    for name in ("tickets.csv", "reviews.csv", "march.csv"):
        make_data(folder / name, rows=80)
    for name in ("new.csv", "questions.csv"):
        pd.read_csv(folder / "march.csv")[["text"]].to_csv(folder / name, index=False)
    shipped = folder / "experiments" / "configs" / "trec.yml"
    shipped.parent.mkdir(parents=True)
    tree = tiny_tree(folder / "shipped", name="trec", backbone={"name": str(backbone)}, search={"epochs": 1})
    for path in (shipped, folder / "my.yml"):
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run a block in the working directory, or write it to the file that it names.

    Args:
        block: of a page.
        names: what the Python blocks of the page have defined before.
    """
    body = block.body
    for name in BACKBONES:
        body = body.replace(name, str(Path("backbone").absolute()))
    if block.title is not None:
        Path(block.title).write_text(body, encoding="utf-8")
    elif block.language == "sh":
        for line in lines_of(body):
            type_line(line)
    elif block.language == "python":
        exec(compile(body, "a page", "exec"), names)
    elif block.language == "yaml":
        check_yaml(body)


def lines_of(body: str) -> Iterator[str]:
    """Yield the commands of a shell block, continued lines joined, comments and empty lines left out."""
    for line in body.replace("\\\n", " ").splitlines():
        command = line.partition(" # ")[0].strip()
        if command and not command.startswith("#"):
            yield command


def type_line(line: str) -> None:
    """Do what a shell does with one line: text piped into `spt`, its output written to a file.

    `spt` runs in this process, as torch takes seconds to load.
    """
    given, _, rest = line.rpartition(" | ")
    command, _, target = rest.partition(" > ")
    words = shlex.split(command)
    if words[0] in SHELL:
        subprocess.run(["/bin/sh", "-c", line], check=True, capture_output=True)
        return
    assert words[0] == "spt", f"`{line}` is no command that a test runs: mark the block with why not"
    if words[1] == "init":
        words += ["backbone.name=backbone", *QUICK]
    result = CliRunner().invoke(app, words[1:], input=shlex.split(given)[1] if given else None)
    assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
    if target:
        Path(target.strip()).write_text(result.stdout, encoding="utf-8")


def check_yaml(body: str) -> None:
    """Read a file, or a part of one, as a bench, a study, the choices of a comparison, or a run."""
    tree = yaml.safe_load(body)
    if "methods" in tree:
        MethodBench.model_validate(tree)
    elif "objectives" in tree:
        # the shipped one, which it names, is of SPT-DARTS
        TuneConfig.model_validate({**tree, "run": {"search": {"strategy": "spt_darts"}}})
    elif "searchSpace" in tree:
        assert Experiment(Path("page.yml"), "page", Path(), Path("my.yml"), tree["searchSpace"]).cells({})
    else:
        checked(tree, "a page")
