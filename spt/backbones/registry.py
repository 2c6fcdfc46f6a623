"""From a model name to a backbone of the right family."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
)

from spt.assets import backbone_path
from spt.backbones.base import Backbone
from spt.backbones.bert import BertBackbone, RobertaBackbone
from spt.backbones.deberta import DebertaBackbone, DebertaV2Backbone
from spt.backbones.distilbert import DistilBertBackbone
from spt.backbones.electra import ElectraBackbone
from spt.backbones.foreign import check_files, check_sizes
from spt.backbones.gpt2 import Gpt2Backbone
from spt.backbones.llama import LlamaBackbone, MistralBackbone, QwenBackbone
from spt.backbones.modernbert import ModernBertBackbone
from spt.backbones.t5 import T5Backbone
from spt.errors import InputError, foreign_files, unknown
from spt.process.quiet import quiet_weights
from spt.storage.tensor_files import not_finite

FAMILIES: dict[str, type[Backbone]] = {
    "bert": BertBackbone,
    "camembert": RobertaBackbone,
    "deberta": DebertaBackbone,
    "deberta-v2": DebertaV2Backbone,
    "distilbert": DistilBertBackbone,
    "electra": ElectraBackbone,
    "gpt2": Gpt2Backbone,
    "llama": LlamaBackbone,
    "mistral": MistralBackbone,
    "modernbert": ModernBertBackbone,
    "mt5": T5Backbone,
    "qwen2": QwenBackbone,
    "qwen3": QwenBackbone,
    "roberta": RobertaBackbone,
    "t5": T5Backbone,
    "xlm-roberta": RobertaBackbone,
}


def family(config: PreTrainedConfig) -> type[Backbone]:
    """Return the backbone class for a model's configuration.

    Raises:
        InputError: for a model type that no family covers.
    """
    if config.model_type not in FAMILIES:
        raise unknown(
            "backbone family",
            config.model_type,
            FAMILIES,
            "To add one, see 'Add a backbone' in CONTRIBUTING.md.",
        )
    return FAMILIES[config.model_type]


def with_head(backbone: type[Backbone]) -> Any:
    """Return the transformers class that loads a family with its language-model head."""
    if backbone.encoder_decoder:
        return AutoModelForSeq2SeqLM
    return AutoModelForCausalLM if backbone.causal else AutoModelForMaskedLM


def load_backbone(
    name: str,
    language_model: bool = False,
    attention: Literal["sdpa", "eager"] = "sdpa",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
) -> Backbone:
    """Load a frozen backbone with its pretrained weights.

    Args:
        name: an embedded backbone (`minilm-l6`), a local folder or a hub name.
        language_model: load the language-model head too, as verbalizers need.
        attention: which attention kernel the layers use; families without sdpa use eager anyway.
        dtype: of the frozen weights.
        revision: commit or tag of a hub model.

    Raises:
        InputError: if there is no such model, no family covers it, or it lacks the head that was asked for.
    """
    path, config = backbone_path(name), _read_config(name, revision)
    backbone = family(config)
    model_class: Any = with_head(backbone) if language_model else AutoModel
    unread_weights = foreign_files(
        f"The backbone '{name}' has a config, but its weights cannot be read",
        "Check the folder, or the network. Weights are read from safetensors files alone: convert others "
        "with save_pretrained of transformers, if you trust them.",
    )
    with unread_weights, quiet_weights():
        model, report = model_class.from_pretrained(
            path,
            revision=revision,
            attn_implementation=attention if backbone.sdpa else "eager",
            dtype=dtype,
            output_loading_info=True,
            # what others made may be pickled or bring code, about which Hugging Face would ask standard input
            use_safetensors=True,
            trust_remote_code=False,
        )
    # Hugging Face would go on with random weights in their place; nothing here uses a pooler
    if missing := sorted(key for key in report["missing_keys"] if "pooler" not in key):
        advice = "Use a classification head, or a checkpoint" if language_model else "Use a checkpoint"
        raise InputError(
            f"The backbone '{name}' lacks weights ({', '.join(missing[:5])}). "
            f"{advice} that was saved with them."
        )
    if wrong := not_finite(dict(model.named_parameters())):
        raise InputError(
            f"The backbone '{name}' holds weights that are not finite: {', '.join(wrong[:5])}. Every answer "
            "would be NaN: get it again from where it is from."
        )
    return backbone(model)


def load_skeleton(
    name: str,
    language_model: bool = False,
    revision: str | None = None,
    attention: str = "sdpa",
    device: str = "meta",
) -> Backbone:
    """Make a backbone by its config alone, whose weights have shapes and no values, or random ones.

    Args:
        name: as of `load_backbone`, like all others.
        language_model: make the language-model head too.
        revision: commit or tag of a hub model.
        attention: as of `load_backbone`.
        device: meta for no values; on any other the operations of a pass can be counted.

    Raises:
        InputError: if there is no such model, or no family covers it.
    """
    config = _read_config(name, revision)
    backbone = family(config)
    model_class: Any = with_head(backbone) if language_model else AutoModel
    unusable = foreign_files(
        f"The backbone '{name}' has a config that no model can be made by",
        "Check the folder, or get it again from where it is from.",
    )
    kernel = attention if backbone.sdpa else "eager"
    with unusable, torch.random.fork_rng(devices=[]), torch.device(device):
        return backbone(model_class.from_config(config, attn_implementation=kernel, dtype=torch.float32))


def _read_config(name: str, revision: str | None) -> PreTrainedConfig:
    path = backbone_path(name)
    unreachable = "is neither embedded, nor a local folder, nor a hub name that can be reached now"
    unread = "is a folder whose config.json cannot be read"
    with foreign_files(
        f"The backbone '{name}' {unread if Path(path).is_dir() else unreachable}",
        "Check the name, or give a folder with a config.json of a model that transformers has: code that "
        "comes with a model is never run.",
    ):
        check_files(Path(path))
        check_sizes(Path(path))
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            path, revision=revision, trust_remote_code=False
        )
    return config
