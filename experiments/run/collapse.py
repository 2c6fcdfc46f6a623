"""Signs that a search or a training collapsed: each is one line that says what was seen and what to try."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from experiments.config import RunConfig
from experiments.run.folder import GATES
from experiments.run.training import Stage, epoch_history
from spt.storage.json_files import read_json_lines
from spt.tasks import Task
from spt.training.history import ADVICE
from strategies.options import GateOptions

# gates within this of 0 or 1 are closed or open
SATURATED = 0.01
# a loss that fell by less than this share of the first epoch's has not fallen
LEAST_FALL = 0.01

log = logging.getLogger(__name__)


def warn(signs: Iterable[str]) -> None:
    """Log each sign as a warning."""
    for sign in signs:
        log.warning("%s", sign)


def search_signs(gates: Mapping[int, float] | None, folder: Path, config: RunConfig) -> list[str]:
    """Return what is wrong with a search: gates that hardly moved or ended alike, a loss that did not fall.

    Args:
        gates: layer -> its learned gate in [0, 1]; None where none is learned.
        folder: of the search, which holds the history of a hyper-network.
        config: of the run.
    """
    return [
        *_budget_signs(folder, config),
        *_gate_signs(gates or {}, config),
        *_loss_signs("search", folder, config),
    ]


def training_signs(folder: Path, config: RunConfig) -> list[str]:
    """Return what is wrong with a training, by the history in its folder: a loss that did not fall."""
    return _loss_signs("train", folder, config)


def dev_signs(labels: NDArray[Any], predictions: NDArray[Any], task: Task, config: RunConfig) -> list[str]:
    """Return what is wrong with the predictions of dev: one answer for all rows, where there are several.

    Args:
        labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
        predictions: likewise.
        task: with the names of the classes.
        config: of the run.
    """
    expected, answered = (_answers(values, task) for values in (labels, predictions))
    if len(set(answered)) != 1 or len(set(expected)) == 1:
        return []
    only = answered[0]
    return [
        f"all {len(labels)} rows of dev were given {_named(only, task)}, which {expected.count(only)} of "
        f"them have; try another {config.training.named_rates}, more "
        f"training.epochs (now {config.training.epochs}), another seed, or more rows of the other classes"
    ]


def _answers(values: NDArray[Any], task: Task) -> list[tuple[int, ...]]:
    """Return the classes of each row."""
    if not task.multi_label:
        return [(int(value),) for value in values]
    return [tuple(int(index) for index in row.nonzero()[0]) for row in values]


def _named(classes: tuple[int, ...], task: Task) -> str:
    names = [f"'{(task.labels or ())[index]}'" for index in classes]
    if not names:
        return "no label"
    return f"the label {names[0]}" if len(names) == 1 else f"the labels {' and '.join(names)}"


def _budget_signs(folder: Path, config: RunConfig) -> list[str]:
    options = config.search
    if not isinstance(options, GateOptions) or options.budget_flops is None:
        return []
    epochs, gates = (read_json_lines(path, ADVICE) for path in (epoch_history(folder).path, folder / GATES))
    # gates are noted at the first step of an epoch, and after some more
    moved = sum(line["epoch"] >= options.warmup_epochs for line in gates)
    if not gates or moved > 1 or len(epochs) >= options.epochs:
        return []
    when = "in the first steps in which its gates moved" if moved else "before its gates moved"
    return [
        f"search.budget_flops ({options.budget_flops:.3g}) ended the search {when}, so that they do not tell "
        f"layers apart; raise it, or lower search.warmup_epochs (now {options.warmup_epochs})"
    ]


def _gate_signs(gates: Mapping[int, float], config: RunConfig) -> list[str]:
    # a dropped candidate's gate is exactly 0
    learned = [gate for gate in gates.values() if gate > 0]
    options = config.search
    if len(learned) < 2 or not isinstance(options, GateOptions):
        return []
    for end in (0, 1):
        if all(abs(gate - end) <= SATURATED for gate in learned):
            return [
                f"all {len(learned)} gates of the search ended at {end} (from {min(learned):.4f} to "
                f"{max(learned):.4f}), so that they do not tell layers apart; try a lower "
                f"search.gate_learning_rate (now {options.gate_learning_rate}), a larger "
                f"search.gate_weight_decay (now {options.gate_weight_decay}), or fewer search.epochs (now "
                f"{options.epochs})"
            ]
    return []


def _loss_signs(stage: Stage, folder: Path, config: RunConfig) -> list[str]:
    losses = _losses(folder)
    if len(losses) < 2 or min(losses[1:]) < losses[0] * (1 - LEAST_FALL):
        return []
    section = "search" if stage == "search" else "training"
    change = "lower" if losses[-1] > losses[0] * (1 + LEAST_FALL) else "higher"
    return [
        f"the loss of the {section} did not fall: its mean was {losses[0]:.4g} in the first of {len(losses)} "
        f"epochs and {losses[-1]:.4g} in the last; try a {change} {config.training.named_rates}, more "
        f"{section}.epochs, or another seed"
    ]


def _losses(folder: Path) -> list[float]:
    """Return the mean loss of each epoch; none of runs from before it was noted."""
    losses = [record.get("loss") for record in read_json_lines(epoch_history(folder).path, ADVICE)]
    return [loss for loss in losses if isinstance(loss, float)]
