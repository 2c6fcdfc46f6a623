"""Options of the prompt that nothing reads: they are named, and no others."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, get_args

import pytest

from experiments.config import RunConfig
from experiments.run.training import load_workbench
from experiments.run.unread_prompts import UNREAD, unread_prompt_notes
from spt.prompts.config import PromptConfig
from spt.prompts.generators import new_generator
from tests.support.tiny import tiny_tree

# each other than by default
OTHER = {"length": 2, "bottleneck": 8, "phm_order": 2, "pooler": "max", "activation": "tanh", "init_std": 0.1}


def notes(prompt: dict[str, Any], **search: Any) -> list[str]:
    return list(unread_prompt_notes(RunConfig.model_validate({"prompt": prompt, "search": search})))


@pytest.mark.parametrize("generator", get_args(PromptConfig.model_fields["generator"].annotation))
def test_a_generator_is_the_same_whatever_is_set_that_it_does_not_read(generator: str) -> None:
    def made(**options: Any) -> str:
        prompt = PromptConfig.model_validate({"generator": generator, **options})
        module = new_generator(8, prompt, seed=0)
        return f"{module} {[value.tolist() for value in module.state_dict().values()]}"

    assert {name for name, value in OTHER.items() if made(**{name: value}) == made()} == UNREAD[generator]


@pytest.mark.parametrize(
    ("generator", "named"),
    [
        ("pooled", None),
        ("naive", "prompt.pooler is set but not read: what layers get is naive."),
        (
            "free",
            "prompt.activation, prompt.bottleneck, prompt.phm_order, prompt.pooler is set but not read: ",
        ),
        ("scaling", "prompt.init_std, prompt.length is set but not read: what layers get is scaling."),
    ],
)
def test_what_a_generator_does_not_read_is_named_where_it_is_set(generator: str, named: str | None) -> None:
    found = notes(
        {"generator": generator, **OTHER}, strategy="gradient" if generator != "scaling" else "probe"
    )
    assert [note.startswith(str(named)) for note in found] == ([] if named is None else [True])
    defaults = PromptConfig().model_dump(include=set(OTHER))
    assert notes({"generator": generator, **defaults}, strategy="probe") == []


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"strategy": "random", "kinds": ["free", "generated"]}, False),
        ({"strategy": "random", "kinds": ["free"]}, True),
        ({"strategy": "manual", "manual_layers": {1: "generated_20"}}, False),
        ({"strategy": "manual", "manual_layers": "other/architecture.json"}, False),
        ({"strategy": "manual", "manual_layers": "input"}, True),
        ({"strategy": "manual", "manual_layers": []}, True),
    ],
)
def test_what_another_kind_reads_is_read(search: dict[str, Any], told: bool) -> None:
    assert bool(notes({"generator": "free", "bottleneck": 8}, **search)) == told


@pytest.mark.parametrize(("kinds", "told"), [(["scaling"], True), (["scaling", "free"], False), ([], False)])
def test_lengths_are_named_where_no_kind_has_one(kinds: list[str], told: bool) -> None:
    found = notes({}, strategy="random", kinds=kinds, lengths=[2, 5])
    assert [note.startswith("search.lengths is set but not read") for note in found] == [True] * told


def test_a_run_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree = tiny_tree(tmp_path, prompt={"generator": "naive", "pooler": "max"})
    with caplog.at_level(logging.WARNING):
        load_workbench(RunConfig.model_validate(tree))
    assert "prompt.pooler is set but not read" in caplog.text
