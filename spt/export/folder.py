"""The folder of an export: graphs, tokenizer, and what makes answers of logits; there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from spt.backbones.identity import BackboneIdentity
from spt.errors import InputError
from spt.export.graphs import INPUTS, TRUNK, graphs_of, write_graph
from spt.export.quantization import quantize
from spt.export.runtime import REPORT, OnnxGraphs, largest_difference, random_batches
from spt.export.text_rules import TextRules, write_tokenizer
from spt.process.extras import need
from spt.process.provenance import versions
from spt.saved_folders import EXPORT_JSON, TOKENIZER_JSON
from spt.serving.classifier import PromptClassifier
from spt.storage.digests import file_digest
from spt.storage.files import replacing_folder, write_text
from spt.storage.json_files import read_json
from spt.templates import templates_of

README = "README.md"
FORMAT = 1
# largest difference of logits, absolute below 1 and relative above
TOLERANCE = 1e-4
ALL = "all"


def export_onnx(
    classifier: PromptClassifier, folder: Path, trunk: int | str | None = None, int8: bool = False
) -> dict[str, Any]:
    """Write a prompt with its backbone as ONNX graphs that need neither torch nor this library.

    The graphs are compared with the model before the folder appears.

    Args:
        classifier: that is exported.
        folder: that is not there, is empty, or holds an export, which is replaced; other files in it stay.
        trunk: layers of a graph of their own, which exports of other tasks over the same backbone share;
            "all" for those below the first prompt, None for one graph of everything.
        int8: keep the weights of matrix products in 8 bits, which makes files small and answers differ.

    Returns:
        What export.json holds.

    Raises:
        InputError: if packages of the extra `onnx` are missing, the trunk would reach into the prompts, the
            folder holds something else, or another file of a new one's name, the tokenizer or the family
            cannot be exported, or the graphs do not give the model's logits, or in 8 bits none that are
            finite.
    """
    need("onnx", "onnxscript", "onnxruntime")
    layers = trunk_layers(trunk, classifier.model.first_prompt_layer)
    rules = TextRules.of(classifier.spec, classifier.tokenizer)
    with replacing_folder(folder, EXPORT_JSON, "an export", _written_before(folder)) as partial:
        write_tokenizer(classifier.tokenizer, rules, partial / TOKENIZER_JSON)
        graphs, difference = _write_graphs(classifier, layers, partial)
        if int8:
            difference = _quantize(classifier, graphs, partial)
        content = _content(classifier, rules, graphs, layers, int8, difference)
        write_text(partial / README, _readme(content))
        # of all files but the one that holds them
        content["files"] = {path.name: file_digest(path) for path in sorted(partial.iterdir())}
        write_text(partial / EXPORT_JSON, json.dumps(content, indent=2) + "\n")
    return content


def _written_before(folder: Path) -> set[str]:
    """Return the names of the files that the export in a folder has written, where there is one."""
    path = folder / EXPORT_JSON
    files = read_json(path, "Choose another folder.").get("files") if path.is_file() else None
    return {EXPORT_JSON, *(files if isinstance(files, dict) else ())}


def trunk_layers(trunk: int | str | None, first_prompt: int) -> int | None:
    """Return how many layers the trunk has; None for no trunk.

    Args:
        trunk: a number, also as text, "all", or None.
        first_prompt: the lowest layer with a prompt.

    Raises:
        InputError: for anything else, or a trunk of no layers or of some with prompts.
    """
    if trunk is None:
        return None
    layers = first_prompt if trunk == ALL else int(trunk) if str(trunk).isdecimal() else 0
    if not 1 <= layers <= first_prompt:
        below = f"a number from 1 to {first_prompt}, or {ALL}" if first_prompt else "left out"
        raise InputError(
            f"The trunk is {trunk}, but this prompt begins at layer {first_prompt}, and a trunk is of the "
            f"layers below it: it must be {below}."
        )
    return layers


def _write_graphs(classifier: PromptClassifier, layers: int | None, folder: Path) -> tuple[list[str], float]:
    """Write the graphs, and return their names and how far their logits are from the model's."""
    model, family = classifier.model.eval(), classifier.model.backbone.model.config.model_type
    inputs, batches = _inputs(classifier), _batches(classifier)
    example = dict(batches[0])
    graphs = graphs_of(model, inputs, layers)
    if layers is not None:
        example["hidden"] = graphs[0].module(*(example[name] for name in inputs)).detach()
    for graph in graphs:
        write_graph(graph, example, folder, family)
    names = [graph.file for graph in graphs]
    difference = largest_difference(OnnxGraphs([folder / name for name in names]), model, batches)
    if not difference <= TOLERANCE:
        raise InputError(
            f"The family '{family}' cannot be exported: the graphs' logits are {difference:.1e} from the "
            f"model's, but at most {TOLERANCE:.0e} is taken for the same. {REPORT}"
        )
    return names, difference


def _quantize(classifier: PromptClassifier, graphs: Sequence[str], folder: Path) -> float:
    """Replace graphs by those of 8 bits, and return how far their logits are from the model's."""
    for graph in graphs:
        quantize(folder / graph)
    runtime = OnnxGraphs([folder / name for name in graphs])
    advice = "Export it without --int8."
    return largest_difference(runtime, classifier.model, _batches(classifier), advice)


def _inputs(classifier: PromptClassifier) -> list[str]:
    return [name for name in INPUTS if name in (*INPUTS[:2], *classifier.tokenizer.model_input_names)]


def _batches(classifier: PromptClassifier) -> list[dict[str, Tensor]]:
    backbone, length = classifier.model.backbone, classifier.spec.max_length
    return list(random_batches(backbone, _inputs(classifier), length))


def _content(
    classifier: PromptClassifier,
    rules: TextRules,
    graphs: list[str],
    layers: int | None,
    int8: bool,
    difference: float,
) -> dict[str, Any]:
    spec, answers = classifier.spec, classifier.spec.answers
    return {
        "format": FORMAT,
        "task": spec.task.name,
        "labels": list(classifier.labels),
        "multi_label": spec.task.multi_label,
        "temperature": answers.temperature,
        "threshold": answers.threshold,
        "thresholds": None if answers.thresholds is None else list(answers.thresholds),
        "text": rules.as_json(),
        "graphs": graphs,
        "trunk_layers": layers,
        "int8": int8,
        "largest_difference": difference,
        "prompt_layers": list(classifier.architecture.layers),
        "layers_total": classifier.architecture.total,
        "backbone": BackboneIdentity.of(classifier.model.backbone, classifier.tokenizer).as_json(),
        "versions": versions(),
    }


def _readme(content: Mapping[str, Any]) -> str:
    template = templates_of("spt.export").get_template("README.md")
    return template.render(content, shared=TRUNK in content["graphs"])
