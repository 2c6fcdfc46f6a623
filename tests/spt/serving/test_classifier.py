"""Saved prompts: the same logits anywhere, one clear error for what is not one, and answers in order."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spt.answers.options import AnswerRule
from spt.architecture import PromptLayers
from spt.data.encoded.batches import make_loader
from spt.data.encoded.encoding import encode_texts
from spt.errors import InputError
from spt.evaluation import probabilities
from spt.model import trained
from spt.saved_folders import PROMPT_JSON, PROMPT_WEIGHTS
from spt.serving import saved_prompt as module
from spt.serving.classifier import PromptClassifier
from spt.serving.saved_prompt import FORMAT
from spt.serving.server import PromptServer
from spt.tasks import get_task
from tests.support.killed import dead_process, replaced_name
from tests.support.places import check_no_place_is_refused
from tests.support.tiny import make_backbone, tiny_workbench

ROOT = Path(__file__).parents[3]
TEXTS = ["the film was lovely", "dull", "it was very poor and the plot was awful", "great film"]


def new_classifier(folder: Path, **sections: Any) -> PromptClassifier:
    """An untrained model whose trained weights are all away from their start."""
    run = tiny_workbench(folder, cache="off", **sections)
    architecture = PromptLayers.of([1, 3], 4)
    model = run.factory.model(architecture)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, parameter in trained(model):
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return PromptClassifier(model.eval(), run.tokenizer, run.spec, architecture)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classifier")


@pytest.fixture(scope="module")
def made(home: Path) -> PromptClassifier:
    classifier = new_classifier(home)
    with torch.no_grad():
        # so that both classes are answered
        classifier.model.head.linear.bias[0] += logits(classifier).diff(dim=1).mean()
    return classifier


@pytest.fixture
def saved(made: PromptClassifier, tmp_path: Path) -> Path:
    made.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@torch.no_grad()
def logits(classifier: PromptClassifier) -> Tensor:
    examples = encode_texts(TEXTS, None, classifier.tokenizer, classifier.spec)
    (batch,) = make_loader(examples, classifier.tokenizer, len(TEXTS))
    return classifier.model(batch).logits[batch["rows"].argsort()]


def test_a_saved_prompt_gives_the_same_logits_bit_for_bit(made: PromptClassifier, saved: Path) -> None:
    loaded = PromptClassifier.from_pretrained(saved)
    assert torch.equal(logits(loaded), logits(made))
    assert (loaded.spec, loaded.architecture) == (made.spec, made.architecture)
    assert not loaded.model.training


@pytest.mark.parametrize("name", ["model", "here/model"])
def test_a_saved_prompt_whose_writer_was_killed_is_put_back(
    name: str, made: PromptClassifier, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.parent.mkdir(exist_ok=True)
    saved.rename(folder.with_name(replaced_name("model", dead_process())))
    monkeypatch.chdir(tmp_path)
    # a name that one of the hub would have too
    assert torch.equal(logits(PromptClassifier.from_pretrained(name)), logits(made))
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".model")] == []


ELSEWHERE = """
import sys, torch
torch.set_num_threads(1)
from spt.serving.classifier import PromptClassifier
from spt.data.encoded.batches import make_loader
from spt.data.encoded.encoding import encode_texts
loaded = PromptClassifier.from_pretrained(sys.argv[1])
examples = encode_texts(sys.argv[3:], None, loaded.tokenizer, loaded.spec)
(batch,) = make_loader(examples, loaded.tokenizer, len(examples))
from safetensors.torch import save_file
with torch.no_grad():
    save_file({"logits": loaded.model(batch).logits[batch["rows"].argsort()]}, sys.argv[2])
