"""The folder of a saved prompt: safetensors and JSON, there whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from spt.architecture import PromptLayers
from spt.backbones.identity import BackboneIdentity
from spt.digests import file_digest
from spt.errors import InputError
from spt.files import write_text
from spt.model import PromptedModel, trained
from spt.provenance import versions
from spt.spec import ModelSpec
from spt.tensor_files import not_finite, write_tensors

WEIGHTS = "prompt.safetensors"
PROMPT_JSON = "prompt.json"
FORMAT = 4
# format 1 notes the weights of the backbone alone, and no digest of its own; 2 knows no temperature, 3 no
# offset of tokens
FORMATS = (1, 2, 3, 4)
# how the vectors of prompt.place=template were named before
OLD_TEMPLATE_VECTORS, TEMPLATE_VECTORS = "words.vectors", "template_prompt.vectors"


@dataclass(frozen=True)
class SavedPrompt:
    """Hold what the folder of a saved prompt holds.

    Attributes:
        spec: how the model is built.
        architecture: the layers with prompts.
        backbone: that the prompt was trained on.
        weights: the trained parameters by name.
    """

    spec: ModelSpec
    architecture: PromptLayers
    backbone: BackboneIdentity
    weights: dict[str, Tensor]

    def write(self, folder: Path) -> None:
        """Take the folder's place, which must be empty or hold a saved prompt.

        Raises:
            InputError: if there is something else.
        """
        folder = folder.resolve()
        if folder.exists() and not _replaceable(folder):
            raise InputError(
                f"'{folder}' is neither a saved prompt nor an empty folder, and saving there would delete "
                f"what it holds. Choose another folder."
            )
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            write_tensors(partial / WEIGHTS, self.weights)
            write_text(partial / PROMPT_JSON, self._content({WEIGHTS: file_digest(partial / WEIGHTS)}))
            _replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _content(self, tensors: Mapping[str, str]) -> str:
        """Return what prompt.json holds, with the digests of the tensor files beside it."""
        content = {
            "format": FORMAT,
            "spec": self.spec.model_dump(mode="json"),
            "architecture": self.architecture.model_dump(mode="json"),
            "backbone": self.backbone.as_json(),
            "tensors": tensors,
            "versions": versions(),
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def read(cls, folder: Path) -> SavedPrompt:
        """Read what `write` wrote, in this format or an older one.

        Raises:
            InputError: if the folder is not a saved prompt, is damaged, or is of a newer format.
        """
        config = _read_config(folder)
        try:
            spec = ModelSpec.model_validate(config["spec"])
            architecture = PromptLayers.model_validate(config["architecture"])
            backbone, tensors = _digests(config)
        except (KeyError, TypeError, ValidationError) as error:
            raise InputError(
                f"'{folder / PROMPT_JSON}' is damaged: {error}. Save the prompt again."
            ) from error
        return cls(spec, architecture, backbone, _read_weights(folder, tensors.get(WEIGHTS)))

    def check_backbone(self, backbone: BackboneIdentity, folder: Path) -> None:
        """Refuse a backbone that the prompt was not trained on.

        Args:
            backbone: what is there now.
            folder: that the prompt was read from.

        Raises:
            InputError: naming the parts that differ.
        """
        if changes := self.backbone.changes(backbone):
            raise InputError(
                f"The backbone '{self.spec.backbone.name}' is not the one that the prompt in '{folder}' was "
                f"trained on. Different: {', '.join(changes)}. Put the one it was trained on there, set its "
                f"revision, or use the version of transformers that {PROMPT_JSON} names."
            )

    def load_into(self, model: PromptedModel) -> None:
        """Give a model of this spec and architecture the saved weights.

        Raises:
            InputError: if the weights are of other names or shapes.
        """
        shapes = {name: p.shape for name, p in trained(model)}
        given = {name: p.shape for name, p in self.weights.items()}
        wrong = sorted(name for name in shapes | given if shapes.get(name) != given.get(name))
        if wrong:
            raise InputError(
                f"{WEIGHTS} does not fit {PROMPT_JSON} and its backbone: {', '.join(wrong)}. Save it again."
            )
        model.load_state_dict(self.weights, strict=False)


def _read_config(folder: Path) -> dict[str, Any]:
    """Read prompt.json, of a format that this version knows."""
    try:
        config = json.loads((folder / PROMPT_JSON).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _no_prompt(folder, error) from error
    written = config if isinstance(config, dict) else {}
    if written.get("format") not in FORMATS:
        by = written.get("versions")
        raise InputError(
            f"'{folder / PROMPT_JSON}' has format {written.get('format')}, but this version reads "
            f"{FORMATS[0]} to {FORMATS[-1]}. Use the version of spt-nas that wrote it: "
            f"{by.get('spt-nas') if isinstance(by, dict) else None}."
        )
    return written


def _digests(config: Mapping[str, Any]) -> tuple[BackboneIdentity, dict[str, str]]:
    """Return the backbone that prompt.json names, and the digests of tensor files."""
    if config["format"] == 1:
        return BackboneIdentity(str(config["backbone"])), {}
    return BackboneIdentity(**config["backbone"]), {WEIGHTS: config["tensors"][WEIGHTS]}


def _read_weights(folder: Path, digest: str | None) -> dict[str, Tensor]:
    """Read the trained weights, which must have the digest, if there is one, and be finite."""
    path = folder / WEIGHTS
    try:
        now = file_digest(path)
        if digest is not None and digest != now:
            raise InputError(
                f"'{path}' is damaged: its SHA-256 is {now}, but it was saved with {digest}. Copy the folder "
                "again from where it was saved, or train the prompt again."
            )
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _no_prompt(folder, error) from error
    if wrong := not_finite(weights):
        raise InputError(
            f"'{path}' holds weights that are not finite: {', '.join(wrong)}. Train the prompt again, with "
            "a lower learning rate if its loss was not finite either."
        )
    if OLD_TEMPLATE_VECTORS in weights:
        weights[TEMPLATE_VECTORS] = weights.pop(OLD_TEMPLATE_VECTORS)
    return weights


def _no_prompt(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"'{folder}' is not a saved prompt: {error}. It must hold {PROMPT_JSON} and {WEIGHTS}, "
        f"as PromptClassifier.save_pretrained writes them."
    )


def _replaceable(folder: Path) -> bool:
    """Say whether saving may take the folder's place: it is empty, or holds a saved prompt."""
    return folder.is_dir() and ((folder / PROMPT_JSON).is_file() or not any(folder.iterdir()))


def _replace(new: Path, folder: Path) -> None:
    """Put a folder in another's place; what was there comes back if that fails."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    try:
        new.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
