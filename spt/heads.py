"""From the last hidden states to class scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from spt.backbones.base import Backbone
from spt.backbones.t5 import T5Backbone
from spt.data.encoded.label_words import label_sequences, label_word_ids
from spt.errors import InputError
from spt.prompts.state import PromptState
from spt.spec import ModelSpec

# the target of padding in a label
IGNORED = -100


class Output(NamedTuple):
    """Hold what a head gives: features [B, H], its input, and logits [B, C]."""

    features: Tensor
    logits: Tensor


class FeatureHead(Protocol):
    """Is a head that trains on features alone."""

    def classify(self, features: Tensor) -> Tensor:
        """Score features [B, H] -> logits [B, C]."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield all that it has."""


Reduction = Literal["mean", "first", "last"]


def reduce_tokens(hidden: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """Take the mean, first or last of each row's real tokens: [B, T, H], mask [B, T] -> [B, H]."""
    if reduction == "mean":
        weights = mask[..., None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)
    index = torch.arange(mask.shape[1], device=mask.device) * mask
    position = mask.argmax(1) if reduction == "first" else index.argmax(1)
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), position]


class ClassificationHead(nn.Module):
    """Reduce hidden states to one vector a row, and classify it by a trained linear layer."""

    def __init__(self, hidden_size: int, classes: int, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction
        self.linear = nn.Linear(hidden_size, classes)

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor], prompt: PromptState) -> Output:
        """Classify hidden states [B, T, H] -> features [B, H], logits [B, C]."""
        features = reduce_tokens(hidden, batch["attention_mask"], self.reduction)
        return Output(features, self.classify(features))

    def classify(self, features: Tensor) -> Tensor:
        """Score features [B, H] -> logits [B, C]."""
        logits: Tensor = self.linear(features)
        return logits


class VerbalizerHead(nn.Module):
    """Read the frozen language-model head at the mask (or the last token), over one label word a class.

    Nothing in it trains. Source: LPT's protocol (arXiv 2210.11292, section 4).

    Args:
        backbone: loaded with its language-model head.
        label_word_ids: one token a class, in class order.
        mask_id: the mask token, None for causal models, which read the last token.
    """

    label_words: Tensor

    def __init__(self, backbone: Backbone, label_word_ids: Sequence[int], mask_id: int | None) -> None:
        super().__init__()
        if mask_id is None and not backbone.causal:
            raise InputError(
                "This masked language model's tokenizer has no mask token. Use a classification head."
            )
        self.mask_id = mask_id
        self.register_buffer("label_words", torch.tensor(label_word_ids), persistent=False)
        self._lm_logits = backbone.lm_logits

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor], prompt: PromptState) -> Output:
        """Classify hidden states [B, T, H] -> features [B, H], logits [B, C]."""
        features = at_label(hidden, batch, self.mask_id)
        return Output(features, self._lm_logits(features)[:, self.label_words])


def at_label(hidden: Tensor, batch: Mapping[str, Tensor], mask_id: int | None) -> Tensor:
    """Take each row's state at the mask or, without one, at the last token: [B, T, H] -> [B, H]."""
    if mask_id is None:
        return reduce_tokens(hidden, batch["attention_mask"], "last")
    at = (batch["input_ids"] == mask_id).int().argmax(1)
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), at]


class LabelVectorsHead(nn.Module):
    """Learn one vector a class in the place of the language-model head's word vectors.

    The rest of that head stays frozen. Source: WARP (arXiv 2101.00121); starting at the label words' own
    vectors is its start for few-shot training.

    Args:
        backbone: loaded with its language-model head.
        label_word_ids: one token a class, in class order.
        mask_id: the mask token, None for causal models, which read the last token.
    """

    def __init__(self, backbone: Backbone, label_word_ids: Sequence[int], mask_id: int | None) -> None:
        super().__init__()
        self.mask_id = mask_id
        self.vectors = nn.Parameter(backbone.word_projection.weight[list(label_word_ids)].detach().clone())
        self._lm_features = backbone.lm_features

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor], prompt: PromptState) -> Output:
        """Classify hidden states [B, T, H] -> features [B, H], logits [B, C]."""
        features = at_label(hidden, batch, self.mask_id)
        return Output(features, self.classify(features))

    def classify(self, features: Tensor) -> Tensor:
        """Score features [B, H] -> logits [B, C]."""
        return self._lm_features(features) @ self.vectors.T


