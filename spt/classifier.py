"""A trained prompt as users have it: saved small, loaded over its backbone, asked for labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spt.architecture import PromptLayers
from spt.data import encode_texts, make_loader
from spt.errors import InputError
from spt.evaluation import probabilities
from spt.model import PromptedModel, trained
from spt.spec import ModelSpec
from spt.versions import versions

WEIGHTS = "prompt.safetensors"
CONFIG = "prompt.json"
FORMAT = 1


@dataclass(frozen=True)
class Prediction:
    """A label and its probability, in [0, 1]."""

    label: str
    probability: float


@dataclass(frozen=True)
class PromptClassifier:
    """A prompted model with what it takes to use it on text.

    Attributes:
        model: backbone, prompts and head.
        tokenizer: of the backbone.
        spec: how the model was built.
        architecture: the layers with prompts.
    """

    model: PromptedModel
    tokenizer: Any
    spec: ModelSpec
    architecture: PromptLayers

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, batch_size: int = 128
    ) -> list[Prediction]:
        """The likeliest label of each text (with its pair, where the task has pairs), in order.

        Raises:
            InputError: if the task needs pairs and there are none, or the other way round.
        """
        if not texts:
            return []
        examples = encode_texts(
            texts, pairs, self.tokenizer, self.spec.task, self.spec.max_length, self.spec.verbalizes
        )
        chances, _ = probabilities(self.model, make_loader(examples, self.tokenizer, batch_size))
        best = chances.argmax(-1)
        labels = self.spec.task.labels or ()
        return [Prediction(labels[i], float(row[i])) for i, row in zip(best, chances, strict=True)]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write prompt.safetensors and prompt.json, all or nothing; the backbone stays a reference.

        Raises:
            InputError: if there is something else than a saved prompt or an empty folder.
        """
        folder = Path(folder).resolve()
        if folder.exists() and not _replaceable(folder):
            raise InputError(
                f"'{folder}' is neither a saved prompt nor an empty folder, and saving there would delete "
                f"what it holds. Choose another folder."
            )
        partial = folder.with_name(f"{folder.name}.partial")
        old = folder.with_name(f"{folder.name}.old")
        weights = {name: p.detach().cpu().contiguous() for name, p in trained(self.model)}
        config = {
            "format": FORMAT,
            "spec": self.spec.model_dump(mode="json"),
            "architecture": self.architecture.model_dump(mode="json"),
            "versions": versions(),
        }
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            save_file(weights, partial / WEIGHTS)
            (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
                folder.replace(old)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
            elif old.exists():
                old.replace(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> PromptClassifier:
        """Read what `save_pretrained` wrote, and load the backbone it refers to.

        Raises:
            InputError: if the folder is not a saved prompt, is damaged, or is of a newer format.
        """
        folder = Path(folder)
        try:
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            weights = load_file(folder / WEIGHTS)
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"'{folder}' is not a saved prompt: {error}. It must hold {CONFIG} and {WEIGHTS}, "
                f"as PromptClassifier.save_pretrained writes them."
            ) from error
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            found = config if isinstance(config, dict) else {}
            raise InputError(
                f"'{folder / CONFIG}' has format {found.get('format')}, but this version reads {FORMAT}. "
                f"Use the version of spt-nas that wrote it: {found.get('versions', {}).get('spt-nas')}."
            )
        try:
            spec = ModelSpec.model_validate(config["spec"])
            architecture = PromptLayers.model_validate(config["architecture"])
        except (KeyError, ValidationError) as error:
            raise InputError(f"'{folder / CONFIG}' is damaged: {error}. Save the prompt again.") from error
        tokenizer = spec.load_tokenizer()
        backbone = spec.load_backbone()
        if backbone.num_layers != architecture.total:
            raise InputError(
                f"'{folder}' is a prompt for {architecture.total} layers, but its backbone "
                f"'{spec.backbone.name}' has {backbone.num_layers}. Put the backbone it was trained on there."
            )
        model = spec.factory(backbone, tokenizer, seed=0).model(architecture)
        shapes = {name: p.shape for name, p in trained(model)}
        wrong = sorted(
            name
            for name in shapes.keys() | weights.keys()
            if name not in weights or weights[name].shape != shapes.get(name)
        )
        if wrong:
            raise InputError(
                f"'{folder / WEIGHTS}' does not fit {CONFIG} and its backbone: {', '.join(wrong)}. "
                f"Save the prompt again."
            )
        model.load_state_dict(weights, strict=False)
        model.eval()
        return cls(model, tokenizer, spec, architecture)


def _replaceable(folder: Path) -> bool:
    """Whether saving may take the folder's place: it is empty, or holds a saved prompt."""
    return folder.is_dir() and ((folder / CONFIG).is_file() or not any(folder.iterdir()))
