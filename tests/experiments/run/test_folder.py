"""A run's folder: who holds it, whose configuration it is of, and which keys may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.run.folder import RunFolder, numbers_of, same_numbers, stored_config
from spt.errors import InputError
from tests.support.runs import tiny_config

# of the strategies, those that train candidates have an engine
RANDOM = {"strategy": "random"}
FREE: list[dict[str, Any]] = [
    {"name": "other"},
    {"threads": 2},
    {"device": "cpu"},
    # nothing is kept, whatever room there is
    {"cache_gb": 1.5},
    {"search": {**RANDOM, "engine": {"kind": "ray", "cpus": 2}}},
]
EVOLUTION = {"strategy": "evolution"}


@pytest.mark.parametrize("change", FREE, ids=str)
def test_what_does_not_change_the_numbers_may_change(change: dict[str, Any], tmp_path: Path) -> None:
    before = tiny_config(tmp_path, search=RANDOM)
    now = tiny_config(tmp_path, **{"search": RANDOM, **change})
    assert before != now
    assert same_numbers(before, now)
    assert numbers_of(before) == numbers_of(now)
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(before):
        pass
    with folder.claimed(now):
        pass
    assert stored_config(folder.path) == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"training": {"epochs": 3}}, {"task": {"metric": "f1"}}])
def test_what_changes_the_numbers_is_refused_by_its_key(change: dict[str, Any], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(tiny_config(tmp_path)):
        pass
    now = tiny_config(tmp_path, **change)
    assert numbers_of(now) != numbers_of(tiny_config(tmp_path))
    ((section, inner),) = change.items()
    key = f"{section}.{next(iter(inner))}" if isinstance(inner, dict) else section
    with pytest.raises(InputError, match=rf"another config \(different: {key}\)"), folder.claimed(now):
        pass


@pytest.mark.parametrize(
    ("before", "now", "different"),
    [
        ({}, {"cache": "auto"}, "cache"),
        ({"cache": "auto"}, {"cache": "disk"}, "cache"),
        ({"cache": "auto"}, {"cache": "auto", "cache_gb": 1.5}, "cache_gb"),
    ],
)
def test_what_decides_which_states_are_kept_is_refused_for_what_a_run_is_charged(
    before: dict[str, Any], now: dict[str, Any], different: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(tiny_config(tmp_path, **before)):
        pass
    with pytest.raises(InputError, match=rf"another config \(different: {different}\)"):
        folder.check(tiny_config(tmp_path, **now))


def test_digests_that_are_older_than_the_part_of_kept_states_in_them_stay(tmp_path: Path) -> None:
    assert "'cache" not in numbers_of(tiny_config(tmp_path, cache="auto"))


def test_an_evolution_goes_on_elsewhere_with_as_many_candidates_at_a_time(tmp_path: Path) -> None:
    folder, elsewhere = RunFolder(tmp_path / "run"), {**EVOLUTION, "engine": {"kind": "ray"}}
    with folder.claimed(tiny_config(tmp_path, search=EVOLUTION)):
        pass
    told = r"another config \(different: search\.concurrent\)\. Set search\.concurrent=1 to go on here"
    with pytest.raises(InputError, match=told):
        folder.check(tiny_config(tmp_path, search=elsewhere))
    folder.check(tiny_config(tmp_path, search={**elsewhere, "concurrent": 1}))


def test_a_config_of_an_older_version_without_a_newer_key_goes_on(tmp_path: Path) -> None:
    folder, config = RunFolder(tmp_path / "run"), tiny_config(tmp_path)
    with folder.claimed(config):
        pass
    path = folder.path / "config.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    del content["run"]["training"]["compile"]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    folder.check(config)


def test_the_memory_cache_of_an_older_version_is_read_as_auto_and_the_run_goes_on(tmp_path: Path) -> None:
    folder, config = RunFolder(tmp_path / "run"), tiny_config(tmp_path, cache="auto")
    with folder.claimed(config):
        pass
    path = folder.path / "config.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["run"]["cache"] = "memory"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    stored = stored_config(folder.path)
    assert stored is not None and stored.cache == "auto"
    folder.check(config)


def test_the_folder_is_not_made_before_it_is_claimed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check(tiny_config(tmp_path))
    assert not folder.path.exists()
