"""A workbench: loaded from options, files or Python objects, and the batches that it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from datasets import Dataset

from spt.architecture import PromptLayers
from spt.data.config import DataConfig
from spt.errors import InputError
from spt.prefix_cache import PrefixCache
from spt.tasks import Task
from spt.workbench import SPLITS, Workbench
from tests.support.tiny import BAD, FILLER, GOOD, make_backbone, tiny_workbench

TEXTS = ["lovely film", "awful plot", "superb", "dull", "great film", "poor plot"]
LABELS = ["good", "bad"] * 3
OTHERS = {"dev": (["fine", "terrible"], ["good", "bad"]), "test": (["the film"], ["good"])}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_backbone(tmp_path_factory.mktemp("workbench") / "backbone"))


def loaded(backbone: str, rows: Any, **options: Any) -> Workbench:
    data = DataConfig(max_length=32)
    return Workbench.load(rows=rows, backbone=backbone, data=data, cache=PrefixCache("off"), **options)


@pytest.mark.parametrize(
    "train",
    [
        {"text": TEXTS, "label": LABELS},
        {"text": pd.Series(TEXTS), "label": pd.Series(LABELS).to_numpy()},
        pd.DataFrame({"text": TEXTS, "label": LABELS}, index=range(100, 106)),
        Dataset.from_dict({"text": TEXTS, "label": LABELS}),
    ],
    ids=["columns", "series", "data frame", "dataset"],
)
def test_rows_of_every_kind_give_the_examples_of_lists(train: Any, backbone: str) -> None:
    bench = loaded(backbone, {"train": train, **OTHERS})
    assert bench.spec.task.labels == ("bad", "good")
    assert [bench.rows(split) for split in ("train", "dev", "test")] == [6, 2, 1]
    assert [example["label"] for example in bench.examples["train"]] == [1, 0] * 3
    same = loaded(backbone, {"train": (TEXTS, LABELS), **OTHERS})
    assert {split: list(bench.examples[split]) for split in SPLITS} == {
        split: list(same.examples[split]) for split in SPLITS
    }


def test_missing_splits_are_held_out_of_train(backbone: str) -> None:
    texts = [f"{word} {filler}" for word in (*GOOD, *BAD) for filler in FILLER]
    labels = ["good"] * len(GOOD) * len(FILLER) + ["bad"] * len(BAD) * len(FILLER)
    bench = loaded(backbone, {"train": (texts, labels)})
    assert [bench.rows(split) for split in ("train", "dev", "test")] == [72, 8, 8]


def test_pairs_are_read_from_three_lists(backbone: str) -> None:
    rows = {
        "train": (TEXTS, TEXTS[::-1], LABELS),
        "dev": (["fine"], ["the film"], ["good"]),
        "test": (["dull"], ["the plot"], ["bad"]),
    }
    bench = loaded(backbone, rows, task=Task(name="custom", text_pair="second"))
    ids = bench.tokenizer.convert_tokens_to_ids(["fine", "the", "film"])
    assert bench.examples["dev"][0]["input_ids"] == ids


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"dev": (TEXTS, LABELS)}, "given for dev, but must be for train"),
        ({"train": (TEXTS, LABELS), "other": (TEXTS, LABELS)}, "given for train, other"),
        ({"train": TEXTS}, r"rows of train are list, but must be .* \(text, label\)"),
        ({"train": (TEXTS, LABELS[:-1])}, "must have as many rows each, but have: text 6, label 5"),
        ({"train": ("one text", LABELS)}, "column is the text 'one text'"),
        ({"train": {"texts": TEXTS, "label": LABELS}}, "Unknown column 'text'"),
    ],
)
def test_other_rows_are_refused(rows: Any, message: str, backbone: str) -> None:
    with pytest.raises(InputError, match=message):
        loaded(backbone, rows)


def test_batches_to_train_on_are_shuffled_and_those_to_evaluate_on_are_large(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, training={"eval_batch_size": 7})
    model = bench.factory.model(PromptLayers.of([1], bench.num_layers))
    train, dev = bench.batches("train", model, shuffled=True), bench.batches("dev", model)
    assert [len(batch["labels"]) for batch in train.loader] == [8] * 15
    assert [len(batch["labels"]) for batch in dev.loader] == [7, 7, 6]
    orders = []
    for epoch in (0, 1, 0):
        train.loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        orders.append(torch.cat([batch["rows"] for batch in train.loader]).tolist())
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == list(range(120))


def test_a_cached_prefix_says_what_it_cost_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    bench = tiny_workbench(tmp_path, cache="disk")
    model = bench.factory.model(PromptLayers.of([2], bench.num_layers))
    first, second = bench.batches("dev", model), bench.batches("dev", model)
    assert first.flops == second.flops > 0
    assert tiny_workbench(tmp_path).batches("dev", model).flops == 0


def test_models_share_the_one_backbone(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path)
    models = [bench.factory.model(PromptLayers.of([layer], bench.num_layers)) for layer in range(4)]
    assert {id(model.backbone) for model in models} == {id(bench.backbone)}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"max_length": 64}}, r"data\.max_length is 64, but .* reads at most 32 tokens"),
        ({"backbone": {"name": "./nowhere"}}, "nowhere"),
        ({"head": {"kind": "text_to_text"}}, "is no encoder-decoder"),
        ({"task": {"label": "stars"}}, "Unknown column 'stars'"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    sections: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        tiny_workbench(tmp_path, **sections)
