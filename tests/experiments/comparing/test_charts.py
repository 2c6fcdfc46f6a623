"""Drawings of comparisons: what they name and show, as vectors only."""

import re

import pytest

from experiments.comparing.charts import (
    Interval,
    gates_chart,
    interval_chart,
    layer_chart,
    rank_chart,
    value_chart,
)

WHOLE = Interval([0.9, 0.92], 0.91, 0.88, 0.94)
SINGLE = Interval([0.8], 0.8, None, None)


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def dots(svg: str) -> int:
    """Marks of scatter collections."""
    return len(re.findall(r'<g id="PathCollection', svg))


def test_intervals_name_every_group_and_survive_a_single_run() -> None:
    svg = interval_chart({"darts": WHOLE, "manual": SINGLE}, "test accuracy")
    assert {"darts", "manual", "test accuracy"} <= set(texts(svg))
    assert dots(svg) == 4
    longer = interval_chart({str(n): WHOLE for n in range(9)}, "x")
    assert float(re.findall(r'height="([\d.]+)pt"', longer)[0]) > float(
        re.findall(r'height="([\d.]+)pt"', svg)[0]
    )


def test_values_stand_in_order_whatever_the_order_given() -> None:
    svg = value_chart({3.0: WHOLE, 0.1: SINGLE, 1: WHOLE}, "search.consistency", "test accuracy")
    found = texts(svg)
    assert [text for text in found if text in ("0.1", "1", "3")] == ["0.1", "1", "3"]
    assert "search.consistency" in found


def test_ranks_put_the_best_on_top() -> None:
    svg = rank_chart({"worst": 2.9, "best": 1.2, "middle": 1.9}, 0.8)
    named = [text for text in texts(svg) if text in ("worst", "best", "middle")]
    assert named == ["best", "middle", "worst"]


def test_layers_show_their_shares() -> None:
    found = texts(layer_chart({"darts": [0.0, 1.0, 0.4], "random": [0.2, 0.2, 0.6]}))
    assert [text for text in found if text.endswith("%")] == ["0%", "100%", "40%", "20%", "20%", "60%"]
    assert {"0", "1", "2", "darts", "random"} <= set(found)


def test_gates_have_a_line_for_each_search_and_layer() -> None:
    history = [
        {"epoch": e, "step": s, "gates": {"0": 0.5, "10": 0.1, "2": 0.9}} for e in (0, 1) for s in (0, 4)
    ]
    one, three = gates_chart([history]), gates_chart([history] * 3)
    lines = [svg.count('<g id="line2d_') for svg in (one, three)]
    assert lines[1] - lines[0] == 6
    # layers in the order of numbers, not of text
    assert [text for text in texts(one) if text in ("0", "2", "10")][-3:] == ["0", "2", "10"]


@pytest.mark.parametrize(
    "svg",
    [
        interval_chart({"a": WHOLE}, "x"),
        layer_chart({"a": [0.5, 1.0]}),
        rank_chart({"a": 1.0, "b": 2.0, "c": 3.0}, 1.0),
    ],
    ids=["intervals", "layers", "ranks"],
)
def test_drawings_are_vectors_without_outside_parts(svg: str) -> None:
    assert svg.startswith("<svg")
    assert "<image" not in svg and "data:" not in svg
    assert not re.search(r'href="[^#]', svg)
