"""A run of any method within a budget of operations."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.equal_operations.bench import BudgetedMethod
from benchmarks.equal_operations.figures import Figures, check_spent
from benchmarks.equal_operations.frozen import fit_frozen
from benchmarks.equal_operations.setfit_process import train_setfit
from benchmarks.equal_operations.training import train_within
from experiments.config import RunConfig


def figures_within(
    config: RunConfig, method: BudgetedMethod, budget: float, folder: Path, setfit_python: Path | None
) -> Figures:
    """Train a method within a budget, and score it.

    Args:
        config: of the run.
        method: that is run.
        budget: operations that it may take.
        folder: of this run; others of the method, with the same seed and rate, lie beside it.
        setfit_python: of an environment with SetFit, for that alone.

    Raises:
        OverBudget: if not even the least of it fits, or more was spent.
        TrialFailed: if the training failed.
    """
    if method.other == "setfit":
        assert setfit_python is not None
        figures = train_setfit(config, setfit_python, budget)
    elif method.other is not None:
        figures = fit_frozen(config, method.other)
    else:
        # a training that was killed is repeated, so that its seconds are those of the whole
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        figures = train_within(config, method, budget, folder, folder.parent / "searches")
        shutil.rmtree(folder)
    check_spent(figures.train_flops, budget)
    return figures
