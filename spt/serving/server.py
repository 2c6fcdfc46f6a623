"""Many prompts over one backbone: what tasks share of a text is computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spt.backbones.identity import BackboneIdentity
from spt.data.encoded.batches import make_loader, to_device
from spt.data.values import as_list, clean_texts
from spt.errors import InputError, unknown
from spt.problems import Problems
from spt.process.devices import device_of_machine
from spt.serving.branches import Branch, branch_order, run_branches
from spt.serving.classifier import PromptClassifier
from spt.serving.pipeline import BATCH_SIZE
from spt.serving.predictions import Answer, check_finite, check_threshold, predictions
from spt.serving.request import EncodedRequests, Request, check_requests, encode_requests
from spt.serving.served_task import ServedTask
from spt.serving.trunk import Trunk, TrunkStates
from spt.serving.trunk_cache import TrunkCache

# tasks by the names that requests use
Tasks = Mapping[str, ServedTask]


class PromptServer:
    """Answer questions of several tasks over one backbone.

    Of each distinct text the layers below the lowest prompt run once; above, a row branches off for each task
    where its prompts begin, and the rows of all tasks run in one batch, each with its own prompts and head.

    Several threads may ask, and add and remove tasks, at once: what has begun ends with the tasks that it
    began with.

    Args:
        classifiers: by the name that requests use. All must hold the same backbone; the first one's is kept.
        cache_bytes: of hidden states below prompts that are kept for texts that come again; 0 keeps none.

    Attributes:
        backbone: that all tasks share.
        tokenizer: of the backbone.
        cache: of hidden states; `cache.statistics()` tells hits, misses and bytes.

    Raises:
        InputError: if there is no classifier, or their backbones differ.

    Source: mixed-task batches as in Prompt Tuning (arXiv 2104.08691, section 1), a trunk for all tasks as in
    AdapterDrop (arXiv 2010.11918, section 4); for prompts at any layers ours.
    """

    def __init__(self, classifiers: Mapping[str, PromptClassifier], cache_bytes: int = 0) -> None:
        if not classifiers:
            raise InputError("A prompt server needs at least one saved prompt.")
        # so that NaN is none either
        if not cache_bytes >= 0:
            raise InputError(f"cache_bytes is {cache_bytes}, but must be 0, which keeps nothing, or more.")
        first = next(iter(classifiers.values()))
        self.backbone, self.tokenizer = first.model.backbone, first.tokenizer
        self.cache = TrunkCache(cache_bytes)
        self._trunk = Trunk(self.backbone, self.cache)
        self._tasks: Tasks = {}
        # a fast tokenizer cannot be called by two threads at once
        self._tokenizing, self._changing = Lock(), Lock()
        for name, classifier in classifiers.items():
            self.add(name, classifier)

    @classmethod
    def from_pretrained(cls, folders: Mapping[str, str | Path], cache_bytes: int = 0) -> PromptServer:
        """Read saved prompts by name, over one backbone and one tokenizer.

        Raises:
            InputError: as `PromptClassifier.from_pretrained`.
        """
        classifiers: dict[str, PromptClassifier] = {}
        backbone = tokenizer = None
        for name, folder in folders.items():
            classifiers[name] = PromptClassifier.from_pretrained(folder, backbone, tokenizer)
            backbone, tokenizer = classifiers[name].model.backbone, classifiers[name].tokenizer
        return cls(classifiers, cache_bytes)

    @property
    def tasks(self) -> Tasks:
        """Return the tasks of now, a mapping that stays as it is when others are added or removed."""
        return MappingProxyType(self._tasks)

    @property
    def classifiers(self) -> dict[str, PromptClassifier]:
        """Return the classifiers of now, by name."""
        return {name: task.classifier for name, task in self._tasks.items()}

    def add(self, name: str, classifier: PromptClassifier | str | Path) -> None:
        """Serve one more task, or replace one; requests that have begun end with what was there before.

        Args:
            name: that requests use.
            classifier: or the folder of a saved prompt, which is read over the server's backbone.

        Raises:
            InputError: if the folder is no saved prompt, or the prompt was trained on another backbone. What
                was served stays.
        """
        if not isinstance(classifier, PromptClassifier):
            classifier = PromptClassifier.from_pretrained(classifier, self.backbone, self.tokenizer)
        self._check_backbone(name, classifier)
        task = ServedTask.of(classifier, self.backbone)
        with self._changing:
            self._tasks = {**self._tasks, name: task}

    def remove(self, name: str) -> None:
        """Serve a task no more; requests that have begun are still answered.

        Raises:
            InputError: if there is no such task.
        """
        with self._changing:
            self._check_task(name, self._tasks)
            self._tasks = {other: task for other, task in self._tasks.items() if other != name}

    def to(self, device: str | torch.device) -> PromptServer:
        """Move backbone and tasks to a device, while nobody asks, and return the server.

        Args:
            device: as of `PromptClassifier.to`.

        Raises:
            InputError: likewise. All stays where it was.
        """
        self.backbone.to(device_of_machine(device))
        with self._changing:
            self._tasks = {
                name: ServedTask.of(task.classifier, self.backbone) for name, task in self._tasks.items()
            }
        return self

    def predict(
        self, requests: Sequence[Request], batch_size: int = BATCH_SIZE, threshold: float | None = None
    ) -> list[Answer]:
        """Answer each request, in order: by its likeliest label, or, in tasks of several, by its labels.

        Args:
            requests: of any tasks of this server.
            batch_size: inputs, or branches of inputs, that run together.
            threshold: least probability of an answer, as of `PromptClassifier.predict`; each prompt's own by
                default.

        Raises:
            InputError: as `probabilities`, or for a threshold out of range.
        """
        check_threshold(threshold)
        tasks = self.tasks
        requests = check_requests(requests)
        chances = self.probabilities(requests, batch_size, tasks)
        return [
            _answer(tasks[request.task], row, threshold)
            for request, row in zip(requests, chances, strict=True)
        ]

    def label(
        self,
        texts: Sequence[str],
        tasks: Sequence[str] | None = None,
        pairs: Sequence[str] | None = None,
        batch_size: int = BATCH_SIZE,
        threshold: float | None = None,
    ) -> list[dict[str, Answer]]:
        """Give every task's answer to every text.

        Args:
            texts: a list, an array or a Series; one text alone gets a list of one dict.
            tasks: names of tasks; None asks all.
            pairs: the second texts, where the tasks have pairs.
            batch_size: as of `predict`.
            threshold: as of `predict`.

        Returns:
            For each text, in order, the answers by task, in the order of `tasks`.

        Raises:
            InputError: as `predict`, naming the rows of the texts; naming the tasks, if some have pairs and
                others not.
        """
        check_threshold(threshold)
        texts, served = as_list(texts, "The list of texts"), self.tasks
        names = list(served) if tasks is None else as_list(tasks, "The list of tasks")
        self._check_pairs(names, served, paired=pairs is not None)
        names = list(dict.fromkeys(names))
        seconds = [None] * len(texts) if pairs is None else as_list(pairs, "The list of second texts")
        if len(seconds) != len(texts):
            raise InputError(
                f"Got {len(texts)} texts and {len(seconds)} second texts, but as many of both are needed."
            )
        # here, where a row is a text and no request
        texts = clean_texts(texts, "The list of texts")
        if pairs is not None:
            seconds = clean_texts(seconds, "The list of second texts")
        requests = [Request(name, *row) for row in zip(texts, seconds, strict=True) for name in names]
        numbers = [row for row in range(len(texts)) for _ in names]
        chances = iter(self._probabilities(requests, batch_size, served, numbers))
        return [{name: _answer(served[name], next(chances), threshold) for name in names} for _ in texts]

    def probabilities(
        self, requests: Sequence[Request], batch_size: int = BATCH_SIZE, tasks: Tasks | None = None
    ) -> list[NDArray[Any]]:
        """Return the calibrated class probabilities [C] of each request, in order.

        Classes are in the order of the `labels` of the task's classifier.

        Args:
            requests: of any tasks of this server.
            batch_size: inputs, or branches of inputs, that run together.
            tasks: what `PromptServer.tasks` gave, for who must know which prompt it was that answered; None
                takes the tasks of now.

        Raises:
            InputError: naming the rows, for what is no request or no text, does not fit its task, or has no
                finite probabilities; or if a request names no task of this server.
        """
        requests, served = check_requests(requests), self.tasks if tasks is None else tasks
        for request in requests:
            self._check_task(request.task, served)
        return self._probabilities(requests, batch_size, served, range(len(requests)))

    @torch.inference_mode()
    def _probabilities(
        self, requests: Sequence[Request], batch_size: int, tasks: Tasks, numbers: Sequence[int]
    ) -> list[NDArray[Any]]:
        """Return the calibrated class probabilities of requests, each from a row of the caller."""
        if not requests:
            return []
        specs = {name: task.classifier.spec for name, task in tasks.items()}
        with self._tokenizing:
            encoded = encode_requests(requests, specs, self.tokenizer, numbers)
        answers = self._answer_inputs(requests, encoded, tasks, batch_size)
        rows = [
            specs[request.task].answers.calibrated(
                # of a text in windows, their mean
                np.mean([answers[request.task, number] for number in inputs], 0)
            )
            for request, inputs in zip(requests, encoded.inputs, strict=True)
        ]
        check_finite(rows, numbers)
        return rows

    def _answer_inputs(
        self, requests: Sequence[Request], encoded: EncodedRequests, tasks: Tasks, batch_size: int
    ) -> dict[tuple[str, int], NDArray[Any]]:
        """Return the class probabilities of each task and each of the inputs that it is asked about."""
        asked: defaultdict[int, set[str]] = defaultdict(set)
        for request, inputs in zip(requests, encoded.inputs, strict=True):
            for number in inputs:
                asked[number].add(request.task)
        answers = {}
        for batch in make_loader(encoded.examples, self.tokenizer, batch_size):
            numbers = batch["rows"].tolist()
            keys = [encoded.keys[number] for number in numbers]
            names = [asked[number] for number in numbers]
            for branch, chances in self._answer_batch(batch, keys, names, tasks, batch_size):
                answers[branch.task, numbers[branch.row]] = chances
        return answers

    def _answer_batch(
        self,
        batch: Mapping[str, Any],
        keys: Sequence[bytes],
        names: Sequence[set[str]],
        tasks: Tasks,
        batch_size: int,
    ) -> Iterator[tuple[Branch, NDArray[Any]]]:
        """Yield the class probabilities of each row by each of the tasks that it is asked about."""
        lengths = batch["attention_mask"].sum(1).tolist()
        states = TrunkStates(to_device(batch, self.backbone.device), lengths)
        wanted = [{tasks[name].first_layer for name in asked} for asked in names]
        self._trunk.run(states, keys, wanted, kept={task.first_layer for task in tasks.values()})
        branches = branch_order(
            [Branch(name, row) for row, asked in enumerate(names) for name in asked], tasks
        )
        for first in range(0, len(branches), batch_size):
            yield from run_branches(self.backbone, tasks, states, branches[first : first + batch_size])

    def _check_backbone(self, name: str, classifier: PromptClassifier) -> None:
        """Refuse a classifier over another backbone than the server's."""
        if classifier.model.backbone is self.backbone and classifier.tokenizer is self.tokenizer:
            return
        ours = BackboneIdentity.of(self.backbone, self.tokenizer)
        if changes := ours.changes(BackboneIdentity.of(classifier.model.backbone, classifier.tokenizer)):
            raise InputError(
                f"The prompt {name} was trained on another backbone than the server's. "
                f"Different: {', '.join(changes)}. Serve prompts of one backbone together."
            )

    def _check_task(self, name: Any, tasks: Tasks) -> None:
        # a list could not even be looked up
        if not isinstance(name, str) or name not in tasks:
            raise unknown("task of the server", str(name), tasks)

    def _check_pairs(self, names: Sequence[str], tasks: Tasks, *, paired: bool) -> None:
        """Refuse tasks that are not served, or that do not read what they are given, all at once."""
        problems = Problems("the list of tasks")
        for name in names:
            with problems.collecting():
                self._check_task(name, tasks)
                if tasks[name].classifier.spec.task.paired != paired:
                    needs = "one text a row" if paired else "two texts a row"
                    raise InputError(f"Task '{name}' needs {needs}. Ask it apart from the others.")
        problems.refuse()


def _answer(task: ServedTask, probabilities: NDArray[Any], threshold: float | None) -> Answer:
    """Return a task's answer by the calibrated class probabilities [C] of a text."""
    (answer,) = predictions(task.classifier.spec, probabilities[None], threshold)
    return answer
