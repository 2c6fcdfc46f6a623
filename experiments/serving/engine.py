"""The model behind a server: prompts over one backbone, asked and changed in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.serving.folders import PromptFolder, State
from spt.errors import InputError
from spt.problems import Problems
from spt.process.devices import chosen_device
from spt.saved_folders import PROMPT_JSON
from spt.serving.classifier import PromptClassifier
from spt.serving.predictions import Answer, LabelSet, NotFinite, predictions
from spt.serving.request import Request
from spt.serving.saved_prompt import SavedPrompt
from spt.serving.server import PromptServer, Tasks
from spt.serving.trunk_cache import CacheStatistics
from spt.storage.digests import file_digest

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """Hold what a request asks for, checked.

    Attributes:
        texts: one at least.
        pairs: the second texts, where the tasks compare two.
        tasks: by whose prompts the texts are labelled.
        prompts: that were served when the request came, which ends with them.
        every_class: whether the probability of every class is wanted.
        threshold: least probability of a label; None for the prompts' own.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    tasks: tuple[str, ...]
    prompts: Prompts
    every_class: bool = False
    threshold: float | None = None

    @property
    def answers(self) -> int:
        """Count the answers: texts times tasks."""
        return len(self.texts) * len(self.tasks)

    def requests(self, task: str) -> list[Request]:
        """Return what the model is asked for a task, a request a text."""
        pairs = self.pairs or (None,) * len(self.texts)
        return [Request(task, text, pair) for text, pair in zip(self.texts, pairs, strict=True)]


@dataclass(frozen=True)
class PromptFiles:
    """Hold what was read of a prompt's folder, and is not served yet.

    Attributes:
        saved: what its files hold.
        version: SHA-256 of its prompt.json, in which the digest of its weights stands.
        folder: that it was read from.
        state: of the folder when that began.
    """

    saved: SavedPrompt
    version: str
    folder: PromptFolder
    state: State

    @classmethod
    def read(cls, folder: PromptFolder) -> PromptFiles:
        """Read and check the files of a folder, which may be large, in any thread.

        Raises:
            InputError: as `SavedPrompt.read`, or if the files were replaced meanwhile.
        """
        state, version = folder.state(), _version(folder.path)
        saved = SavedPrompt.read(folder.path)
        if _version(folder.path) != version:
            raise InputError(f"The prompt in '{folder.path}' was replaced while it was read. Read it again.")
        return cls(saved, version, folder, state)


@dataclass(frozen=True)
class Served:
    """Hold a prompt that is served.

    Attributes:
        classifier: answers by it.
        version: as of the files that it was made of, and the next two.
        folder: likewise.
        state: likewise.
    """

    classifier: PromptClassifier
    version: str
    folder: PromptFolder
    state: State

    @classmethod
    def of(cls, files: PromptFiles, over: PromptClassifier | None = None) -> Served:
        """Make a prompt of its files, over the backbone of another one if there is one.

        Raises:
            InputError: as `PromptClassifier.of`.
        """
        backbone, tokenizer = (over.model.backbone, over.tokenizer) if over else (None, None)
        classifier = PromptClassifier.of(files.saved, files.folder.path, backbone, tokenizer)
        return cls(classifier.to(chosen_device()), files.version, files.folder, files.state)


@dataclass(frozen=True)
class Prompts:
    """Hold what is served at a time; it stays as it is when prompts come and go.

    Attributes:
        served: by name.
        tasks: the same, as the server asks them.
    """

    served: Mapping[str, Served]
    tasks: Tasks


# of a LabelResponse
Content = dict[str, Any]


