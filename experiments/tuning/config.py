"""The configuration of a tuning study: a base run, a search space, and how its trials run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution
from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from experiments.config import RunConfig, checked, run_as_written, run_tree
from experiments.config_kinds import refuse_other_kind
from experiments.keys import bad_config, override, read_tree
from experiments.paths import absolute, anchored, anchored_space
from experiments.tuning.space import distributions
from spt.errors import InputError, unknown
from spt.metrics import TITLES
from spt.process.modes import AUTO
from spt.sections import ConfigSection
from spt.storage.files import expanded
from strategies.options import MultiTrialOptions

# what a trial can be judged by, all of it known without the test split; dev_accuracy is another name of
# dev_metric where the task's metric is accuracy
OBJECTIVES: Mapping[str, Literal["maximize", "minimize"]] = MappingProxyType(
    {
        "dev_metric": "maximize",
        "dev_accuracy": "maximize",
        "total_flops": "minimize",
        "train_flops": "minimize",
        "tunable_parameters": "minimize",
    }
)
STRATEGY = "search.strategy"
# what no trial may change, with what to do instead
SAME_FOR_ALL: Mapping[str, str] = MappingProxyType(
    {
        "task": "scores on different tasks cannot be compared; make a study for each",
        "task.name": "scores on different tasks cannot be compared; make a study for each",
        "task.metric": "scores of different metrics cannot be compared; make a study for each",
        "threads": "trials have resources.cpus threads; set that",
    }
)


class Resources(ConfigSection):
    """What one trial gets."""

    cpus: int = Field(1, ge=1, le=10**6, description="CPUs, and torch threads.")
    gpus: float = Field(0, ge=0, description="GPUs; a fraction shares one, above 1 whole ones only.")

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("more than one GPU must be a whole number")
        return gpus


class Asha(ConfigSection):
    """Asynchronous successive halving (arXiv 1810.05934) on the dev score of the retraining's epochs."""

    grace_epochs: int = Field(1, ge=1, le=10**6, description="Epochs before a trial may be stopped.")
    reduction_factor: float = Field(3, gt=1, description="One in so many trials goes on at each rung.")


class TuneConfig(ConfigSection):
    """Trials of a base run, each with values from the search space as overrides."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field("tune", pattern=r"^\w[\w.-]*$", description="Name of the study and of its folder.")
    trials: int = Field(20, ge=1, le=10**6, description="Trials in all, failed and stopped ones included.")
    concurrency: int = Field(1, ge=1, le=10**6, description="Trials at a time; 1 makes a study repeatable.")
    seed: int = Field(
        0, ge=0, le=2**32 - 1, description="Of the sampler; run.seed is that of every trial's run."
    )
    sampler: str = Field("tpe", description="tpe, random, gp or cmaes.")
    objectives: tuple[str, ...] = Field(
        ("dev_metric",),
        min_length=1,
        description=f"One, or several for a Pareto set: {', '.join(OBJECTIVES)}.",
    )
    asha: Asha | None = Field(
        default_factory=Asha,
        description="Stops weak trials early; null for none, as several objectives need.",
    )
    resources: Resources = Field(default_factory=Resources)
    max_failures: int = Field(
        2, ge=0, le=10**6, description="Times that a trial whose worker or node died goes on."
    )
    storage_path: str | None = Field(
        None,
        description="Absolute path or URI that all nodes reach; null: in the study's folder, one node only.",
    )
    run: RunConfig = Field(default_factory=RunConfig)
    search_space: dict[str, Any] = Field(
        alias="searchSpace", description="As in nnictl's YAML: dotted key of a run -> _type, _value."
    )

    # the run's keys as they were given: what follows from one of them follows anew in a trial that changes it
    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _run_as_given(cls, tree: Any, validate: ModelWrapValidatorHandler[TuneConfig]) -> TuneConfig:
        config = validate(tree)
        if isinstance(tree, Mapping):
            config._given = deepcopy(_keys_of_run(tree.get("run", {})))
        return config

    @field_validator("run", mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        return _keys_of_run(value)

    @field_validator("objectives")
    @classmethod
    def _known(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        for objective in objectives:
            if objective not in OBJECTIVES:
                raise unknown("objective", objective, OBJECTIVES)
        if len(set(objectives)) < len(objectives):
            raise ValueError("an objective is named twice")
        return objectives

    @field_validator("sampler")
    @classmethod
    def _usable_sampler(cls, sampler: str) -> str:
        # loads Optuna's samplers, for which reading a run's config need not wait
        from experiments.tuning.study import make_sampler  # noqa: PLC0415

        make_sampler(sampler, 0)
        return sampler

    @field_validator("storage_path")
    @classmethod
    def _found_from_everywhere(cls, path: str | None) -> str | None:
        if path is None or "://" in path:
            return path
        if not expanded(path).is_absolute():
            raise ValueError("must be an absolute path or a URI such as s3://bucket/folder")
        return str(expanded(path))

    @field_validator("search_space")
    @classmethod
    def _sampled(cls, space: dict[str, Any]) -> dict[str, Any]:
        distributions(space)
        problems = [f"{key}: {why}" for key, why in SAME_FOR_ALL.items() if key in space]
        if problems:
            raise ValueError("; ".join(problems))
        return space

    @model_validator(mode="after")
    def _consistent(self) -> TuneConfig:
        problems = []
        search = self.run.search
        if isinstance(search, MultiTrialOptions) and search.engine.kind == "ray":
            problems.append("run.search.engine.kind is ray, but trials are Ray's already; use sequential")
        if "dev_accuracy" in self.objectives and self.run.task.metric != "accuracy":
            problems.append(
                f"objectives has dev_accuracy, but dev selects by {TITLES[self.run.task.metric]}; name "
                "dev_metric, or set run.task.metric to accuracy"
            )
        if {"dev_metric", "dev_accuracy"} <= set(self.objectives):
            problems.append("objectives has dev_metric and dev_accuracy, which are the same; name one")
        if self.asha and len(self.objectives) > 1:
            problems.append("asha stops trials by one objective, but there are several; set asha: null")
        if self.run.device not in (AUTO, "cpu") and not self.resources.gpus:
            problems.append(
                f"run.device is {self.run.device}, but resources.gpus is 0, and so trials see no GPU; set "
                "resources.gpus, or run.device to auto"
            )
        for name, value, parameters in self._single_changes():
            try:
                self.trial_run(parameters)
            except InputError as error:
                problems.append(f"searchSpace.{name} with the value {value!r}: {_reason(error)}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the search space in Optuna's terms."""
        return distributions(self.search_space)

    @property
    def _strategies(self) -> list[dict[str, Any]]:
        """List the strategies that trials may have, where these are tuned too, as parameters of a trial."""
        strategy = self.distributions.get(STRATEGY)
        return [{STRATEGY: name} for name in _ends(strategy)] if strategy else [{}]

    @property
    def directions(self) -> list[str]:
        """Return 'maximize' or 'minimize' for each objective."""
        return [OBJECTIVES[objective] for objective in self.objectives]

    def _single_changes(self) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield key and value of each choice and of both ends of each range, and a trial's parameters so."""
        for name, distribution in self.distributions.items():
            for value, strategy in product(_ends(distribution), self._strategies):
                yield name, value, {**strategy, name: value}

    def runs_at_ends(self) -> list[RunConfig]:
        """Return runs with every choice and both ends of every range, on all data that trials may have."""
        singly = [self.trial_run(parameters) for _, _, parameters in self._single_changes()]
        return [*self.conditions(), *singly]

    def conditions(self) -> list[RunConfig]:
        """Return a run on each of the data that trials may have: what is tuned of task and data, together."""
        values = {
            name: _ends(distribution)
            for name, distribution in self.distributions.items()
            if name.partition(".")[0] in ("task", "data") or name == "training.class_weights"
        }
        return [
            self.trial_run(dict(zip(values, chosen, strict=True))) for chosen in product(*values.values())
        ]

    def trial_run(self, parameters: Mapping[str, Any]) -> RunConfig:
        """Put a trial's values, and where it computes, over the base run.

        Raises:
            InputError: naming every problem together.
        """
        tree = deepcopy(self._given)
        override(tree, parameters)
        device = {} if self.resources.gpus else {"device": "cpu"}
        return checked({**tree, "threads": self.resources.cpus, **device}, "a trial")

    def as_tree(self) -> dict[str, Any]:
        """Return the keys of a study's file, with all defaults but those that may differ between trials."""
        tree = self.model_dump(mode="json", by_alias=True)
        for section in {name.partition(".")[0] for name in self.distributions if "." in name}:
            # what follows from values that a trial changes
            tree["run"].pop(section)
            tree["run"] |= {section: self._given[section]} if section in self._given else {}
        return tree


