"""Prompts read by the words nearest to their vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity

from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.neighbours import read_prompts
from tests.support.classifiers import classifier
from tests.support.tiny import BAD, FILLER, GOOD, LAYERS, tiny_workbench

FREE = {"generator": "free", "length": 4}
WORDS = {*GOOD, *BAD, *FILLER}


def words(made: PromptClassifier, layer: int = 0) -> list[str]:
    return [reading.words[0].word for reading in read_prompts(made) if reading.layer == layer]


def test_a_prompt_that_starts_at_words_reads_as_those_words(tmp_path: Path) -> None:
    made = classifier(tmp_path, (0,), prompt={**FREE, "init": "vocabulary"})
    readings = read_prompts(made, count=3)
    assert [(reading.layer, reading.position) for reading in readings] == [(0, i) for i in range(4)]
    assert all(reading.words[0].cosine == pytest.approx(1, abs=1e-3) for reading in readings)
    assert all(len(reading.words) == len(reading.control) == 3 for reading in readings)
    read = words(made)
    assert len(set(read)) == 4 and set(read) <= WORDS
    other = classifier(tmp_path, (0,), seed=1, prompt={**FREE, "init": "vocabulary"})
    assert words(other) != read


@pytest.mark.parametrize("count", [0, -1])
def test_no_words_are_nothing_to_read(count: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"words a vector is {count}, but must be 1 or more"):
        read_prompts(classifier(tmp_path, (0,), prompt=FREE), count=count)


def test_a_prompt_that_starts_at_labels_reads_as_the_label_words_first(tmp_path: Path) -> None:
    made = classifier(tmp_path, (0,), prompt={**FREE, "init": "labels"})
    assert words(made)[:2] == ["terrible", "great"]
    short = classifier(tmp_path, (0,), prompt={**FREE, "length": 1, "init": "labels"})
    assert words(short) == ["terrible"]


def test_cosines_are_cosines_and_sorted(tmp_path: Path) -> None:
    made = classifier(tmp_path, (0, 2), prompt=FREE)
    model = made.model
    readings = read_prompts(made, count=5)
    assert [reading.layer for reading in readings] == [0] * 4 + [2] * 4
    for reading in readings:
        vector = model.choices[reading.layer].generator.vectors[reading.position]
        for near in reading.words:
            (own,) = model.backbone.word_vectors(
                torch.tensor([made.tokenizer.convert_tokens_to_ids(near.word)])
            )
            assert near.cosine == pytest.approx(cosine_similarity(vector, own, dim=0).item(), abs=1e-3)
        cosines = [near.cosine for near in reading.words]
        assert cosines == sorted(cosines, reverse=True)


def test_the_control_depends_on_its_seed_alone(tmp_path: Path) -> None:
    made = classifier(tmp_path, (0,), prompt=FREE)
    control = [[reading.control for reading in read_prompts(made, seed=seed)] for seed in (0, 0, 1)]
    assert control[0] == control[1] != control[2]
    other = classifier(tmp_path, (0,), seed=7, prompt=FREE)
    assert [reading.control for reading in read_prompts(other)] == control[0]


def test_the_control_is_not_where_a_random_prompt_started(tmp_path: Path) -> None:
    made = classifier(tmp_path, (0,), seed=0, prompt=FREE)
    assert all(reading.words != reading.control for reading in read_prompts(made, seed=0))


def test_generated_prompts_are_read_for_a_text(tmp_path: Path) -> None:
    made = classifier(tmp_path, (1, 3))
    with pytest.raises(InputError, match="Give a text to read"):
        read_prompts(made)
    one, other = (read_prompts(made, text=text, count=1) for text in ("the film was dull", "great"))
    assert [reading.layer for reading in one] == [1] * 3 + [3] * 3
    assert [r.words for r in one] != [r.words for r in other]
    with pytest.raises(InputError, match="one text a row"):
        read_prompts(made, text="dull", pair="great")
    assert not made.model.choices[1]._forward_hooks
    with pytest.raises(InputError, match=r"text is empty\. Give a text, or leave text out"):
        read_prompts(made, text=" ")
    with pytest.raises(InputError, match=r"pair is empty\. Give a text, or leave pair out"):
        read_prompts(made, text="dull", pair="")
    with pytest.raises(InputError, match="pair is given, but no text"):
        read_prompts(made, pair="dull")


def test_of_a_text_longer_than_a_window_the_beginning_is_read(tmp_path: Path) -> None:
    made = classifier(tmp_path, (1, 3), data={"max_length": 6, "windows": 2})
    begin = " ".join(FILLER[:6])
    assert read_prompts(made, text=begin + " dull" * 20) == read_prompts(made, text=begin)


def test_vectors_among_words_are_read_too(tmp_path: Path) -> None:
    task = {"name": "custom", "label_words": ["terrible", "great"]}
    template = {"template": "{prompt} {text} It was {mask} {prompt} ."}
    sections = {
        "task": {**task, **template},
        "head": {"kind": "label_vectors"},
        "prompt": {"generator": "free", "place": "template", "length": 2},
        "search": {"strategy": "manual", "manual_layers": [0]},
    }
    run = tiny_workbench(tmp_path, **sections)
    architecture = PromptLayers.of([0], LAYERS)
    model = run.factory.model(architecture).eval()
    made = PromptClassifier(model, run.tokenizer, run.spec, architecture)
    assert len(read_prompts(made)) == len(read_prompts(made, text="the film")) == 2
