"""Scores of single layers in a run: candidates for a search, kept in its folder and charged to its ledger."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from search_spaces.budget import Budget
from spt.architecture import Layers
from spt.data.encoded.batches import make_loader
from spt.process.devices import chosen_device
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json
from spt.training.fit import Loader
from spt.workbench import Workbench
from strategies.budgets import budget_before_scores
from strategies.layer_scores import score_layers
from strategies.ledger import Ledger
from strategies.options import SpaceOptions

CHARGE = "layer scores"
ADVICE = "Delete it to score the layers again."


@dataclass(frozen=True)
class StoredScores:
    """What layer_scores.json holds: the score of each layer, and what the scores took."""

    scorer: str
    scores: dict[int, float]
    flops: int
    seconds: float


class ScoredCandidates(NamedTuple):
    """Hold the options of a search with its candidates by number, and what scoring them took."""

    options: SpaceOptions
    flops: int
    seconds: float


def plain_batches(workbench: Workbench, split: str) -> Loader:
    """Return batches of a split from the tokens on, of the training's size and in its first order."""
    size = workbench.training.batch_size
    return make_loader(workbench.examples[split], workbench.tokenizer, size, workbench.seed)


def with_scored_candidates(
    workbench: Workbench, options: SpaceOptions, folder: Path, ledger: Ledger
) -> ScoredCandidates:
    """Choose the candidates by their scores where the options ask for that, and charge the ledger for it.

    Args:
        workbench: whose training data score them.
        options: of the search; what is left of a budget in FLOPs is in those that are returned.
        folder: of the search; gets layer_scores.json, which is read back after a kill.
        ledger: of the run.

    Raises:
        InputError: if the file is damaged.
        TrialFailed: if the loss is not finite.
    """
    if options.scorer_and_number is None:
        return ScoredCandidates(options, 0, 0.0)
    scorer, number = options.scorer_and_number
    candidates = budget_before_scores(workbench.num_layers, options).allowed
    budget = Budget(workbench.num_layers, number, candidates=candidates)
    path = folder / "layer_scores.json"
    if not path.exists():
        write_text(path, json.dumps(asdict(_scores(workbench, scorer, budget.allowed))) + "\n")
    stored = checked(StoredScores, read_json(path, ADVICE), f"'{path}'", ADVICE)
    ledger.charge(CHARGE, stored.flops)
    left = None if options.budget_flops is None else options.budget_flops - stored.flops
    numbered = {"candidates": budget.top(stored.scores), "candidates_by": None, "budget_flops": left}
    return ScoredCandidates(options.model_copy(update=numbered), stored.flops, stored.seconds)


def _scores(workbench: Workbench, scorer: str, layers: Layers) -> StoredScores:
    workbench.backbone.to(chosen_device())
    scores, flops, seconds = score_layers(
        scorer,
        workbench.factory,
        layers,
        plain_batches(workbench, "train"),
        workbench.spec.task,
        workbench.training,
    )
    return StoredScores(scorer, scores, flops, seconds)