"""


@pytest.mark.slow
def test_another_process_gives_the_same_logits_bit_for_bit(
    made: PromptClassifier, saved: Path, tmp_path: Path
) -> None:
    answer = tmp_path / "logits.safetensors"
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(saved), str(answer), *TEXTS],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        capture_output=True,
    )
    assert torch.equal(load_file(answer)["logits"], logits(made))


@pytest.mark.parametrize(
    "section", [{"head": {"kind": "verbalizer"}}, {"prompt": {"generator": "naive"}}], ids=str
)
def test_other_heads_and_generators_come_back_too(
    section: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    made = new_classifier(home, **section)
    made.save_pretrained(tmp_path / "model")
    assert torch.equal(logits(PromptClassifier.from_pretrained(tmp_path / "model")), logits(made))


def test_two_small_files_hold_what_trains_and_no_backbone(made: PromptClassifier, saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {PROMPT_JSON, PROMPT_WEIGHTS}
    assert {path.name for path in saved.parent.iterdir()} == {"model"}
    weights = load_file(saved / PROMPT_WEIGHTS)
    assert weights.keys() == {name for name, _ in trained(made.model)}
    assert (saved / PROMPT_WEIGHTS).stat().st_size < 4 * sum(w.numel() for w in weights.values()) + 4096


def test_a_saved_prompt_is_replaced_whole(made: PromptClassifier, saved: Path) -> None:
    (saved / "README.md").write_text("a card of the old one", encoding="utf-8")
    made.save_pretrained(saved)
    assert {path.name for path in saved.iterdir()} == {PROMPT_JSON, PROMPT_WEIGHTS}


def test_an_empty_or_missing_folder_is_filled(made: PromptClassifier, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "deep"):
        made.save_pretrained(folder)
        assert {path.name for path in folder.iterdir()} == {PROMPT_JSON, PROMPT_WEIGHTS}


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_nothing_else_is_ever_deleted(kind: str, made: PromptClassifier, tmp_path: Path) -> None:
    target = tmp_path / "thesis"
    path = target / "chapter.txt" if kind == "folder" else target
    path.parent.mkdir(exist_ok=True)
    path.write_text("years of work", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"neither a saved prompt nor an empty folder.*Choose another folder"
    ):
        made.save_pretrained(target)
    assert path.read_text(encoding="utf-8") == "years of work"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("before", [True, False], ids=["over an old one", "new"])
def test_a_failed_save_leaves_what_there_was(
    before: bool, made: PromptClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    if before:
        made.save_pretrained(folder)

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "write_tensors", full)
    with pytest.raises(OSError, match="No space"):
        made.save_pretrained(folder)
    assert list(tmp_path.iterdir()) == ([folder] if before else [])
    if before:
        assert torch.equal(logits(PromptClassifier.from_pretrained(folder)), logits(made))


def change(folder: Path, **changes: Any) -> None:
    path = folder / PROMPT_JSON
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}), encoding="utf-8")


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def retensor(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Put other weights there, as if they had been saved so."""
    tensors = load_file(folder / PROMPT_WEIGHTS)
    save_file({name: tensor.clone() for name, tensor in change(tensors).items()}, folder / PROMPT_WEIGHTS)
    as_saved(folder)


def respecify(folder: Path, **keys: Any) -> None:
    change(folder, spec=json.loads((folder / PROMPT_JSON).read_text(encoding="utf-8"))["spec"] | keys)


def reshape(folder: Path, **keys: Any) -> None:
    spec = json.loads((folder / PROMPT_JSON).read_text(encoding="utf-8"))["spec"]
    respecify(folder, prompt=spec["prompt"] | keys)


def as_saved(folder: Path) -> None:
    digest = hashlib.sha256((folder / PROMPT_WEIGHTS).read_bytes()).hexdigest()
    change(folder, tensors={PROMPT_WEIGHTS: digest})


