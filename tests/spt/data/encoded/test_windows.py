"""Windows: all of a long text, in pieces that fit, and one answer a text wherever texts are answered."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spt.architecture import PromptLayers
from spt.data.config import DataConfig
from spt.data.encoded.batches import make_loader
from spt.data.encoded.encoding import encode_texts
from spt.data.encoded.windows import cut_windows
from spt.data.splitting.halves import split_in_halves
from spt.errors import InputError
from spt.evaluation import evaluate, pool_windows, probabilities
from spt.serving.classifier import PromptClassifier
from spt.serving.ensemble import PromptEnsemble
from spt.serving.request import Request
from spt.serving.server import PromptServer
from spt.tasks import get_task
from spt.training.fit import fit
from spt.workbench import Workbench
from tests.support.classifiers import classifier
from tests.support.tiny import BAD, FILLER, GOOD, make_tokenizer, text_spec, tiny_workbench

TASK = get_task("custom")
LONG = " ".join([*GOOD, *BAD, *FILLER] * 3)
TEXTS = ["the film was lovely", LONG, "dull", f"very poor {LONG} it was awful"]
# the tiny data's texts have up to 10 tokens
WINDOWS: dict[str, Any] = {"max_length": 6, "windows": 2}


def words(count: int) -> tuple[str, list[tuple[int, int]]]:
    """A text of so many words of one letter, and where they are."""
    return "x " * count, [(2 * i, 2 * i + 1) for i in range(count)]


@given(st.integers(12, 80), st.integers(4, 12), st.integers(0, 1))
def test_windows_hold_all_of_a_text_overlap_and_fit(count: int, max_length: int, overlap: int) -> None:
    text, spans = words(count)
    pieces: list[tuple[int, int]] = []

    def encode(piece: str) -> dict[str, Any]:
        return {"input_ids": ["[", *piece.split(), "]"]}

    for tokens in cut_windows(text, spans, encode, max_length, overlap):
        size = len(tokens["input_ids"]) - 2
        assert size <= max_length - 2
        begin = 0 if not pieces else min(pieces[-1][1] - overlap, count - size)
        pieces.append((begin, begin + size))
    assert pieces[-1][1] == count
    # all are as long as they may be, the last one too
    assert {end - begin for begin, end in pieces} == {min(count, max_length - 2)}
    assert all(end - begin >= overlap for (_, end), (begin, _) in pairwise(pieces))


def test_a_piece_that_has_more_tokens_alone_is_shortened_and_nothing_is_lost() -> None:
    text, spans = words(20)
    seen: list[str] = []

    def encode(piece: str) -> dict[str, Any]:
        # a piece's last word comes apart
        seen.append(piece)
        return {"input_ids": [*piece.split(), "#"]}

    windows = cut_windows(text, spans, encode, 6, 0)
    assert [len(tokens["input_ids"]) for tokens in windows] == [6, 6, 6, 6]


@pytest.mark.parametrize("overlap", [2, 3, 4, 9])
def test_neighbours_share_no_more_than_half_of_a_window(overlap: int) -> None:
    text, spans = words(12)
    windows = cut_windows(text, spans, lambda piece: {"input_ids": piece.split()}, 4, overlap)
    # at 0, 2, 4, 6 and 8
    assert len(windows) == 5


@pytest.mark.parametrize("template", [False, True])
def test_long_texts_become_windows_with_the_texts_row(template: bool) -> None:
    tokenizer = make_tokenizer()
    examples = encode_texts(TEXTS, None, tokenizer, text_spec(TASK, 16, template, windows=4))
    assert examples.lengths.max() <= 16
    assert examples.num_rows == len(TEXTS)
    assert examples.rows.tolist() == sorted(examples.rows.tolist())
    assert examples.cut_texts == 0
    whole = encode_texts(TEXTS, None, tokenizer, text_spec(TASK, 32, template)).take([0])
    assert examples[0]["input_ids"] == whole[0]["input_ids"]
    text = encode_texts([LONG], None, make_tokenizer(), text_spec(TASK, 16, template, windows=4))
    ids = [example["input_ids"] for example in text]
    if template:
        assert all(tokenizer.mask_token_id in window for window in ids)
    else:
        unwrapped = tokenizer(LONG)["input_ids"]
        starts = [0, *(12 * number for number in range(1, len(ids) - 1)), len(unwrapped) - 16]
        assert ids == [unwrapped[start : start + 16] for start in starts]


def test_no_room_beside_the_template_is_refused() -> None:
    with pytest.raises(InputError, match=r"max_length is 5, but special tokens and template leave no room"):
        encode_texts([LONG], None, make_tokenizer(), text_spec(TASK, 5, True, windows=2))
    # room for two tokens beside the template, of which neighbours may share one
    examples = encode_texts([LONG], None, make_tokenizer(), text_spec(TASK, 7, True, windows=3))
    assert (len(examples), examples.lengths.max()) == (len(LONG.split()) - 1, 7)


def test_without_windows_the_share_of_cut_texts_is_told(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        bench = tiny_workbench(tmp_path, data={"max_length": 6})
    (sign,) = bench.cut_signs()
    assert sign in caplog.text
    assert "lost their end" in sign
    assert "raise data.max_length (this backbone reads up to 32) or set data.windows=true" in sign
    cut = sum(bench.examples["train"].is_cut)
    assert 0 < cut < 120
    assert f"{100 * cut / 120:.1f} % of train" in sign
    assert tiny_workbench(tmp_path, data=WINDOWS).cut_signs() == []
    assert tiny_workbench(tmp_path, data={"max_length": 32}).cut_signs() == []


def test_rows_are_counted_and_not_their_windows(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, data=WINDOWS)
    assert [bench.rows(split) for split in ("train", "dev", "test")] == [120, 20, 20]
    assert len(bench.examples["train"]) > 120
    assert bench.spec.windows == 2
    cut = tiny_workbench(tmp_path, data={"max_length": 6})
    # every window of a text has the text's label
    labels = dict(zip(bench.examples["train"].rows, bench.examples["train"].labels, strict=True))
    assert [labels[row] for row in range(120)] == cut.examples["train"].labels.tolist()


def test_windows_of_a_text_are_in_one_half(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, data=WINDOWS)
    loader = make_loader(bench.examples["train"], bench.tokenizer, 8, seed=0)
    halves = [set(half.dataset.rows.tolist()) for half in split_in_halves(loader, 0)]
    assert len(halves[0]) == len(halves[1]) == 60
    assert not halves[0] & halves[1]


def pooled_by_hand(bench: Workbench, model: Any, split: str) -> np.ndarray:
    """The mean of each row's probabilities, one window at a time."""
    examples = bench.examples[split]
    alone = [
        probabilities(model, make_loader(examples.take([place]), bench.tokenizer, 1), bench.spec.task)[0][0]
        for place in range(len(examples))
    ]
    return np.array(
        [
            np.mean([p for p, row in zip(alone, examples.rows, strict=True) if row == n], 0)
            for n in range(bench.rows(split))
        ]
    )


