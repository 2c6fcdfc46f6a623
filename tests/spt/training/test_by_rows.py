"""Options of a training that suit its rows."""

import pytest

from spt.spec import HeadConfig
from spt.tasks import get_task
from spt.training.by_rows import BY_ROWS, WITH_CONTRAST, Options, options_by_rows
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
