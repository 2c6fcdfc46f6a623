"""Options of the training that nothing reads beside contrastive steps: they are named, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.config import RunConfig
from experiments.pipeline import search
from experiments.run.unread_training import unread_training_notes
from tests.support.runs import tiny_config

ONE_RATE = {"prompt_rate": None, "generator_rate": None}


def notes(training: dict[str, Any], **search: Any) -> list[str]:
    tree = {"training": training, "search": search or {"strategy": "probe"}}
    return list(unread_training_notes(RunConfig.model_validate(tree)))


@pytest.mark.parametrize(
    ("options", "unread"),
    [
        ({"learning_rate": 0.1}, "training.learning_rate"),
        ({"compile": True}, "training.compile"),
        (
            {"epochs": 3, "patience": 1, "batch_size": 4},
            "training.batch_size, training.epochs, training.patience",
        ),
    ],
)
def test_what_contrastive_steps_do_not_read_is_named(options: dict[str, Any], unread: str) -> None:
    (note,) = notes({"contrastive_steps": 2, **options})
    assert note.startswith(f"{unread} is set but not read: the 2 training.contrastive_steps")
    assert ("set training.prompt_rate and training.generator_rate" in note) == ("learning_rate" in options)


@pytest.mark.parametrize(
    "options",
    [
        {"contrastive_steps": 2, "learning_rate": 0.1, "generator_rate": None},
        {"contrastive_steps": 2, "learning_rate": 0.1, "prompt_rate": None},
        {"contrastive_steps": 2, "generator_rate": 0.1},
        # as they are without being set, which files that a run wrote have
        {"contrastive_steps": 2, "epochs": 10, "learning_rate": 0.01},
        {"learning_rate": 0.1, "epochs": 3},
    ],
)
def test_what_is_read_or_as_by_default_is_not_named(options: dict[str, Any]) -> None:
    assert notes(options) == []


@pytest.mark.parametrize(
    ("options", "unread"),
    [
        ({"strategy": "gradient"}, "training.learning_rate"),
        ({"strategy": "random", "candidates_by": "gradient:2"}, "training.learning_rate"),
        ({"strategy": "random", "budget_flops": 1e15}, "training.learning_rate"),
        ({"strategy": "spt_darts"}, None),
        ({"strategy": "one_shot_random"}, None),
        ({"strategy": "random", "candidates_by": "probe:2"}, "training.batch_size, training.learning_rate"),
        ({"strategy": "manual", "manual_layers": [1]}, "training.batch_size, training.learning_rate"),
    ],
    ids=str,
)
def test_what_the_search_reads_is_not_named(options: dict[str, Any], unread: str | None) -> None:
    found = notes({"contrastive_steps": 2, "batch_size": 4, "learning_rate": 0.1}, **options)
    assert [note.split(" is set")[0] for note in found] == ([] if unread is None else [unread])


@pytest.mark.parametrize("strategy", ["probe", "gradient", "one_shot_random"])
@pytest.mark.parametrize("option", [{"batch_size": 4}, {"learning_rate": 0.5}, {"patience": 1}], ids=str)
def test_a_search_finds_the_same_just_where_an_option_is_named(
    strategy: str, option: dict[str, Any], tmp_path: Path
) -> None:
    epochs = {"epochs": 1} if strategy == "one_shot_random" else {}

    def config(**training: Any) -> RunConfig:
        training = {"contrastive_steps": 2, "epochs": 7, **training}
        return tiny_config(tmp_path, search={"strategy": strategy, **epochs}, training=training)

    with_option = config(**option)
    scores = search(with_option, tmp_path / "run").scores
    plain = search(config(), tmp_path / "plain").scores
    assert scores is not None
    (note,) = unread_training_notes(with_option)
    # of other batches the states differ in their last bits
    assert (scores == pytest.approx(plain, rel=1e-3)) == (f"training.{next(iter(option))}" in note)
