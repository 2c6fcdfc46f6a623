"""One run's configuration: YAML, dotted overrides, and all errors at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from experiments.config_kinds import refuse_other_kind
from experiments.keys import bad_config, override, read_tree
from experiments.paths import anchored
from spt.answers.options import AnswersConfig
from spt.data.config import DataConfig
from spt.data.encoded.windows import check_windows
from spt.process.modes import AUTO, CacheMode, DeviceName, without_memory_mode
from spt.process.provenance import PROVENANCE
from spt.prompts.config import PromptConfig, prompt_as_written
from spt.sections import ConfigSection
from spt.spec import BackboneConfig, HeadConfig, ModelSpec, check_head
from spt.storage.files import expanded, state_of
from spt.tasks import Task, get_task
from spt.training.config import TrainingConfig, check_contrast, training_as_written
from strategies.options import (
    GradientOptions,
    ManualOptions,
    OneShotOptions,
    Options,
    SpaceOptions,
    search_as_written,
    stored_options,
)

# sections whose later options earlier versions meant otherwise than today's defaults do
AS_WRITTEN = {"prompt": prompt_as_written, "search": search_as_written, "training": training_as_written}
# what the file of a whole run has, as programs write it
SECTIONS = {"name", "seed", "task", "data", "backbone", "head", *AS_WRITTEN}

LoggerName = Literal["tensorboard", "mlflow", "wandb", "trackio"]


class RunConfig(ConfigSection):
    """Search, retrain and evaluate: everything a run depends on."""

    name: str = Field("run", pattern=r"^\w[\w.-]*$", description="Name of the run and of its folder.")
    seed: int = Field(
        0, ge=0, le=10**12, description="Of initial weights, batch order, masks and few-shot samples."
    )
    threads: int = Field(
        0,
        ge=0,
        le=4096,
        description="Torch threads; 0 leaves a run torch's own choice, and gives workers side by side their "
        "part of the cores, or OMP_NUM_THREADS if less. Another number may change the last bits of results; "
        "metrics.json says which it was.",
    )
    device: DeviceName = Field(
        AUTO,
        description="Where torch computes: auto takes a GPU where there is one, else the CPU; or cpu, cuda, "
        "cuda:1, mps.",
    )
    cache: CacheMode = Field(
        "auto",
        description="Where hidden states below the first prompt are kept, to be computed only once: auto is "
        "disk for splits that fit into cache_gb and off for others, which disk refuses.",
    )
    cache_gb: float = Field(
        8,
        gt=0,
        le=10**6,
        allow_inf_nan=True,
        description="Size of all cached files together; the oldest go first.",
    )
    baselines: bool = Field(
        True,
        description="Score what needs no prompt beside the run: the majority class, TF-IDF with logistic "
        "regression, and a linear probe on the frozen backbone.",
    )
    loggers: tuple[LoggerName, ...] = Field(
        ("tensorboard",),
        description="Where losses, scores, gates and learning rates are logged as the run goes: tensorboard, "
        "in the run's folder, and mlflow, wandb and trackio where those are installed, each as its own "
        "environment variables say; [] for nowhere. It changes no result.",
    )
    task: Task = Field(
        default_factory=lambda: get_task("trec"),
        description="A task's name, or its name and the fields to change.",
        validate_default=True,
    )
    data: DataConfig = Field(default_factory=DataConfig)
    backbone: BackboneConfig = Field(default_factory=BackboneConfig)
    head: HeadConfig = Field(default_factory=HeadConfig)
    prompt: PromptConfig = Field(default_factory=PromptConfig)
    search: Options = Field(default_factory=GradientOptions)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    answers: AnswersConfig = Field(default_factory=AnswersConfig)

    @field_validator("loggers")
    @classmethod
    def _each_once(cls, loggers: tuple[LoggerName, ...]) -> tuple[LoggerName, ...]:
        if len(set(loggers)) < len(loggers):
            raise ValueError(f"a logger is named twice: {', '.join(loggers)}; name each once")
        return loggers

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
    def _nothing_inherited_by_folds(self) -> RunConfig:
        if self.data.folds is not None and isinstance(self.search, OneShotOptions) and self.search.inherit:
            raise ValueError(
                f"data.folds is {self.data.folds}, but search.inherit is true: inherited weights have seen "
                "the rows that each fold holds out. Set search.inherit to false, or remove data.folds"
            )
        return self

    @model_validator(mode="after")
    def _windows_of_one_text(self) -> RunConfig:
        check_windows(self.task, self.data.windows)
        return self

    @model_validator(mode="after")
    def _head_of_task(self) -> RunConfig:
        check_head(self.head, self.task)
        check_contrast(self.training, self.head, self.task)
        for option in ("min_accuracy", "coverage"):
            if self.task.multi_label and getattr(self.answers, option) is not None:
                raise ValueError(
                    f"answers.{option} is of the likeliest label, but task '{self.task.name}' has "
                    f"multi_label, where dev chooses a threshold for each class; remove answers.{option}"
                )
        return self

    @model_validator(mode="after")
    def _named_layers(self) -> RunConfig:
        # a head alone must be meant
        if isinstance(self.search, ManualOptions) and "manual_layers" not in self.search.model_fields_set:
            raise ValueError(
                "search.strategy is manual, but search.manual_layers is missing; name layers, as [2, 4], "
                "middle or all, or give [] to train a head alone"
            )
        return self

    @model_validator(mode="after")
    def _gradient_of_a_prompt(self) -> RunConfig:
        by_gradient = isinstance(self.search, SpaceOptions) and "gradient" in self.search.scorers
        if by_gradient and self.prompt.generator == "scaling":
            raise ValueError(
                "gradient scores a layer by the gradient of its prompt, but prompt.generator is scaling, "
                "which gives it none; score by probe, or choose another generator"
            )
        return self

    @model_validator(mode="after")
    def _among_words(self) -> RunConfig:
        layers = self.search.manual_layers if isinstance(self.search, ManualOptions) else None
        if self.prompt.place == "template" and layers not in ((0,), "input"):
            raise ValueError(
                "prompt.place is template, which gives the input a prompt and no other layer: "
                "set search.strategy to manual and search.manual_layers to input, or prompt.place to front"
            )
        return self

    @property
    def spec(self) -> ModelSpec:
        """Say how the run's models are built, before its data give the classes."""
        return ModelSpec(
            backbone=self.backbone,
            head=self.head,
            prompt=self.prompt,
            task=self.task,
            max_length=self.data.max_length,
            windows=self.data.windows,
        )


