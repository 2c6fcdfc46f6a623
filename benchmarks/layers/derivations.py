"""What every derivation reads off the one hyper-network that a search has trained."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.config import RunConfig
from experiments.pipeline import claimed
from experiments.run.folder import RunFolder
from experiments.run.scoring import with_scored_candidates
from experiments.run.searching import train_hyper_network
from spt.flops import FlopCounter
from spt.storage.files import write_text
from spt.storage.json_files import read_json
from strategies.one_shot import OneShot
from strategies.options import OneShotOptions


def every_derivation(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Derive layers by every rule that fits a search which is done, or read back what was derived.

    Args:
        config: of the search, by a one-shot strategy.
        folder: of its run; gets derivations.json.

    Returns:
        Rule -> layers, scores, evaluations, and the FLOPs that deriving them takes.

    Raises:
        InputError: if the folder is in use, or holds a run of another configuration.
    """
    options, place, path = config.search, RunFolder(folder), folder / "derivations.json"
    assert isinstance(options, OneShotOptions)
    place.check(config)
    if not path.exists():
        with claimed(config, place) as pipeline:
            # its checkpoint is that of the end, so that nothing is trained again
            bench = pipeline.workbench
            numbered = with_scored_candidates(bench, options, place.search, pipeline.ledger).options
            assert isinstance(numbered, OneShotOptions)
            strategy = train_hyper_network(bench, config, numbered, place.search).strategy
            derivations = {rule: _derived(strategy, rule) for rule in strategy.rules}
        write_text(path, json.dumps(derivations, indent=2) + "\n")
    return read_json(path, "Delete it to derive again.")


def _derived(strategy: OneShot, rule: str) -> dict[str, Any]:
    with FlopCounter() as counter:
        derived = strategy.derive(rule)
    return {**asdict(derived), "flops": counter.total}
