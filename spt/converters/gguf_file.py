"""A language model out of a GGUF file, dequantised."""

from __future__ import annotations

from pathlib import Path

from spt.process.extras import need


def convert(folder: Path, name: str) -> None:
    """Write config.json, model.safetensors (float32) and the tokenizer of a GGUF file beside it.

    Args:
        folder: that holds the file.
        name: of the file.

    Raises:
        InputError: if a package that transformers reads such files with is not installed.
    """
    need("gguf", "accelerate")
    from safetensors.torch import save_model  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name)
    # the weights are plain now
    del model.config.quantization_config
    model.config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(folder)
