"""What a run would be refused for by its head, prompt, template or lengths, asked without a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from experiments.checking.asked_layers import asked_layers
from experiments.config import RunConfig
from experiments.run.data_report import DataReport, taken_warnings
from spt.architecture import PromptLayers
from spt.backbones.registry import load_skeleton
from spt.build import load_tokenizer, new_factory
from spt.data.encoded.encoding import encode_texts
from spt.problems import Problems
from spt.spec import ModelSpec

# texts of each split that are encoded: windows of many long ones would take longer than a check may
SAMPLE = 500


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
    with problems.collecting():
        layers += asked_layers(config, backbone.num_layers)
    for each in layers:
        with problems.collecting(), torch.device("meta"):
            factory.model(each)
    return problems.texts


def text_problems(config: RunConfig, data: DataReport, limit: int | None) -> Sequence[str]:
    """Return what keeps the texts of a run's data from being read, by a sample of each split.

    Args:
        config: of the run, whose backbone is here.
        data: of the run.
        limit: as of `model_problems`.
    """
    problems, spec = Problems("the texts"), _spec(config, limit)
    tokenizer: Any = None
    with Problems("the tokenizer").collecting():
        tokenizer = load_tokenizer(spec)
    for split in data.splits.values() if tokenizer is not None else ():
        texts = list(zip(*split.texts[:: max(1, len(split.texts) // SAMPLE)], strict=True))
        if texts:
            firsts, seconds = texts[0], texts[1] if len(texts) > 1 else None
            with problems.collecting(), taken_warnings():
                encode_texts(
                    firsts, seconds, tokenizer, spec.task, spec.max_length, spec.verbalizes, spec.windows
                )
    return problems.texts


def _spec(config: RunConfig, limit: int | None) -> ModelSpec:
    longest = config.data.max_length
    return config.spec.model_copy(update={"max_length": min(longest, limit or longest)})