def flip(folder: Path, at: int) -> None:
    rewrite(folder / PROMPT_WEIGHTS, lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def several(folder: Path, **answers: Any) -> None:
    """Make the task one of several labels a text."""
    task = {**json.loads((folder / PROMPT_JSON).read_bytes())["spec"]["task"], "multi_label": True}
    respecify(folder, task={**task, "metric": "macro_f1"}, answers=answers)


BIAS = "head.linear.bias"
DAMAGES: dict[str, Callable[[Path], object]] = {
    "no folder": shutil.rmtree,
    "no weights": lambda folder: (folder / PROMPT_WEIGHTS).unlink(),
    "cut config": lambda folder: rewrite(folder / PROMPT_JSON, lambda text: text[:-20]),
    "binary config": lambda folder: rewrite(folder / PROMPT_JSON, lambda _: b"\xff\xfe\x00"),
    "cut weights": lambda folder: rewrite(folder / PROMPT_WEIGHTS, lambda data: data[:-20]),
    "cut weights saved so": lambda folder: (DAMAGES["cut weights"](folder), as_saved(folder)),
    "flipped": lambda folder: flip(folder, (folder / PROMPT_WEIGHTS).stat().st_size - 9),
    "deep config": lambda folder: rewrite(folder / PROMPT_JSON, lambda _: b"[" * 100_000),
    "no version": lambda folder: change(folder, format=9, versions=None),
    "no digest": lambda folder: change(folder, tensors={}),
    "not a number": lambda folder: retensor(folder, lambda t: {**t, BIAS: t[BIAS] * float("nan")}),
    "infinite": lambda folder: retensor(folder, lambda t: {**t, BIAS: t[BIAS] + float("inf")}),
    "other config": lambda folder: rewrite(folder / PROMPT_JSON, lambda _: b"[1, 2]"),
    "newer": lambda folder: change(folder, format=FORMAT + 1, versions={"spt-nas": "9.1"}),
    "no spec": lambda folder: change(folder, spec={}),
    "no backbone": lambda folder: change(folder, backbone=...),
    "text for a backbone": lambda folder: change(folder, backbone="0123"),
    "no architecture": lambda folder: change(folder, architecture=...),
    "layer outside": lambda folder: change(folder, architecture={"layers": [1, 9], "total": 4}),
    "a layer less": lambda folder: change(folder, architecture={"layers": [1], "total": 4}),
    "a tensor less": lambda folder: retensor(folder, lambda t: {k: t[k] for k in t.keys() - {BIAS}}),
    "format true": lambda folder: change(folder, format=True),
    "more layers": lambda folder: change(folder, architecture={"layers": [1, 3], "total": 5}),
    "layers for ever": lambda folder: change(folder, architecture={"layers": [1], "total": 10**6}),
    "a wide prompt": lambda folder: reshape(folder, bottleneck=2**16),
    "a wider prompt": lambda folder: reshape(folder, bottleneck=10**9),
    "a long prompt": lambda folder: reshape(folder, length=512),
    "order": lambda folder: reshape(folder, phm_order=256),
    "negative length": lambda folder: respecify(folder, max_length=-1),
    "endless length": lambda folder: respecify(folder, max_length=10**12),
    "longer length": lambda folder: respecify(folder, max_length=2**20),
    "nobody's home": lambda folder: respecify(folder, backbone={"name": "~nosuchuser/model"}),
    "thresholds": lambda folder: respecify(folder, answers={"thresholds": [0.5, 0.5]}),
    "a negative threshold": lambda folder: respecify(folder, answers={"thresholds": [2, -1]}),
    "several labels": lambda folder: several(folder, thresholds=[0.5]),
    "no thresholds": lambda folder: several(folder, temperature=2.0),
    "numbers for a backbone": lambda folder: change(folder, backbone={"weights": 5}),
    "whole numbers": lambda folder: retensor(folder, lambda t: {**t, BIAS: t[BIAS].long()}),
    "other shape": lambda folder: retensor(folder, lambda t: {**t, BIAS: torch.zeros(3)}),
}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no folder", f"is not a saved prompt.*{PROMPT_JSON} and {PROMPT_WEIGHTS}"),
        ("no weights", "is not a saved prompt"),
        ("cut config", "is not a saved prompt"),
        ("binary config", "is not a saved prompt"),
        (
            "cut weights",
            rf"{PROMPT_WEIGHTS}' is damaged: its SHA-256 is \w{{64}}, but it was saved with \w{{64}}",
        ),
        ("cut weights saved so", "is not a saved prompt"),
        ("flipped", rf"{PROMPT_WEIGHTS}' is damaged: its SHA-256 is .* Copy the folder again"),
        ("not a number", rf"{PROMPT_WEIGHTS}' holds weights that are not finite: head\.linear\.bias"),
        ("infinite", rf"{PROMPT_WEIGHTS}' holds weights that are not finite: head\.linear\.bias"),
        ("deep config", "is not a saved prompt"),
        ("no version", r"has format 9, but .* wrote it: None"),
        ("no digest", "is damaged.*prompt.safetensors"),
        ("other config", "is not a saved prompt.*holds no JSON object but list"),
        ("newer", rf"has format {FORMAT + 1}, but this version reads 1 to {FORMAT}\. Use .* wrote it: 9\.1"),
        ("no spec", "is damaged"),
        ("no backbone", "is damaged.*backbone"),
        ("text for a backbone", "is damaged"),
        ("no architecture", "is damaged.*architecture"),
        ("layer outside", r"is damaged[\s\S]*not among 0 to 3"),
        ("a layer less", r"does not fit prompt.json .*choices\.3\.generator"),
        ("a tensor less", r"does not fit prompt.json .*head\.linear\.bias"),
        ("format true", "has format True, but"),
        ("more layers", r"is of a backbone with 5 layers, but '.*backbone' has 4\."),
        ("layers for ever", r"is damaged: architecture\.total: .* less than or equal to 1000"),
        ("a wide prompt", r"does not fit prompt.json: .* at least [\d,]{9,} numbers, but it holds \d,?\d+\."),
        ("a wider prompt", r"is damaged: spec\.prompt\.bottleneck: .* less than or equal to 65536"),
        ("a long prompt", r"does not fit prompt.json: .* numbers, but it holds"),
        ("order", "The PHM order is 256"),
        ("negative length", r"is damaged: spec\.max_length: .* greater than or equal to 1"),
        ("endless length", r"is damaged: spec\.max_length: .* less than or equal to 16777216"),
        ("longer length", "max_length is 1048576, but the backbone .* reads at most 32 tokens"),
        ("nobody's home", r"trained on the backbone '~nosuchuser/model'\. '~nosuchuser/model' is no path"),
        ("thresholds", r"is damaged: spec: .*thresholds are of texts with several labels, but task 'custom'"),
        ("a negative threshold", r"is damaged: spec\.answers\.thresholds\.0: .* less than or equal to 1"),
        ("several labels", "is damaged: spec: .*there are 1 thresholds, but 2 classes"),
        ("no thresholds", "is damaged: spec: .*there is a temperature, but no threshold of the 2 classes"),
        ("numbers for a backbone", r"is damaged: backbone\.weights: .* valid string"),
        ("whole numbers", r"is not a saved prompt: .*it holds I64, but weights are BF16"),
        ("other shape", r"does not fit prompt.json .*head\.linear\.bias"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused(kind: str, message: str, saved: Path) -> None:
    DAMAGES[kind](saved)
    with pytest.raises(InputError, match=message):
        PromptClassifier.from_pretrained(saved)


def test_the_prompt_of_a_run_is_named_where_the_run_is_given(saved: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(saved, run / "model")
    with pytest.raises(InputError, match=rf"'{run}' is not a saved prompt, but .*: give '{run}/model'\.$"):
        PromptClassifier.from_pretrained(run)
    # one that is damaged is itself meant
    (run / PROMPT_JSON).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=f"'{run}' is not a saved prompt. "):
        PromptClassifier.from_pretrained(run)


def test_a_backbone_that_is_gone_or_another_is_refused(home: Path, tmp_path: Path) -> None:
    make_backbone(tmp_path / "backbone")
    made = new_classifier(home, backbone={"name": str(tmp_path / "backbone")})
    made.save_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "backbone")
    make_backbone(tmp_path / "backbone", layers=2)
    with pytest.raises(InputError, match=r"backbone .* trained on\. Different: weights .*, config "):
        PromptClassifier.from_pretrained(tmp_path / "model")
    (tmp_path / "backbone" / "tokenizer.json").unlink()
    (tmp_path / "backbone" / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match="has no tokenizer that can be read"):
        PromptClassifier.from_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "backbone")
    with pytest.raises(InputError, match="backbone"):
        PromptClassifier.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_answers_come_in_the_order_of_the_texts(made: PromptClassifier, batch_size: int) -> None:
    texts = [*TEXTS, *reversed(TEXTS)]
    answers = made.predict(texts, batch_size=batch_size)
    chances = logits(made).softmax(-1)
    labels = [made.spec.task.labels[i] for i in chances.argmax(-1)]
    assert [answer.label for answer in answers] == [*labels, *reversed(labels)]
    wanted = chances.amax(-1).tolist()
    assert [answer.probability for answer in answers] == pytest.approx([*wanted, *reversed(wanted)], abs=1e-5)
    assert set(labels) == set(made.spec.task.labels) == {"bad", "good"}


