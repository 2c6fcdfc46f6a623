"""An estimator's parameters -> the configuration of its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from experiments.config import RunConfig, checked
from experiments.paths import anchored
from spt.answers.options import AnswersConfig
from spt.data.config import DataConfig
from spt.data.values import class_name
from spt.errors import InputError
from spt.problems import Problems
from spt.prompts.config import PromptConfig
from spt.spec import HeadConfig
from spt.tasks import Task
from spt.training.config import TrainingConfig
from strategies.options import OPTIONS

# parameter -> section and key of a run that it stands for
SHORT_NAMES = {
    "k": ("search", "k"),
    "strategy": ("search", "strategy"),
    "layers": ("search", "manual_layers"),
    "epochs": ("training", "epochs"),
    "learning_rate": ("training", "learning_rate"),
    "batch_size": ("training", "batch_size"),
    "max_length": ("data", "max_length"),
}
# parameters that are sections of a run, each a mapping as in YAML, and the keys of each
SECTIONS = {
    "task": list(Task.model_fields),
    "data": list(DataConfig.model_fields),
    "head": list(HeadConfig.model_fields),
    "prompt": list(PromptConfig.model_fields),
    "search": list(dict.fromkeys(key for options in OPTIONS.values() for key in options.model_fields)),
    "training": list(TrainingConfig.model_fields),
    "answers": list(AnswersConfig.model_fields),
}
# keys of the data that say where rows are read from
OF_FILES = ("source", "train", "dev", "test", "format", "encoding", "columns", "quoting", "delimiter")


def run_config(parameters: Mapping[str, Any]) -> RunConfig:
    """Return the configuration that an estimator's parameters describe.

    Args:
        parameters: by name; those that are None are left to their defaults.

    Raises:
        InputError: naming every problem together, and the closest key for a misspelt one.
    """
    problems = Problems("the parameters")
    given = {name: plain(value) for name, value in parameters.items() if value is not None}
    for section in sorted(given.keys() & SECTIONS.keys() - {"task"}):
        if not isinstance(given[section], Mapping):
            problems.add(f"{section} is {given.pop(section)!r}, but must be a mapping of keys to values.")
    tree = {name: value for name, value in given.items() if name not in SHORT_NAMES}
    if not isinstance(tree.get("backbone", {}), Mapping):
        tree["backbone"] = {"name": str(tree["backbone"])}
    for name in OF_FILES:
        if tree.get("data", {}).get(name) is not None:
            problems.add(f"data has {name}, but rows come from fit(texts, labels) and no file is read.")
    if "layers" in given:
        tree["search"] = {"strategy": "manual", **tree.get("search", {})}
    for name, (section, key) in SHORT_NAMES.items():
        if name not in given:
            continue
        if key in given.get(section, {}):
            problems.add(f"{name} and {section}['{key}'] are the same, and both are given. Remove one.")
        tree[section] = {**tree.get(section, {}), key: given[name]}
    problems.refuse()
    return checked(anchored(tree, Path.cwd()), "the parameters")


def unknown_parameters(names: Iterable[str], known: Iterable[str]) -> InputError:
    """Make an error for parameters that there are not, each with what was likely meant."""
    parameters = sorted(known)
    places: dict[str, str] = {}
    for section, keys in SECTIONS.items():
        for key in keys:
            # a grid names it by the second
            places |= dict.fromkeys((key, f"{section}__{key}"), f"{section}={{'{key}': ...}}")
    places |= {name: name for name in parameters}
    lines = []
    for name in names:
        close = get_close_matches(name, places, n=1)
        hint = f" Did you mean {places[close[0]]}?" if close else ""
        lines.append(f"SPTClassifier has no parameter '{name}'.{hint} Parameters: {', '.join(parameters)}.")
    return InputError("\n".join(lines))


def plain(value: Any) -> Any:
    """Return a parameter as JSON has it: arrays, tensors and paths as Python's own, tasks as their fields."""
    if isinstance(value, Mapping):
        # a key may be a label, as of class weights
        return {class_name(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | range | AbstractSet):
        return [plain(inner) for inner in value]
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value
