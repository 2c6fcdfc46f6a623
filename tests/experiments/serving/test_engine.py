"""The model behind a server: what it refuses touches nobody else."""

from __future__ import annotations

from experiments.serving.engine import Engine, Job
from spt.errors import InputError
from tests.support.serving import TEXTS


def test_a_job_that_cannot_be_answered_leaves_the_others_their_answers(engine: Engine) -> None:
    good = Job(tuple(TEXTS), None, ("late",), engine.prompts)
    gone = Job(("great",), None, ("gone",), engine.prompts)
    unpaired = Job(("great", "dull"), None, ("pair",), engine.prompts)
    (alone,) = engine.answer([good])
    first, second, third, last = engine.answer([good, gone, unpaired, good])
    assert isinstance(alone, dict) and first == last == alone
    assert isinstance(second, InputError) and "'gone'" in str(second)
    assert isinstance(third, InputError) and "two texts a row" in str(third)


def test_a_job_of_several_tasks_is_told_all_that_is_wrong(engine: Engine) -> None:
    (outcome,) = engine.answer([Job(("great",), None, ("pair", "gone", "late"), engine.prompts)])
    assert isinstance(outcome, InputError) and len(outcome.problems) == 2
