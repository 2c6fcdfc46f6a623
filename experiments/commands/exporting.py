"""A saved prompt for programs without torch: export."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Model
from experiments.console import exit_codes
from experiments.logs import quiet_libraries


def export(
    model: Model,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="As ONNX graphs, the one form there is; it must be named.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where to; an export that is there is replaced.",
            show_default="MODEL_FOLDER-onnx",
        ),
    ] = None,
    trunk: Annotated[
        str | None,
        typer.Option(
            metavar="all|LAYERS",
            help="Put so many layers, all below the first prompt or fewer, into a graph of their own, which "
            "exports of other tasks over the same backbone share.",
            show_default="one graph of everything",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Keep weights in 8 bits: small files, other answers.")
    ] = False,
) -> None:
    """Write a saved prompt with its backbone as ONNX graphs, with tokenizer, labels and code that runs them.

    Who uses them needs numpy, tokenizers and onnxruntime alone. Logits are compared with the model's before
    the folder appears, which holds all or nothing.
    """
    quiet_libraries(quiet=False)
    with exit_codes("Stopped."):
        from spt.errors import InputError
        from spt.export.folder import export_onnx
        from spt.serving.classifier import PromptClassifier

        if not onnx:
            raise InputError(f"Name the form of the export of '{model}': --onnx is the one there is.")
        # the current folder and the one above have no names of their own
        named = model if model.name not in ("", "..") else model.resolve()
        target = folder or named.with_name(f"{model.resolve().name}-onnx")
        content = export_onnx(PromptClassifier.from_pretrained(model), target, trunk, int8)
        print(
            f"{target}: {', '.join(content['graphs'])}; logits are at most "
            f"{content['largest_difference']:.0e} from the model's. See its README.md."
        )