def test_no_texts_give_no_answers(made: PromptClassifier) -> None:
    assert made.predict([]) == []


@pytest.mark.parametrize("kind", [np.array, pd.Series, tuple, iter], ids=lambda kind: kind.__name__)
def test_arrays_and_series_are_answered_like_lists(kind: Any, made: PromptClassifier) -> None:
    assert made.predict(kind(TEXTS)) == made.predict(TEXTS)
    assert made.predict(kind([])) == []


def test_one_text_gets_one_answer(made: PromptClassifier) -> None:
    assert made.predict("great film") == made.predict(["great film"])


def test_spaces_around_a_text_change_no_answer(made: PromptClassifier) -> None:
    assert made.predict([f" \n{text}\t " for text in TEXTS]) == made.predict(TEXTS)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "is of type NoneType"),
        (3.5, "is of type float"),
        ({"text": "great"}, "is of type dict"),
        (["great", None, float("nan"), pd.NA], "is empty in 3 rows: 2, 3, 4"),
        (["great", 5, b"x"], "type int, a value of type bytes in 2 rows: 2, 3"),
        (pd.Series([1.0, 2.0]), "type float in 2 rows: 1, 2"),
        (["great", "  "], "is empty in row 2"),
    ],
    ids=str,
)
def test_what_is_no_text_is_refused_by_row(texts: Any, message: str, made: PromptClassifier) -> None:
    with pytest.raises(InputError, match=message):
        made.predict(texts)


