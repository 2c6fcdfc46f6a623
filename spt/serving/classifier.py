"""A trained prompt as users have it: saved small, loaded over its backbone, asked for labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spt.answers.calibration import expected_calibration_error
from spt.answers.decisions import score_answers
from spt.answers.selective import answered
from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.backbones.identity import BackboneIdentity
from spt.build import load_backbone, load_tokenizer, new_factory
from spt.data.encoded.batches import make_loader
from spt.data.encoded.encoding import encode_texts
from spt.data.labels.class_numbers import class_numbers
from spt.data.labels.indicators import indicated_classes, indicated_labels
from spt.data.labels.label_lists import clean_label_lists, refuse_unclear_lists
from spt.data.labels.label_sets import multi_hot
from spt.data.values import as_list, clean_labels, rows_shown, some
from spt.errors import InputError
from spt.evaluation import probabilities
from spt.hub.download import prompt_folder
from spt.hub.model_card import write_model_card
from spt.hub.upload import check_hub_name, upload, warn_of_local_backbone
from spt.model import PromptedModel, trained
from spt.process.devices import device_of_machine
from spt.serving.pipeline import BATCH_SIZE, NOT_GIVEN, TextClassificationPipeline, refuse_options
from spt.serving.predictions import Answer, check_finite, check_threshold, predictions
from spt.serving.saved_prompt import SavedPrompt
from spt.spec import ModelSpec
from spt.storage.files import expanded


@dataclass(frozen=True)
class PromptClassifier:
    """Label texts by a trained prompt over its backbone.

    Attributes:
        model: backbone, prompts and head.
        tokenizer: of the backbone.
        spec: how the model was built.
        architecture: the layers with prompts.
        card: Markdown of the model card, which is saved and sent to the hub with it; None for none.
    """

    model: PromptedModel
    tokenizer: Any
    spec: ModelSpec
    architecture: PromptLayers
    card: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of `predict_proba`'s columns."""
        return self.spec.task.labels or ()

    def predict(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        batch_size: int = BATCH_SIZE,
        threshold: float | None = None,
    ) -> list[Answer]:
        """Answer each text (with its pair, where the task has pairs), in order: by its likeliest label.

        Where a text may have several labels, by all whose probabilities reach their thresholds.

        Args:
            texts: a list, an array or a Series; one text alone gets a list of one prediction.
            pairs: the second texts, where the task has pairs.
            batch_size: texts that are read together.
            threshold: least probability of an answer, in [0, 1]: a text below it gets the label None. The
                prompt's own by default; 0 answers every text. Where a text may have several labels, of each
                label, in the place of those that dev chose.

        Raises:
            InputError: naming the rows, for what is no text; if the task needs pairs and there are none,
                or the other way round; or for a threshold out of range.
        """
        check_threshold(threshold)
        return predictions(self.spec, self.predict_proba(texts, pairs, batch_size), threshold)

    def predict_proba(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, batch_size: int = BATCH_SIZE
    ) -> NDArray[Any]:
        """Return the calibrated probabilities of each text, [N, C], classes in the order of `labels`.

        Args:
            texts: as `predict` takes them.
            pairs: the second texts, where the task has pairs.
            batch_size: texts that are read together.

        Raises:
            InputError: as `predict`, or where probabilities are not finite.
        """
        texts = as_list(texts, "The list of texts")
        if not texts:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        examples = encode_texts(texts, pairs, self.tokenizer, self.spec)
        loader = make_loader(examples, self.tokenizer, batch_size)
        chances, _ = probabilities(self.model, loader, self.spec.task)
        calibrated = self.spec.answers.calibrated(chances)
        check_finite(calibrated, range(len(texts)))
        return calibrated

    def evaluate(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        pairs: Sequence[str] | None = None,
        batch_size: int = BATCH_SIZE,
        threshold: float | None = None,
    ) -> dict[str, Any]:
        """Score the answers to labelled texts, by the names that metrics.json has.

        Args:
            texts: as `predict` takes them.
            labels: the name of each text's class, or a list of names where the task has several labels a
                text, or an array [N, C] or a DataFrame of 0 and 1 with a column for each class, in the order
                of `labels` or by their names. Whole numbers are read as names or, where no name has a number
                of its own, as positions in `labels`, as a run reads them.
            pairs: the second texts, where the task has pairs.
            batch_size: texts that are read together.
            threshold: as of `predict`.

        Returns:
            `metric`, the name of the task's metric; `test_metric`, its value; `test_accuracy`, `test_f1` and
            what else the metric reports, in fractions; `test_size`, the number of rows. Where a text has one
            label these are of the likeliest classes of all rows, `test_calibration_error` stands beside them,
            and where there is a threshold, `test_coverage` is the share of rows that reach it, and
            `test_answered_accuracy` their accuracy, None without any.

        Raises:
            InputError: as `predict`; or for no rows, another number of labels than of texts, labels that the
                prompt was not trained on, with their rows, another number of columns than of classes, or
                lists that may be 0 and 1 for each class.
        """
        texts = as_list(texts, "The list of texts")
        classes = self.classes(labels, len(texts))
        check_threshold(threshold)
        return self.scores(classes, self.predict_proba(texts, pairs, batch_size), threshold)

    def scores(
        self, classes: NDArray[Any], chances: NDArray[Any], threshold: float | None = None
    ) -> dict[str, Any]:
        """Score probabilities [N, C] that `predict_proba` gave by what `classes` gave, as `evaluate` does."""
        task, rule = self.spec.task, self.spec.answers
        limits = rule.thresholds if threshold is None else [threshold] * len(self.labels)
        scores: dict[str, Any] = {**score_answers(task, classes, chances, limits)}
        if not task.multi_label:
            scores["calibration_error"] = expected_calibration_error(chances, classes)
            least = rule.threshold if threshold is None else threshold
            if least is not None:
                rows = answered(chances, classes, least)
                scores |= {"coverage": rows.coverage, "answered_accuracy": rows.accuracy}
        prefixed = {f"test_{name}": value for name, value in scores.items()}
        return {"metric": task.metric, **prefixed, "test_size": len(classes)}

    def classes(self, labels: Sequence[Any], rows: int, numbers: Sequence[int] | None = None) -> NDArray[Any]:
        """Return the class of each row [N], or 1 for its classes [N, C] where a text may have several.

        Args:
            labels: as `evaluate` takes them.
            rows: how many there must be.
            numbers: of the rows for errors, from 0, where some were left out; None: all, in order.

        Raises:
            InputError: as `evaluate`, for labels.
        """
        where, several = "The list of labels", self.spec.task.multi_label
        indicated = indicated_classes(labels, self.spec.task, "the texts", self.labels)
        if indicated is not None:
            given = indicated_labels(labels, indicated, self.spec.task, "the texts")
            names = clean_label_lists(given, where, numbers)
        elif several:
            given = as_list(labels, where)
            refuse_unclear_lists(given, len(self.labels), where)
            names = clean_label_lists(given, where, numbers)
        else:
            names = [[name] for name in clean_labels(as_list(labels, where), where, numbers)]
        if len(names) != rows or not rows:
            raise InputError(
                f"Got {rows} texts and {len(names)} labels, but as many of both are needed, at least one."
            )
        index = class_numbers(self.labels)
        if unknown := [row for row, each in enumerate(names) if any(name not in index for name in each)]:
            foreign = some(
                dict.fromkeys(repr(name) for row in unknown for name in names[row] if name not in index)
            )
            shown = unknown if numbers is None else [numbers[row] for row in unknown]
            raise InputError(
                f"The prompt was not trained on the label {foreign} ({rows_shown(shown)}). "
                f"Its labels: {', '.join(self.labels)}. Mend or remove these rows."
            )
        classes = [[index[name] for name in each] for each in names]
        return multi_hot(classes, len(self.labels)) if several else np.array(classes, dtype=np.int64)[:, 0]

    def pipeline(
        self, *, top_k: int | None = NOT_GIVEN, batch_size: int = BATCH_SIZE, **others: Any
    ) -> TextClassificationPipeline:
        """Return what is called as a text-classification pipeline of transformers, and answers in its form.

        Args:
            top_k: labels a text, likeliest first; None for all.
            batch_size: texts that are read together.
            others: of transformers' pipeline; each is refused.

        Raises:
            InputError: for an option that is not taken, or out of range.
        """
        refuse_options(others)
        paired = self.spec.task.paired
        return TextClassificationPipeline(self.predict_proba, self.labels, paired, top_k, batch_size)

    def to(self, device: str | torch.device) -> PromptClassifier:
        """Move the model to a device, and return this classifier.

        Args:
            device: auto, cpu, cuda, cuda:1 or mps, or as torch has it.

        Raises:
            InputError: for another name, or a device that this machine has not.
        """
        self.model.to(device_of_machine(device))
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write prompt.safetensors, prompt.json and the card, if any; the backbone stays a reference.

        They are there all or not at all, in the place of those of a prompt that is there; other files stay.

        Raises:
            InputError: if it is no path, or there is something else than a saved prompt or an empty folder.
        """
        path = expanded(folder)
        self.saved.write(path)

    @property
    def saved(self) -> SavedPrompt:
        """Return what `save_pretrained` writes."""
        weights = {name: p.detach().cpu().contiguous() for name, p in trained(self.model)}
        backbone = BackboneIdentity.of(self.model.backbone, self.tokenizer)
        return SavedPrompt(self.spec, self.architecture, backbone, weights, self.card)

    def push_to_hub(
        self,
        name: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        message: str | None = None,
    ) -> str:
        """Send the saved prompt and its card to a repository of the Hugging Face hub, in one commit.

        A prompt that was loaded without a card gets one without scores. The backbone is not sent.

        Args:
            name: owner/name; made where it is not there.
            private: whether a new repository is; None for what its owner set as the default.
            revision: branch, made where it is not there; None for the main one.
            message: of the commit.

        Returns:
            The commit, by which `from_pretrained(name, revision=...)` loads just this.

        Raises:
            InputError: for a name that no repository can have, or where the hub refuses or cannot be reached.
        """
        check_hub_name(name)
        warn_of_local_backbone(self.spec.backbone.name)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            if self.card is None:
                write_model_card(Path(folder))
            return upload(Path(folder), name, private, revision, message)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        backbone: Backbone | None = None,
        tokenizer: Any | None = None,
        *,
        revision: str | None = None,
    ) -> PromptClassifier:
        """Read what `save_pretrained` wrote, or `push_to_hub` sent.

        Args:
            folder: that holds the prompt, or owner/name of the hub as text; a folder wins.
            backbone: loaded already; None loads the one that the prompt refers to.
            tokenizer: of that backbone, loaded already; None loads it.
            revision: commit, tag or branch of the hub; None for its main branch.

        Raises:
            InputError: if the folder is not a saved prompt, is damaged or of a newer format, if the hub does
                not have it or cannot be asked, or if the backbone is not to be had or not the one that the
                prompt was trained on: of other weights, with another config or another tokenizer.
        """
        folder = prompt_folder(folder, revision)
        return cls.of(SavedPrompt.read(folder), folder, backbone, tokenizer)

    @classmethod
    def of(
        cls, saved: SavedPrompt, folder: Path, backbone: Backbone | None = None, tokenizer: Any | None = None
    ) -> PromptClassifier:
        """Return the classifier of a saved prompt that was read from a folder.

        Args:
            saved: what was read.
            folder: that errors name.
            backbone: as of `from_pretrained`.
            tokenizer: likewise.

        Raises:
            InputError: if the backbone is not to be had or not the one that the prompt was trained on.
        """
        by_name = backbone is None
        try:
            tokenizer = tokenizer or load_tokenizer(saved.spec)
            backbone = backbone or load_backbone(saved.spec)
        except InputError as error:
            raise InputError(
                f"The prompt in '{folder}' was trained on the backbone '{saved.spec.backbone.name}'. {error}"
            ) from error
        saved.check_backbone(BackboneIdentity.of(backbone, tokenizer), folder, by_name)
        saved.check_sizes(backbone)
        model = new_factory(saved.spec, backbone, tokenizer, seed=0).model(saved.architecture)
        saved.load_into(model)
        model.eval()
        return cls(model, tokenizer, saved.spec, saved.architecture, saved.card)
