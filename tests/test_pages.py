"""Every code block of the pages runs, page by page in order, or says in a comment before it why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.config import load_config
from experiments.pipeline import run
from spt.assets import ASSETS, cache_folder
from tests.support.pages import PROSE, Block, blocks_of, furnish, lines_of, run_block
from tests.support.patches import apply_diff

ROOT = Path(__file__).parents[1]
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [ROOT / name for name in TOP] + sorted((ROOT / "docs").rglob("*.md"))
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
LANGUAGES = ("sh", "python", "yaml", "csv", "diff", PROSE)
# changes the project itself, in a copy
STRATEGY = "docs/how_to/add_a_strategy.md"
# asks for the embedded backbone and data themselves
TUTORIAL = "docs/tutorial.md"
FEW = {"train_size": 40, "dev_size": 24, "test_size": 24}
# what running a page must leave
RESULTS = {
    "README.md": ["config.yml", "runs/tickets/report.html", "answers.csv", "my-prompt/prompt.json"],
    "docs/commands.md": ["runs/three/metrics.json", "runs/trec/metrics.json"],
    "docs/python.md": ["my-prompt/estimator.json", "runs/kept/report.html", "runs/from_python/metrics.json"],
}


def runnable(name: str) -> list[Block]:
    return [b for b in blocks_of(TEXTS[name]) if b.not_run is None and b.language != PROSE]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory as the pages have it: data, a backbone, a config, and a trained run of it."""
    folder = tmp_path_factory.mktemp("pages")
    furnish(folder)
    run(load_config(folder / "my.yml"), folder / "runs" / "trec")
    shutil.copytree(folder / "runs" / "trec" / "model", folder / "my-prompt")
    return folder


@pytest.mark.parametrize("name", TEXTS)
def test_every_block_says_what_it_is(name: str) -> None:
    assert TEXTS[name].count("\n```") == 2 * len(blocks_of(TEXTS[name])), "a fence that no one reads"
    for block in blocks_of(TEXTS[name]):
        assert block.language in LANGUAGES or block.not_run, f"{block.language!r}:\n{block.body}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in TEXTS if runnable(name) and name not in (STRATEGY, TUTORIAL)]
)
def test_the_blocks_of_a_page_run(
    name: str, furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(furnished, home)
    monkeypatch.chdir(home)
    # a test must leave nothing in the user's cache folder
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    defined: dict[str, Any] = {}
    for block in runnable(name):
        run_block(block, defined)
    assert [path for path in RESULTS.get(name, []) if not (home / path).exists()] == []


@pytest.mark.slow
def test_the_tutorial_runs_on_the_embedded_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("minilm-l6", "trec"):
        folder = cache_folder() / f"{name}-{ASSETS[name].version}"
        if not folder.is_dir():
            pytest.skip(f"'{name}' is not in the cache folder")
        (cache / folder.name).symlink_to(folder)
    monkeypatch.setenv("SPT_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    defined: dict[str, Any] = {}
    for block in runnable(TUTORIAL):
        run_block(block, defined)
        if block.title == "first.yml":
            tree = yaml.safe_load(block.body)
            assert tree["data"].keys() <= FEW.keys()
            tree |= {"data": FEW, "search": {"k": 2}, "training": {"epochs": 1}}
            tree |= {"baselines": False}
            Path(block.title).write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert len(defined["classifier"].labels) == 6
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 4


@pytest.mark.slow
def test_the_strategy_of_its_page_is_registered_and_searches(furnished: Path, tmp_path: Path) -> None:
    code, *diffs, commands = runnable(STRATEGY)
    checkout = tmp_path / "checkout"
    for room in ("spt", "search_spaces", "strategies", "experiments"):
        shutil.copytree(ROOT / room, checkout / room, ignore=shutil.ignore_patterns("__pycache__"))
    assert code.title is not None and not (checkout / code.title).exists()
    (checkout / code.title).write_text(code.body, encoding="utf-8")
    for diff in diffs:
        apply_diff(diff.body, checkout)
    (command,) = lines_of(commands.body)
    quick = ["training.epochs=1", "baselines=false", f"backbone.name={furnished / 'backbone'}"]
    subprocess.run(
        [sys.executable, "-c", "from experiments.cli import main; main()", *command.split()[1:], *quick],
        cwd=shutil.copytree(furnished, tmp_path / "home"),
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=True,
    )
    searched = tmp_path / "home" / "runs" / "climbed" / "search"
    tried = [json.loads(line) for line in (searched / "candidates.jsonl").read_text().splitlines()]
    assert len({tuple(candidate["layers"]) for candidate in tried}) == len(tried) == 3
