"""SetFit within a budget of operations: a worker process in an environment that has the library."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.equal_operations.figures import Figures, OverBudget
from experiments.config import RunConfig
from spt.assets import backbone_path
from spt.data.loading import load_splits
from spt.errors import InputError
from spt.storage.json_files import checked

WORKER = Path(__file__).with_name("setfit_worker.py")


def train_setfit(config: RunConfig, python: Path, budget: float) -> Figures:
    """Train SetFit on a run's rows and backbone with its own defaults, and score it.

    Args:
        config: of the run; what it says of prompts and training does not matter.
        python: of an environment with the library.
        budget: operations that the training may take; its one epoch of pairs ends early where it must.

    Raises:
        OverBudget: if the budget does not hold a step.
        InputError: if the process does not answer.
    """
    splits = load_splits(config.task, config.data, config.seed)
    question = {
        "folder": backbone_path(config.backbone.name),
        "max_length": config.data.max_length,
        "seed": config.seed,
        "budget": budget,
        **{
            name: {"texts": list(rows["text"]), "labels": list(map(int, rows["label"]))}
            for name, rows in splits.items()
        },
    }
    answer = _ask(python, question)
    if "over_budget" in answer:
        raise OverBudget(answer["over_budget"])
    return checked(Figures, answer, "the answer of SetFit's process", "Run it again.")


def _ask(python: Path, question: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [python, WORKER], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stdout.strip():
        problem = (done.stderr.strip().splitlines() or ["it answers nothing"])[-1]
        raise InputError(
            f"'{python}' does not train SetFit: {problem}. Make an environment with setfit 1.2, or leave "
            "--setfit-python out."
        )
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
