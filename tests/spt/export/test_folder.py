"""An exported folder: its snippet gives the classifier's probabilities without this library."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from spt.answers.options import AnswerRule
from spt.audit.report import audit
from spt.errors import InputError
from spt.export import folder as folders
from spt.export.folder import export_onnx, trunk_layers
from spt.export.graphs import WholeGraph
from spt.export.runtime import OnnxGraphs, largest_difference, random_batches
from spt.model import PromptedModel
from spt.process import extras
from spt.serving.classifier import PromptClassifier
from spt.storage.digests import file_digest
from tests.support.classifiers import TEXTS, classifier, kinds_classifier
from tests.support.tiny import make_label_sets

pytestmark = pytest.mark.slow

# longer than the model reads, and with a token that no text may bring
HARD = [*TEXTS, "it was very fine " * 30, "[MASK] was [PAD] great"]
BLOCKED = ("torch", "transformers", "spt", "jinja2", "pydantic")


def run_snippet(folder: Path, rows: list[Any]) -> subprocess.CompletedProcess[str]:
    """Run the README's code on rows in a process that has no package of ours."""
    (code,) = re.findall(
        r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in BLOCKED)
    asked = f"rows = json.loads({json.dumps(json.dumps(rows))})\n"
    show = "print(json.dumps([probabilities(rows).tolist(), predict(rows)]))\n"
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{blocked}{code}{asked}{show}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def by_the_snippet(folder: Path, rows: list[Any]) -> tuple[NDArray[Any], list[Any]]:
    """What the README's code gives: probabilities and answers."""
    done = run_snippet(folder, rows)
    assert done.returncode == 0, done.stderr
    chances, answers = json.loads(done.stdout.splitlines()[-1])
    return np.array(chances), answers


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def prompt(home: Path) -> PromptClassifier:
    one = classifier(home, (2, 3))
    middle = float(np.median(AnswerRule(temperature=0.5).calibrated(one.predict_proba(HARD)).max(1)))
    answers = AnswerRule(temperature=0.5, threshold=middle)
    return replace(one, spec=one.spec.model_copy(update={"answers": answers}))


@pytest.fixture(scope="module")
def split(home: Path, prompt: PromptClassifier) -> Path:
    export_onnx(prompt, home / "split", trunk="all")
    return home / "split"


def test_the_snippet_answers_as_the_classifier_does(split: Path, prompt: PromptClassifier) -> None:
    chances, answers = by_the_snippet(split, HARD)
    np.testing.assert_allclose(chances, prompt.predict_proba(HARD), rtol=0, atol=1e-5)
    expected = prompt.predict(HARD)
    assert [label for label, _ in answers] == [answer.label for answer in expected]
    # the threshold leaves some unanswered, and not all
    assert 0 < sum(label is None for label, _ in answers) < len(HARD)


@pytest.mark.parametrize("text", ["", " \n"])
def test_the_snippet_answers_no_empty_text(split: Path, prompt: PromptClassifier, text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        prompt.predict(["great", text])
    assert "ValueError: a text is empty" in run_snippet(split, ["great", text]).stderr


def test_the_folder_holds_what_it_says(split: Path) -> None:
    content = json.loads((split / "export.json").read_text(encoding="utf-8"))
    names = {"README.md", "branch.onnx", "tokenizer.json", "trunk.onnx"}
    assert {path.name for path in split.iterdir()} == {*names, "export.json"}
    assert content["files"] == {name: file_digest(split / name) for name in names}
    assert (content["labels"], content["trunk_layers"]) == (["bad", "good"], 2)
    assert content["largest_difference"] < 1e-4


def test_an_audit_knows_an_export(split: Path) -> None:
    result = audit(split)
    assert (result.content, result.problems) == ("export", [])
    assert result.read == ["export.json", "tokenizer.json", "trunk.onnx", "branch.onnx"]


def test_a_changed_graph_is_found_by_an_audit(split: Path, tmp_path: Path) -> None:
    for path in split.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "branch.onnx").open("ab") as file:
        file.write(b"more")
    (tmp_path / "tokenizer.json").unlink()
    problems = audit(tmp_path).problems
    # what was appended is no part of a graph either
    assert list(dict.fromkeys(problem.split(" ")[0] for problem in problems)) == [
        "branch.onnx",
        "tokenizer.json",
    ]
    assert any("branch.onnx has SHA-256" in problem for problem in problems)


