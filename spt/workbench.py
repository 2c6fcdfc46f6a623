"""What a model is trained on: a task's encoded examples, a tokenizer, and a frozen backbone, all loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from spt.assets import local_backbone
from spt.backbones.base import Backbone
from spt.backbones.identity import BackboneIdentity
from spt.build import ModelFactory, load_backbone, load_tokenizer, new_factory
from spt.data.columns import class_names
from spt.data.config import DataConfig
from spt.data.encoded.batches import make_loader
from spt.data.encoded.cuts import cut_shares, cut_signs
from spt.data.encoded.encoding import encode
from spt.data.encoded.examples import Examples
from spt.data.loading import load_splits
from spt.data.reading.tables import Rows, to_tables
from spt.data.split_texts import SplitTexts
from spt.data.splitting.folds import deal, pooled
from spt.model import PromptedModel
from spt.prefix_cache import PrefixCache
from spt.process.devices import chosen_device
from spt.process.modes import Precision
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig, ModelSpec, check_head
from spt.tasks import Task, get_task
from spt.training.class_weights import class_weights
from spt.training.config import TrainingConfig, check_contrast
from spt.training.fit import Loader

SPLITS = ("train", "dev", "test")

log = logging.getLogger(__name__)


class Batches(NamedTuple):
    """Batches of a split, and the FLOPs that the hidden states they bring took.

    A run is charged the same whether the states were computed now or found in the cache.
    """

    loader: Loader
    flops: int


@dataclass(frozen=True)
class Workbench:
    """A task, its data, a tokenizer and a frozen backbone, with nothing chosen about layers yet.

    Every model made by `factory` shares the one backbone. Nothing is written but the prefix cache.

    Attributes:
        spec: how models are built, the labels of the data among it.
        tokenizer: of the backbone.
        backbone: frozen.
        examples: encoded rows of train, dev and test.
        training: batch sizes and precision of the batches, and the recipe of trainings.
        seed: of initial weights and of the order of batches.
        cache: of the hidden states below the first prompt.
        left_out: how many rows of each split that the data came in had no text or no label.
        folds: into which train and dev are dealt together to judge layers; None judges them by dev.
        test_texts: of the rows of test, for a report of mistakes.
    """

    spec: ModelSpec
    tokenizer: Any
    backbone: Backbone
    examples: Mapping[str, Examples]
    training: TrainingConfig
    seed: int
    cache: PrefixCache
    left_out: Mapping[str, int] = field(default_factory=dict)
    folds: int | None = None
    test_texts: SplitTexts | None = None

    @classmethod
    def load(
        cls,
        task: Task | str = "custom",
        *,
        rows: Mapping[str, Rows] | None = None,
        data: DataConfig | None = None,
        backbone: BackboneConfig | str = "minilm-l6",
        head: HeadConfig | None = None,
        prompt: PromptConfig | None = None,
        training: TrainingConfig | None = None,
        seed: int = 0,
        cache: PrefixCache | None = None,
        weights: bool = True,
    ) -> Workbench:
        """Load backbone and tokenizer, and read, split and encode the data.

        Args:
            task: columns, classes and metric, or a task's name.
            rows: 'train' and, where there are some, 'dev' and 'test', each a pandas DataFrame, a
                `datasets.Dataset`, a mapping of column names to lists, or (texts, labels) or (texts, pairs,
                labels) as lists; None: from where `data` says.
            data: the source, the sizes of the splits, and the longest input.
            backbone: options, or a name, a folder or a hub name alone.
            head: how classes are read off; a trained linear layer by default.
            prompt: shape of the prompts.
            training: batch sizes, precision and recipe.
            seed: of samples, initial weights and the order of batches, >= 0.
            cache: of hidden states; on disk where they fit by default.
            weights: False loads no weights of the backbone, on which sizes and operations do not depend.

        Raises:
            InputError: if data, backbone, head and prompt do not fit together.
        """
        head, training = head or HeadConfig(), training or TrainingConfig()
        task = get_task(task) if isinstance(task, str) else task
        check_head(head, task)
        check_contrast(training, head, task)
        data, cache = data or DataConfig(), cache or PrefixCache()
        splits = load_splits(task, data, seed, None if rows is None else to_tables(rows, task))
        labels = class_names(splits["train"])
        spec = ModelSpec(
            backbone=_from_everywhere(backbone),
            head=head,
            prompt=prompt or PromptConfig(),
            task=task.model_copy(update={"labels": labels}),
            max_length=data.max_length,
            windows=data.windows,
        )
        tokenizer = load_tokenizer(spec)
        loaded = load_backbone(spec, weights)
        factory = new_factory(spec, loaded, tokenizer, seed)
        factory.head()
        examples = {split: encode(splits[split], tokenizer, spec) for split in SPLITS}
        for rows_of_split in examples.values():
            cache.check_room(rows_of_split, loaded)
        texts = SplitTexts(splits["test"])
        workbench = cls(
            spec, tokenizer, loaded, examples, training, seed, cache, splits.left_out, data.folds, texts
        )
        # refuses weights of classes that are not there
        _ = workbench.class_weights
        for sign in workbench.cut_signs():
            log.warning("%s", sign)
        return workbench

    @cached_property
    def factory(self) -> ModelFactory:
        """Return what makes models over the backbone, freshly initialised by the seed."""
        return new_factory(self.spec, self.backbone, self.tokenizer, self.seed)

    @cached_property
    def backbone_identity(self) -> BackboneIdentity:
        """Take the digests of weights, config and tokenizer."""
        return BackboneIdentity.of(self.backbone, self.tokenizer)

    @cached_property
    def pool(self) -> Examples:
        """Return the rows of train and dev as one split."""
        return pooled(self.examples["train"], self.examples["dev"])

    @cached_property
    def fold_workbenches(self) -> list[Workbench]:
        """Return a workbench for each fold, whose dev the fold is and whose train are the others.

        Raises:
            InputError: if the rows cannot be dealt into so many folds.
        """
        if self.folds is None:
            return []
        folds = deal(self.pool, self.folds, self.spec.task.labels or ())
        return [replace(self, examples={**self.examples, **fold._asdict()}, folds=None) for fold in folds]

    def on_all_rows(self, epochs: int) -> Workbench:
        """Return a workbench that trains on train and dev together for some epochs, and has no dev."""
        examples = {"train": self.pool, "test": self.examples["test"]}
        training = self.training.model_copy(update={"epochs": max(1, epochs)})
        return replace(self, examples=examples, training=training, folds=None)

    @property
    def final(self) -> Workbench:
        """Return the workbench of the rows that kept layers train on: with folds those of train and dev."""
        return self if self.folds is None else self.on_all_rows(epochs=1)

    @property
    def num_layers(self) -> int:
        """L, the layers of the backbone."""
        return self.backbone.num_layers

    def cut_signs(self) -> list[str]:
        """Return one line that says how many texts lost their end and what to try, if any did."""
        limit = min(self.tokenizer.model_max_length, self.backbone.max_length)
        task = self.spec.task
        return cut_signs(cut_shares(self.examples), self.spec.max_length, limit, task.paired)

    @cached_property
    def class_weights(self) -> dict[str, float] | None:
        """Return the weight of each class in the loss; None where all rows weigh the same.

        Raises:
            InputError: for a weight of a class that no training row has.
        """
        labels = self.spec.task.labels or ()
        weights = class_weights(self.training.class_weights, self.spec.task, self.examples["train"].labels)
        return None if weights is None else dict(zip(labels, weights, strict=True))

    def texts_of_test(self, row: int) -> tuple[str, ...]:
        """Return the text of a row of test, or the two of a pair; none where the texts were not kept."""
        return () if self.test_texts is None else self.test_texts[row]

    def rows(self, split: str) -> int:
        """Count the rows of a split, of which one may have several windows."""
        return self.examples[split].num_rows

    def batches(
        self, split: str, model: PromptedModel, shuffled: bool = False, precision: Precision | None = None
    ) -> Batches:
        """Return batches of a split: shuffled by the seed to train on, in large batches to evaluate on.

        They bring the hidden states at the model's first prompt layer, where the cache has room for them. The
        model is moved to the chosen device.

        Args:
            split: train, dev or test.
            model: that will be trained or evaluated.
            shuffled: whether batches are of the training's size and in another order each epoch.
            precision: of the hidden states; the training's by default.
        """
        model.to(chosen_device())
        training = self.training
        examples, flops = self.cache.extend(
            self.examples[split],
            model,
            self.tokenizer,
            training.eval_batch_size,
            precision or training.precision,
        )
        size = training.batch_size if shuffled else training.eval_batch_size
        return Batches(make_loader(examples, self.tokenizer, size, self.seed if shuffled else None), flops)


def _from_everywhere(backbone: BackboneConfig | str) -> BackboneConfig:
    """Name a folder by its absolute path, so that what is trained on it finds it from other folders."""
    backbone = BackboneConfig(name=backbone) if isinstance(backbone, str) else backbone
    return backbone.model_copy(update={"name": local_backbone(backbone.name)})
