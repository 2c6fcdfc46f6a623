"""What a run would be refused for by its head, prompt, template or lengths, asked without a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from experiments.checking.asked_layers import asked_layers
from experiments.checking.backbone_files import BackboneFiles
from experiments.config import RunConfig
from experiments.run.data_report import DataReport, taken_warnings
from spt.architecture import PromptLayers
from spt.backbones.registry import load_skeleton
from spt.build import ModelFactory, load_tokenizer, new_factory
from spt.data.encoded.encoding import encode_texts, text_lengths
from spt.problems import Problems
from spt.spec import ModelSpec
from strategies.budgets import budget_before_scores, check_exhaustive, with_parameter_limit
from strategies.options import SpaceOptions, StrategyOptions

# texts of each split that are encoded: windows of many long ones would take longer than a check may
ENCODED = 500
# texts of each split whose tokens are counted, which takes less
COUNTED = 5000


class CheckedTexts(NamedTuple):
    """Hold what keeps texts from being read, and the tokens of each text that was counted, by split."""

    problems: Sequence[str]
    lengths: dict[str, list[int]]


def model_problems(config: RunConfig, limit: int | None) -> Sequence[str]:
    """Return what is wrong with a run's model, all at once, by the functions of the run itself.

    Args:
        config: of the run, whose backbone is here.
        limit: tokens that the backbone reads, where a longer data.max_length is among the problems already.
    """
    # a start at words would read vectors, and the classes of the data are as good as any two
    task = config.task.model_copy(update={"labels": config.task.labels or ("a", "b")})
    prompt = config.prompt.model_copy(update={"init": "random"})
    spec = _spec(config, limit).model_copy(update={"task": task, "prompt": prompt})
    problems = Problems("the model")
    tokenizer = factory = None
    with problems.collecting():
        tokenizer = load_tokenizer(spec)
    with problems.collecting(), torch.device("meta"):
        backbone = load_skeleton(spec.backbone.name, spec.verbalizes, spec.backbone.revision)
        if tokenizer is not None:
            factory = new_factory(spec, backbone, tokenizer, config.seed)
    if factory is None:
        return problems.texts
    with problems.collecting(), torch.device("meta"):
        factory.head()
    layers = [PromptLayers.of([0], backbone.num_layers)]
    with problems.collecting(), torch.device("meta"):
        layers += asked_layers(config, backbone.num_layers)
        _check_space(config.search, factory)
    for each in layers:
        with problems.collecting(), torch.device("meta"):
            factory.model(each)
    return problems.texts


def _check_space(options: StrategyOptions, factory: ModelFactory) -> None:
    """Refuse a space without subsets within search.most_parameters, or too large to try all of it."""
    if not isinstance(options, SpaceOptions):
        return
    budget = budget_before_scores(factory.backbone.num_layers, options)
    check_exhaustive(with_parameter_limit(budget, options, factory.parameters), options)


def check_texts(config: RunConfig, data: DataReport, files: BackboneFiles) -> CheckedTexts:
    """Read a sample of the texts of each split as the run would; nothing is known without a tokenizer.

    Args:
        config: of the run.
        data: of the run.
        files: of its backbone; whatever is missing is not downloaded.
    """
    problems, spec = Problems("the texts"), _spec(config, files.limit)
    here = spec.model_copy(update={"backbone": spec.backbone.model_copy(update={"name": str(files.folder)})})
    lengths: dict[str, list[int]] = {}
    tokenizer: Any = None
    with Problems("the tokenizer").collecting():
        tokenizer = load_tokenizer(here)
    for name, split in data.splits.items() if tokenizer is not None else ():
        if not split.texts:
            continue
        with problems.collecting(), taken_warnings():
            counted, encoded = (_columns(split.texts, number) for number in (COUNTED, ENCODED))
            lengths[name] = text_lengths(*counted, tokenizer, spec)
            encode_texts(*encoded, tokenizer, spec)
    return CheckedTexts(problems.texts, lengths)


def _columns(rows: Sequence[tuple[str, ...]], number: int) -> tuple[Sequence[str], Sequence[str] | None]:
    """Return the texts, and the second ones where there are some, of an even sample of many rows."""
    first, *second = zip(*rows[:: max(1, len(rows) // number)], strict=True)
    return first, second[0] if second else None


def _spec(config: RunConfig, limit: int | None) -> ModelSpec:
    longest = config.data.max_length
    return config.spec.model_copy(update={"max_length": min(longest, limit or longest)})