def test_a_row_is_scored_by_the_mean_of_its_windows(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, data=WINDOWS)
    model = bench.factory.model(PromptLayers.of([1], bench.num_layers))
    chances, labels = probabilities(model, bench.batches("dev", model).loader, bench.spec.task)
    assert chances.shape == (20, 2)
    np.testing.assert_allclose(chances, pooled_by_hand(bench, model, "dev"), atol=1e-5)
    expected = tiny_workbench(tmp_path, data={"max_length": 32}).examples["dev"].labels
    assert labels.tolist() == expected.tolist()


def test_dev_scores_of_a_training_are_of_rows(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, data=WINDOWS, training={"epochs": 1})
    model = bench.factory.model(PromptLayers.of([1], bench.num_layers))
    train, dev = bench.batches("train", model, shuffled=True).loader, bench.batches("dev", model).loader
    result = fit(model, train, dev, bench.spec.task, bench.training, 0, tmp_path / "train")
    assert result.dev == pytest.approx(evaluate(model, dev, bench.spec.task)["metric"])
    # 20 rows: a twentieth is the least difference
    assert result.dev * 20 == pytest.approx(round(result.dev * 20))
    assert result.steps == -(-len(bench.examples["train"]) // 8)


def test_pooled_rows_are_in_order_whatever_the_order_of_windows() -> None:
    rows = torch.tensor([2, 0, 2, 5])
    chances = torch.tensor([[0.2, 0.8], [1.0, 0.0], [0.4, 0.6], [0.5, 0.5]])
    answers = pool_windows(rows, chances, torch.tensor([1, 0, 1, 7]))
    torch.testing.assert_close(answers.probabilities, torch.tensor([[1.0, 0.0], [0.3, 0.7], [0.5, 0.5]]))
    assert answers.labels.tolist() == [0, 1, 7]


def test_cached_states_of_windows_are_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    plain = tiny_workbench(tmp_path, data=WINDOWS)
    model = plain.factory.model(PromptLayers.of([2], plain.num_layers))
    cached = tiny_workbench(tmp_path, data=WINDOWS, cache="disk")
    batches = cached.batches("dev", model)
    assert batches.flops > 0
    expected = probabilities(model, plain.batches("dev", model).loader, plain.spec.task)[0]
    np.testing.assert_allclose(probabilities(model, batches.loader, plain.spec.task)[0], expected, atol=1e-5)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> PromptClassifier:
    return classifier(
        tmp_path_factory.mktemp("windowed"), (0, 2), seed=1, data={"max_length": 12, "windows": 3}
    )


def test_a_saved_prompt_reads_windows_as_it_was_trained(windowed: PromptClassifier, tmp_path: Path) -> None:
    answers = windowed.predict(TEXTS)
    assert len(answers) == len(TEXTS)
    windowed.save_pretrained(tmp_path / "model")
    assert PromptClassifier.from_pretrained(tmp_path / "model").predict(TEXTS) == answers
    cut = replace(windowed, spec=windowed.spec.model_copy(update={"windows": None})).predict(TEXTS)
    same = [
        a.probability == pytest.approx(b.probability, abs=1e-6) for a, b in zip(answers, cut, strict=True)
    ]
    assert same == [True, False, True, False]


def test_server_and_ensemble_answer_windows_as_the_classifier(windowed: PromptClassifier) -> None:
    alone = windowed.predict(TEXTS)
    server = PromptServer({"task": windowed})
    for batch_size in (1, 3, 64):
        served = server.predict([Request("task", text) for text in TEXTS], batch_size)
        assert [answer.label for answer in served] == [answer.label for answer in alone]
        assert [answer.probability for answer in served] == pytest.approx(
            [answer.probability for answer in alone], abs=1e-5
        )
    voted = PromptEnsemble([windowed, windowed]).predict(TEXTS)
    assert [answer.label for answer in voted] == [answer.label for answer in alone]


def test_windows_of_pairs_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"windows is 4, but task 'rte' has two texts .* raise data.max_length"
    ):
        encode_texts(["a"], ["b"], make_tokenizer(), text_spec(get_task("rte"), 16, False, windows=4))


@pytest.mark.parametrize(
    ("given", "overlap"), [(True, 32), (False, None), (None, None), (0, 0), (64, 64)], ids=str
)
def test_true_is_a_quarter_of_the_longest_input(given: Any, overlap: int | None) -> None:
    assert DataConfig(max_length=128, windows=given).windows == overlap


@pytest.mark.parametrize("given", [65, -1, "many", 0.5])
def test_other_overlaps_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="windows"):
        DataConfig(max_length=128, windows=given)
