"""Configurations of runs, studies, comparisons and benches: valid trees by the fields of their sections."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from hypothesis import strategies as st
from numpy.random import RandomState
from pydantic import BaseModel, ValidationError

from benchmarks.fuzz.case import Case, Target
from benchmarks.fuzz.damage import damaged_bytes, damaged_trees
from benchmarks.methods.bench import MethodBench
from experiments.comparing.experiment_file import Experiment
from experiments.config import RunConfig, load_config
from experiments.keys import as_arguments, parse_overrides
from experiments.tuning.config import OBJECTIVES, Resources, load_tune_config
from search_spaces.budget import Budget
from spt.data.config import DataConfig
from spt.errors import InputError
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig
from spt.storage.yaml_files import read_yaml
from spt.tasks import TASKS
from spt.training.config import TrainingConfig
from strategies.options import OPTIONS, SpaceOptions

RUN_FILE, ARGUMENTS = "run.yml", "arguments.txt"
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,7}", fullmatch=True)
WORDS = st.sampled_from(["no", "yes", "1", "01", "true", "null", "a b", "é", "on", "2024-01-02", "x:y", "#"])
# fields whose values other fields, files or the data decide
SPECIAL: Mapping[str, st.SearchStrategy[Any]] = {
    "columns": st.just(["text", "label"]),
    "encoding": st.sampled_from(["utf-8", "latin-1", "cp1252", "utf-16"]),
    "manual_layers": st.sampled_from(["input", "all", "middle", "every_2"]) | st.just([0, 1]),
    "name": st.sampled_from(["minilm-l6", "splade-tiny", "owner/model"]),
    "revision": st.sampled_from([None, "main", "a1b2c3"]),
    "source": st.sampled_from([None, "trec", "owner/data"]),
    "device": st.sampled_from(["auto", "cpu"]),
    **dict.fromkeys(("train", "dev", "test"), st.none()),
}


NUMBERS: Mapping[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(1, 12),
    float: st.sampled_from([0.001, 0.1, 0.25, 0.5, 0.9]),
}


def sections(model: type[BaseModel], **others: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return valid keys of a section: each field by its type or its name, or left out.

    Args:
        model: of the section.
        others: fields that have strategies of their own.
    """
    known = {**SPECIAL, **others}
    fields = {
        name: known[name] if name in known else _values(field.annotation)
        for name, field in model.model_fields.items()
        if name in known or not _is_section(field.annotation)
    }
    return st.fixed_dictionaries({}, optional=fields).filter(lambda tree: _is_valid(model, tree))


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return st.sampled_from(inner)
    if get_origin(annotation) is Annotated:
        return _values(inner[0])
    if get_origin(annotation) is tuple:
        return st.lists(_values(inner[0]), min_size=1, max_size=3, unique=True)
    if inner:
        return st.one_of(*[_values(option) for option in inner])
    return NUMBERS.get(annotation, st.none())


def _is_section(annotation: Any) -> bool:
    options = (annotation, *get_args(annotation))
    return any(isinstance(option, type) and issubclass(option, BaseModel) for option in options)


def _is_valid(model: type[BaseModel], tree: Mapping[str, Any]) -> bool:
    try:
        model.model_validate(tree)
    except ValidationError:
        return False
    return True


def searches() -> st.SearchStrategy[dict[str, Any]]:
    """Return valid search sections of every strategy."""
    return st.one_of(*[_search(name) for name in OPTIONS])


def _search(name: str) -> st.SearchStrategy[dict[str, Any]]:
    keys = sections(OPTIONS[name], strategy=st.just(name))
    return keys.map(lambda tree: {**tree, "strategy": name})


def tasks() -> st.SearchStrategy[Any]:
    """Return names of tasks, and tasks of one's own."""
    labels = st.lists(WORDS, min_size=2, max_size=4, unique=True)
    own = st.fixed_dictionaries({"name": st.just("custom")}, optional={"labels": labels, "text": WORDS})
    return st.sampled_from(sorted(TASKS)) | own


