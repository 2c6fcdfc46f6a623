"""Where a free prompt starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spt.errors import InputError
from spt.prompts.initialisers import FREQUENT, frequent_words
from spt.workbench import Workbench
from tests.support.families import FAMILIES, HIDDEN, attentions, shared_backbone
from tests.support.tiny import tiny_workbench

FREE = {"generator": "free", "length": 4}


def started(
    home: Path, init: str, layer: int = 0, seed: int = 0, **prompt: Any
) -> tuple[Workbench, torch.Tensor]:
    """A run, and the vectors [P, H] its prompt at a layer starts from."""
    run = tiny_workbench(home, seed=seed, prompt={**FREE, "init": init, **prompt})
    return run, run.factory.inserts([layer])[layer].generator.vectors.detach()


def words_of(run: Workbench) -> torch.Tensor:
    ids = frequent_words(run.tokenizer)
    return run.backbone.word_vectors(torch.tensor(ids))


def test_sampled_words_are_different_words_of_the_vocabulary(tmp_path: Path) -> None:
    run, vectors = started(tmp_path, "vocabulary", length=8)
    same = (vectors[:, None] == words_of(run)).all(-1)
    assert same.sum(1).tolist() == [1] * 8
    assert same.sum(0).max() == 1


def test_the_seed_and_the_layer_choose_the_words(tmp_path: Path) -> None:
    starts = [
        started(tmp_path, "vocabulary", layer, seed)[1] for layer, seed in [(0, 0), (0, 0), (1, 0), (0, 1)]
    ]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2]) and not torch.equal(starts[0], starts[3])


def test_label_words_come_first_and_sampled_words_fill_up(tmp_path: Path) -> None:
    run, vectors = started(tmp_path, "labels")
    labels = run.tokenizer.convert_tokens_to_ids(["terrible", "great"])
    torch.testing.assert_close(vectors[:2], run.backbone.word_vectors(torch.tensor(labels)))
    assert ((vectors[2:, None] == words_of(run)).all(-1)).any(1).all()


def test_a_label_of_several_tokens_is_their_mean_and_names_serve_without_label_words(tmp_path: Path) -> None:
    task = {"name": "custom", "labels": ["bad", "good"], "label_words": ["dull plot", "great"]}
    run = tiny_workbench(tmp_path, task=task, prompt={**FREE, "length": 1, "init": "labels"})
    vectors = run.factory.inserts([0])[0].generator.vectors
    pair = run.backbone.word_vectors(torch.tensor(run.tokenizer.convert_tokens_to_ids(["dull", "plot"])))
    torch.testing.assert_close(vectors[0], pair.mean(0))
    unnamed = {**task, "label_words": None, "labels": None}
    other = tiny_workbench(tmp_path, task=unnamed, prompt={**FREE, "init": "labels"})
    unknown = other.backbone.word_vectors(torch.tensor([other.tokenizer.unk_token_id]))
    torch.testing.assert_close(other.factory.inserts([0])[0].generator.vectors[:2], unknown.expand(2, -1))


def test_a_random_start_is_neither(tmp_path: Path) -> None:
    run, vectors = started(tmp_path, "random")
    assert not (vectors[:, None] == words_of(run)).all(-1).any()


def test_special_and_unused_entries_are_no_words() -> None:
    class Vocabulary:
        all_special_ids = (0, 2)
        tokens = ("<s>", "the", "[MASK]", "[unused7]", "a", "<extra_id_3>", "madeupword0001", "of")

        def __len__(self) -> int:
            return len(self.tokens)

        def convert_ids_to_tokens(self, ids: range) -> list[str]:
            return [self.tokens[i] for i in ids]

    assert frequent_words(Vocabulary()) == [1, 4, 7]
    many = Vocabulary()
    many.tokens = ("x",) * (FREQUENT + 10)
    assert len(frequent_words(many)) == FREQUENT


def test_more_vectors_than_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prompt\.length is 40, but the vocabulary has only 19 words"):
        started(tmp_path, "vocabulary", length=40)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_word_is_what_layer_0_sees_of_it_alone(name: str) -> None:
    backbone = shared_backbone(name, attentions(name)[0])
    vectors = backbone.word_vectors(torch.arange(4, 9))
    assert vectors.shape == (5, HIDDEN)
    one = {"input_ids": torch.tensor([[6]]), "attention_mask": torch.ones(1, 1, dtype=torch.long)}
    torch.testing.assert_close(vectors[2], backbone.embed(one)[0, 0])
