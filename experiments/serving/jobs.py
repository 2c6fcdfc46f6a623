"""From a request to a job: all that is wrong with it at once, before anything waits or is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from experiments.serving.engine import Job, Prompts, Served
from experiments.serving.messages import LabelRequest
from experiments.serving.options import ServingOptions
from experiments.serving.problem_details import Refusal
from spt.data.values import SHOWN, clean_texts, rows_shown, some
from spt.errors import unknown
from spt.problems import Problems


def job_of(asked: LabelRequest, prompts: Prompts, options: ServingOptions) -> Job:
    """Check a request against what is served and against the bounds.

    Raises:
        InputError: with all problems, for texts that are none, unknown tasks, and tasks that read another
            number of texts.
        Refusal: with 413, for more or longer texts than the bounds allow.
    """
    _check_sizes(asked, options)
    problems = Problems("the request")
    texts: Sequence[str] = ()
    pairs: Sequence[str] | None = None
    if not asked.texts:
        problems.add("texts is empty. Give at least one text.")
    with problems.collecting():
        texts = clean_texts(asked.texts, "texts")
    if asked.pairs is not None:
        with problems.collecting():
            pairs = clean_texts(asked.pairs, "pairs")
        if len(asked.pairs) != len(asked.texts):
            problems.add(
                f"texts has {len(asked.texts)} and pairs {len(asked.pairs)} texts, but as many of both are "
                "needed. Give a second text for each, or null."
            )
    tasks = _tasks(asked, prompts.served, problems)
    problems.refuse()
    return Job(
        tuple(texts),
        None if pairs is None else tuple(pairs),
        tasks,
        prompts,
        asked.probabilities == "all",
        asked.threshold,
    )


def _check_sizes(asked: LabelRequest, options: ServingOptions) -> None:
    problems: list[str] = []
    if len(asked.texts) > options.max_texts:
        problems.append(
            f"texts has {len(asked.texts):,}, but a request may have {options.max_texts:,}. Send several."
        )
    for key, values in (("texts", asked.texts), ("pairs", asked.pairs or [])):
        if long := [row for row, value in enumerate(values) if _length(value) > options.max_characters]:
            problems.append(
                f"{key} has more than {options.max_characters:,} characters in {rows_shown(long)}. Send a "
                "text in parts."
            )
    if problems:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, *problems)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


def _tasks(asked: LabelRequest, served: Mapping[str, Served], problems: Problems) -> tuple[str, ...]:
    """Return the tasks that a request names, or all that read as many texts as it has."""
    paired = asked.pairs is not None
    if asked.tasks is not None:
        return _named(asked.tasks, served, paired, problems)
    names = tuple(name for name, each in served.items() if reads_pairs(each) == paired)
    if not names:
        problems.add(
            f"No task that is served reads {'two texts' if paired else 'one text'}. "
            f"{'Leave pairs out.' if paired else 'Give the second texts in pairs.'}"
        )
    return names


def _named(
    asked: Sequence[Any], served: Mapping[str, Served], paired: bool, problems: Problems
) -> tuple[str, ...]:
    """Return the tasks that a request names, once each."""
    if not asked:
        problems.add("tasks is empty. Give at least one, or null for all.")
    if wrong := [row for row, name in enumerate(asked) if not isinstance(name, str)]:
        problems.add(f"tasks holds something else than names in {rows_shown(wrong)}. Give texts.")
        return ()
    names = dict.fromkeys(asked)
    # each is compared with all that there are
    for name in [name for name in names if name not in served][:SHOWN]:
        with problems.collecting():
            raise unknown("task", name[:100], served, "GET /v1/tasks describes them.")
    if other := [name for name in names if name in served and reads_pairs(served[name]) != paired]:
        needs = "one text, without pairs" if paired else "two texts, the second in pairs"
        problems.add(f"Ask by itself for {some(map(repr, other))}, which reads {needs}.")
    return tuple(names)


def reads_pairs(served: Served) -> bool:
    """Say whether a task compares two texts."""
    return served.classifier.spec.task.paired
