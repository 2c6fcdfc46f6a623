"""Where the weights of an ONNX graph lie is read as ONNX itself writes it, and within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spt.audit import onnx_references
from spt.audit.onnx_references import external_files
from spt.errors import InputError

onnx = pytest.importorskip("onnx")


def tensor(location: str | None) -> Any:
    """Return a tensor of ONNX whose weights lie in a file; in the graph for none."""
    made = onnx.numpy_helper.from_array(np.ones(2, np.float32), "weights")
    if location is not None:
        onnx.external_data_helper.set_external_data(made, location, offset=0, length=8)
        made.ClearField("raw_data")
        made.data_location = onnx.TensorProto.EXTERNAL
    return made


def graph(*nodes: Any, **tensors: Any) -> Any:
    return onnx.helper.make_graph(list(nodes), "graph", [], [], **tensors)


def test_the_places_of_tensors_wherever_they_stand_are_found(tmp_path: Path) -> None:
    make_node = onnx.helper.make_node
    inner = graph(make_node("Constant", [], ["a"], value=tensor("of a constant")))
    sparse = onnx.helper.make_sparse_tensor(tensor("of values"), tensor("of indices"), [2])
    whole = graph(
        make_node("If", ["a"], ["b"], then_branch=inner),
        initializer=[tensor("of weights"), tensor(None), tensor("of weights")],
        sparse_initializer=[sparse],
    )
    constant = make_node("Constant", [], ["c"], value=tensor("of a function"))
    function = onnx.helper.make_function("own", "f", [], ["c"], [constant], [])
    model = onnx.helper.make_model(whole, functions=[function], producer_name="location")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert sorted(external_files(path)) == [
        "of a constant",
        "of a function",
        "of indices",
        "of values",
        "of weights",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\x3a\x05ab", "a field ends 3 bytes behind what it is in"),
        (b"\x3a", "byte 1 begins no number"),
        (b"\xff" * 11, "byte 0 begins no number"),
        (b"\x0b", "byte 0 begins no field"),
        (b"\x08\x01" * 4, "more than 3 fields"),
    ],
)
def test_what_is_no_graph_is_refused(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_references, "MAX_FIELDS", 3)
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        external_files(path)


def test_graphs_in_graphs_are_read_to_a_depth(tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", graph()
    for _ in range(30):
        model = graph(onnx.helper.make_node("If", ["a"], ["b"], then_branch=model))
    path.write_bytes(onnx.helper.make_model(model).SerializeToString())
    with pytest.raises(InputError, match="is nested deeper than 64 levels"):
        external_files(path)


def test_a_path_of_any_length_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph(initializer=[tensor("a" * 5000)])).SerializeToString())
    with pytest.raises(InputError, match="weights in a path of more than 4,096 bytes"):
        external_files(path)
