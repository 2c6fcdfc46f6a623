"""A backbone folder that others made runs no code of theirs: it is refused, and nobody is asked about it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spt.backbones.registry import load_backbone
from spt.build import load_tokenizer
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
    with pytest.raises(InputError, match="custom code"):
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
