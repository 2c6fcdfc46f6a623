"""The file of `python -m benchmarks methods`: methods with their learning rates, and what they are run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

from benchmarks.baselines.methods import BASELINES, size_of
from experiments.config import RunConfig, load_config, run_tree
from experiments.keys import bad_config, for_strategy
from experiments.paths import anchored
from spt.errors import InputError
from spt.sections import ConfigSection
from spt.storage.yaml_files import read_yaml
from strategies.options import chosen_strategy

RATE = "training.learning_rate"


class Method(ConfigSection):
    """How a method is run."""

    config: Path | None = Field(None, description="Run configuration, beside the bench's file.")
    baseline: str | None = Field(None, description="Name of a baseline, in place of prompts of our own.")
    size: int | None = Field(None, ge=1, description="Rank, width or length of a baseline.")
    set: dict[str, Any] = Field(default_factory=dict, description="Dotted keys over its configuration.")
    learning_rates: tuple[PositiveFloat, ...] = Field(
        min_length=1, description="Tried; dev chooses, and goes on beyond a best at the edge."
    )

    @model_validator(mode="after")
    def _known(self) -> Method:
        if self.baseline is not None and self.baseline not in BASELINES:
            raise ValueError(f"there is no baseline '{self.baseline}'; known: {', '.join(BASELINES)}")
        if self.size is not None and not (self.baseline and BASELINES[self.baseline].size):
            sized = ", ".join(name for name, baseline in BASELINES.items() if baseline.size)
            raise ValueError(f"size is {self.size}, but only these baselines have one: {sized}; leave it out")
        return self

    @property
    def kind(self) -> tuple[str | None, int | None]:
        """Return baseline and size, its default included; (None, None) for prompts of our own."""
        return self.baseline, None if self.baseline is None else size_of(self.baseline, self.size)


class Condition(ConfigSection):
    """What methods are run on."""

    methods: tuple[str, ...] | None = Field(None, min_length=1, description="Run on it; all by default.")
    set: dict[str, Any] = Field(default_factory=dict, description="Dotted keys over every method's.")


class MethodBench(ConfigSection):
    """What is compared, on what, over which seeds."""

    name: str = Field(description="Of the bench, its folder and its result.")
    config: Path = Field(description="Of methods that name none, beside the bench's file.")
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1, description="Of the runs that are reported.")
    sweep_seed: int = Field(0, ge=0, description="Of the runs that choose learning rates.")
    conditions: Mapping[str, Condition] = Field(min_length=1, description="By name: data and how to train.")
    methods: Mapping[str, Method] = Field(min_length=1, description="By name; the first is the reference.")

    @model_validator(mode="after")
    def _known(self) -> MethodBench:
        for name, condition in self.conditions.items():
            missing = [method for method in condition.methods or () if method not in self.methods]
            if missing:
                known = ", ".join(self.methods)
                raise ValueError(f"condition '{name}' has methods {', '.join(missing)}; known: {known}")
            if name in RunConfig.model_fields or "." in name:
                raise ValueError(
                    f"a condition is called '{name}', with which overrides cannot be told from a run's own "
                    "keys; give it a name without a dot that is not a key of a run"
                )
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file.

        Raises:
            InputError: naming every problem together.
        """
        try:
            bench = cls.model_validate(read_yaml(path, "bench"))
        except ValidationError as error:
            raise bad_config(error, str(path), cls) from error
        sections: list[Condition | Method] = [*bench.conditions.values(), *bench.methods.values()]
        for section in sections:
            section.set.update(anchored(section.set, path.parent))
        return bench

    def chosen(self, methods: Sequence[str], conditions: Sequence[str]) -> Self:
        """Return the bench with these methods and conditions only; all of them for none.

        Raises:
            InputError: for a name that the bench does not have, or if none of the methods is run on any of
                the conditions.
        """
        _check_names("methods", methods, self.methods)
        _check_names("conditions", conditions, self.conditions)
        chosen = self.model_copy(
            update={
                "methods": {name: self.methods[name] for name in methods or self.methods},
                "conditions": {name: self.conditions[name] for name in conditions or self.conditions},
            }
        )
        if not chosen.groups():
            raise InputError(
                f"The bench runs none of {', '.join(methods)} on {', '.join(chosen.conditions)}. Take other "
                "methods, or list these under the condition's 'methods'."
            )
        return chosen

    def methods_on(self, condition: str) -> list[str]:
        """Return the methods that are run on a condition, in the bench's order."""
        named = self.conditions[condition].methods
        return [name for name in self.methods if named is None or name in named]

    def groups(self) -> list[tuple[str, str]]:
        """Return (method, condition) of all that is run, in the bench's order."""
        return [(method, condition) for condition in self.conditions for method in self.methods_on(condition)]

    def sweep(self) -> Iterator[BenchRun]:
        """Give every listed rate of every method on its conditions, with the sweep's seed."""
        for method, condition in self.groups():
            for rate in self.methods[method].learning_rates:
                yield BenchRun(method, condition, self.sweep_seed, rate)

    def reported(self, rates: Mapping[tuple[str, str], float]) -> Iterator[BenchRun]:
        """Give every method on its conditions with all seeds, at these rates by (method, condition)."""
        for group in self.groups():
            for seed in self.seeds if group in rates else ():
                yield BenchRun(*group, seed, rates[group])

    def keys_of(self, cell: BenchRun) -> dict[str, Any]:
        """Return the dotted keys of a run over those of its method."""
        return {**self.conditions[cell.condition].set, RATE: cell.rate}

    def config_of(self, cell: BenchRun, base: Path) -> RunConfig:
        """Return the configuration of a run; base is the folder of the bench's file.

        Raises:
            InputError: if it is not right.
        """
        method = self.methods[cell.method]
        path = base / (method.config or self.config)
        keys = {**self.keys_of(cell), "seed": cell.seed}
        strategy = chosen_strategy(run_tree(path, method.set).get("search", {}))
        # a condition is for many methods, those without a search among them
        return load_config(path, method.set, for_strategy(keys, keys.get("search.strategy", strategy)))

    def changed(self, overrides: Mapping[str, Any]) -> Self:
        """Return the bench with dotted keys over those of one condition (`sst2.data.train`), or of all.

        Raises:
            InputError: for the name of a condition without a key.
        """
        changed = self.model_copy(deep=True)
        for key, value in overrides.items():
            head, _, rest = key.partition(".")
            named = head in changed.conditions
            if named and not rest:
                raise InputError(
                    f"The override '{key}' is a condition. Name the key that it changes, as "
                    f"{key}.data.train_size."
                )
            for condition in [changed.conditions[head]] if named else changed.conditions.values():
                dotted = rest if named else key
                condition.set[dotted] = anchored(value, Path.cwd(), dotted)
        return changed


@dataclass(frozen=True)
class BenchRun:
    """One run: a method on a condition with a seed and a rate."""

    method: str
    condition: str
    seed: int
    rate: float

    @property
    def group(self) -> tuple[str, str]:
        """Return method and condition: what has a rate of its own."""
        return self.method, self.condition

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        return f"{self.condition}/{self.method}-rate{self.rate:g}-seed{self.seed}"


def _check_names(what: str, wanted: Sequence[str], known: Mapping[str, Any]) -> None:
    missing = [name for name in wanted if name not in known]
    if missing:
        raise InputError(f"The bench has no {what} {', '.join(missing)}. It has: {', '.join(known)}.")
