"""A prompted model as ONNX graphs of dynamic batch and length: one, or a trunk and the branch above it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spt.errors import foreign_files
from spt.layer_loop import run_layers
from spt.model import PromptedModel
from spt.process.quiet import quiet_logger
from spt.start import Start

# what torch.onnx translates to without converting versions; onnxruntime has it since 1.15
OPSET = 18
# protobuf holds at most 2 GB: above this the weights go into a file beside the graph
MAX_INLINE_BYTES = 3 * 2**29
HIDDEN, LOGITS = "hidden", "logits"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MODEL, TRUNK, BRANCH = "model.onnx", "trunk.onnx", "branch.onnx"

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Graph:
    """Describe one graph that is to be written.

    Attributes:
        file: its name.
        module: takes the inputs by name, and gives the output.
        inputs: names, of `INPUTS` or `HIDDEN`.
        output: name.
    """

    file: str
    module: nn.Module
    inputs: tuple[str, ...]
    output: str


class TrunkGraph(nn.Module):
    """Give the hidden states that enter a layer at or below the first prompt.

    Args:
        model: whose backbone runs.
        layers: that run, from 0 on.
    """

    def __init__(self, model: PromptedModel, layers: int) -> None:
        super().__init__()
        self.model = model
        self.layers = layers

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Run the layers of the trunk: tokens [B, T] -> [B, T, H]."""
        batch = _batch(input_ids, attention_mask, token_type_ids)
        model = self.model
        start = Start(0, model.backbone.embed(batch))
        return run_layers(
            model.backbone, model.choices, start, attention_mask, padded=True, stop=self.layers
        )[1]


class BranchGraph(nn.Module):
    """Give the logits of the hidden states that a trunk gave.

    Args:
        model: whose layers, prompts and head run.
        layers: that the trunk has run.
    """

    def __init__(self, model: PromptedModel, layers: int) -> None:
        super().__init__()
        self.model = model
        self.layers = layers

    def forward(self, hidden: Tensor, attention_mask: Tensor, input_ids: Tensor | None = None) -> Tensor:
        """Run the layers above the trunk and the head: [B, T, H], [B, T] -> [B, C]."""
        model, batch = self.model, {"attention_mask": attention_mask}
        if input_ids is not None:
            batch["input_ids"] = input_ids
        if model.template_prompt is not None:
            hidden = model.template_prompt(hidden, batch)
        start = Start(self.layers, hidden)
        prompt, hidden = run_layers(model.backbone, model.choices, start, attention_mask, padded=True)
        logits: Tensor = model.head(model.backbone.finish(hidden), batch, prompt).logits
        return logits


class WholeGraph(nn.Module):
    """Give the logits of tokens: trunk and branch as one graph."""

    def __init__(self, model: PromptedModel) -> None:
        super().__init__()
        self.trunk = TrunkGraph(model, 0)
        self.branch = BranchGraph(model, 0)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Classify tokens [B, T] -> [B, C]."""
        hidden = self.trunk(input_ids, attention_mask, token_type_ids)
        logits: Tensor = self.branch(hidden, attention_mask, input_ids)
        return logits


def graphs_of(model: PromptedModel, inputs: Sequence[str], trunk: int | None) -> list[Graph]:
    """Return the graphs that answer one after another, each by what those before it give.

    Args:
        model: that is exported.
        inputs: of `INPUTS`, that the tokenizer gives.
        trunk: layers of the graph that prompts of other tasks may share; None for one graph of all.
    """
    if trunk is None:
        return [Graph(MODEL, WholeGraph(model), tuple(inputs), LOGITS)]
    # a head that looks for the mask token, and vectors among words, find their places by the tokens
    reads_ids = model.template_prompt is not None or getattr(model.head, "mask_id", None) is not None
    above = (HIDDEN, "attention_mask", *(["input_ids"] if reads_ids else []))
    return [
        Graph(TRUNK, TrunkGraph(model, trunk), tuple(inputs), HIDDEN),
        Graph(BRANCH, BranchGraph(model, trunk), above, LOGITS),
    ]


@torch.no_grad()
def write_graph(graph: Graph, example: Batch, folder: Path, family: str) -> None:
    """Write a graph of any number of rows and tokens; large weights go into a file beside it.

    Args:
        graph: that is written under its name.
        example: tensors of the graph's inputs by name, of two rows or more and a few tokens.
        folder: that is there.
        family: of the backbone, for the error.

    Raises:
        InputError: if something in the family's model has no form in ONNX, naming it.
    """
    dynamic = torch.export.Dim.DYNAMIC
    tensors = {name: example[name] for name in graph.inputs}
    weights = sum(p.numel() * p.element_size() for p in graph.module.parameters())
    with (
        quiet_logger("torch.onnx"),
        quiet_logger("torch.fx"),
        warnings.catch_warnings(),
        foreign_files(
            f"The family '{family}' cannot be exported to ONNX with torch {torch.__version__}: {graph.file}",
            "Serve this prompt with `PromptClassifier`, or choose a backbone of the table in docs/export.md.",
        ),
    ):
        warnings.simplefilter("ignore")
        # torch prints its own form of the whole model where that cannot be traced
        with redirect_stderr(StringIO()):
            program = torch.export.export(
                graph.module.eval(),
                (),
                tensors,
                dynamic_shapes={name: {0: dynamic, 1: dynamic} for name in tensors},
                strict=False,
            )
        onnx: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(tensors),
            output_names=[graph.output],
            verbose=False,
        )
        _forget_sources(onnx.model)
        onnx.save(folder / graph.file, external_data=weights > MAX_INLINE_BYTES)


def _batch(input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> dict[str, Tensor]:
    batch = {"input_ids": input_ids, "attention_mask": attention_mask}
    return batch if token_type_ids is None else {**batch, "token_type_ids": token_type_ids}


def _forget_sources(model: Any) -> None:
    """Remove what the exporter notes of the code that each node came from: files of this machine, mostly."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