def test_tasks_share_a_trunk(split: Path, home: Path) -> None:
    rows = make_label_sets(home / "sets.jsonl")
    task = {"name": "custom", "multi_label": True, "label_words": None}
    other = classifier(home, (3,), task=task, data={"train": str(rows)})
    limits = AnswerRule(temperature=1.6, thresholds=(0.4, 0.6))
    other = replace(other, spec=other.spec.model_copy(update={"answers": limits}))
    export_onnx(other, home / "other", trunk=2)
    assert (home / "other" / "trunk.onnx").read_bytes() == (split / "trunk.onnx").read_bytes()

    encoded = Tokenizer.from_file(str(split / "tokenizer.json")).encode_batch(TEXTS)
    tokens = {
        "input_ids": torch.tensor([each.ids for each in encoded]),
        "attention_mask": torch.tensor([each.attention_mask for each in encoded]),
        "token_type_ids": torch.tensor([each.type_ids for each in encoded]),
    }
    trunk = OnnxGraphs([split / "trunk.onnx"]).sessions[0]
    given = {each.name: tokens[each.name].numpy() for each in trunk.get_inputs()}
    (hidden,) = trunk.run(None, given)
    branch = OnnxGraphs([home / "other" / "branch.onnx"]).sessions[0]
    (logits,) = branch.run(None, {"hidden": hidden, "attention_mask": tokens["attention_mask"].numpy()})
    np.testing.assert_allclose(1 / (1 + np.exp(-logits / 1.6)), other.predict_proba(TEXTS), rtol=0, atol=1e-5)

    chances, answers = by_the_snippet(home / "other", TEXTS)
    np.testing.assert_allclose(chances, other.predict_proba(TEXTS), rtol=0, atol=1e-5)
    assert answers == [list(answer.labels) for answer in other.predict(TEXTS)]  # type: ignore[union-attr]


def test_a_template_of_two_texts_is_filled_and_cut_as_the_classifier_does(home: Path) -> None:
    rows = home / "pairs.csv"
    lines = [f"film {row},it was {'dull' if row % 2 else 'fine'},{row % 2}" for row in range(160)]
    rows.write_text("\n".join(["a,b,label", *lines]), encoding="utf-8")
    task = {"name": "custom", "text": "a", "text_pair": "b", "template": "{text_pair} was {mask} . {text}"}
    paired = classifier(home, (1,), task=task, data={"train": str(rows)}, head={"kind": "verbalizer"})
    export_onnx(paired, home / "paired")
    firsts, seconds = HARD, [*reversed(HARD)]
    chances, _ = by_the_snippet(home / "paired", [list(pair) for pair in zip(firsts, seconds, strict=True)])
    np.testing.assert_allclose(chances, paired.predict_proba(firsts, seconds), rtol=0, atol=1e-5)


def test_weights_of_8_bits_are_smaller_and_answer_almost_the_same(home: Path) -> None:
    windowed = classifier(home, (2,), data={"max_length": 8, "windows": 2})
    content = export_onnx(windowed, home / "int8", int8=True)
    assert content["int8"] is True
    # of a tiny model much is no weight
    whole = sum(p.numel() for p in windowed.model.parameters()) * 4
    assert (home / "int8" / "model.onnx").stat().st_size < 0.7 * whole
    short = ["it was great", "dull"]
    chances, _ = by_the_snippet(home / "int8", short)
    distance = np.abs(chances - windowed.predict_proba(short)).max()
    # on every processor: with sums that overflow it is above 0.07 on those without VNNI
    assert 0 < distance < 0.01
    # of the graphs that are there: before, it is below 1e-5
    assert 1e-4 < content["largest_difference"] < 0.1
    # the snippet reads no windows, and says so
    with pytest.raises(AssertionError, match="a text is too long: the model reads such texts in windows"):
        by_the_snippet(home / "int8", HARD)


@pytest.mark.parametrize(
    ("trunk", "first", "layers"), [(None, 0, None), ("all", 4, 4), ("3", 4, 3), (4, 4, 4), (1, 1, 1)]
)
def test_a_trunk_ends_below_the_first_prompt(trunk: Any, first: int, layers: int | None) -> None:
    assert trunk_layers(trunk, first) == layers


