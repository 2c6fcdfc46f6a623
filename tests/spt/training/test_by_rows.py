"""Options of a training that suit its rows, and those that it does not read."""

from typing import Any

import pytest

from spt.spec import HeadConfig
from spt.tasks import get_task
from spt.training.by_rows import BY_ROWS, WITH_CONTRAST, Options, options_by_rows, unread_notes
from spt.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (200, WITH_CONTRAST[1]),
        (201, BY_ROWS[0][1]),
        (400, BY_ROWS[0][1]),
        (401, BY_ROWS[1][1]),
        (5000, BY_ROWS[1][1]),
        (5001, {}),
    ],
)
def test_a_number_of_rows_has_its_options_to_the_last_row(rows: int, options: Options) -> None:
    assert options_by_rows(TrainingConfig(), rows, HeadConfig(), get_task("sst2")) == options


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
    (note,) = unread_notes(TrainingConfig(contrastive_steps=2, **options))
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
    assert list(unread_notes(TrainingConfig(**options))) == []
