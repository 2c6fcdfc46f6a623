"""Many prompts over one backbone: a batch may mix tasks, each row with its own prompt, layers and head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spt.data.batches import make_loader, to_device
from spt.data.encoding import Example, encode_texts
from spt.errors import InputError, unknown
from spt.model import PromptedModel
from spt.prompts.choices import InsertPrompt
from spt.prompts.state import EMPTY, PromptState
from spt.serving.classifier import Prediction, PromptClassifier


@dataclass(frozen=True)
class Request:
    """A text (and its pair, where the task has pairs) to be labelled by one task's prompt."""

    task: str
    text: str
    text_pair: str | None = None


class PromptServer:
    """Labels for several tasks out of one forward pass of a shared backbone.

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
        among = [name for name, one in self.classifiers.items() if one.model.template_prompt is not None]
        if among:
            raise InputError(
                f"The prompts {', '.join(among)} stand among the words of their templates and cannot share a "
                "batch with others. Ask PromptClassifier for their labels."
            )
        other = [
            name
            for name, classifier in self.classifiers.items()
            if classifier.model.backbone.fingerprint != self.backbone.fingerprint
        ]
        if other:
            raise InputError(
                f"The prompts {', '.join(other)} were trained on another backbone than "
                f"'{next(iter(self.classifiers))}'. Serve prompts of one backbone together."
            )

    @classmethod
    def from_pretrained(cls, folders: Mapping[str, str | Path]) -> PromptServer:
        """Read saved prompts by name; the backbone is loaded once.

        Raises:
            InputError: as `PromptClassifier.from_pretrained`.
        """
        classifiers: dict[str, PromptClassifier] = {}
        backbone = None
        for name, folder in folders.items():
            classifiers[name] = PromptClassifier.from_pretrained(folder, backbone)
            backbone = classifiers[name].model.backbone
        return cls(classifiers)

    @torch.inference_mode()
    def predict(self, requests: Sequence[Request], batch_size: int = 128) -> list[Prediction]:
        """The likeliest label of each request, in order.

        Raises:
            InputError: if a request names no task of this server, or does not fit its task.
        """
        if not requests:
            return []
        answers: dict[int, Prediction] = {}
        for batch in self._loader(requests, batch_size):
            tasks = [requests[row].task for row in batch["rows"].tolist()]
            answers |= self._answer(to_device(batch, self.backbone.device), tasks)
        return [answers[row] for row in range(len(requests))]

    def _loader(self, requests: Sequence[Request], batch_size: int) -> DataLoader[Any]:
        examples: list[Example] = []
        for name in dict.fromkeys(request.task for request in requests):
            if name not in self.classifiers:
                raise unknown("task of the server", name, self.classifiers)
            rows = [row for row, request in enumerate(requests) if request.task == name]
            examples += self._encode(name, [requests[row] for row in rows], rows)
        return make_loader(examples, self.tokenizer, batch_size)

    def _encode(self, name: str, requests: Sequence[Request], rows: Sequence[int]) -> list[Example]:
        spec = self.classifiers[name].spec
        pairs = [request.text_pair for request in requests if request.text_pair is not None] or None
        texts = [request.text for request in requests]
        encoded = encode_texts(texts, pairs, self.tokenizer, spec.task, spec.max_length, spec.verbalizes)
        return [Example(**{**example, "row": row}) for example, row in zip(encoded, rows, strict=True)]

    def _answer(self, batch: Mapping[str, Any], tasks: Sequence[str]) -> dict[int, Prediction]:
        members = {
            name: torch.tensor([row for row, task in enumerate(tasks) if task == name])
            for name in dict.fromkeys(tasks)
        }
        models = {name: self.classifiers[name].model for name in members}
        prompt, hidden = self._layers(batch, models, members)
        hidden = self.backbone.finish(hidden)
        answers = {}
        for name, rows in members.items():
            own = {**_select(batch, rows), "prompt": own_prompt(prompt, rows)}
            logits = models[name].head(hidden[rows], own).logits
            chances, best = logits.softmax(-1).max(-1)
            labels = self.classifiers[name].spec.task.labels or ()
            for row, chance, label in zip(batch["rows"][rows].tolist(), chances, best, strict=True):
                answers[row] = Prediction(labels[label], float(chance))
        return answers

    def _layers(
        self, batch: Mapping[str, Any], models: Mapping[str, PromptedModel], members: Mapping[str, Tensor]
    ) -> tuple[PromptState, Tensor]:
        """The layer loop, with one choice a task in each layer: the prompt [B, P, H], hidden [B, T, H]."""
        mask = batch["attention_mask"]
        padded = not bool(mask.all())
        hidden, prompt, frame = self.backbone.embed(batch), EMPTY, None
        for index in range(self.backbone.num_layers):
            choices = {name: model.choices[index] for name, model in models.items()}
            prompt = insert_rows(choices, members, prompt, hidden, mask)
            if frame is None or not frame.fits(prompt):
                frame = self.backbone.frame(hidden, mask, prompt, padded)
            prompt, hidden = self.backbone.run(index, prompt, hidden, frame)
        return prompt, hidden


def insert_rows(
    choices: Mapping[str, nn.Module],
    members: Mapping[str, Tensor],
    prompt: PromptState,
    hidden: Tensor,
    mask: Tensor,
) -> PromptState:
    """Each task's choice on its own rows; prompts of different lengths end where the tokens begin.

    Args:
        choices: by task, Propagate or InsertPrompt.
        members: by task, its rows in the batch.
        prompt: of the whole batch.
        hidden: [B, T, H].
        mask: [B, T].
    """
    new = {
        name: choice(own_prompt(prompt, members[name]), hidden[members[name]], mask[members[name]]).vectors
        for name, choice in choices.items()
        if isinstance(choice, InsertPrompt)
    }
    if not new:
        return prompt
    length = max(prompt.length, *(inserted.shape[1] for inserted in new.values()))
    vectors = hidden.new_zeros(len(hidden), length, hidden.shape[-1])
    presence = hidden.new_zeros(len(hidden), length)
    if prompt.vectors is not None and prompt.presence is not None:
        vectors[:, length - prompt.length :] = prompt.vectors
        presence[:, length - prompt.length :] = prompt.presence
    for name, inserted in new.items():
        start = length - inserted.shape[1]
        presence[members[name]] = 0
        vectors[members[name], start:] = inserted
        presence[members[name], start:] = 1
    return PromptState(vectors, presence)


def own_prompt(prompt: PromptState, rows: Tensor) -> PromptState:
    """The prompt of some rows of one task, without the empty positions before it."""
    if prompt.vectors is None or prompt.presence is None:
        return EMPTY
    length = int(prompt.presence[rows[0]].sum())
    return PromptState(prompt.vectors[rows, prompt.length - length :]) if length else EMPTY


def _select(batch: Mapping[str, Any], rows: Tensor) -> dict[str, Any]:
    return {name: value[rows] for name, value in batch.items()}
