"""Every task's answer to every text: what they share is computed once, and changes no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from spt.answers.options import AnswerRule
from spt.data.encoded import encoding
from spt.errors import InputError
from spt.flops import flops
from spt.prompts.state import EMPTY
from spt.serving.classifier import PromptClassifier
from spt.serving.ensemble import PromptEnsemble
from spt.serving.predictions import LabelSet, NotFinite
from spt.serving.request import Request
from spt.serving.server import PromptServer
from spt.tasks import get_task
from tests.support.classifiers import TEXTS, classifier, kinds_classifier
from tests.support.tiny import LAYERS, make_label_sets

TEXT = "it was very poor and the plot was awful and the film was very dull and the plot"
TOKENS = len(TEXT.split())
SIXTEEN = [f"task {number}" for number in range(16)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fan_out")


@pytest.fixture(scope="module")
def late(home: Path) -> dict[str, PromptClassifier]:
    """Sixteen tasks that begin at layer 2 of 4."""
    return {name: classifier(home, (2,), seed=seed) for seed, name in enumerate(SIXTEEN)}


@pytest.fixture(scope="module")
def kinds(home: Path) -> dict[str, PromptClassifier]:
    """Tasks that differ in all that tasks may differ in."""
    three = {"name": "custom", "labels": ["bad", "good", "other"], "label_words": None}
    several = {"multi_label": True, "label_words": None}
    sets = str(make_label_sets(home / "sets.jsonl"))
    made = {
        "early": classifier(home, (0, 2), seed=1),
        "long": classifier(home, (1, 3), seed=2, prompt={"length": 7}),
        "three": classifier(home, (3,), seed=3, task=three, prompt={"generator": "free", "length": 2}),
        "offset": classifier(home, (1,), seed=4, prompt={"token_offset": True}),
        "sets": classifier(home, (2,), seed=8, task=several, data={"train": sets}),
        "windows": classifier(home, (1, 2), seed=9, data={"max_length": 6, "windows": 2}),
        "cut": classifier(home, (2,), seed=10, data={"max_length": 6}),
        "none": classifier(home, (), seed=11),
    }
    rule = AnswerRule(temperature=3.0, threshold=0.6)
    calibrated = made["long"]
    made["calibrated"] = replace(calibrated, spec=calibrated.spec.model_copy(update={"answers": rule}))
    return made


def paired(single: PromptClassifier) -> PromptClassifier:
    """The same prompt, whose task reads two texts."""
    task = get_task("custom", labels=single.labels, text_pair="second")
    return replace(single, spec=single.spec.model_copy(update={"task": task}))


def assert_answers_are_their_own(
    server: PromptServer, tasks: dict[str, PromptClassifier], texts: list[str], **options: Any
) -> None:
    expected = {name: task.predict(texts) for name, task in tasks.items()}
    for row, answers in enumerate(server.label(texts, list(tasks), **options)):
        assert list(answers) == list(tasks)
        for name, answer in answers.items():
            alone = expected[name][row]
            if isinstance(alone, LabelSet):
                assert isinstance(answer, LabelSet) and answer.labels == alone.labels
                assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
            else:
                assert answer.label == alone.label
                assert answer.probability == pytest.approx(alone.probability, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("cache_bytes", [0, 3000, 2**20])
def test_each_task_gives_its_own_answer(
    batch_size: int, cache_bytes: int, kinds: dict[str, PromptClassifier]
) -> None:
    server = PromptServer(kinds, cache_bytes)
    assert_answers_are_their_own(server, kinds, [*TEXTS, TEXT], batch_size=batch_size)
    backwards = dict(reversed(kinds.items()))
    # what is known now, with what is not, in other batches
    assert_answers_are_their_own(server, backwards, [TEXT, "a new plot", *TEXTS[2:]], batch_size=batch_size)
    statistics = server.cache.statistics()
    assert (statistics.entries > 0) == (cache_bytes > 0)
    assert statistics.bytes <= cache_bytes


def test_all_tasks_are_asked_where_none_is_named(kinds: dict[str, PromptClassifier]) -> None:
    server = PromptServer(kinds)
    assert server.label(TEXTS) == server.label(TEXTS, list(kinds))
    assert list(server.label("great", "sets")[0]) == ["sets"]
    assert server.label([]) == [] and server.label(TEXTS[:1], []) == [{}]


def test_probabilities_are_calibrated_and_in_order(kinds: dict[str, PromptClassifier]) -> None:
    requests = [Request(name, text) for text in TEXTS for name in kinds]
    rows = PromptServer(kinds).probabilities(requests, batch_size=7)
    alone = {name: task.predict_proba(TEXTS) for name, task in kinds.items()}
    for request, row in zip(requests, rows, strict=True):
        np.testing.assert_allclose(row, alone[request.task][TEXTS.index(request.text)], atol=1e-5)


def layer_flops(server: PromptServer, tokens: int) -> int:
    """Count what one layer does with one row of tokens and prompts."""
    hidden, mask = torch.zeros(1, tokens, 32), torch.ones(1, tokens)
    frame = server.backbone.frame(hidden, mask, EMPTY, padded=False)
    with torch.inference_mode():
        return flops(lambda: server.backbone.layer(0, hidden, frame))


@pytest.mark.parametrize("tasks", [1, 4, 16])
def test_the_trunk_is_run_once_for_all_tasks(tasks: int, late: dict[str, PromptClassifier]) -> None:
    served = dict(list(late.items())[:tasks])
    server = PromptServer(served)
    below, above = layer_flops(server, TOKENS), layer_flops(server, TOKENS + 3)
    together = flops(lambda: server.label([TEXT]))
    apart = flops(lambda: [task.predict([TEXT]) for task in served.values()])
    # (f + N (L - f)) / (N L), where layers above f have the prompt's tokens too
    formula = (2 * below + tasks * 2 * above) / (tasks * (2 * below + 2 * above))
    assert together / apart == pytest.approx(formula, rel=0.03)


def test_tasks_that_begin_higher_share_longer(home: Path) -> None:
    served = {str(layer): classifier(home, (layer,), seed=layer) for layer in range(1, LAYERS)}
    server = PromptServer(served)
    below, above = layer_flops(server, TOKENS), layer_flops(server, TOKENS + 3)
    # three layers of the trunk, and 3 + 2 + 1 of the branches
    assert flops(lambda: server.label([TEXT])) == pytest.approx(3 * below + 6 * above, rel=0.03)


def test_a_known_text_costs_a_new_task_only_the_top(late: dict[str, PromptClassifier]) -> None:
    known, new = SIXTEEN[:2]
    server = PromptServer(late, cache_bytes=2**20)
    server.label([TEXT], [known])
    top = 2 * layer_flops(server, TOKENS + 3)
    # and its prompt with the tokens' offsets, and its head
    assert flops(lambda: server.label([TEXT], [new])) == pytest.approx(top, rel=0.05)
    assert (server.cache.statistics().hits, server.cache.statistics().misses) == (1, 1)
    assert server.cache.statistics().bytes == TOKENS * 32 * 4


def test_a_task_that_begins_higher_goes_on_from_what_is_known(home: Path) -> None:
    server = PromptServer({"low": classifier(home, (1,))}, cache_bytes=2**20)
    server.label([TEXT])
    server.add("high", classifier(home, (3,), seed=1))
    below, above = layer_flops(server, TOKENS), layer_flops(server, TOKENS + 3)
    assert flops(lambda: server.label([TEXT], ["high"])) == pytest.approx(2 * below + above, rel=0.03)


def embedded(server: PromptServer, ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many rows each call of the backbone's embedding had while something was asked."""
    rows: list[int] = []
    embed = server.backbone.embed
    monkeypatch.setattr(
        server.backbone, "embed", lambda batch: rows.append(len(batch["input_ids"])) or embed(batch)
    )
    ask()
    return rows


