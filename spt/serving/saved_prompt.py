"""The folder of a saved prompt: safetensors and JSON, there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.backbones.identity import BackboneIdentity
from spt.errors import InputError
from spt.model import PromptedModel, trained
from spt.process.provenance import versions
from spt.prompts.generators import new_generator
from spt.saved_folders import (
    CARD,
    FORMATS,
    FORMATS_WITH_DIGESTS,
    PROMPT_FILES,
    PROMPT_JSON,
    PROMPT_WEIGHTS,
)
from spt.spec import ModelSpec, spec_as_written
from spt.storage.digests import file_digest
from spt.storage.files import read_bounded, replacing_folder, write_text
from spt.storage.json_files import described, read_json
from spt.storage.tensor_files import not_finite, write_tensors
from spt.storage.tensor_header import TensorEntry, read_header

# where the folder of a run has its prompt
OF_RUN = "model"
FORMAT, WITHOUT_KINDS = FORMATS[-1], 6
# of the weights: many times what the largest prompts have
MAX_BYTES = 4 * 2**30
MAX_CARD_BYTES = 2**20
TYPES = {"F32", "F16", "BF16", "F64"}
MUST_HOLD = (
    f"It must hold {PROMPT_JSON} and {PROMPT_WEIGHTS}, as PromptClassifier.save_pretrained writes them."
)
ADVICE = "Copy the folder again from where it was saved, or train the prompt again."
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
        card: Markdown of the model card; None for none.
    """

    spec: ModelSpec
    architecture: PromptLayers
    backbone: BackboneIdentity
    weights: dict[str, Tensor]
    card: str | None = None

    def write(self, folder: Path, beside: Mapping[str, str] | None = None) -> None:
        """Take the place of a saved prompt, or fill an empty folder; other files in it stay.

        Args:
            folder: of the prompt.
            beside: what others keep with it, as text by the name of a file of `PROMPT_FILES`.

        Raises:
            InputError: if there is something else.
        """
        with replacing_folder(folder, PROMPT_JSON, "a saved prompt", PROMPT_FILES) as partial:
            write_tensors(partial / PROMPT_WEIGHTS, self.weights)
            if self.card is not None:
                write_text(partial / CARD, self.card)
            for name, text in (beside or {}).items():
                write_text(partial / name, text)
            write_text(
                partial / PROMPT_JSON, self._content({PROMPT_WEIGHTS: file_digest(partial / PROMPT_WEIGHTS)})
            )

    @property
    def _format(self) -> int:
        """Return the oldest format that says all of it, so that older versions read what they can."""
        has_kinds = self.architecture.kinds or self.spec.prompt.generator == "scaling"
        return FORMAT if has_kinds else WITHOUT_KINDS

    def _content(self, tensors: Mapping[str, str]) -> str:
        """Return what prompt.json holds, with the digests of the tensor files beside it."""
        content = {
            "format": self._format,
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
        content = _read_content(folder)
        weights = _read_weights(folder, content.digest)
        return cls(content.spec, content.architecture, content.identity, weights, _read_card(folder))

    def check_sizes(self, backbone: Backbone) -> None:
        """Refuse layers that the backbone has not, and sizes that the weights have not.

        Nothing of such sizes is made: a model of them might fill the memory.

        Raises:
            InputError: naming both numbers.
        """
        if self.architecture.total != backbone.num_layers:
            raise InputError(
                f"{PROMPT_JSON} is of a backbone with {self.architecture.total} layers, but "
                f"'{self.spec.backbone.name}' has {backbone.num_layers}. {ADVICE}"
            )
        there = sum(weight.numel() for weight in self.weights.values())
        if (needed := self._least_numbers(backbone.hidden_size)) > there:
            raise InputError(
                f"{PROMPT_WEIGHTS} does not fit {PROMPT_JSON}: prompts and head of its sizes have at least "
                f"{needed:,} numbers, but it holds {there:,}. {ADVICE}"
            )

    def _least_numbers(self, hidden_size: int) -> int:
        """Count the numbers of generators and head over hidden states of that size."""
        with torch.device("meta"):
            numbers = [
                (
                    prompt.shared,
                    sum(p.numel() for p in new_generator(hidden_size, prompt, seed=0).parameters()),
                )
                for prompt in self.architecture.prompts(self.spec.prompt).values()
            ]
        # a shared one is counted once, whatever its layers have of their own
        shared = max((count for is_shared, count in numbers if is_shared), default=0)
        head = 0 if self.spec.verbalizes else self.spec.classes * hidden_size
        return head + shared + sum(count for is_shared, count in numbers if not is_shared)

    def check_backbone(self, backbone: BackboneIdentity, folder: Path, by_name: bool) -> None:
        """Refuse a backbone that the prompt was not trained on.

        Args:
            backbone: what is there now.
            folder: that the prompt was read from.
            by_name: whether it was loaded by the name that the prompt has of it, and not handed in.

        Raises:
            InputError: naming the parts that differ.
        """
        changes = self.backbone.changes(backbone)
        if changes and not by_name:
            raise InputError(
                f"The prompt in '{folder}' was trained on '{self.spec.backbone.name}', which the backbone "
                f"that it is to be read over is not. Different: {', '.join(changes)}. Serve prompts of one "
                "backbone together, or read it alone."
            )
        if changes:
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
                f"{PROMPT_WEIGHTS} does not fit {PROMPT_JSON} and its backbone: {', '.join(wrong)}. Save it "
                "again."
            )
        model.load_state_dict(self.weights, strict=False)


