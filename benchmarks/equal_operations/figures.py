"""What a method gives within a budget of operations, whatever it is."""

from __future__ import annotations

from pathlib import Path

from benchmarks.equal_operations.bench import BudgetedMethod
from benchmarks.equal_operations.epochs import OverBudget
from benchmarks.equal_operations.frozen import fit_frozen
from benchmarks.equal_operations.setfit_process import train_setfit
from benchmarks.equal_operations.training import Figures, train_within, without_work
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
        OverBudget: if not even the least fits.
        TrialFailed: if the training failed.
    """
    if method.other == "setfit":
        assert setfit_python is not None
        return train_setfit(config, setfit_python, budget)
    if method.other is None:
        figures = train_within(config, method, budget, folder)
        without_work(folder)
        return figures
    figures = fit_frozen(config, method.other)
    if figures.train_flops > budget:
        raise OverBudget(f"It takes {figures.train_flops / 1e12:.2g} * 10^12 operations.")
    return figures
