"""Weights of an exported graph in 8 bits: activations stay numbers of 32 bits between the products."""

from __future__ import annotations

from pathlib import Path

from spt.errors import foreign_files
from spt.process.quiet import quiet_logger


def quantize(path: Path) -> None:
    """Replace a graph by one whose products multiply 8-bit weights by activations rounded as they come.

    Each column of a weight has a scale of its own, and 7 of the bits; the words' vectors have 8 bits too.

    Args:
        path: of the graph; a file of its weights beside it goes too.

    Raises:
        InputError: if onnxruntime cannot.

    Source: onnxruntime's dynamic quantization.
    """
    # an extra, which this folder alone needs
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    whole = path.with_name(f"whole-{path.name}")
    path.replace(whole)
    with (
        # it advises to prepare the graph, which the exporter has done
        quiet_logger("root"),
        foreign_files(f"{path.name} cannot be written in 8 bits", "Export it without --int8."),
    ):
        # sums of products with weights of all 8 bits overflow on processors without VNNI, silently
        quantize_dynamic(whole, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    whole.unlink()
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)
