"""The file of `python -m benchmarks methods-deep`: methods, what they are run on, and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator
from typing_extensions import Self

from benchmarks.methods.bench import RATE, BenchRun, Condition, Method, MethodBench
from spt.errors import InputError

Other = Literal["tfidf", "linear_probe", "setfit"]


class BudgetedMethod(Method):
    """How a method is run within a budget."""

    learning_rates: tuple[PositiveFloat, ...] = Field(
        (), description="Tried on dev; none: the configuration's own, and no recipe of a condition."
    )
    other: Other | None = Field(None, description="What this project's loop does not train.")

    @model_validator(mode="after")
    def _of_one_kind(self) -> BudgetedMethod:
        given = [name for name in ("config", "baseline", "learning_rates") if getattr(self, name)]
        if self.other is not None and given:
            raise ValueError(f"other is {self.other}, which takes no {', '.join(given)}; leave it out")
        return self

    @property
    def has_defaults(self) -> bool:
        """Say whether it is run with this project's defaults."""
        return self.other is None and not self.learning_rates


class BudgetedCondition(Condition):
    """What methods are run on, and how those with learning rates train."""

    recipe: dict[str, Any] = Field(
        default_factory=dict, description="Dotted keys over those of methods with learning rates."
    )
    seeds: tuple[NonNegativeInt, ...] | None = Field(
        None, min_length=1, description="Of the runs that are reported; the bench's by default."
    )
    budgets: tuple[PositiveFloat, ...] | None = Field(
        None, description="Operations that a run may take; the bench's by default."
    )


class BudgetedBench(MethodBench):
    """What is compared within which budgets."""

    budgets: tuple[PositiveFloat, ...] = Field(min_length=1, description="Operations that a run may take.")
    conditions: Mapping[str, BudgetedCondition] = Field(min_length=1, description="By name.")
    methods: Mapping[str, BudgetedMethod] = Field(
        min_length=1, description="By name; the first is the reference."
    )

    def keys_of(self, run: BenchRun) -> dict[str, Any]:
        """Return the dotted keys of a run over those of its method, of the recipe where it has a rate."""
        condition = self.conditions[run.condition]
        recipe = {**condition.recipe, RATE: run.rate} if self.methods[run.method].learning_rates else {}
        return {**condition.set, **recipe}

    def changed(self, overrides: Mapping[str, Any]) -> Self:
        """Return the bench with dotted keys over those of one condition, of a task's conditions, or of all.

        Args:
            overrides: dotted keys, after the name of a condition (`minilm-l6-sst2.data.train`) or of a task
                (`sst2.data.train`) where they are not for all conditions.
        """
        keys: dict[str, Any] = {}
        for key, value in overrides.items():
            head, _, rest = key.partition(".")
            named = [name for name, condition in self.conditions.items() if condition.set.get("task") == head]
            keys |= {f"{name}.{rest}": value for name in named} if rest and named else {key: value}
        return super().changed(keys)

    def chosen_budgets(self, budgets: Sequence[float]) -> tuple[float, ...]:
        """Return these of the bench's budgets; all of them for none.

        Raises:
            InputError: for a budget that no condition has.
        """
        known = sorted({budget for condition in self.conditions for budget in self.budgets_on(condition)})
        if others := [budget for budget in budgets if budget not in known]:
            raise InputError(
                f"The bench has no budget of {', '.join(map(tera, others))} * 10^12 operations. It has: "
                f"{', '.join(map(tera, known))}."
            )
        return tuple(budgets or known)

    def without_setfit(self) -> Self:
        """Return the bench without what needs an environment with SetFit."""
        methods = {name: method for name, method in self.methods.items() if method.other != "setfit"}
        return self.model_copy(update={"methods": methods})

    def budgets_on(self, condition: str) -> tuple[float, ...]:
        """Return the budgets of a condition, the smallest first."""
        own = self.conditions[condition].budgets
        return tuple(sorted(self.budgets if own is None else own))

    def swept(self, method: str, condition: str, budget: float) -> list[Cell]:
        """List a method's rates on a condition within a budget, with the sweep's seed."""
        rates = self.methods[method].learning_rates
        return [Cell(BenchRun(method, condition, self.sweep_seed, rate), budget) for rate in rates]

    def reported_within(self, method: str, condition: str, budget: float, rate: float) -> list[Cell]:
        """List a method's seeds on a condition within a budget, at a rate."""
        seeds = self.conditions[condition].seeds or self.seeds
        return [Cell(BenchRun(method, condition, seed, rate), budget) for seed in seeds]


@dataclass(frozen=True)
class Cell:
    """One run within a budget of operations; its rate is 0 where none is set."""

    run: BenchRun
    budget: float

    @property
    def name(self) -> str:
        """Return the name of its folder; those of other budgets lie beside it."""
        return f"{self.run.name}/{tera(self.budget)}T"


def tera(operations: float) -> str:
    """Write operations in 10^12."""
    return f"{operations / 1e12:g}"