class TextToTextHead(nn.Module):
    """Score each class by the log-likelihood that a frozen decoder gives its label, all tokens and the end.

    The likeliest class is what generation constrained to the labels would write. Cross-entropy on these
    scores renormalises over the classes, which is ours; Prompt Tuning (arXiv 2104.08691) maximises the
    likelihood of the right label alone.

    Args:
        backbone: an encoder-decoder, loaded with its language-model head.
        labels: the token ids of each class's label, the end token last.
    """

    targets: Tensor
    inputs: Tensor

    def __init__(self, backbone: T5Backbone, labels: Sequence[Sequence[int]]) -> None:
        super().__init__()
        longest = max(map(len, labels))
        targets = torch.tensor([[*ids, *[IGNORED] * (longest - len(ids))] for ids in labels])
        starts = torch.full((len(labels), 1), backbone.start_id)
        self.register_buffer("targets", targets, persistent=False)
        self.register_buffer("inputs", torch.cat([starts, targets[:, :-1].clamp_min(0)], 1), persistent=False)
        self._memory, self._decode, self._lm_logits = backbone.memory, backbone.decode, backbone.lm_logits

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor], prompt: PromptState) -> Output:
        """Classify hidden states [B, T, H] and the prompt -> features [B, H], scores [B, C]."""
        memory, bias = self._memory(hidden, batch["attention_mask"], prompt)
        rows, classes = hidden.shape[0], len(self.targets)
        states = self._decode(
            self.inputs.repeat(rows, 1),
            memory.repeat_interleave(classes, 0),
            None if bias is None else bias.expand(rows, -1, -1, -1).repeat_interleave(classes, 0),
        )
        losses = nn.functional.cross_entropy(
            self._lm_logits(states).transpose(1, 2),
            self.targets.repeat(rows, 1),
            ignore_index=IGNORED,
            reduction="none",
        )
        # before its first word the decoder has seen the input alone
        return Output(states[::classes, 0], -losses.sum(1).view(rows, classes))


def new_classification_head(spec: ModelSpec, backbone: Backbone, tokenizer: Any) -> nn.Module:  # noqa: ARG001
    """Make a trained linear head of C classes."""
    return ClassificationHead(backbone.hidden_size, spec.classes, spec.head.reduction)


def new_verbalizer_head(spec: ModelSpec, backbone: Backbone, tokenizer: Any) -> nn.Module:
    """Make a head that reads the frozen language-model head at one word a class."""
    return VerbalizerHead(backbone, *_label_tokens(spec, backbone, tokenizer))


def new_label_vectors_head(spec: ModelSpec, backbone: Backbone, tokenizer: Any) -> nn.Module:
    """Make a head with one learned vector a class, which starts at the class's label word."""
    return LabelVectorsHead(backbone, *_label_tokens(spec, backbone, tokenizer))


def new_text_to_text_head(spec: ModelSpec, backbone: Backbone, tokenizer: Any) -> nn.Module:
    """Make a head that scores the label words by a frozen decoder."""
    if not isinstance(backbone, T5Backbone):
        raise _unsuited(spec, backbone)
    return TextToTextHead(backbone, label_sequences(tokenizer, _label_words(spec)))


def _label_tokens(spec: ModelSpec, backbone: Backbone, tokenizer: Any) -> tuple[list[int], int | None]:
    """Return each class's label word as a token, and the mask token of masked language models."""
    if backbone.encoder_decoder:
        raise _unsuited(spec, backbone)
    ids = label_word_ids(tokenizer, _label_words(spec))
    return ids, None if backbone.causal else tokenizer.mask_token_id


def _label_words(spec: ModelSpec) -> Sequence[str]:
    """Return the task's label words, and refuse a task without."""
    if spec.task.label_words is None:
        raise InputError(
            f"The {spec.head.kind} head needs a label word for each class, but the task "
            f"'{spec.task.name}' has none. Set task.label_words, or use head.kind=classification."
        )
    return spec.task.label_words


def _unsuited(spec: ModelSpec, backbone: Backbone) -> InputError:
    """Make the error of a head that reads other backbones."""
    return InputError(
        f"head.kind is {spec.head.kind}, but '{spec.backbone.name}' is "
        f"{'an' if backbone.encoder_decoder else 'no'} encoder-decoder. Use text_to_text for those, "
        "verbalizer or label_vectors for other language models, classification for all."
    )


# (spec, backbone, tokenizer) -> a freshly initialised head
NewHead = Callable[[ModelSpec, Backbone, Any], nn.Module]
# by the names of spec.HeadConfig.kind
HEADS: Mapping[str, NewHead] = {
    "classification": new_classification_head,
    "verbalizer": new_verbalizer_head,
    "label_vectors": new_label_vectors_head,
    "text_to_text": new_text_to_text_head,
}