def load_tune_config(path: Path, overrides: Mapping[str, Any] | None = None) -> TuneConfig:
    """Read a study's YAML and put overrides with dotted keys over it.

    Relative paths start as those of `experiments.config.load_config` do.

    Raises:
        InputError: naming every problem in the file and the overrides together; or if the file is the config
            of something else than a study.
    """
    given = read_tree(path)
    refuse_other_kind(given, path, "study")
    tree = {key: _anchored(key, value, path.parent) for key, value in given.items()}
    over = {key: _anchored(key, value, Path.cwd()) for key, value in (overrides or {}).items()}
    if any(key.startswith("run.") for key in over):
        # of a file its keys, which those go over
        tree["run"] = _keys_of_run(tree.get("run", {}))
    override(tree, over)
    try:
        return TuneConfig.model_validate(tree)
    except ValidationError as error:
        raise bad_config(error, str(path), TuneConfig) from error


def stored_study(path: Path) -> dict[str, Any]:
    """Return the nested keys of the file that a study wrote, its run as the version meant it that wrote it.

    Raises:
        InputError: if the file cannot be read, or is not a mapping.
    """
    tree = read_tree(path)
    run = tree.get("run")
    return {**tree, "run": run_as_written(run)} if isinstance(run, Mapping) else tree


def _anchored(key: str, value: Any, folder: Path) -> Any:
    """Make the paths of a study's key absolute: the run's file, or paths among the run's keys."""
    section, _, rest = key.partition(".")
    if key == "run" and isinstance(value, str):
        return str(absolute(value, folder))
    if section == "run":
        return anchored(value, folder, rest)
    if key == "searchSpace" and isinstance(value, Mapping):
        return anchored_space(value, folder)
    return value


def _keys_of_run(value: Any) -> Any:
    """Read the keys of a file where a path stands for them."""
    if isinstance(value, RunConfig):
        return value.model_dump(mode="json", exclude_unset=True)
    return run_tree(Path(value)) if isinstance(value, str) else value


def _ends(distribution: BaseDistribution) -> tuple[Any, ...]:
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    return (distribution.low, distribution.high)  # type: ignore[attr-defined]


def _reason(error: InputError) -> str:
    """Return the problems alone, without the line that counts them."""
    _, _, lines = str(error).partition("\n")
    return " ".join((lines or str(error)).split())