def test_pairs_are_read_and_their_order_counts(home: Path) -> None:
    made = new_classifier(home)
    task = made.spec.task.model_dump(exclude={"template", "causal_template", "name"})
    spec = made.spec.model_copy(update={"task": get_task("custom", **{**task, "text_pair": "second"})})
    pairs = replace(made, spec=spec)
    firsts, seconds = TEXTS, list(reversed(TEXTS))
    answers, swapped = pairs.predict(firsts, seconds), pairs.predict(seconds, firsts)
    alike = pairs.predict(firsts[0], seconds[0])
    assert alike[0].probability == pytest.approx(answers[0].probability, abs=1e-5)
    assert [a.probability for a in answers] != pytest.approx([b.probability for b in swapped], abs=1e-4)
    with pytest.raises(InputError, match="needs two texts a row"):
        pairs.predict(firsts)
    with pytest.raises(InputError, match="needs two texts a row, but got 4 texts and 1 second"):
        pairs.predict(firsts, seconds[:1])
    with pytest.raises(InputError, match="needs one text a row"):
        made.predict(firsts, seconds)
    with pytest.raises(InputError, match="list of second texts is empty in row 2"):
        pairs.predict(firsts[:2], ["a", None])


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "8", True, None])
def test_a_batch_without_a_number_of_rows_is_refused(made: PromptClassifier, batch_size: Any) -> None:
    with pytest.raises(InputError, match=f"batch_size is {batch_size!r}, but must be at least 1"):
        made.predict(TEXTS, batch_size=batch_size)


def test_predict_is_the_evaluations_answer(made: PromptClassifier) -> None:
    examples = encode_texts(TEXTS, None, made.tokenizer, made.spec)
    chances, _ = probabilities(made.model, make_loader(examples, made.tokenizer, 2), made.spec.task)
    assert [answer.probability for answer in made.predict(TEXTS, batch_size=2)] == chances.max(-1).tolist()


def test_probabilities_of_all_classes_stand_in_the_order_of_the_labels(made: PromptClassifier) -> None:
    chances = made.predict_proba(TEXTS)
    assert made.labels == ("bad", "good")
    assert chances == pytest.approx(logits(made).softmax(-1).numpy(), abs=1e-6)
    answers = made.predict(TEXTS)
    assert [made.labels[i] for i in chances.argmax(-1)] == [answer.label for answer in answers]
    assert chances.max(-1).tolist() == [answer.probability for answer in answers]
    assert made.predict_proba([]).shape == (0, 2)
    assert made.predict_proba("great film").shape == (1, 2)