def runs() -> st.SearchStrategy[dict[str, Any]]:
    """Return valid configurations of runs."""
    return st.fixed_dictionaries(
        {"seed": st.integers(0, 10**12)},
        optional={
            "name": NAMES,
            "threads": st.integers(0, 8),
            "cache": st.sampled_from(["auto", "disk", "off"]),
            "task": tasks(),
            "data": sections(DataConfig),
            "backbone": sections(BackboneConfig),
            "head": sections(HeadConfig),
            "prompt": sections(PromptConfig),
            "search": searches(),
            "training": sections(TrainingConfig),
        },
    ).filter(lambda tree: _is_valid(RunConfig, tree))


def as_yaml(tree: Any) -> bytes:
    """Write a tree as YAML."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


@st.composite
def yaml_cases(draw: st.DrawFn, trees: st.SearchStrategy[Any], name: str, closed: bool = True) -> Case:
    """Draw a YAML file of a valid tree, whole, with a value damaged, or with its text damaged.

    Args:
        draw: of hypothesis.
        trees: valid ones.
        name: of the file.
        closed: whether keys at the top that nobody knows must be refused.
    """
    tree = draw(trees)
    others = {} if name == RUN_FILE else {RUN_FILE: as_yaml({"task": "trec"})}
    kind = draw(st.sampled_from(["whole", "value", "value", "value", "text"]))
    if kind == "value":
        damaged = draw(damaged_trees(tree, closed))
        return Case({name: as_yaml(damaged.content), **others}, damaged.damage, damaged.expected)
    text = as_yaml(tree)
    if kind == "whole":
        return Case({name: text, **others}, expected="accepted")
    damaged = draw(damaged_bytes(text))
    return Case({name: damaged.content, **others}, damaged.damage)


def _is_mapping(path: Path) -> None:
    if not isinstance(read_yaml(path, "file"), dict):
        raise InputError("it is no mapping")


def _use_run(folder: Path) -> None:
    """Read a run's configuration, which must survive being written, as a file and as arguments."""
    config = load_config(folder / RUN_FILE)
    tree = config.model_dump(mode="json")
    (folder / "again.yml").write_bytes(as_yaml(tree))
    if load_config(folder / "again.yml") != config:
        raise AssertionError("it reads back as another configuration")
    flat = {f"training.{key}": value for key, value in tree["training"].items()}
    if parse_overrides(shlex.split(as_arguments(flat))) != flat:
        raise AssertionError("its arguments read back as others")
    if isinstance(config.search, SpaceOptions):
        search = config.search
        layers = 1 + max(search.k, *(search.candidates or (0,)))
        candidates = None if len(set(search.candidates or ())) < search.k else search.candidates
        budget = Budget(layers, search.k, search.exactly, candidates)
        drawn = budget.sample(RandomState(0))
        if (
            drawn not in budget
            or budget.neighbour(drawn, RandomState(0)) not in budget
            or not budget.num_subsets
        ):
            raise AssertionError("a subset is outside of its budget")


@st.composite
def arguments(draw: st.DrawFn) -> Case:
    """Draw arguments of a command, one a line: valid ones, or with their text damaged."""
    trained, shaped = draw(sections(TrainingConfig)), draw(sections(PromptConfig))
    keys = {f"training.{key}": value for key, value in trained.items()}
    keys |= {f"prompt.{key}": value for key, value in shaped.items()}
    lines = "\n".join(shlex.split(as_arguments({"seed": 1, **keys}))).encode()
    if draw(st.booleans()):
        return Case(
            {ARGUMENTS: lines}, expected="accepted" if shaped.get("place") != "template" else "either"
        )
    damaged = draw(damaged_bytes(lines))
    return Case({ARGUMENTS: damaged.content}, damaged.damage)


def _use_arguments(folder: Path) -> None:
    load_config(None, _parsed(folder))


