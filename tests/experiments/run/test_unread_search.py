"""Options of the search that nothing reads beside others of its options: they are named, and no others."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from experiments.config import RunConfig
from experiments.pipeline import search
from experiments.run.training import load_workbench
from experiments.run.unread_search import unread_search_notes
from strategies.options import OPTIONS
from tests.support.runs import tiny_config
from tests.support.tiny import tiny_tree


def notes(options: dict[str, Any], **training: Any) -> list[str]:
    return list(unread_search_notes(RunConfig.model_validate({"search": options, "training": training})))


@pytest.mark.parametrize(
    ("options", "unread"),
    [
        (
            {"derivation": "top_k", "threshold": 0.9, "derivation_evaluations": 5},
            ["search.threshold", "search.derivation_evaluations"],
        ),
        ({"derivation": "pruned", "threshold": 0.9}, ["search.threshold"]),
        ({"derivation": "pruned", "derivation_evaluations": 5, "exactly": False}, []),
        ({"derivation": "threshold", "exactly": False, "threshold": 0.9}, []),
        ({"exactly": False}, ["search.exactly"]),
        ({"exactly": False, "most_operations": 0.5}, []),
        ({"exactly": False, "most_parameters": 10**6}, []),
        (
            {"consistency": 0, "distance": "kl", "mask_probability": 0.2},
            ["search.distance, search.mask_probability"],
        ),
        ({"distance": "kl", "mask_probability": 0.2, "shrink": 2}, []),
        ({"cost_weight": 0.1, "shrink": 2}, ["search.shrink"]),
        ({"strategy": "one_shot_random", "derivation_evaluations": 5, "exactly": False}, []),
        ({"strategy": "gradient", "k": 1, "least_distance": 2}, ["search.least_distance"]),
        ({"strategy": "gradient", "least_distance": 2}, []),
        ({"strategy": "probe", "exactly": False}, ["search.exactly"]),
        (
            {"strategy": "random", "engine": {"cpus": 4, "retries": 0, "gpus": 1}},
            ["search.engine.cpus, search.engine.gpus, search.engine.retries"],
        ),
        ({"strategy": "random", "engine": {"kind": "ray", "cpus": 4}, "exactly": False}, []),
        ({"strategy": "evolution", "population": 16, "crossover": True}, ["search.crossover"]),
        ({"strategy": "evolution", "population": 15, "crossover": True, "tournament": 5}, []),
    ],
    ids=str,
)
def test_what_is_set_and_not_read_is_named(options: dict[str, Any], unread: list[str]) -> None:
    found = notes({"strategy": "spt_darts", **options})
    assert [note.split(" is set but not read: ")[0] for note in found] == unread


@pytest.mark.parametrize("strategy", OPTIONS)
def test_what_is_as_by_default_is_not_named(strategy: str) -> None:
    given = {"strategy": strategy, "manual_layers": []} if strategy == "manual" else {"strategy": strategy}
    assert notes(given) == []
    # as files that a run wrote have them
    assert notes(RunConfig.model_validate({"search": given}).model_dump(mode="json")["search"]) == []


def test_contrastive_steps_lose_an_inherited_head() -> None:
    inheriting = {"strategy": "spt_darts", "inherit": True}
    (note,) = notes(inheriting, contrastive_steps=5)
    assert note.startswith(
        "search.inherit is read for the generators alone: the 5 training.contrastive_steps"
    )
    assert notes(inheriting) == notes({"strategy": "spt_darts"}, contrastive_steps=5) == []


@pytest.mark.parametrize(
    ("base", "option"),
    [
        ({"epochs": 1, "derivation": "top_k"}, {"threshold": 0.9, "derivation_evaluations": 1}),
        ({"epochs": 1, "derivation": "ablation"}, {"exactly": False}),
        ({"epochs": 1, "consistency": 0}, {"distance": "kl", "mask_probability": 0.1}),
        ({"epochs": 1}, {"distance": "kl", "mask_probability": 0.1}),
        ({"strategy": "gradient", "k": 1}, {"least_distance": 3}),
        ({"strategy": "probe"}, {"exactly": False}),
    ],
    ids=str,
)
def test_a_search_finds_the_same_just_where_an_option_is_named(
    base: dict[str, Any], option: dict[str, Any], tmp_path: Path
) -> None:
    with_option = tiny_config(tmp_path, search={**base, **option})
    found = search(with_option, tmp_path / "run")
    plain = search(tiny_config(tmp_path, search=base), tmp_path / "plain")
    assert ((found.layers, found.scores, found.gates) == (plain.layers, plain.scores, plain.gates)) == bool(
        [*unread_search_notes(with_option)]
    )


def test_a_run_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree = tiny_tree(tmp_path, search={"threshold": 0.9})
    with caplog.at_level(logging.WARNING):
        load_workbench(RunConfig.model_validate(tree))
    assert "search.threshold is set but not read: search.derivation is ablation" in caplog.text