class _Content(BaseModel):
    """Hold what prompt.json of every format holds."""

    spec: Annotated[ModelSpec, BeforeValidator(spec_as_written)]
    architecture: PromptLayers


class _Content1(_Content):
    """Hold what prompt.json of format 1 holds: of the backbone the digest of the weights alone."""

    backbone: str

    @property
    def identity(self) -> BackboneIdentity:
        """Return the backbone that the prompt was trained on."""
        return BackboneIdentity(self.backbone)

    @property
    def digest(self) -> str | None:
        """Return the digest of the weights, of which there is none."""
        return None


class _TensorDigests(BaseModel):
    """Hold the digests of tensor files by name."""

    model_config = ConfigDict(extra="forbid")

    weights: str = Field(alias=PROMPT_WEIGHTS)


class _Content2(_Content):
    """Hold what prompt.json holds from format 2 on."""

    backbone: BackboneIdentity
    tensors: _TensorDigests

    @property
    def identity(self) -> BackboneIdentity:
        """Return the backbone that the prompt was trained on."""
        return self.backbone

    @property
    def digest(self) -> str | None:
        """Return the digest of the weights."""
        return self.tensors.weights


def _read_content(folder: Path) -> _Content1 | _Content2:
    """Read prompt.json, of a format that this version knows."""
    path = folder / PROMPT_JSON
    try:
        config = read_json(path, MUST_HOLD)
    except InputError as error:
        raise InputError(f"'{folder}' is not a saved prompt{_of_run(folder) or f'. {error}'}") from error
    written = config.get("format")
    if type(written) is not int or written not in FORMATS:
        packages = config.get("versions")
        by = packages.get("spt-nas") if isinstance(packages, dict) else None
        raise InputError(
            f"'{path}' has format {written!r:.80}, but this version reads {FORMATS[0]} to {FORMATS[-1]}. "
            f"Use the version of spt-nas that wrote it: {by}."
        )
    try:
        return (_Content2 if written in FORMATS_WITH_DIGESTS else _Content1).model_validate(config)
    except (InputError, ValidationError) as error:
        reason = described(error) if isinstance(error, ValidationError) else error
        raise InputError(f"'{path}' is damaged: {reason}. {ADVICE}") from error


def _of_run(folder: Path) -> str:
    """Name the prompt of a run whose folder was given in its place; empty for any other folder."""
    # a folder that is closed gets the reason why it cannot be read
    with suppress(OSError):
        if not (folder / PROMPT_JSON).exists() and (folder / OF_RUN / PROMPT_JSON).is_file():
            return f", but of a run, whose prompt is in it: give '{folder / OF_RUN}'."
    return ""


def _read_weights(folder: Path, digest: str | None) -> dict[str, Tensor]:
    """Read the trained weights, which must have the digest, if there is one, and be finite."""
    path = folder / PROMPT_WEIGHTS
    try:
        if not path.is_file():
            raise InputError("it is missing, or no file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"it has {size:,} bytes, but at most {MAX_BYTES:,} are read")
        now = file_digest(path)
        if digest in (None, now):
            _check_types(read_header(path))
            weights = load_file(path)
    except (InputError, OSError, SafetensorError) as error:
        raise InputError(
            f"'{folder}' is not a saved prompt: {PROMPT_WEIGHTS}: {error}. {MUST_HOLD}"
        ) from error
    if digest not in (None, now):
        raise InputError(
            f"'{path}' is damaged: its SHA-256 is {now}, but it was saved with {digest:.80}. Copy the "
            "folder again from where it was saved, or train the prompt again."
        )
    if wrong := not_finite(weights):
        raise InputError(
            f"'{path}' holds weights that are not finite: {', '.join(wrong)}. Train the prompt again, with "
            "a lower learning rate if its loss was not finite either."
        )
    if OLD_TEMPLATE_VECTORS in weights:
        weights[TEMPLATE_VECTORS] = weights.pop(OLD_TEMPLATE_VECTORS)
    return weights


def _read_card(folder: Path) -> str | None:
    """Read the card; None for one that is missing, or cannot be one, for nothing depends on it."""
    try:
        return read_bounded(folder / CARD, MAX_CARD_BYTES).decode("utf-8")
    except (InputError, OSError, UnicodeDecodeError):
        return None


def _check_types(tensors: Sequence[TensorEntry]) -> None:
    if other := sorted({tensor.dtype for tensor in tensors} - TYPES):
        raise InputError(f"it holds {', '.join(other)}, but weights are {', '.join(sorted(TYPES))}")
