"""One run's configuration: YAML, dotted overrides, and all errors at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from experiments.keys import assign, bad_config, read_tree
from experiments.paths import anchored
from spt.data.config import DataConfig
from spt.modes import CacheMode
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig
from spt.tasks import Task, get_task
from spt.training.config import TrainingConfig


class EngineConfig(BaseModel):
    """Where the candidates of random, evolution and exhaustive are trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sequential", "ray"] = Field(
        "sequential", description="One after the other in this process, or side by side on a Ray cluster."
    )
    cpus: int = Field(1, ge=1, description="CPUs and torch threads of a candidate, of ray.")
    gpus: float = Field(0, ge=0, description="GPUs of a candidate, of ray; a fraction shares one.")
    retries: int = Field(2, ge=0, description="Times a candidate whose worker died is run again, of ray.")


class SearchConfig(BaseModel):
    """Which layers get a prompt, and how they are found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Literal[
        "spt_darts",
        "darts",
        "gumbel_darts",
        "one_shot_random",
        "random",
        "evolution",
        "exhaustive",
        "manual",
    ] = Field(
        "spt_darts",
        description="The first four train one hyper-network and derive layers from it; random, evolution and "
        "exhaustive train each candidate; manual takes manual_layers.",
    )
    manual_layers: tuple[int, ...] | str = Field(
        (),
        description="Prompt layers of manual: numbers (0-based); input, all, middle, every_2 (or _n); or the "
        "path of another run's architecture.json, for the same relative depths.",
    )
    layers: int = Field(2, ge=1, description="K, the number of layers that get a prompt.")
    exactly: bool = Field(True, description="False lets strategies take fewer than K layers.")
    candidates: tuple[int, ...] | None = Field(
        None, description="Layers that may get a prompt; all of them by default."
    )
    epochs: int = Field(4, ge=1, description="Search epochs, each over both halves of the training data.")
    gate_learning_rate: float = Field(0.05, gt=0, description="Adam's rate for the gates' logits.")
    gate_weight_decay: float = Field(1e-3, ge=0, description="Adam's decay of the gates' logits.")
    consistency: float = Field(1.0, ge=0, description="lambda, the weight of the consistency term.")
    distance: Literal["mse", "kl"] = Field("mse", description="Distance of the clean and the pruned output.")
    mask_probability: float = Field(0.5, gt=0, lt=1, description="Chance of each gate to be pruned.")
    shrink: int = Field(
        1, ge=0, description="Candidates of the lowest gates that spt_darts drops an epoch, down to 2K."
    )
    patience: int = Field(
        0, ge=0, description="Epochs with the same K best layers before spt_darts stops; 0 for never."
    )
    warmup_epochs: int = Field(1, ge=0, description="Search epochs before the gates move.")
    gate_every: int = Field(2, ge=1, description="Weight steps for one gate step.")
    bilevel: bool = Field(
        True, description="False moves the gates on the batches of the weights, not on a half of their own."
    )
    temperature: float = Field(1.0, gt=0, description="Gumbel softmax's first temperature, of gumbel_darts.")
    least_temperature: float = Field(
        0.1, gt=0, description="What it falls to, linearly over the epochs; at most temperature."
    )
    derivation: Literal["top_k", "threshold", "ablation", "pruned"] = Field(
        "ablation",
        description="How spt_darts, darts and gumbel_darts read layers off the trained hyper-network.",
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="Least gate of a layer, of derivation threshold (with exactly: false)."
    )
    derivation_evaluations: int = Field(
        200, ge=1, description="Most subsets that pruned and one_shot_random score on the hyper-network."
    )
    compare_derivations: bool = Field(
        False, description="Write what every derivation would choose into search.json; not charged."
    )
    evaluations: int = Field(16, ge=1, description="Most candidates of random, evolution and exhaustive.")
    population: int = Field(6, ge=2, description="Candidates that live at a time, of evolution.")
    tournament: int = Field(3, ge=1, description="Of them, those that compete to be a parent, of evolution.")
    crossover: bool = Field(False, description="Two parents in place of one, of evolution.")
    engine: EngineConfig = Field(default_factory=EngineConfig)
    budget_flops: float | None = Field(
        None, gt=0, description="Training operations that search and retraining may take together."
    )
    inherit: bool = Field(False, description="Start the retraining from the search's generators and head.")

    @model_validator(mode="after")
    def _ordered(self) -> SearchConfig:
        if self.tournament > self.population:
            raise ValueError(f"tournament must be at most population ({self.population})")
        if self.least_temperature > self.temperature:
            raise ValueError(f"least_temperature must be at most temperature ({self.temperature})")
        return self


class RunConfig(BaseModel):
    """Search, retrain and evaluate: everything a run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("run", pattern=r"^\w[\w.-]*$", description="Name of the run and of its folder.")
    seed: int = Field(0, ge=0, description="Of initial weights, batch order, masks and few-shot samples.")
    threads: int = Field(0, ge=0, description="Torch threads; 0 leaves torch's own choice.")
    cache: CacheMode = Field(
        "auto",
        description="Where hidden states below the first prompt are kept, to be computed only once: auto is "
        "disk for splits that fit into cache_gb and off for others, which disk refuses.",
    )
    cache_gb: float = Field(8, gt=0, description="Size of all cached files together; the oldest go first.")
    task: Task = Field(
        default_factory=lambda: get_task("trec"),
        description="A task's name, or its name and the fields to change.",
        validate_default=True,
    )
    data: DataConfig = Field(default_factory=DataConfig)
    backbone: BackboneConfig = Field(default_factory=BackboneConfig)
    head: HeadConfig = Field(default_factory=HeadConfig)
    prompt: PromptConfig = Field(default_factory=PromptConfig)
    search: SearchConfig = Field(default_factory=SearchConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @field_validator("task", mode="before")
    @classmethod
    def _named_task(cls, value: Any) -> Any:
        if isinstance(value, str):
            return get_task(value)
        if isinstance(value, Mapping):
            name = str(value.get("name", "custom"))
            return {**get_task(name).model_dump(exclude_unset=True), **value, "name": name}
        return value

    @model_validator(mode="after")
    def _searchable(self) -> RunConfig:
        gated = ("spt_darts", "darts", "gumbel_darts")
        if self.search.strategy in gated and self.search.warmup_epochs >= self.search.epochs:
            raise ValueError(
                f"search.warmup_epochs is {self.search.warmup_epochs}, but must be less than search.epochs "
                f"({self.search.epochs}), or the gates never move"
            )
        return self

    @model_validator(mode="after")
    def _among_words(self) -> RunConfig:
        layers = self.search.manual_layers
        if self.prompt.place == "template" and (
            self.search.strategy != "manual" or layers not in ((0,), "input")
        ):
            raise ValueError(
                "prompt.place is template, which gives the input a prompt and no other layer: "
                "set search.strategy to manual and search.manual_layers to input, or prompt.place to front"
            )
        return self


def load_config(path: Path | None, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a YAML file (or the defaults, for None) and put overrides with dotted keys over it.

    A relative path in the file starts from the file's folder, one in an override from the working directory.
    The configuration has them absolute.

    Raises:
        InputError: naming every problem in the file and the overrides together.
    """
    return checked(run_tree(path, overrides), str(path or "the configuration"))


def run_tree(path: Path | None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a run's nested keys as `load_config` does, unchecked.

    Raises:
        InputError: if the file cannot be read, or has a path that exists from the working directory only.
    """
    tree: dict[str, Any] = {} if path is None else anchored(read_tree(path), path.parent)
    for dotted, value in (overrides or {}).items():
        assign(tree, dotted, anchored(value, Path.cwd(), dotted))
    return tree


def checked(tree: Mapping[str, Any], source: str) -> RunConfig:
    """A run's configuration from nested keys.

    Raises:
        InputError: naming every problem together.
    """
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise bad_config(error, source, RunConfig) from error
