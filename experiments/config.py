"""One run's configuration: YAML, dotted overrides, and all errors at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spt.data import DataConfig
from spt.errors import InputError
from spt.prefix_cache import CacheMode
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig
from spt.tasks import TASKS, Task, get_task
from spt.training import TrainingConfig


class SearchConfig(BaseModel):
    """Which layers get a prompt, and how they are found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Literal["spt_darts", "manual"] = Field(
        "spt_darts", description="spt_darts searches; manual takes manual_layers as they are."
    )
    manual_layers: tuple[int, ...] = Field((), description="Prompt layers (0-based) of the manual strategy.")
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
    warmup_epochs: int = Field(1, ge=0, description="Search epochs before the gates move.")
    gate_every: int = Field(1, ge=1, description="Weight steps for one gate step.")
    derivation: Literal["top_k", "ablation", "pruned"] = Field(
        "top_k", description="How layers are read off the trained hyper-network."
    )
    inherit: bool = Field(False, description="Start the retraining from the search's generators and head.")


class RunConfig(BaseModel):
    """Search, retrain and evaluate: everything a run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("run", pattern=r"^\w[\w.-]*$", description="Name of the run and of its folder.")
    seed: int = Field(0, ge=0, description="Of initial weights, batch order, masks and few-shot samples.")
    threads: int = Field(0, ge=0, description="Torch threads; 0 leaves torch's own choice.")
    cache: CacheMode = Field(
        "auto", description="Where hidden states below the first prompt are kept, to be computed only once."
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
        if self.search.strategy != "manual" and self.search.warmup_epochs >= self.search.epochs:
            raise ValueError(
                f"search.warmup_epochs is {self.search.warmup_epochs}, but must be less than search.epochs "
                f"({self.search.epochs}), or the gates never move"
            )
        return self


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, model
    for name, field in model.model_fields.items():
        for option in (field.annotation, *get_args(field.annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from _sections(option, f"{prefix}{name}.")


def _explain(error: dict[str, Any]) -> str:
    """One pydantic error as a line: the key, what is wrong, the value."""
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        prefix = path.rpartition(".")[0]
        section = dict(_sections(RunConfig)).get(f"{prefix}." if prefix else "")
        names = list(section.model_fields) if section else []
        close = get_close_matches(path.rpartition(".")[2], names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else f" Known: {', '.join(names)}."
        return f"{path}: there is no such key.{hint}"
    given = "" if isinstance(error["input"], dict | BaseModel) else f" (given: {error['input']!r})"
    return f"{path or 'config'}: {error['msg'].removeprefix('Value error, ')}{given}"


def _assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        if isinstance(tree.get(parent), str) and parent == "task":
            tree[parent] = {"name": tree[parent]}
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise InputError(f"The override '{dotted}' goes into '{parent}', which is not a section.")
    tree[last] = value


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """`['search.layers=4']` -> `{'search.layers': 4}`; values are read as YAML.

    Raises:
        InputError: for a part without an equals sign, or with a value that is not YAML.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise InputError(f"An override must read key=value, but got {', '.join(map(repr, wrong))}.")
    split = (pair.split("=", 1) for pair in pairs)
    return {key: _value(key, text) for key, text in split}


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"The value of '{key}' is not YAML: {text}. Put quotes around it.") from error


def load_config(path: Path | None, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a YAML file (or the defaults, for None) and put overrides with dotted keys over it.

    Raises:
        InputError: naming every problem in the file and the overrides together.
    """
    tree: Any = {}
    if path is not None:
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"The config '{path}' cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"The config '{path}' must be a mapping of keys to values, as `spt config` shows.")
    for dotted, value in (overrides or {}).items():
        _assign(tree, dotted, value)
    return checked(tree, str(path or "the configuration"))


def checked(tree: Mapping[str, Any], source: str) -> RunConfig:
    """A run's configuration from nested keys.

    Raises:
        InputError: naming every problem together.
    """
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        lines = "\n".join(f"  {_explain(dict(e))}" for e in error.errors())
        raise InputError(f"{error.error_count()} problem(s) in {source}:\n{lines}") from error


def schema_lines(model: type[BaseModel] = RunConfig, indent: str = "") -> Iterator[str]:
    """The schema as commented YAML: every key with its default and what it does."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Task:
            yield f"{indent}{name}:"
            yield from schema_lines(annotation, indent + "  ")
            continue
        default = field.get_default(call_default_factory=True)
        shown = default.name if isinstance(default, Task) else _inline(default)
        yield f"{indent}{name}: {shown}  # {field.description} {_type_name(annotation)}".rstrip()
        if isinstance(default, Task):
            yield from _task_lines(default)


def _task_lines(task: Task) -> Iterator[str]:
    """The fields of a task, commented out."""
    yield f"# tasks: {', '.join(TASKS)}; with fields changed:"
    yield "# task:"
    for name, value in task.model_dump(mode="json").items():
        yield f"#   {name}: {_inline(value)}  # {Task.model_fields[name].description}"


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _type_name(annotation: Any) -> str:
    options = get_args(annotation)
    if options and all(isinstance(option, str) for option in options):
        return f"[{' | '.join(options)}]"
    if NoneType in options:
        return "[may be null]"
    return ""
