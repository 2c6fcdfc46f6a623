"""`python -m benchmarks search-cost`: what whole runs cost, in units of one peft PromptTuning training.

A training of peft's own model, a search with its retraining, and a training of two late layers: the same
data, epochs, batches and loop, in turn in one process. FLOPs are counted over whole trainings, dev scores
included; seconds are medians of whole runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from peft import PromptTuningConfig, TaskType, get_peft_model

from benchmarks import CHECKOUT
from benchmarks.baselines.models import TunedBackbone
from benchmarks.cost.measure import interleaved_seconds
from benchmarks.record import command_of, write_result
from experiments.config import RunConfig, load_config
from experiments.keys import parse_overrides
from experiments.pipeline import run
from experiments.run.training import load_workbench
from experiments.without_search import config_without_search
from spt.backbones.base import Backbone
from spt.evaluation import evaluate
from spt.heads import Output
from spt.prefix_cache import PrefixCache
from spt.process.devices import use_threads
from spt.prompts.state import EMPTY
from spt.start import Start
from spt.training.fit import fit
from spt.workbench import SPLITS

TREC_CONFIG = CHECKOUT / "experiments" / "configs" / "trec.yml"
UNIT = "peft_prompt_tuning"
LATE = (3, 5)
Trained = dict[str, Any]


class PeftPromptTuning(TunedBackbone):
    """peft's PromptTuning model with the project's head, dropout on as peft leaves it.

    Args:
        backbone: whose transformer peft wraps; no other model may use it.
        head: reads the last hidden states of the tokens.
        length: P.
    """

    def __init__(self, backbone: Backbone, head: Any, length: int) -> None:
        super().__init__(backbone, head)
        config = PromptTuningConfig(task_type=TaskType.FEATURE_EXTRACTION, num_virtual_tokens=length)
        self.length = length
        self.wrapped = get_peft_model(backbone.transformer, config)

    def forward(self, batch: Mapping[str, Any], start: Start | None = None) -> Output:
        """Return the head's output, as PromptedModel.forward."""
        hidden = self.wrapped(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        output: Output = self.head(hidden.last_hidden_state[:, self.length :], batch, EMPTY)
        return output


def config_of(seed: int, overrides: list[str]) -> RunConfig:
    """Return the configuration of a run on TREC."""
    return load_config(TREC_CONFIG, {"seed": seed, **parse_overrides(overrides)})


def overrides_of(train_size: int, epochs: int) -> list[str]:
    """Return what all runs have in common: no early stop, one thread, nothing that is not of the method."""
    return [
        f"data.train_size={train_size}",
        "data.dev_size=500",
        f"training.epochs={epochs}",
        f"training.patience={epochs}",
        f"search.epochs={epochs}",
        "threads=1",
        "baselines=false",
    ]


def peft_training(config: RunConfig, folder: Path) -> Trained:
    """Train peft's model on the project's data, by its loop and scores."""
    use_threads(config.threads)
    workbench = load_workbench(config)
    task = workbench.spec.task
    model = PeftPromptTuning(workbench.backbone, workbench.factory.head(), config.prompt.length).train()
    train, dev, test = (workbench.batches(split, model, split == "train").loader for split in SPLITS)
    folder.mkdir(parents=True, exist_ok=True)
    result = fit(model, train, dev, task, config.training, config.seed, folder / "train")
    scores = evaluate(model, test, task)
    return {
        "total_flops": result.flops,
        "metric": config.task.metric,
        "dev_metric": result.dev,
        "test_metric": scores["metric"],
        "layers": [],
    }


def spt_training(config: RunConfig, folder: Path) -> Trained:
    """Run a configuration, its search among it, with hidden states that nothing before has cached."""
    cache = PrefixCache("disk", folder.with_name("prefixes"))
    metrics = run(config, folder, workbench=replace(load_workbench(config), cache=cache)).as_json()
    return {key: metrics[key] for key in ("total_flops", "metric", "dev_metric", "test_metric", "layers")}


def measure_search_cost(train_size: int, epochs: int, repeats: int, seed: int, result: str) -> Path:
    """Measure and write benchmarks/results/<result>.json.

    Args:
        train_size: questions of the embedded TREC to train on.
        epochs: of the search, of the retraining, and of the others.
        repeats: timed runs of each, after one that warms up.
        seed: of all runs.
        result: name of the file.

    Returns:
        The JSON file.
    """
    overrides = overrides_of(train_size, epochs)
    late = ["search.strategy=manual", f"search.manual_layers={list(LATE)}"]
    searched = config_of(seed, overrides)
    trainings: dict[str, Callable[[Path], Trained]] = {
        UNIT: partial(peft_training, config_without_search(searched, "input_prompt")),
        "spt_darts": partial(spt_training, searched),
        "late_two": partial(spt_training, config_of(seed, [*overrides, *late])),
    }
    trained: dict[str, Trained] = {}

    def fresh(name: str) -> None:
        """Train in a new folder, with nothing cached before it."""
        with tempfile.TemporaryDirectory() as folder:
            trained[name] = trainings[name](Path(folder) / "run")

    seconds = interleaved_seconds({name: partial(fresh, name) for name in trainings}, repeats)
    unit = trained[UNIT]["total_flops"]
    records = [
        {
            "name": name,
            **figures,
            "total_seconds": seconds[name],
            "ratio_flops": figures["total_flops"] / unit,
            "ratio_time": seconds[name] / seconds[UNIT],
        }
        for name, figures in trained.items()
    ]
    search = next(record for record in records if record["name"] == "spt_darts")
    ratios = {"flops": search["ratio_flops"], "seconds": search["ratio_time"]}
    settings = parse_overrides(overrides)
    given = {"--train-size": train_size, "--epochs": epochs, "--repeats": repeats, "--seed": seed}
    command = command_of("search-cost", *chain.from_iterable(given.items()), result=result)
    return write_result(result, command, records, ratios=ratios, unit=UNIT, settings=settings)
