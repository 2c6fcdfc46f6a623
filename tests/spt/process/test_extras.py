"""A missing optional package is named together with the extra that brings it."""

from pathlib import Path

import pytest

from spt.build import load_tokenizer
from spt.converters import gguf_file
from spt.errors import InputError
from spt.process import extras
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Packages that look as if they were not installed."""
    missing: set[str] = set()
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in missing else object())
    return missing


def test_the_extra_of_a_missing_package_is_named(without: set[str]) -> None:
    extras.need("gguf", "peft")
    without.add("peft")
    with pytest.raises(InputError, match=r'package peft, .* pip install "spt-nas\[bench\]"'):
        extras.need("gguf", "peft")


@pytest.mark.parametrize("package", ["gguf", "accelerate"])
def test_a_gguf_file_is_not_begun_without_its_readers(
    package: str, without: set[str], tmp_path: Path
) -> None:
    without.add(package)
    with pytest.raises(InputError, match=rf'{package}, .* pip install "spt-nas\[backbones\]"'):
        gguf_file.convert(tmp_path, "model.gguf")


@pytest.mark.parametrize("installed", [True, False])
def test_a_tokenizer_that_cannot_be_read_may_need_sentencepiece(
    installed: bool, without: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("tiktoken is required")

    monkeypatch.setattr("spt.build.AutoTokenizer.from_pretrained", refuse)
    if not installed:
        without.add("sentencepiece")
    backbone = BackboneConfig(name="google/t5")
    spec = ModelSpec(
        backbone=backbone, head=HeadConfig(), prompt=PromptConfig(), task=get_task("trec"), max_length=32
    )
    with pytest.raises(InputError, match=r"neither embedded nor a folder.* no tokenizer that") as error:
        load_tokenizer(spec)
    assert ('pip install "spt-nas[backbones]"' in str(error.value)) is not installed


def test_every_extra_is_declared_with_its_packages() -> None:
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for package, extra in extras.EXTRAS.items():
        assert any(requirement.startswith(package.replace("_", "-")) for requirement in declared[extra]), (
            package
        )