@pytest.mark.parametrize(
    ("trunk", "first", "said"),
    [
        (5, 4, "a number from 1 to 4, or all"),
        ("0", 4, "from 1 to 4"),
        ("most", 4, "The trunk is most, but this prompt begins at layer 4"),
        ("-1", 4, "from 1 to 4"),
        ("all", 0, "it must be left out"),
    ],
)
def test_another_trunk_is_refused(trunk: Any, first: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        trunk_layers(trunk, first)


def test_graphs_that_answer_otherwise_are_not_kept(
    prompt: PromptClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "write_graph", lambda *_: None)
    monkeypatch.setattr(folders, "OnnxGraphs", lambda _: None)
    monkeypatch.setattr(folders, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(InputError, match="The family 'bert' cannot be exported: the graphs' logits are nan"):
        export_onnx(prompt, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


class Stub:
    """Graphs whose logits are the model's, changed."""

    def __init__(self, model: PromptedModel, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self.model, self.change = model, change

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask")]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("hidden", "logits")]

    def run(self, _names: list[str], given: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        logits = self.model({name: torch.from_numpy(value) for name, value in given.items()}).logits.numpy()
        return [np.zeros(3), self.change(logits.copy())]


def with_last(value: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def change(logits: NDArray[Any]) -> NDArray[Any]:
        logits[-1, -1] = value
        return logits

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_last(np.nan), r"not finite in the output logits, for 4 rows of \d+ tokens, but logits must be"),
        (with_last(np.inf), "not finite in the output logits"),
        (lambda logits: logits[:1], r"logits have the shape \[1, 2\] .* the model's have \[4, 2\]"),
    ],
)
def test_logits_that_cannot_be_compared_are_refused(
    change: Callable[[NDArray[Any]], NDArray[Any]], said: str, prompt: PromptClassifier
) -> None:
    model = prompt.model.eval()
    graphs = OnnxGraphs([])
    graphs.sessions = [Stub(model, change)]
    batches = list(random_batches(model.backbone, ["input_ids", "attention_mask"], 32))
    with pytest.raises(InputError, match=f"{said}.*Serve this prompt with `PromptClassifier`"):
        largest_difference(graphs, model, batches)


def test_logits_of_the_model_that_are_no_numbers_are_refused_as_the_models(home: Path) -> None:
    model = classifier(home, (2, 3), seed=7).model.eval()
    next(model.head.parameters()).data.fill_(float("nan"))
    batches = list(random_batches(model.backbone, ["input_ids", "attention_mask"], 32))
    with pytest.raises(InputError, match=r"The model's own logits are not finite .* lower learning rate"):
        largest_difference(OnnxGraphs([]), model, batches)


def test_graphs_of_8_bits_without_finite_logits_are_not_kept(
    prompt: PromptClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_graph(path: Path) -> None:
        import onnx  # noqa: PLC0415

        graph = onnx.load(path)
        for weights in graph.graph.initializer:
            if weights.data_type == onnx.TensorProto.FLOAT:
                values = np.full_like(onnx.numpy_helper.to_array(weights), np.nan)
                weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
        onnx.save(graph, path)

    monkeypatch.setattr(folders, "quantize", break_graph)
    with pytest.raises(InputError, match=r"not finite in the output logits.* Export it without --int8"):
        export_onnx(prompt, tmp_path / "out", int8=True)
    assert list(tmp_path.iterdir()) == []


def test_what_the_exporter_cannot_do_names_family_and_reason(
    prompt: PromptClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no translation of aten::magic\nlong advice")

    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(
        InputError, match=r"'bert' cannot be exported .* model.onnx \(no translation of aten::magic\)"
    ):
        export_onnx(prompt, tmp_path / "out")


def test_a_model_that_cannot_be_traced_is_one_error_and_nothing_beside_it(
    prompt: PromptClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = WholeGraph.forward

    def branching(self: WholeGraph, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits = run(self, input_ids, attention_mask)
        return logits + 1 if logits.sum() > 0 else logits

    monkeypatch.setattr(WholeGraph, "forward", branching)
    with pytest.raises(InputError, match=r"'bert' cannot be exported .* data-dependent"):
        export_onnx(prompt, tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_tokenizer_in_python_is_refused(prompt: PromptClassifier, tmp_path: Path) -> None:
    class Slow:
        is_fast = False
        all_special_tokens = ()

    with pytest.raises(InputError, match="The backbone's tokenizer, Slow, is written in Python"):
        export_onnx(replace(prompt, tokenizer=Slow()), tmp_path / "out")


def test_a_missing_package_is_named_with_its_extra(
    prompt: PromptClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(InputError, match=r'package onnxscript, .* pip install "spt-nas\[onnx\]"'):
        export_onnx(prompt, tmp_path / "out")


def test_what_no_export_has_written_is_not_deleted_with_an_export(
    prompt: PromptClassifier, tmp_path: Path
) -> None:
    (tmp_path / "export.json").write_text('{"files": {"trunk.onnx": "0"}}', encoding="utf-8")
    for name in ("trunk.onnx", "notes", "model.onnx"):
        (tmp_path / name).write_text("keep", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"holds model\.onnx, which is of something else, .* would delete it"
    ):
        export_onnx(prompt, tmp_path)
    assert (tmp_path / "model.onnx").read_text(encoding="utf-8") == "keep"
    (tmp_path / "model.onnx").unlink()
    export_onnx(prompt, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("README.md", "export.json", "model.onnx", "tokenizer.json"),
        "notes",
    }
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "keep"


def test_nothing_else_is_overwritten(prompt: PromptClassifier, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(InputError, match="is neither an export nor an empty folder"):
        export_onnx(prompt, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_layers_that_get_different_things_are_exported(home: Path, tmp_path: Path) -> None:
    one = kinds_classifier(home, {1: "free_6", 2: "scaling", 3: "generated_offset_2"})
    export_onnx(one, tmp_path / "onnx", trunk=1)
    chances, _ = by_the_snippet(tmp_path / "onnx", HARD)
    np.testing.assert_allclose(chances, one.predict_proba(HARD), atol=1e-5)
