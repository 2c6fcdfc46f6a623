"""All options of a run that were set and that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.config import RunConfig
from experiments.run.unread_prompts import unread_prompt_notes
from experiments.run.unread_search import unread_search_notes
from experiments.run.unread_training import unread_training_notes


def unread_notes(config: RunConfig) -> Iterator[str]:
    """Yield what is to be said of options of a run's training, prompt and search that change nothing."""
    yield from unread_training_notes(config)
    yield from unread_prompt_notes(config)
    yield from unread_search_notes(config)
