"""The conformance suite's multi-trial part, with the candidates trained in Ray's workers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments import pipeline
from experiments.cluster.connect import cluster
from spt.errors import InputError, TrialFailed
from tests.support.ray_processes import private_ray
from tests.support.searches import TIMES, TRIALS, candidates, config

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("no_report")]


@pytest.fixture(scope="module", autouse=True)
def one_cluster() -> Iterator[None]:
    with private_ray(), cluster():
        yield


def without_times(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in TIMES}


@pytest.mark.parametrize("name", TRIALS)
def test_a_search_on_ray_tries_and_finds_what_it_does_in_one_process(name: str, tmp_path: Path) -> None:
    here = pipeline.search(config(tmp_path, name), tmp_path / "here")
    engine = {"kind": "ray", "retries": 0}
    there = pipeline.search(config(tmp_path, name, search={"engine": engine}), tmp_path / "there")
    assert without_times(there.as_json()) == without_times(here.as_json())
    tried = [sorted(map(without_times, candidates(tmp_path / run)), key=str) for run in ("here", "there")]
    assert tried[0] == tried[1]
    assert len({tuple(candidate["layers"]) for candidate in tried[1]}) == 3

    # what the record holds is not trained again
    (tmp_path / "there" / "search" / "search.json").unlink()
    (tmp_path / "there" / "architecture.json").unlink()
    again = pipeline.search(config(tmp_path, name, search={"engine": engine}), tmp_path / "there")
    assert again.layers == there.layers
    assert len(candidates(tmp_path / "there")) == 3


@pytest.mark.parametrize("name", TRIALS)
def test_a_budget_in_flops_is_kept_though_candidates_run_side_by_side(name: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    pipeline.search(config(tmp_path, name), here)
    dearest = max(entry["flops"] for entry in json.loads((here / "ledger.json").read_text())["entries"])
    # pays one, and a second one that began beside it would pass it
    search = {"engine": {"kind": "ray"}, "budget_flops": 1.6 * dearest}
    pipeline.search(config(tmp_path, name, search=search), tmp_path / "there")
    ledger = json.loads((tmp_path / "there" / "ledger.json").read_text())
    assert 0 < ledger["total_flops"] <= ledger["budget_flops"] == 1.6 * dearest
    assert len(candidates(tmp_path / "there")) == 1

    impossible = config(tmp_path, name, search={**search, "budget_flops": 1e6})
    with pytest.raises(InputError, match=r"budget_flops is 1e\+06, but .* needs up to"):
        pipeline.search(impossible, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_candidates_without_numbers_are_reported_and_the_search_fails(tmp_path: Path) -> None:
    broken = {"search": {"engine": {"kind": "ray"}}, "training": {"learning_rate": 1e30}}
    with pytest.raises(TrialFailed, match=r"loss is (nan|inf)"):
        pipeline.search(config(tmp_path, "random", **broken), tmp_path / "run")
    assert [candidate["dev"] for candidate in candidates(tmp_path / "run")] == [None] * 3
    assert not (tmp_path / "run" / "architecture.json").exists()
