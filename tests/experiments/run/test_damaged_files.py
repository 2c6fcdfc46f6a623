"""A run folder with a file cut, emptied or garbled: refused by the file's name, or the same result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import pipeline
from experiments.config import RunConfig
from spt.errors import InputError
from tests.support.searches import config, timeless

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",  # noqa: ARG005
    "garbled": lambda content: content[: len(content) // 2] + b"\xff#[" + content[len(content) // 2 + 3 :],
}
# file -> what is deleted for the run to read it again
READ_AGAIN = {
    "spt_darts": {
        "config.yml": ["metrics.json"],
        "ledger.json": ["metrics.json"],
        "architecture.json": ["metrics.json", "train/train.json"],
        "search/search.json": ["metrics.json"],
        "search/inherited.safetensors": ["metrics.json", "train"],
        "search/gates.jsonl": ["metrics.json"],
        "search/history.jsonl": ["metrics.json"],
        "train/history.jsonl": ["metrics.json"],
        "train/train.json": ["metrics.json"],
        "metrics.json": [],
    },
    "random": {
        "search/candidates.jsonl": ["metrics.json", "search/search.json", "architecture.json", "train"],
        "ledger.json": ["metrics.json", "search/search.json", "architecture.json", "train"],
    },
}
CASES = [(strategy, name) for strategy, files in READ_AGAIN.items() for name in files]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[RunConfig, Path, dict[str, Any]]]:
    """Run each strategy undisturbed: its configuration, folder and result."""
    home = tmp_path_factory.mktemp("damage")
    undisturbed = {}
    for strategy in READ_AGAIN:
        search = {"inherit": True} if strategy == "spt_darts" else {}
        chosen = config(home, strategy, search=search)
        result = pipeline.run(chosen, home / strategy)
        undisturbed[strategy] = chosen, home / strategy, timeless(result.as_json())
    return undisturbed


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(("strategy", "name"), CASES, ids=[f"{s}-{n}" for s, n in CASES])
def test_a_damaged_file_is_refused_by_its_name_or_made_good(
    strategy: str, name: str, damage: str, runs: Any, tmp_path: Path
) -> None:
    chosen, undisturbed, expected = runs[strategy]
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    for path in (folder / gone for gone in READ_AGAIN[strategy][name]):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    path = folder / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    try:
        result = pipeline.run(chosen, folder)
    except InputError as error:
        # half a config.yml may be the whole one of another run
        assert (path.name in str(error)) or (name == "config.yml" and f"'{folder}'" in str(error))
        assert "elete" in str(error) or "another folder" in str(error)
    else:
        assert timeless(result.as_json()) == expected
        assert name.endswith(".jsonl")
