"""Many prompts over one backbone: a batch may mix tasks, each row with its own prompt, layers and head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from spt.backbones.identity import BackboneIdentity
from spt.data.batches import make_loader, to_device
from spt.data.encoding import encode_texts
from spt.data.examples import Examples
from spt.data.values import as_list, clean_texts, rows_shown
from spt.decisions import class_probabilities
from spt.errors import InputError, unknown
from spt.evaluation import evaluation_mode
from spt.heads import Output
from spt.layer_loop import run_layers
from spt.prompts.state import PromptState
from spt.serving.classifier import PromptClassifier
from spt.serving.mixed_choice import MixedChoice, TaskChoice, rows_prompt
from spt.serving.predictions import Answer, check_threshold, predictions
from spt.start import Start


@dataclass(frozen=True)
class Request:
    """Ask for the label of a text (and its pair, where the task has pairs) by one task's prompt."""

    task: str
    text: str
    text_pair: str | None = None


class PromptServer:
    """Label texts of several tasks by one forward pass of a shared backbone.

    Args:
        classifiers: by the name that requests use. All must hold the same backbone; the first one's is kept.

    Raises:
        InputError: if there is none, their backbones differ, or a prompt stands among the words.

    Source: mixed-task batches as in Prompt Tuning (arXiv 2104.08691, section 1), for prompts at any layers.
    """

    def __init__(self, classifiers: Mapping[str, PromptClassifier]) -> None:
        if not classifiers:
            raise InputError("A prompt server needs at least one saved prompt.")
        self.classifiers = dict(classifiers)
        first = next(iter(self.classifiers.values()))
        self.backbone, self.tokenizer = first.model.backbone, first.tokenizer
        models = {name: classifier.model for name, classifier in self.classifiers.items()}
        if in_templates := [name for name, model in models.items() if model.template_prompt is not None]:
            raise InputError(
                f"The prompts {', '.join(in_templates)} stand among the words of their templates and cannot "
                "share a batch with others. Ask PromptClassifier for their labels."
            )
        for name, classifier in self.classifiers.items():
            self._check_backbone(name, classifier)

    def _check_backbone(self, name: str, classifier: PromptClassifier) -> None:
        """Refuse a classifier over another backbone than the server's."""
        if classifier.model.backbone is self.backbone and classifier.tokenizer is self.tokenizer:
            return
        ours = BackboneIdentity.of(self.backbone, self.tokenizer)
        if changes := ours.changes(BackboneIdentity.of(classifier.model.backbone, classifier.tokenizer)):
            raise InputError(
                f"The prompt {name} was trained on another backbone than '{next(iter(self.classifiers))}'. "
                f"Different: {', '.join(changes)}. Serve prompts of one backbone together."
            )

    @classmethod
    def from_pretrained(cls, folders: Mapping[str, str | Path]) -> PromptServer:
        """Read saved prompts by name, over one backbone and one tokenizer.

        Raises:
            InputError: as `PromptClassifier.from_pretrained`.
        """
        classifiers: dict[str, PromptClassifier] = {}
        backbone = tokenizer = None
        for name, folder in folders.items():
            classifiers[name] = PromptClassifier.from_pretrained(folder, backbone, tokenizer)
            backbone, tokenizer = classifiers[name].model.backbone, classifiers[name].tokenizer
        return cls(classifiers)

    @torch.inference_mode()
    def predict(
        self, requests: Sequence[Request], batch_size: int = 128, threshold: float | None = None
    ) -> list[Answer]:
        """Answer each request, in order: by its likeliest label, or, in tasks of several, by its labels.

        Args:
            requests: of any tasks of this server.
            batch_size: texts that are read together.
            threshold: least probability of an answer, as of `PromptClassifier.predict`; each prompt's own by
                default.

        Raises:
            InputError: naming the rows, for what is no request or no text; if a request names no task of this
                server, or does not fit its task; or for a threshold out of range.
        """
        check_threshold(threshold)
        requests = as_list(requests, "The list of requests")
        if wrong := [row for row, request in enumerate(requests) if not isinstance(request, Request)]:
            raise InputError(
                f"The list of requests holds something else in {rows_shown(wrong)}. "
                "Give a Request(task, text) for each answer."
            )
        if not requests:
            return []
        windows: list[list[NDArray[Any]]] = [[] for _ in requests]
        with evaluation_mode(*(classifier.model for classifier in self.classifiers.values())):
            for batch in self._loader(requests, batch_size):
                tasks = [requests[row].task for row in batch["rows"].tolist()]
                for row, chances in self._probabilities(to_device(batch, self.backbone.device), tasks):
                    windows[row].append(chances)
        return [
            self._prediction(request.task, np.mean(chances, 0), threshold)
            for request, chances in zip(requests, windows, strict=True)
        ]

    def _prediction(self, name: str, probabilities: NDArray[Any], threshold: float | None) -> Answer:
        """Return a task's answer by the class probabilities [C] of a text."""
        spec = self.classifiers[name].spec
        (prediction,) = predictions(spec, spec.answers.calibrated(probabilities[None]), threshold)
        return prediction

    def _loader(self, requests: Sequence[Request], batch_size: int) -> DataLoader[Any]:
        parts: list[Examples] = []
        for name in dict.fromkeys(request.task for request in requests):
            if name not in self.classifiers:
                raise unknown("task of the server", str(name), self.classifiers)
            rows = [row for row, request in enumerate(requests) if request.task == name]
            parts.append(self._encode(name, [requests[row] for row in rows], rows))
        return make_loader(Examples.concatenated(parts), self.tokenizer, batch_size)

    def _encode(self, name: str, requests: Sequence[Request], rows: Sequence[int]) -> Examples:
        spec = self.classifiers[name].spec
        texts = clean_texts([request.text for request in requests], "The list of requests' texts", rows)
        paired = [number for number, request in enumerate(requests) if request.text_pair is not None]
        pairs = clean_texts(
            [requests[number].text_pair for number in paired],
            "The list of requests' second texts",
            [rows[number] for number in paired],
        )
        encoded = encode_texts(
            texts, pairs or None, self.tokenizer, spec.task, spec.max_length, spec.verbalizes, spec.windows
        )
        return replace(encoded, rows=np.array(rows, dtype=np.int64)[encoded.rows])

    def _probabilities(
        self, batch: Mapping[str, Any], tasks: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the number of the request that each example of a batch is of, and its class probabilities."""
        rows_of = {
            name: torch.tensor([row for row, task in enumerate(tasks) if task == name])
            for name in dict.fromkeys(tasks)
        }
        prompt, hidden = self._run_layers(batch, rows_of)
        hidden = self.backbone.finish(hidden)
        for name, rows in rows_of.items():
            classifier = self.classifiers[name]
            task_batch = {field: value[rows] for field, value in batch.items()}
            output: Output = classifier.model.head(hidden[rows], task_batch, rows_prompt(prompt, rows))
            probabilities = class_probabilities(output.logits, classifier.spec.task).cpu().numpy()
            yield from zip(task_batch["rows"].tolist(), probabilities, strict=True)

    def _run_layers(
        self, batch: Mapping[str, Any], rows_of: Mapping[str, Tensor]
    ) -> tuple[PromptState, Tensor]:
        """Run all layers on a batch of several tasks, whose rows [N] are given by name."""
        models = [(self.classifiers[name].model, rows) for name, rows in rows_of.items()]
        choices = [
            MixedChoice([TaskChoice(model.choices[layer], rows) for model, rows in models])
            for layer in range(self.backbone.num_layers)
        ]
        mask = batch["attention_mask"]
        start = Start(0, self.backbone.embed(batch))
        return run_layers(self.backbone, choices, start, mask, padded=not bool(mask.all()))