def load_config(path: Path | None, *overrides: Mapping[str, Any] | None) -> RunConfig:
    """Read a YAML file (or the defaults, for None) and put overrides with dotted keys over it.

    The config.yml of a run's folder is read as any other, without what it says of versions and machine.

    A relative path in the file starts from the file's folder, one in an override from the working directory.
    The configuration has them absolute.

    Args:
        path: of the file.
        overrides: of one place each, later ones over earlier ones: of the command line, of a row of a grid.
            A place that names search.strategy speaks for what lies below it: options of other strategies
            there are dropped, such as those that a comparison's file sets for some of its strategies only.

    Raises:
        InputError: naming every problem in the file and the overrides together; an option of another strategy
            that stands beside or over the strategy's name is one.
    """
    return checked(run_tree(path, *overrides), str(path or "the configuration"))


def run_tree(path: Path | None, *overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read a run's nested keys as `load_config` does, unchecked.

    Raises:
        InputError: if the file cannot be read, is the config of something else than a run, or has a path that
            exists from the working directory only.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        path = expanded(path)
        tree = anchored(_keys_of_file(path, state_of(path)), path.parent)
    for place in overrides:
        override(tree, anchored(place or {}, Path.cwd()))
    return tree


def checked(tree: Mapping[str, Any], source: str) -> RunConfig:
    """Return a run's configuration from nested keys.

    Raises:
        InputError: naming every problem together.
    """
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise bad_config(error, source, RunConfig) from error


def from_stored(tree: Mapping[str, Any]) -> RunConfig:
    """Return the configuration that this version, or an earlier one, wrote as nested keys.

    Raises:
        ValueError: for keys that neither wrote.
    """
    return RunConfig.model_validate(stored_keys(tree))


@lru_cache(maxsize=8)
def _keys_of_file(path: Path, state: tuple[int, ...] | None) -> Mapping[str, Any]:  # noqa: ARG001
    """Return the nested keys of a file, which may be one that a run wrote into its folder.

    It is read once in each of its states: the runs of a grid start from one file.
    """
    tree = read_tree(path)
    refuse_other_kind(tree, path, "run")
    run = tree.get("run")
    if isinstance(run, Mapping) and tree.keys() <= {"run", *PROVENANCE}:
        return stored_keys(run)
    return run_as_written(tree) if tree.keys() >= SECTIONS else tree


def stored_keys(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested keys of a run that this version, or an earlier one, wrote, as it meant them.

    With `run_as_written` the one place that knows what earlier versions wrote, and this one does not.
    """
    current = run_as_written(tree)
    return {**without_memory_mode(current), "search": stored_options(current.get("search", {}))}


def run_as_written(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested keys of a run with what the version that wrote them did not know, as that did it."""
    written = {name: read for name, read in AS_WRITTEN.items() if isinstance(tree.get(name), Mapping)}
    return {**tree, **{name: read(tree[name]) for name, read in written.items()}}