def test_labelled_texts_are_scored_by_the_names_of_the_metrics(made: PromptClassifier) -> None:
    right = [answer.label for answer in made.predict(TEXTS)]
    wrong = ["good" if label == "bad" else "bad" for label in right]
    scores = made.evaluate(TEXTS, right)
    assert 0 < scores.pop("test_calibration_error") < 1
    assert scores == {
        "metric": "accuracy",
        "test_accuracy": 1.0,
        "test_f1": 1.0,
        "test_macro_f1": 1.0,
        "test_weighted_f1": 1.0,
        "test_metric": 1.0,
        "test_size": len(TEXTS),
    }
    half = made.evaluate(pd.Series(TEXTS), np.array([*right[:2], *wrong[2:]]))
    assert half["test_metric"] == 0.5
    assert made.evaluate(TEXTS, [made.labels.index(label) for label in right])["test_metric"] == 1.0


def of_several_labels(made: PromptClassifier, labels: tuple[str, ...] = ("bad", "good")) -> PromptClassifier:
    task = get_task("custom", multi_label=True, labels=labels)
    return replace(made, spec=made.spec.model_copy(update={"task": task}))


FLAGS = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])


@pytest.mark.parametrize(
    "labels",
    [
        FLAGS,
        FLAGS.astype(bool),
        torch.tensor(FLAGS),
        pd.DataFrame(FLAGS),
        pd.DataFrame(FLAGS[:, ::-1], columns=["good", "bad"]),
        [["bad"], ["good"], ["good", "bad"], []],
        # not as long as there are classes in every row
        [[0], [1], [1, 0], []],
    ],
    ids=["array", "truth values", "tensor", "frame", "names", "lists", "positions"],
)
def test_a_column_for_each_class_is_read_as_an_estimator_does(labels: Any, made: PromptClassifier) -> None:
    assert of_several_labels(made).classes(labels, 4).tolist() == FLAGS.tolist()


def test_columns_of_numbered_classes_are_no_lists_of_their_numbers(made: PromptClassifier) -> None:
    numbered, one_of_each = of_several_labels(made, ("0", "1")), FLAGS[[0, 1, 1, 0]]
    # all answers are both
    assert numbered.evaluate(TEXTS, one_of_each, threshold=0)["test_accuracy"] == 0
    assert numbered.evaluate(TEXTS, np.ones((4, 2)), threshold=0)["test_accuracy"] == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            FLAGS[:2].tolist(),
            "list of labels has 2 numbers in every row, each 0 or 1, and there are 2 classes",
        ),
        ([[True, False], [False, True]], "has 2 numbers in every row"),
        ([np.array([0.0, 1.0]), np.array([1.0, 0.0])], "has 2 numbers in every row"),
        (FLAGS.tolist(), "2 numbers in every row.* Give an array with a column of 0 and 1 for each class"),
        (np.eye(3)[:2], "have the 3 columns 0, 1, 2, but the 2 classes of task 'custom' are bad, good"),
        (np.array([[0, 1], [2, 0]]), "column 'bad' of the texts holds something else than 0 and 1 in row 2"),
    ],
    ids=str,
)
def test_zeros_and_ones_that_are_not_clear_are_refused(
    labels: Any, message: str, made: PromptClassifier
) -> None:
    with pytest.raises(InputError, match=message):
        of_several_labels(made).evaluate(TEXTS[: len(labels)], labels)


def test_a_number_is_no_position_where_a_class_has_another(made: PromptClassifier) -> None:
    task = made.spec.task.model_copy(update={"labels": ("1 star", "2 stars")})
    stars = replace(made, spec=made.spec.model_copy(update={"task": task}))
    assert stars.classes(["2 stars", "1 star"], 2).tolist() == [1, 0]
    with pytest.raises(InputError, match="not trained on the label '1', '0'"):
        stars.classes([1, 0], 2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["good"], "4 texts and 1 labels, but as many"),
        (["good", None, "bad", float("nan")], "list of labels is empty in 2 rows: 2, 4"),
        (["good", "fair", "bad", "poor"], r"not trained on the label 'fair', 'poor' \(2 rows: 2, 4\)"),
        ([0, 1, 2, 1], "not trained on the label '2'"),
    ],
    ids=str,
)
def test_labels_that_cannot_be_scored_are_refused_by_row(
    labels: Any, message: str, made: PromptClassifier
) -> None:
    with pytest.raises(InputError, match=message):
        made.evaluate(TEXTS, labels)
    with pytest.raises(InputError, match="0 texts and 0 labels"):
        made.evaluate([], [])


