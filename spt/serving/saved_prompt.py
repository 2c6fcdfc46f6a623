"""The folder of a saved prompt: safetensors and JSON, there whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.model import PromptedModel, trained
from spt.provenance import versions
from spt.spec import ModelSpec

WEIGHTS = "prompt.safetensors"
PROMPT_JSON = "prompt.json"
FORMAT = 1
# how the vectors of prompt.place=template were named before
OLD_TEMPLATE_VECTORS, TEMPLATE_VECTORS = "words.vectors", "template_prompt.vectors"


@dataclass(frozen=True)
class SavedPrompt:
    """Hold what the folder of a saved prompt holds.

    Attributes:
        spec: how the model is built.
        architecture: the layers with prompts.
        backbone: fingerprint of the weights that the prompt was trained on.
        weights: the trained parameters by name.
    """

    spec: ModelSpec
    architecture: PromptLayers
    backbone: str
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
            save_file(self.weights, partial / WEIGHTS)
            (partial / PROMPT_JSON).write_text(self._config(), encoding="utf-8")
            _replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _config(self) -> str:
        config = {
            "format": FORMAT,
            "spec": self.spec.model_dump(mode="json"),
            "architecture": self.architecture.model_dump(mode="json"),
            "backbone": self.backbone,
            "versions": versions(),
        }
        return json.dumps(config, indent=2) + "\n"

    @classmethod
    def read(cls, folder: Path) -> SavedPrompt:
        """Read what `write` wrote.

        Raises:
            InputError: if the folder is not a saved prompt, is damaged, or is of another format.
        """
        try:
            config = json.loads((folder / PROMPT_JSON).read_text(encoding="utf-8"))
            weights = load_file(folder / WEIGHTS)
            if OLD_TEMPLATE_VECTORS in weights:
                weights[TEMPLATE_VECTORS] = weights.pop(OLD_TEMPLATE_VECTORS)
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"'{folder}' is not a saved prompt: {error}. It must hold {PROMPT_JSON} and {WEIGHTS}, "
                f"as PromptClassifier.save_pretrained writes them."
            ) from error
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            written = config if isinstance(config, dict) else {}
            raise InputError(
                f"'{folder / PROMPT_JSON}' has format {written.get('format')}, but this version reads "
                f"{FORMAT}. Use the version of spt-nas that wrote it: "
                f"{written.get('versions', {}).get('spt-nas')}."
            )
        try:
            spec = ModelSpec.model_validate(config["spec"])
            architecture = PromptLayers.model_validate(config["architecture"])
            return cls(spec, architecture, str(config["backbone"]), weights)
        except (KeyError, ValidationError) as error:
            raise InputError(
                f"'{folder / PROMPT_JSON}' is damaged: {error}. Save the prompt again."
            ) from error

    def load_into(self, model: PromptedModel) -> None:
        """Give a model of this spec and architecture the saved weights.

        Raises:
            InputError: if its backbone is another one, or the weights are of other names or shapes.
        """
        if model.backbone.fingerprint != self.backbone:
            raise InputError(
                f"The backbone '{self.spec.backbone.name}' holds other weights than those this prompt was "
                f"trained on. Put those there, or set the revision it was trained with."
            )
        shapes = {name: p.shape for name, p in trained(model)}
        given = {name: p.shape for name, p in self.weights.items()}
        wrong = sorted(name for name in shapes | given if shapes.get(name) != given.get(name))
        if wrong:
            raise InputError(
                f"{WEIGHTS} does not fit {PROMPT_JSON} and its backbone: {', '.join(wrong)}. Save it again."
            )
        model.load_state_dict(self.weights, strict=False)


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
