"""Exported graphs run by onnxruntime: their logits, and how far they are from the model's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spt.backbones.base import Backbone
from spt.errors import InputError
from spt.export.graphs import INPUTS, LOGITS
from spt.model import PromptedModel

# rows and tokens of the batches that graph and model both answer
ROWS, SHORT, LONG = 4, 5, 64
REPORT = (
    "Serve this prompt with `PromptClassifier`, and report this with the versions that `spt doctor` prints."
)


class OnnxGraphs:
    """Graphs that run one after another, each on what the tokenizer or a graph before it gave.

    Args:
        paths: of the files, in order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        # an extra, which this folder alone needs
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # it would warn of initialisers that its own optimiser removes
        options.log_severity_level = 3
        self.sessions = [
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in paths
        ]

    def outputs(self, batch: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
        """Return what the graphs give for tokens by its name, in the graphs' order.

        Args:
            batch: tensors [B, T] by the names of `INPUTS`.
        """
        values = {name: tensor.cpu().numpy() for name, tensor in batch.items() if name in INPUTS}
        outputs: dict[str, NDArray[Any]] = {}
        for session in self.sessions:
            given = {each.name: values[each.name] for each in session.get_inputs()}
            names = [each.name for each in session.get_outputs()]
            results = dict(zip(names, map(np.asarray, session.run(names, given)), strict=True))
            values |= results
            outputs |= results
        return outputs

    def logits(self, batch: Mapping[str, Tensor], advice: str = REPORT) -> NDArray[Any]:
        """Return the logits of tokens: tensors [B, T] by the names of `INPUTS` -> [B, C].

        Args:
            batch: of the tokens.
            advice: what to do where the logits are no numbers, as a sentence.

        Raises:
            InputError: if logits are not finite, naming each graph's output that holds such values.
        """
        outputs = self.outputs(batch)
        # states of padding may be anything, as long as no logit comes of them
        if not np.isfinite(outputs[LOGITS]).all():
            wrong = ", ".join(name for name, value in outputs.items() if not np.isfinite(value).all())
            raise InputError(
                f"The graphs give values that are not finite in the output {wrong}, for {_shown(batch)}, but "
                f"{LOGITS} must be finite numbers. {advice}"
            )
        return outputs[LOGITS]


def random_batches(backbone: Backbone, inputs: Sequence[str], max_length: int) -> Iterator[dict[str, Tensor]]:
    """Yield batches of random tokens, of many lengths, with padding on either side and without any.

    Args:
        backbone: whose tokens they are.
        inputs: of `INPUTS`, that the tokenizer gives.
        max_length: tokens of the longest row; at most `LONG` are taken.
    """
    random = np.random.default_rng(0)
    longest = min(LONG, max_length)
    for rows, most, side in (
        (ROWS, longest, "right"),
        (ROWS, min(SHORT, longest), "left"),
        (1, longest, "none"),
        (1, 1, "none"),
    ):
        lengths = random.integers(1, most + 1, rows) if side != "none" else np.full(rows, most)
        places = np.arange(most)
        mask = places >= most - lengths[:, None] if side == "left" else places < lengths[:, None]
        ids = random.integers(0, backbone.num_vectors, mask.shape)
        batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(mask.shape)}
        yield {name: torch.from_numpy(batch[name].astype(np.int64)).to(backbone.device) for name in inputs}


@torch.inference_mode()
def largest_difference(
    graphs: OnnxGraphs, model: PromptedModel, batches: Iterable[dict[str, Tensor]], advice: str = REPORT
) -> float:
    """Return how far logits of graphs and model are apart at most: a share of the largest, where above 1.

    Args:
        graphs: that are compared.
        model: with which they are.
        batches: of tokens, by the names of `INPUTS`.
        advice: what to do where the graphs' logits are no numbers, as a sentence.

    Raises:
        InputError: if logits of the graphs or of the model are not finite, or differ in their shapes.
    """
    largest = 0.0
    for batch in batches:
        expected = model(batch).logits.float().cpu().numpy()
        if not np.isfinite(expected).all():
            raise InputError(
                f"The model's own {LOGITS} are not finite for {_shown(batch)}, but a graph is compared with "
                "them. Train the prompt again, with a lower learning rate."
            )
        logits = graphs.logits(batch, advice)
        # arrays of other shapes might be compared all the same, one row with all
        if logits.shape != expected.shape:
            raise InputError(
                f"The graphs' {LOGITS} have the shape {list(logits.shape)} for {_shown(batch)}, but the "
                f"model's have {list(expected.shape)}. {REPORT}"
            )
        distance = float(np.abs(logits - expected).max())
        largest = max(largest, distance / max(1.0, float(np.abs(expected).max())))
    return largest


def _shown(batch: Mapping[str, Tensor]) -> str:
    rows, tokens = batch["attention_mask"].shape
    return f"{rows} rows of {tokens} tokens" if rows > 1 else f"a row of {tokens} tokens"