@pytest.mark.parametrize("place", [None, 3])
def test_what_is_no_place_is_refused_before_any_work(
    place: Any, made: PromptClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_no_place_is_refused(place, made, monkeypatch)


def test_a_classifier_moves_to_a_device(made: PromptClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("meta"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    # a copy, as the meta device forgets the weights
    moved = replace(made, model=copy.deepcopy(made.model)).to(torch.device("meta"))
    assert {parameter.device.type for parameter in moved.model.parameters()} == {"meta"}
    assert made.to(torch.device("cpu")) is made
    assert made.predict(TEXTS)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "The device is 'cuda', but this machine has no GPU that torch can use"),
        (torch.device("cuda", 1), "The device is 'cuda:1', but this machine has no GPU"),
        ("nonsense", "The device is 'nonsense', but must be auto, cpu, cuda"),
        (None, "The device is None, but must be auto"),
    ],
    ids=str,
)
def test_a_device_that_is_not_there_is_refused(
    device: Any, message: str, made: PromptClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    for moving in (made, PromptServer({"made": made})):
        with pytest.raises(InputError, match=message):
            moving.to(device)


def test_probabilities_are_calibrated_and_answers_stay(made: PromptClassifier) -> None:
    rule = AnswerRule(temperature=3.0)
    cooled = replace(made, spec=made.spec.model_copy(update={"answers": rule}))
    plain, calibrated = made.predict(TEXTS), cooled.predict(TEXTS)
    assert [answer.label for answer in calibrated] == [answer.label for answer in plain]
    expected = logits(made).div(3).softmax(-1).max(-1).values
    assert [answer.probability for answer in calibrated] == pytest.approx(expected.tolist(), abs=1e-5)


def test_below_the_threshold_there_is_no_label(made: PromptClassifier, tmp_path: Path) -> None:
    plain = made.predict(TEXTS)
    threshold = sorted(answer.probability for answer in plain)[2]
    expected = [answer.label if answer.probability >= threshold else None for answer in plain]
    assert expected.count(None) == 2
    assert [answer.label for answer in made.predict(TEXTS, threshold=threshold)] == expected
    assert [a.probability for a in made.predict(TEXTS, threshold=1)] == [a.probability for a in plain]
    rule = AnswerRule(threshold=threshold)
    replace(made, spec=made.spec.model_copy(update={"answers": rule})).save_pretrained(tmp_path / "model")
    loaded = PromptClassifier.from_pretrained(tmp_path / "model")
    assert [answer.label for answer in loaded.predict(TEXTS)] == expected
    assert loaded.predict(TEXTS, threshold=0) == plain


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan"), "0.5", True, [0.5]])
def test_a_threshold_that_is_no_probability_is_refused(made: PromptClassifier, threshold: Any) -> None:
    with pytest.raises(InputError, match=r"threshold is .*, but must be in \[0, 1\]"):
        made.predict(TEXTS, threshold=threshold)


def test_numbers_of_numpy_are_batch_sizes_and_thresholds(made: PromptClassifier) -> None:
    plain = made.predict(TEXTS, batch_size=2, threshold=0.5)
    assert made.predict(TEXTS, batch_size=np.int64(2), threshold=np.float32(0.5)) == plain


def test_scores_say_how_much_a_threshold_answers_and_how_well(made: PromptClassifier) -> None:
    plain = made.predict(TEXTS)
    right = [answer.label for answer in plain]
    assert "test_coverage" not in made.evaluate(TEXTS, right)
    threshold = sorted(answer.probability for answer in plain)[2]
    scores = made.evaluate(TEXTS, right, threshold=threshold)
    assert (scores["test_coverage"], scores["test_answered_accuracy"]) == (0.5, 1.0)
    assert scores["test_accuracy"] == 1.0
    sure = sum(1 - answer.probability for answer in plain) / len(plain)
    assert scores["test_calibration_error"] == pytest.approx(sure)
    assert made.evaluate(TEXTS, right, threshold=1.0)["test_answered_accuracy"] is None
