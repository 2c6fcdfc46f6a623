"""From a spec and a set of layers to models that share one frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from spt.architecture import PromptLayers
from spt.assets import backbone_path
from spt.backbones import registry
from spt.backbones.base import Backbone
from spt.backbones.foreign import check_files
from spt.errors import InputError, foreign_files
from spt.heads import HEADS
from spt.model import PromptedModel
from spt.process.extras import install_command, is_installed
from spt.prompts.choices import InsertPrompt, Propagate, ScaleTokens
from spt.prompts.config import PromptConfig
from spt.prompts.generators import new_generator
from spt.prompts.initialisers import INITIALISERS
from spt.prompts.kinds import INSERT, prompt_of
from spt.prompts.template_prompt import TemplatePrompt
from spt.seeds import FEW, derived_seed
from spt.spec import ModelSpec
from spt.tasks import PROMPT

# stands for a layer in the seed of what all layers share
SHARED = FEW - 1


@dataclass(frozen=True)
class ModelFactory:
    """Make models over one backbone, with fresh generators and a fresh head each time.

    Attributes:
        backbone: shared by all models made here, never copied.
        prompt: the shape of every new prompt.
        make_head: gives a freshly initialised head.
        seed: of the initial weights; what a layer gets starts the same in every model that has it.
        start: (seed, P) -> the start [P, H] of a free prompt; None leaves it random.
        place_id: the token that keeps the places of a prompt among the words of the template.
    """

    backbone: Backbone
    prompt: PromptConfig
    make_head: Callable[[], nn.Module]
    seed: int
    start: Callable[[int, int], Tensor] | None = None
    place_id: int | None = None

    def inserts(self, layers: Iterable[int], kind: str = INSERT) -> dict[int, InsertPrompt | ScaleTokens]:
        """Make for each layer the choice of a kind; they share a generator where asked to.

        Args:
            layers: 0-based.
            kind: of spt.prompts.kinds; by default what the section `prompt` says.

        Raises:
            InputError: if the prompt stands among the words, where no layer is chosen, or the kind does not
                fit the section.
        """
        if self.prompt.place == "template":
            raise InputError(
                "prompt.place is template, which gives the input a prompt and no other layer. "
                "Set search.strategy to manual and search.manual_layers to [0], or prompt.place to front."
            )
        size, prompt = self.backbone.hidden_size, prompt_of(kind, self.prompt)
        shared = None
        if prompt.shared:
            unbiased = prompt.model_copy(update={"position_bias": False})
            shared = new_generator(size, unbiased, self._seed(SHARED))
        generators = {layer: new_generator(size, prompt, self._seed(layer), shared) for layer in layers}
        if prompt.generator == "scaling":
            return {layer: ScaleTokens(generator) for layer, generator in generators.items()}
        if self.start is not None and prompt.generator == "free":
            for layer, generator in generators.items():
                generator.load_state_dict({"vectors": self.start(self._seed(layer), prompt.length)})
        adds, offsets = prompt.combine == "add", prompt.token_offset
        return {layer: InsertPrompt(generator, adds, offsets) for layer, generator in generators.items()}

    def parameters(self, kind: str) -> int:
        """Count what trains at a layer that gets a kind, the head aside.

        Raises:
            InputError: as `inserts`, or if layers share it, so that there is no number for one.
        """
        if prompt_of(kind, self.prompt).shared:
            raise InputError(
                "prompt.shared is true, so that parameters of a layer are not its own to count. Set it to "
                "false, or leave search.most_parameters out."
            )
        return sum(parameter.numel() for parameter in self.inserts([0], kind)[0].parameters())

    def _seed(self, layer: int) -> int:
        return derived_seed(self.seed, layer)

    def head(self) -> nn.Module:
        """Make a fresh head."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.make_head()

    def model(self, architecture: PromptLayers) -> PromptedModel:
        """Make the discrete model of `architecture`, freshly initialised.

        Raises:
            InputError: as `inserts`, for layers other than the input.
        """
        if self.prompt.place == "template" and architecture.layers == (0,):
            size = self.backbone.hidden_size
            template_prompt = TemplatePrompt(size, self.prompt, self._seed(0), cast(int, self.place_id))
            propagate = [Propagate() for _ in range(architecture.total)]
            return PromptedModel(self.backbone, propagate, self.head(), template_prompt)
        kinds = architecture.by_layer
        inserts = {
            layer: choice
            for kind in dict.fromkeys(kinds.values())
            for layer, choice in self.inserts((i for i in kinds if kinds[i] == kind), kind).items()
        }
        choices = [inserts.get(layer, Propagate()) for layer in range(architecture.total)]
        return PromptedModel(self.backbone, choices, self.head())