def test_a_text_is_encoded_once_whatever_reads_it(
    kinds: dict[str, PromptClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PromptServer(kinds)
    ask = [Request(name, text) for name in ("early", "cut", "sets", "windows") for text in ("dull", " dull ")]
    assert embedded(server, lambda: server.predict([*ask, Request("long", "great")]), monkeypatch) == [2]


def test_the_same_question_is_answered_once(late: dict[str, PromptClassifier]) -> None:
    server = PromptServer(late)
    once = [Request(SIXTEEN[0], TEXT)]
    assert flops(lambda: server.predict(once * 5)) == flops(lambda: server.predict(once))


def test_a_task_is_added_replaced_and_removed(kinds: dict[str, PromptClassifier], tmp_path: Path) -> None:
    kinds["long"].save_pretrained(tmp_path / "long")
    server = PromptServer({"task": kinds["early"]}, cache_bytes=2**20)
    server.label(TEXTS)
    server.add("other", tmp_path / "long")
    assert server.tasks["other"].classifier.model.backbone is server.backbone
    assert_answers_are_their_own(server, {"task": kinds["early"], "other": kinds["long"]}, TEXTS)
    server.add("task", kinds["three"])
    assert_answers_are_their_own(server, {"task": kinds["three"], "other": kinds["long"]}, TEXTS)
    server.remove("task")
    assert list(server.classifiers) == ["other"]
    with pytest.raises(InputError, match="Unknown task of the server 'task'"):
        server.predict([Request("task", "great")])
    with pytest.raises(InputError, match="Unknown task of the server 'task'"):
        server.remove("task")


def test_what_was_served_stays_where_a_change_is_refused(
    late: dict[str, PromptClassifier], tmp_path: Path
) -> None:
    server = PromptServer({SIXTEEN[0]: late[SIXTEEN[0]]})
    foreign = classifier(tmp_path, (1,))
    next(foreign.model.backbone.parameters()).data.mul_(1.5)
    with pytest.raises(InputError, match="trained on another backbone"):
        server.add(SIXTEEN[0], foreign)
    foreign.save_pretrained(tmp_path / "model")
    with pytest.raises(
        InputError, match=r"was trained on '.*', which the backbone that it is to be read over is not"
    ):
        server.add(SIXTEEN[0], tmp_path / "model")
    with pytest.raises(InputError, match="is not a saved prompt"):
        server.add("new", tmp_path)
    assert server.classifiers == {SIXTEEN[0]: late[SIXTEEN[0]]}


def test_a_batch_in_flight_ends_with_the_tasks_it_began_with(
    late: dict[str, PromptClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = SIXTEEN[:3]
    server = PromptServer({name: late[name] for name in names})
    # other batches have other last bits on some processors
    expected = server.label(TEXTS, batch_size=2)
    embed = server.backbone.embed

    def change(batch: Any) -> Any:
        for name in names:
            if name in server.tasks:
                server.remove(name)
        server.add(names[1], late[SIXTEEN[9]])
        return embed(batch)

    monkeypatch.setattr(server.backbone, "embed", change)
    assert server.label(TEXTS, batch_size=2) == expected
    assert list(server.label(TEXTS)[0]) == [names[1]]


def test_threads_ask_while_tasks_change(late: dict[str, PromptClassifier]) -> None:
    old, new = late[SIXTEEN[1]], late[SIXTEEN[2]]
    server = PromptServer({"still": late[SIXTEEN[0]], "changing": old}, cache_bytes=4000)
    still = late[SIXTEEN[0]].predict_proba(TEXTS)
    either = [task.predict_proba(TEXTS) for task in (old, new)]
    wrong: list[object] = []

    def ask() -> None:
        try:
            for _ in range(15):
                requests = [Request(name, text) for name in ("still", "changing") for text in TEXTS]
                rows = np.array(server.probabilities(requests))
                first, second = rows[: len(TEXTS)], rows[len(TEXTS) :]
                if not np.allclose(first, still, atol=1e-5):
                    wrong.append(first)
                if not any(np.allclose(second, whole, atol=1e-5) for whole in either):
                    wrong.append(second)
        except Exception as error:
            wrong.append(error)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for task in (new, old):
            server.add("changing", task)
            server.add("passing", task)
            server.remove("passing")
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_does_not_fit_together_is_refused_at_once(kinds: dict[str, PromptClassifier]) -> None:
    server = PromptServer(kinds)
    with pytest.raises(InputError, match=r"2 problems in the list of tasks:\n.*'erly'.*\n.*'lng'"):
        server.label(TEXTS, ["erly", "lng", "early"])
    with pytest.raises(InputError, match="Task 'early' needs one text a row"):
        server.label(TEXTS, ["early"], pairs=TEXTS)
    with pytest.raises(InputError, match="threshold is 2"):
        server.label(TEXTS, threshold=2)
    for value in (-1, float("nan")):
        with pytest.raises(InputError, match=f"cache_bytes is {value}"):
            PromptServer(kinds, cache_bytes=value)  # type: ignore[arg-type]


def test_errors_of_label_name_the_rows_of_the_texts(kinds: dict[str, PromptClassifier]) -> None:
    server = PromptServer(kinds)
    with pytest.raises(InputError, match=r"^The list of texts is empty in 2 rows: 2, 4\. "):
        server.label(["great", " ", "dull", None])  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"holds a value of type int in row 3, "):
        server.label(["great", "dull", 5], ["early", "cut"])  # type: ignore[list-item]


def test_errors_about_second_texts_name_the_rows_of_the_texts(home: Path) -> None:
    tasks = {name: paired(classifier(home, (1,), seed=seed)) for seed, name in enumerate(("a", "b", "c"))}
    with pytest.raises(InputError, match=r"^The list of second texts is empty in row 2\. "):
        PromptServer(tasks).label(["great", "dull"], pairs=["so", None])  # type: ignore[list-item]


def test_texts_without_a_token_are_named_by_the_rows_of_the_texts(
    kinds: dict[str, PromptClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = {name: kinds[name] for name in ("early", "sets", "long")}
    real = encoding._tokenize_all

    def without_tokens(tokenizer: Any, inputs: Any) -> Any:
        found = real(tokenizer, inputs)
        return [
            {**each, "input_ids": []} if row == ("\u200b",) else each
            for each, row in zip(found, inputs, strict=True)
        ]

    monkeypatch.setattr(encoding, "_tokenize_all", without_tokens)
    texts = ["great", "great", "dull", "\u200b", "the plot"]
    asked: list[Callable[[], object]] = [
        lambda: PromptServer(tasks).label(texts),
        lambda: PromptEnsemble(list(tasks.values())[::2]).predict(texts),
        lambda: PromptServer(tasks).predict([Request("sets", text) for text in texts]),
    ]
    for ask in asked:
        with pytest.raises(InputError, match=r"has no token that this backbone knows in row 4\."):
            ask()


def test_a_request_that_does_not_fit_its_task_is_named_by_its_row(home: Path) -> None:
    server = PromptServer({"one": classifier(home, (1,)), "two": paired(classifier(home, (2,)))})
    good = [Request("one", "great"), Request("two", "great", "dull")]
    with pytest.raises(InputError, match=r"Task 'two' needs two texts a row, but got one in 2 rows: 3, 5\."):
        server.predict([*good, Request("two", "dull"), *good[:1], Request("two", "dull")])
    with pytest.raises(InputError, match=r"Task 'one' needs one text a row, but got two in row 3\."):
        server.predict([*good, Request("one", "dull", "great")])
    with pytest.raises(InputError, match=r"requests' second texts is empty in row 3\."):
        server.predict([*good, Request("two", "dull", " ")])


def test_a_name_of_a_task_that_is_no_text_is_unknown(kinds: dict[str, PromptClassifier]) -> None:
    server = PromptServer(kinds)
    with pytest.raises(InputError, match=r"Unknown task of the server '\['early'\]'"):
        server.label(TEXTS, [["early"]])  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"Unknown task of the server '\['early'\]'"):
        server.predict([Request(["early"], "great")])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["early", "sets"])
def test_probabilities_that_are_no_numbers_are_no_answer(name: str, home: Path) -> None:
    sets = str(make_label_sets(home / "sets.jsonl"))
    several = {"task": {"multi_label": True, "label_words": None}, "data": {"train": sets}}
    broken = classifier(home, (1,), seed=12, **(several if name == "sets" else {}))
    next(broken.model.head.parameters()).data.fill_(float("nan"))
    good = classifier(home, (2,), seed=13)
    with pytest.raises(NotFinite, match="probabilities that are not finite in 2 rows: 1, 2, "):
        broken.predict(["great", "dull"])
    server = PromptServer({"good": good, "broken": broken})
    with pytest.raises(NotFinite, match="probabilities that are not finite in 2 rows: 1, 2, "):
        server.label(["great", "dull"])
    with pytest.raises(NotFinite, match="not finite in row 2, "):
        server.predict([Request("good", "great"), Request("broken", "great")])
    assert server.label(["great"], ["good"])[0]["good"].label in good.labels


KINDS: dict[str, dict[int, str]] = {
    "shorter": {0: "free_7", 2: "generated_2"},
    "longer": {1: "free_1", 2: "free_9"},
    "late": {1: "scaling", 3: "generated_offset_5"},
    "scaled": {2: "scaling"},
    "first": {0: "scaling", 1: "insert", 3: "insert_6"},
    "top": {3: "scaling"},
}


@pytest.mark.parametrize("combine", ["replace", "add"])
@pytest.mark.parametrize(
    "names",
    [list(KINDS), ["scaled", "top"], ["shorter", "scaled"], ["shorter"], ["longer", "first"]],
    ids=str,
)
def test_layers_that_get_different_things_answer_as_alone(names: list[str], combine: str, home: Path) -> None:
    prompt = {"combine": combine}
    tasks = {
        name: kinds_classifier(home, KINDS[name], seed, prompt=prompt) for seed, name in enumerate(names)
    }
    plain = {"plain": classifier(home, (0, 2), seed=9), "none": classifier(home, (), seed=8)}
    for others in ({}, plain):
        every = {**tasks, **others}
        for answers, text in zip(PromptServer(every).label(TEXTS), TEXTS, strict=True):
            for name, task in every.items():
                (alone,) = task.predict([text])
                assert answers[name].probability == pytest.approx(alone.probability, abs=1e-5)