class Engine:
    """Answer jobs by prompts over one backbone; one thread computes, and changes prompts between two batches.

    Args:
        folders: of the prompts; of two of one name the first is served.
        batch_size: texts, or branches of texts, that run together.
        cache_bytes: of hidden states below prompts that are kept for texts that come again.

    Raises:
        InputError: as `PromptServer.from_pretrained`.
    """

    def __init__(self, folders: Sequence[PromptFolder], batch_size: int, cache_bytes: int) -> None:
        self._batch_size = batch_size
        first, *others = folders
        served = {first.name: Served.of(PromptFiles.read(first))}
        backbone = served[first.name].classifier
        for folder in others:
            if folder.name not in served:
                served[folder.name] = Served.of(PromptFiles.read(folder), backbone)
        classifiers = {name: each.classifier for name, each in served.items()}
        self._server = PromptServer(classifiers, cache_bytes)
        self._prompts = Prompts(served, self._server.tasks)
        self._thread = ThreadPoolExecutor(1, "model")

    @property
    def prompts(self) -> Prompts:
        """Return what is served now."""
        return self._prompts

    @property
    def served(self) -> Mapping[str, Served]:
        """Return the prompts by name, as they are now."""
        return self._prompts.served

    @property
    def cache(self) -> CacheStatistics:
        """Return what the cache of hidden states has done and holds."""
        return self._server.cache.statistics()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Call a function in the model's thread, after what that has to do already."""
        return self._thread.submit(function, *arguments)

    def put(self, files: PromptFiles) -> None:
        """Add a prompt or replace that of the name; in the model's thread alone, for it uses the tokenizer.

        Raises:
            InputError: as `PromptClassifier.of`, and what was served stays.
        """
        name, new = files.folder.name, Served.of(files, next(iter(self.served.values())).classifier)
        self._server.add(name, new.classifier)
        self._prompts = Prompts({**self.served, name: new}, self._server.tasks)

    def remove(self, name: str) -> None:
        """Take a prompt out, which may not be the last one; in the model's thread alone."""
        self._server.remove(name)
        served = {other: each for other, each in self.served.items() if other != name}
        self._prompts = Prompts(served, self._server.tasks)

    def answer(self, jobs: Sequence[Job]) -> list[Content | InputError]:
        """Answer jobs together; in the model's thread alone.

        Returns:
            In order, the content of a LabelResponse, or the problems of a job that cannot be answered, which
            do not touch the others; `NotFinite` where those are the model's.
        """
        outcomes: list[Content | InputError] = []
        for _, alike in groupby(jobs, key=lambda job: id(job.prompts)):
            outcomes += self._answer_alike(list(alike))
        return outcomes

    def _answer_alike(self, jobs: Sequence[Job]) -> list[Content | InputError]:
        """Answer jobs that came while the same prompts were served."""
        asked = [request for job in jobs for task in job.tasks for request in job.requests(task)]
        try:
            rows = iter(self._probabilities(asked, jobs[0].prompts))
        except InputError as error:
            if len(jobs) > 1:
                return [self._answer_alike([job])[0] for job in jobs]
            return [error if isinstance(error, NotFinite) else self._problems(jobs[0])]
        return [
            self._content(job, {task: [next(rows) for _ in job.texts] for task in job.tasks}) for job in jobs
        ]

    def _probabilities(self, asked: Sequence[Request], prompts: Prompts) -> list[NDArray[Any]]:
        """Return the calibrated probabilities [C] of each request."""
        return self._server.probabilities(asked, self._batch_size, prompts.tasks)

    def _problems(self, job: Job) -> InputError:
        """Find what is wrong with a job: task by task, so that the rows in errors are those of its texts."""
        problems = Problems("the texts")
        for task in job.tasks:
            with problems.collecting():
                self._probabilities(job.requests(task), job.prompts)
        try:
            problems.refuse()
        except InputError as error:
            return error
        return InputError("The tasks cannot be asked together. Send a request for each.")

    def _content(self, job: Job, rows: Mapping[str, Sequence[NDArray[Any]]]) -> Content:
        answers: list[dict[str, Any]] = [{} for _ in job.texts]
        for task, of_task in rows.items():
            spec = job.prompts.served[task].classifier.spec
            chances = np.stack(of_task)
            for row, answer in enumerate(predictions(spec, chances, job.threshold)):
                classes = dict(zip(spec.task.labels or (), map(float, chances[row]), strict=True))
                answers[row][task] = _answer(answer, classes, job.every_class)
        versions = {task: job.prompts.served[task].version for task in job.tasks}
        return {"answers": answers, "versions": versions}


def _version(folder: Path) -> str:
    path = folder / PROMPT_JSON
    return file_digest(path) if path.is_file() else ""


def _answer(answer: Answer, classes: Mapping[str, float], every_class: bool) -> dict[str, Any]:
    """Return the content of a TaskAnswer."""
    if isinstance(answer, LabelSet):
        shown = classes if every_class else {label: classes[label] for label in answer.labels}
        return {"labels": list(answer.labels), "probabilities": shown}
    content: dict[str, Any] = {"label": answer.label, "probability": answer.probability}
    return {**content, "probabilities": dict(classes)} if every_class else content
