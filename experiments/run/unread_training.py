"""Options of the training that were set, and that neither contrastive steps nor the search read."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.config import RunConfig
from strategies.options import OneShotOptions, SpaceOptions, StrategyOptions


def unread_training_notes(config: RunConfig) -> Iterator[str]:
    """Yield what is to be said of options of a run's training that were set and change nothing.

    Contrastive steps fit the head to its end, and leave the learning rate to what has no rate of its own. Of
    how many rows are read at a time what they give does not depend, and neither do the scores of probe.

    Source: ours.
    """
    training = config.training
    if not training.contrastive_steps:
        return
    unread = {"epochs", "patience", "batch_size", "compile"}
    if None not in (training.prompt_rate, training.generator_rate):
        unread.add("learning_rate")
    unread -= _read_by(config.search)
    changed = sorted(unread & training.model_dump(exclude_defaults=True).keys())
    if not changed:
        return
    instead = "set training.prompt_rate and training.generator_rate, " if "learning_rate" in changed else ""
    yield (
        f"{', '.join(f'training.{name}' for name in changed)} is set but not read: the "
        f"{training.contrastive_steps} training.contrastive_steps draw rows and have rates of their own and "
        f"are not compiled, and the head is fitted to its end. Leave it out, {instead}or set "
        "training.contrastive_steps to 0."
    )


def _read_by(search: StrategyOptions) -> set[str]:
    """Return what a search reads of the options that contrastive steps do not."""
    if isinstance(search, OneShotOptions):
        # a hyper-network is trained by epochs, of which it has a number of its own
        return {"batch_size", "learning_rate"}
    by_batches = isinstance(search, SpaceOptions) and "gradient" in search.scorers
    # operations are estimated from the rows of a batch
    return {"batch_size"} if by_batches or search.budget_flops is not None else set()
