"""What the folders of saved prompts and of exports are made of: names and formats, known without torch."""

from __future__ import annotations

PROMPT_JSON, PROMPT_WEIGHTS = "prompt.json", "prompt.safetensors"
ESTIMATOR_JSON, CARD = "estimator.json", "README.md"
# what a saved prompt is made of: whatever else a repository holds, no pickle and no code, stays there
PROMPT_FILES = (PROMPT_JSON, PROMPT_WEIGHTS, ESTIMATOR_JSON, CARD)
# format 1 notes the weights of the backbone alone, and no digest of its own; 2 knows no temperature, 3 no
# offset of tokens, 4 no several labels a text, 5 no temperature of these, 6 no kinds of what a layer gets
FORMATS = (1, 2, 3, 4, 5, 6, 7)
FORMATS_WITH_DIGESTS = FORMATS[1:]

# of an export to ONNX: what says which graphs there are, and the digest of every other file
EXPORT_JSON, TOKENIZER_JSON = "export.json", "tokenizer.json"