def load_tokenizer(spec: ModelSpec) -> Any:
    """Load the backbone's tokenizer.

    Raises:
        InputError: if the backbone has none that can be read.
    """
    reader = "sentencepiece"
    needs = "" if is_installed(reader) else f" A SentencePiece model needs: {install_command(reader)}"
    path = backbone_path(spec.backbone.name)
    named = "" if Path(path).is_dir() else "is neither embedded nor a folder here, and as a hub name it "
    with foreign_files(
        f"The backbone '{spec.backbone.name}' {named}has no tokenizer that can be read",
        f"Save the tokenizer beside its weights, or check the name.{needs}",
    ):
        check_files(Path(path))
        tokenizer = AutoTokenizer.from_pretrained(
            path, revision=spec.backbone.revision, trust_remote_code=False
        )
        # Hugging Face makes one of special tokens alone where there are no files
        if len(tokenizer) <= len(tokenizer.all_special_tokens):
            raise ValueError("its vocabulary is empty")
        if not isinstance(tokenizer.model_max_length, int | float):
            raise ValueError(f"its model_max_length is {tokenizer.model_max_length!r:.80}")
    return tokenizer


def load_backbone(spec: ModelSpec, weights: bool = True) -> Backbone:
    """Load the frozen backbone, with its language-model head where the head needs it.

    Args:
        spec: names it.
        weights: False gives it random ones in their place, on the CPU, and reads its config alone.
    """
    load = registry.load_backbone if weights else partial(registry.load_skeleton, device="cpu")
    return load(
        spec.backbone.name,
        language_model=spec.verbalizes,
        attention=spec.backbone.attention,
        revision=spec.backbone.revision,
    )


def new_factory(spec: ModelSpec, backbone: Backbone, tokenizer: Any, seed: int) -> ModelFactory:
    """Prepare to make models of a spec over a loaded backbone.

    Args:
        spec: of task, prompt, head and lengths.
        backbone: that the spec names, from `load_backbone`.
        tokenizer: that the spec names, from `load_tokenizer`.
        seed: of the initial weights, >= 0.

    Raises:
        InputError: if data.max_length is more than the backbone reads, the tokenizer has tokens without a
            vector, or the template does not fit the prompt.
    """
    if spec.max_length > backbone.max_length:
        raise InputError(
            f"data.max_length is {spec.max_length}, but the backbone '{spec.backbone.name}' reads at "
            f"most {backbone.max_length} tokens. Set data.max_length to {backbone.max_length} or less."
        )
    _check_vectors(spec, backbone, tokenizer)
    _check_places(spec, tokenizer)
    return ModelFactory(
        backbone,
        spec.prompt,
        partial(HEADS[spec.head.kind], spec, backbone, tokenizer),
        seed,
        _start(spec, backbone, tokenizer),
        tokenizer.pad_token_id,
    )


def _check_vectors(spec: ModelSpec, backbone: Backbone, tokenizer: Any) -> None:
    """Refuse a tokenizer that gives numbers of tokens for which the model has no vector."""
    highest = max(tokenizer.get_vocab().values())
    if highest >= backbone.num_vectors:
        raise InputError(
            f"The tokenizer of '{spec.backbone.name}' has {len(tokenizer):,} tokens, numbered up to "
            f"{highest:,}, but the model has {backbone.num_vectors:,} vectors. Call "
            f"model.resize_token_embeddings({highest + 1}) in transformers and save it again, or take the "
            "tokens away that were added."
        )


def _check_places(spec: ModelSpec, tokenizer: Any) -> None:
    """Refuse a template that has not one place for each vector of the prompt."""
    places = spec.task.template.count(PROMPT)
    among = spec.prompt.place == "template"
    if places != (spec.prompt.length if among else 0):
        raise InputError(
            f"The template of task '{spec.task.name}' has {places} times {PROMPT}, but prompt.place is "
            f"{spec.prompt.place} and prompt.length {spec.prompt.length}. Put {PROMPT} there once for "
            "each vector with prompt.place=template, and not at all otherwise."
        )
    if among and (not spec.verbalizes or tokenizer.mask_token is None):
        raise InputError(
            f"prompt.place is template, but head.kind {spec.head.kind} with the tokenizer of "
            f"'{spec.backbone.name}' reads no template with a mask. Use a masked language model with "
            "head.kind verbalizer or label_vectors, or set prompt.place to front."
        )


def _start(spec: ModelSpec, backbone: Backbone, tokenizer: Any) -> Callable[[int, int], Tensor] | None:
    """Return what gives a free prompt its start, where that is not random."""
    if spec.prompt.init == "random":
        return None
    initialiser = INITIALISERS[spec.prompt.init]
    labels = spec.task.label_words or spec.task.labels or ()

    def start(seed: int, length: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return initialiser(backbone.word_vectors, tokenizer, labels, length, generator)

    return start
