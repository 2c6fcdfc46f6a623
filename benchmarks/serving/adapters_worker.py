"""Serve tasks by adapters.Parallel, in an environment of its own: reads and writes a line of JSON a question.

The library pins an older transformers than ours, so this file needs nothing of the project:
`python adapters_worker.py FOLDER TASKS FIRST_LAYER CLASSES MAX_LENGTH`. FIRST_LAYER > 0 leaves the layers
below without adapters (AdapterDrop), so that they run once for all tasks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from adapters import AutoAdapterModel, SeqBnConfig
from adapters.composition import Parallel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedTokenizerFast


def main(folder: str, tasks: int, first_layer: int, classes: int, max_length: int) -> None:
    """Say the versions, then answer until the input ends."""
    torch.set_num_threads(1)
    model, tokenizer = load(folder, tasks, first_layer, classes), load_tokenizer(Path(folder))
    versions = {name: sys.modules[name].__version__ for name in ("adapters", "transformers", "torch")}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        inputs = tokenizer(
            question["texts"], padding=True, truncation=True, max_length=max_length, return_tensors="pt"
        )
        print(json.dumps(counted(model, inputs) if question["count"] else answer(model, inputs)), flush=True)


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer, whose class a newer transformers may have named."""
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    # not every version of transformers has types
    make: Any = PreTrainedTokenizerFast
    return make(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token=config["pad_token"],
        model_input_names=["input_ids", "attention_mask"],
    )


def load(folder: str, tasks: int, first_layer: int, classes: int) -> Any:
    """Load the backbone with an adapter and a head of its own for each task."""
    model = AutoAdapterModel.from_pretrained(folder)
    names = [f"task_{number}" for number in range(tasks)]
    for name in names:
        model.add_adapter(name, config=SeqBnConfig(leave_out=list(range(first_layer))))
        model.add_classification_head(name, num_labels=classes)
    model.active_adapters = Parallel(*names) if tasks > 1 else names[0]
    model.active_head = names if tasks > 1 else names[0]
    return model.eval()


@torch.inference_mode()
def answer(model: Any, inputs: Any) -> list[Any]:
    """Return the class probabilities [tasks, texts, C]."""
    outputs = model(**inputs)
    each = outputs if isinstance(outputs, list | tuple) and not hasattr(outputs, "logits") else [outputs]
    return [output.logits.softmax(-1).tolist() for output in each]


@torch.no_grad()
def counted(model: Any, inputs: Any) -> dict[str, int]:
    """Count the operations of answering; say the most memory that this process has held."""
    counter = FlopCounterMode(display=False)
    with counter:
        model(**inputs)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"flops": counter.get_total_flops(), "peak_bytes": 1024 * int(line.split()[1])}


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
