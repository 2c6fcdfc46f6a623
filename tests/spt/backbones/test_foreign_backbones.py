"""A backbone folder that others made runs no code of theirs: it is refused, and nobody is asked about it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spt.backbones.registry import load_backbone
from spt.build import load_tokenizer, new_factory
from spt.errors import InputError
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task
from tests.support.tiny import make_backbone, make_tokenizer

CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good backbone, and someone who would answer yes to every question."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    return make_backbone(tmp_path / "model")


def with_code(folder: Path, name: str, **keys: Any) -> None:
    (folder / "evil.py").write_text(CODE, encoding="utf-8")
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps({**content, **keys}), encoding="utf-8")


def ran(folder: Path) -> bool:
    return any(path.name == "ran" for path in folder.rglob("*"))


def test_code_of_an_unknown_model_is_refused(folder: Path) -> None:
    classes = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    with_code(folder, "config.json", model_type="evil", auto_map=classes)
    with pytest.raises(
        InputError, match=r"is a folder whose config\.json cannot be read .*custom code.* never run"
    ):
        load_backbone(str(folder))
    assert not ran(folder)


def test_code_beside_a_known_model_is_not_used(folder: Path) -> None:
    with_code(folder, "config.json", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    assert load_backbone(str(folder)).num_layers == 4
    assert not ran(folder)


def test_code_of_a_tokenizer_is_not_run(folder: Path) -> None:
    classes = {"AutoTokenizer": ["evil.Tokenizer", None]}
    with_code(folder, "tokenizer_config.json", tokenizer_class="EvilTokenizer", auto_map=classes)
    spec = ModelSpec(
        backbone=BackboneConfig(name=str(folder)),
        head=HeadConfig(),
        prompt=PromptConfig(),
        task=get_task("custom"),
        max_length=32,
    )
    assert len(load_tokenizer(spec)) == len(make_tokenizer())
    assert not ran(folder)


def test_pickled_weights_are_not_read(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(InputError, match="Weights are read from safetensors files alone"):
        load_backbone(str(folder))


def spec_of(folder: Path) -> ModelSpec:
    return ModelSpec(
        backbone=BackboneConfig(name=str(folder)),
        head=HeadConfig(),
        prompt=PromptConfig(),
        task=get_task("custom").model_copy(update={"labels": ("a", "b")}),
        max_length=32,
    )


def test_tokens_without_a_vector_are_refused_with_both_counts(folder: Path) -> None:
    tokenizer = make_tokenizer()
    count = len(tokenizer)
    tokenizer.add_tokens(["unheard"])
    tokenizer.save_pretrained(folder)
    said = rf"has {count + 1} tokens, .* has {count} vectors.*embeddings\({count + 1}\)"
    with pytest.raises(InputError, match=said):
        new_factory(spec_of(folder), load_backbone(str(folder)), load_tokenizer(spec_of(folder)), 0)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    weights[name][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=rf"weights that are not finite: {name.removeprefix('bert.')}"):
        load_backbone(str(folder))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("config.json", {"hidden_size": 10**9}, "has hidden_size 1000000000, but allowed"),
        ("config.json", {"num_hidden_layers": 900}, "has 900 layers of width 32, but the weights are"),
        ("config.json", {"vocab_size": 4_000_000}, "words of 32 numbers, but the weights are"),
        ("config.json", {"num_attention_heads": -1}, "has num_attention_heads -1"),
        ("config.json", {"intermediate_size": "many"}, "has intermediate_size 'many'"),
        ("config.json", "[" * 100_000, "nested deeper"),
        ("config.json", "null", r"config\.json cannot be read"),
        ("config.json", {"model_type": None}, r"config\.json cannot be read"),
        ("config.json", {"hidden_act": "nothing"}, "weights cannot be read"),
        ("tokenizer.json", "[" * 100_000, "no tokenizer that can be read"),
        ("tokenizer.json", {"model": {"type": "Nothing"}}, "no tokenizer that can be read"),
        ("tokenizer_config.json", "[]", "no tokenizer that can be read"),
        ("model.safetensors", "nothing", "ends inside its header"),
    ],
)
def test_a_hostile_file_gets_one_error(folder: Path, name: str, damage: Any, said: str) -> None:
    path = folder / name
    if isinstance(damage, dict):
        damage = json.dumps({**json.loads(path.read_text(encoding="utf-8")), **damage})
    path.write_text(damage, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        load_backbone(str(folder))
        load_tokenizer(spec_of(folder))
