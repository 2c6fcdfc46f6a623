"""A prompt called as a text-classification pipeline of transformers is, with answers of the same form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from numpy.typing import NDArray

from spt.data.values import clean_texts, has_rows, python_values
from spt.errors import InputError

# texts that are read together where the caller does not say
BATCH_SIZE = 128
KEYS = ("text", "text_pair")
# stands for a top_k that was not given, which gives another form than 1 and None do
NOT_GIVEN: Any = object()
# what transformers takes beside, and why it is not taken here
REFUSED: Mapping[str, str] = {
    "function_to_apply": "scores are the prompt's probabilities, calibrated where it was",
    "return_all_scores": "give top_k=None for every label",
    "device": "call classifier.to(device)",
    "num_workers": "rows are encoded where they are answered",
    **dict.fromkeys(
        ("truncation", "max_length", "padding"),
        "the prompt keeps the length that it was trained with",
    ),
}

Result = dict[str, Any]
Results = Result | list[Result]


@dataclass(frozen=True)
class TextClassificationPipeline:
    """Answer texts by {"label", "score"}, in the forms that transformers' pipeline of that name gives.

    Every text is answered: thresholds of the prompt are not used.

    Attributes:
        probabilities: (texts, pairs or None, batch size) -> those of each text, [N, C].
        labels: of the classes, in their order.
        paired: whether an input has two texts.
        top_k: labels a text; None for all, likeliest first. Where it is not given, a text has one answer
            that is not in a list of its own.
        batch_size: texts that are read together.
    """

    probabilities: Callable[[Sequence[str], Sequence[str] | None, int], NDArray[Any]]
    labels: tuple[str, ...]
    paired: bool
    top_k: int | None = NOT_GIVEN
    batch_size: int = BATCH_SIZE

    def __post_init__(self) -> None:
        _check(self.top_k, self.batch_size)

    def __call__(
        self, inputs: Any, *, top_k: int | None = NOT_GIVEN, batch_size: int | None = None, **others: Any
    ) -> Results | list[Results] | Iterator[Results]:
        """Answer one text or many.

        Args:
            inputs: a text; a mapping with "text" and, where the task has pairs, "text_pair"; a list of those;
                or anything else that yields them, as a generator or a column of a data set, which is read as
                far as answers are asked for.
            top_k: in place of the pipeline's.
            batch_size: in place of the pipeline's.
            others: of transformers' pipeline; each is refused.

        Returns:
            {"label": str, "score": probability in [0, 1]}, or with top_k a list of those: for a mapping that,
            for a text a list of it (with top_k in the call, the list itself), for a list a list of one each,
            and an iterator for the rest.

        Raises:
            InputError: naming the row, for what is no text, or no pair where the task has pairs or the other
                way round; or for options that are out of range or not taken.
        """
        refuse_options(others)
        limit = self.top_k if top_k is NOT_GIVEN else top_k
        size = self.batch_size if batch_size is None else batch_size
        _check(limit, size)
        if isinstance(inputs, str | Mapping):
            (answer,) = self._answers([inputs], limit, size)
            return [answer] if isinstance(inputs, str) and top_k is NOT_GIVEN else answer
        if not has_rows(inputs):
            raise InputError(
                f"A pipeline was given {type(inputs).__name__}, but takes a text, a mapping with "
                "text and text_pair, a list of those, or what yields them in order, as a column of a table."
            )
        answers = self._answers(python_values(inputs), limit, size)
        return list(answers) if isinstance(inputs, list | tuple) else answers

    def _answers(self, inputs: Iterable[Any], top_k: int | None, size: int) -> Iterator[Results]:
        """Answer inputs as they come, as many at once as are read together."""
        rows = (_row(item, number, self.paired) for number, item in enumerate(inputs, 1))
        while batch := list(islice(rows, size)):
            texts, *pairs = zip(*batch, strict=True)
            chances = self.probabilities(texts, pairs[0] if pairs else None, size)
            yield from (self._result(row, top_k) for row in chances.tolist())

    def _result(self, chances: Sequence[float], top_k: int | None) -> Results:
        named = zip(self.labels, chances, strict=True)
        # stable, so that of equals the first class comes first, as argmax has it
        ordered = sorted(named, key=lambda pair: -pair[1])
        results = [{"label": label, "score": score} for label, score in ordered]
        return results[0] if top_k is NOT_GIVEN else results[:top_k]


def refuse_options(others: Mapping[str, Any]) -> None:
    """Refuse options that a pipeline of transformers takes, and this one does not.

    Raises:
        InputError: naming each, and why.
    """
    if others:
        reasons = "; ".join(f"{name}: {REFUSED.get(name, 'it is unknown')}" for name in others)
        raise InputError(f"A pipeline of a prompt takes top_k and batch_size, but was given {reasons}.")


def _check(top_k: Any, batch_size: Any) -> None:
    if not (top_k is None or top_k is NOT_GIVEN or _is_count(top_k)):
        raise InputError(f"top_k is {top_k!r}, but must be 1 or more, or None for every label.")
    if not _is_count(batch_size):
        raise InputError(f"batch_size is {batch_size!r}, but must be 1 or more.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _row(item: Any, number: int, paired: bool) -> tuple[str, ...]:
    """Return the text, or the two texts, of an input, which is the `number`th."""
    needed = KEYS if paired else KEYS[:1]
    values = {"text": item} if isinstance(item, str) else item
    if not isinstance(values, Mapping) or set(values) != set(needed):
        got = f"keys {', '.join(map(str, values))}" if isinstance(item, Mapping) else type(item).__name__
        form = 'a mapping with "text" and "text_pair"' if paired else 'a text or a mapping with "text"'
        raise InputError(f"Input {number} of the pipeline is {got}, but the task needs {form}.")
    return tuple(
        clean_texts([values[name]], f"The {name} of the pipeline's input", [number - 1])[0] for name in needed
    )
