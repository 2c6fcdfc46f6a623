"""A trained prompt as users have it: saved small, loaded over its backbone, asked for labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.backbones.identity import BackboneIdentity
from spt.build import load_backbone, load_tokenizer, new_factory
from spt.data.batches import make_loader
from spt.data.encoding import encode_texts
from spt.data.values import as_list
from spt.evaluation import probabilities
from spt.model import PromptedModel, trained
from spt.serving.saved_prompt import SavedPrompt
from spt.spec import ModelSpec


@dataclass(frozen=True)
class Prediction:
    """Hold a label and its probability, in [0, 1]."""

    label: str
    probability: float


@dataclass(frozen=True)
class PromptClassifier:
    """Label texts by a trained prompt over its backbone.

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
        """Return the likeliest label of each text (with its pair, where the task has pairs), in order.

        Args:
            texts: a list, an array or a Series; one text alone gets a list of one prediction.
            pairs: the second texts, where the task has pairs.
            batch_size: texts that are read together.

        Raises:
            InputError: naming the rows, for what is no text; or if the task needs pairs and there are none,
                or the other way round.
        """
        texts = as_list(texts, "The list of texts")
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
        weights = {name: p.detach().cpu().contiguous() for name, p in trained(self.model)}
        backbone = BackboneIdentity.of(self.model.backbone, self.tokenizer)
        SavedPrompt(self.spec, self.architecture, backbone, weights).write(Path(folder))

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, backbone: Backbone | None = None, tokenizer: Any | None = None
    ) -> PromptClassifier:
        """Read what `save_pretrained` wrote.

        Args:
            folder: that holds the prompt.
            backbone: loaded already; None loads the one that the prompt refers to.
            tokenizer: of that backbone, loaded already; None loads it.

        Raises:
            InputError: if the folder is not a saved prompt, is damaged or of a newer format, or if the
                backbone is not to be had or not the one that the prompt was trained on: of other weights,
                with another config or another tokenizer.
        """
        saved = SavedPrompt.read(Path(folder))
        tokenizer = tokenizer or load_tokenizer(saved.spec)
        backbone = backbone or load_backbone(saved.spec)
        saved.check_backbone(BackboneIdentity.of(backbone, tokenizer), Path(folder))
        model = new_factory(saved.spec, backbone, tokenizer, seed=0).model(saved.architecture)
        saved.load_into(model)
        model.eval()
        return cls(model, tokenizer, saved.spec, saved.architecture)