def _parsed(folder: Path) -> dict[str, Any]:
    return parse_overrides((folder / ARGUMENTS).read_bytes().decode("utf-8", "surrogateescape").split("\n"))


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Draw valid search spaces of a study, over keys that every run has."""
    low, width = draw(st.floats(0.001, 0.1)), draw(st.floats(0.01, 0.5))
    first = draw(st.integers(1, 5))
    every = {
        "training.learning_rate": {"_type": "loguniform", "_value": [low, low + width]},
        "training.weight_decay": {"_type": "uniform", "_value": [0.0, width]},
        "training.epochs": {"_type": "randint", "_value": [first, first + draw(st.integers(1, 9))]},
        "prompt.length": {"_type": "choice", "_value": draw(st.lists(NUMBERS[int], min_size=1, max_size=4))},
        "training.warmup": {"_type": "quniform", "_value": [0.0, 0.5, 0.1]},
    }
    names = draw(st.lists(st.sampled_from(sorted(every)), min_size=1, unique=True))
    return {name: every[name] for name in names}


def studies() -> st.SearchStrategy[dict[str, Any]]:
    """Return valid configurations of studies."""
    return st.fixed_dictionaries(
        {"searchSpace": spaces()},
        optional={
            "trials": NUMBERS[int],
            "seed": NUMBERS[int],
            "sampler": st.sampled_from(["tpe", "random"]),
            "objectives": st.sampled_from(sorted(OBJECTIVES))
            .filter(lambda o: o != "dev_accuracy")
            .map(lambda o: [o]),
            "resources": sections(Resources),
            "run": st.fixed_dictionaries({"task": st.just("trec")}, optional={"seed": NUMBERS[int]}),
        },
    )


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    """Draw valid files of nnictl with a grid of choices."""
    strategies = draw(st.lists(st.sampled_from(sorted(set(OPTIONS) - {"manual"})), min_size=1, unique=True))
    space: dict[str, Any] = {
        "search.strategy": {"_type": "choice", "_value": strategies},
        "seed": {
            "_type": "choice",
            "_value": draw(st.lists(NUMBERS[int], min_size=1, max_size=3, unique=True)),
        },
    }
    if draw(st.booleans()):
        nested = {"_name": "sst2", "data.train_size": {"_type": "choice", "_value": [10, 20]}}
        space["task"] = {"_type": "choice", "_value": [nested, {"_name": "trec"}]}
    return {
        "experimentName": draw(NAMES),
        "trialCommand": "python3 -m experiments.trial --config run.yml",
        "searchSpace": space,
    }


@st.composite
def benches(draw: st.DrawFn) -> dict[str, Any]:
    """Draw valid files of `python -m benchmarks methods`."""
    rates = st.lists(NUMBERS[float], min_size=1, max_size=3)
    methods = {
        name: {"learning_rates": draw(rates)} for name in draw(st.lists(NAMES, min_size=1, max_size=3))
    }
    conditions = {"one": {"set": {"data.train_size": draw(NUMBERS[int])}}, "two": {}}
    return {
        "name": draw(NAMES),
        "config": "run.yml",
        "seeds": draw(st.lists(NUMBERS[int], min_size=1, max_size=3)),
        "conditions": conditions,
        "methods": methods,
    }


TARGETS = (
    Target(
        "configurations of runs",
        lambda: yaml_cases(runs(), RUN_FILE),
        lambda folder: _is_mapping(folder / RUN_FILE),
        _use_run,
        share=3,
    ),
    Target("arguments", arguments, _parsed, _use_arguments),
    Target(
        "studies and search spaces",
        lambda: yaml_cases(studies(), "tune.yml"),
        lambda folder: _is_mapping(folder / "tune.yml"),
        lambda folder: load_tune_config(folder / "tune.yml"),
    ),
    Target(
        "comparisons",
        lambda: yaml_cases(comparisons(), "compare.yml", closed=False),
        lambda folder: _is_mapping(folder / "compare.yml"),
        lambda folder: Experiment.load(folder / "compare.yml").cells(),
    ),
    Target(
        "benches of methods",
        lambda: yaml_cases(benches(), "bench.yml"),
        lambda folder: _is_mapping(folder / "bench.yml"),
        lambda folder: MethodBench.load(folder / "bench.yml"),
    ),
)
