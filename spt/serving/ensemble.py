"""Several prompts of one task that vote, over one backbone and in the same batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from spt.data.encoded.encoding import text_rows
from spt.data.values import as_list
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.pipeline import BATCH_SIZE
from spt.serving.predictions import Answer, LabelSet, Prediction, check_threshold
from spt.serving.server import PromptServer

MAJORITY = 0.5


class PromptEnsemble:
    """Label texts by the majority of prompts of the same task, for example from several seeds.

    Args:
        classifiers: at least one, over the same backbone, with the same labels in the same order.

    Raises:
        InputError: if there is none, or they do not fit together.

    Source: prompt ensembling of Prompt Tuning (arXiv 2104.08691, section 6).
    """

    def __init__(self, classifiers: Sequence[PromptClassifier]) -> None:
        self.classifiers = list(classifiers)
        self.server = PromptServer({str(number): classifier for number, classifier in enumerate(classifiers)})
        tasks = [classifier.spec.task for classifier in classifiers]
        answers = [(task.labels, task.paired, task.multi_label) for task in tasks]
        other = next((number for number, answer in enumerate(answers) if answer != answers[0]), None)
        if other is not None:
            raise InputError(
                f"Prompt {other + 1} of the ensemble labels {_shown(answers[other])}, but the first "
                f"{_shown(answers[0])}. Only prompts of one task can vote."
            )

    @classmethod
    def from_pretrained(cls, folders: Sequence[str | Path]) -> PromptEnsemble:
        """Read saved prompts; the backbone is loaded once.

        Raises:
            InputError: as `PromptClassifier.from_pretrained`, or if they do not fit together.
        """
        served = PromptServer.from_pretrained({str(number): folder for number, folder in enumerate(folders)})
        return cls(list(served.classifiers.values()))

    def predict(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        batch_size: int = BATCH_SIZE,
        threshold: float | None = None,
    ) -> list[Answer]:
        """Return the label with the most votes for each text, and its share of the votes.

        Of labels with as many votes, the one whose voters are surest together. Where the task has several
        labels a text, those with more than half of the votes, and each class's share of the votes.

        Args:
            texts: a list, an array or a Series; one text alone gets a list of one prediction.
            pairs: the second texts, where the task has pairs.
            batch_size: votes that are taken together.
            threshold: least share of the votes, in [0, 1]: a text below it gets the label None, or none of
                several labels. Thresholds of the prompts say nothing of shares and are not used for them.

        Raises:
            InputError: naming the rows, for what is no text; if the task needs pairs and there are none,
                or the other way round; or for a threshold out of range.
        """
        check_threshold(threshold)
        texts = as_list(texts, "The list of texts")
        if not texts:
            return []
        task = self.classifiers[0].spec.task
        firsts, *seconds = zip(*text_rows(texts, pairs, task), strict=True)
        # every prompt of one label a text votes, and those of several give what dev's thresholds let through
        votes = self.server.label(
            firsts,
            pairs=seconds[0] if seconds else None,
            batch_size=batch_size,
            threshold=None if task.multi_label else 0,
        )
        return [vote(list(each.values()), threshold) for each in votes]


def vote(predictions: Sequence[Answer], threshold: float | None = None) -> Answer:
    """Return the majority's label, or labels, and their shares of the votes.

    Of one label a text, probabilities decide between equals, and the label is None where its share is below
    the threshold. Of several, each whose share is above one half or reaches a threshold is given.
    """
    sets = [answer for answer in predictions if isinstance(answer, LabelSet)]
    if sets:
        return _vote_for_each(sets, threshold)
    sure: defaultdict[str | None, list[float]] = defaultdict(list)
    for prediction in predictions:
        if isinstance(prediction, Prediction):
            sure[prediction.label].append(prediction.probability)
    label = max(sure, key=lambda name: (len(sure[name]), sum(sure[name])))
    share = len(sure[label]) / len(predictions)
    return Prediction(label if share >= (threshold or 0) else None, share)


def _vote_for_each(sets: Sequence[LabelSet], threshold: float | None) -> LabelSet:
    shares = {name: sum(name in each.labels for each in sets) / len(sets) for name in sets[0].probabilities}
    chosen = [
        name
        for name, share in shares.items()
        if (share > MAJORITY if threshold is None else share >= threshold)
    ]
    return LabelSet(tuple(chosen), shares)


def _shown(task: tuple[tuple[str, ...] | None, bool, bool]) -> str:
    labels, pairs, several = task
    names = f"{'several of ' if several else ''}{', '.join(labels or ())}"
    return f"{'pairs' if pairs else 'texts'} with {names}"
