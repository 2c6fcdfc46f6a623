"""Drawings of comparisons: what they name and show, as vectors only."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from matplotlib.figure import Figure

from experiments.comparing.charts import (
    layer_chart,
    rank_chart,
    trade_off_chart,
    value_chart,
)
from spt.reports.charts import Interval, gate_chart, interval_chart
from spt.reports.drawing import as_svg, wrapped

WHOLE = Interval([0.9, 0.92], 0.91, 0.88, 0.94)
SINGLE = Interval([0.8], 0.8, None, None)


def drawn(figure: Figure) -> str:
    return as_svg(figure, "a picture")


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def tips(svg: str) -> list[str]:
    """What is said where the mouse rests."""
    return re.findall(r"<title>([^<]*)</title>", svg)


def test_intervals_name_every_group_and_survive_a_single_run() -> None:
    svg = drawn(interval_chart({"darts": WHOLE, "manual": SINGLE}, "test accuracy"))
    assert {"darts", "manual", "test accuracy, %"} <= set(texts(svg))
    assert {"darts: 91.0 %, 88.0 to 94.0", "manual: 80.0 %", "darts: runs at 90.0, 92.0 %"} == set(tips(svg))
    longer = drawn(interval_chart({str(n): WHOLE for n in range(9)}, "x"))
    heights = [float(re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', each)[0]) for each in (svg, longer)]
    assert heights[1] > heights[0]


def test_values_stand_in_order_whatever_the_order_given() -> None:
    svg = drawn(value_chart({3.0: WHOLE, 0.1: SINGLE, 1: WHOLE}, "search.consistency", "test accuracy"))
    found = texts(svg)
    assert [text for text in found if text in ("0.1", "1", "3")] == ["0.1", "1", "3"]
    assert "search.consistency" in found


def test_ranks_put_the_best_on_top() -> None:
    svg = drawn(rank_chart({"worst": 2.9, "best": 1.2, "middle": 1.9}, 0.8))
    named = [text for text in texts(svg) if text in ("worst", "best", "middle")]
    assert named == ["best", "middle", "worst"]


def test_layers_show_their_shares() -> None:
    found = texts(drawn(layer_chart({"darts": [0.0, 1.0, 0.4], "random": [0.2, 0.2, 0.6]})))
    assert [text for text in found if text in ("0", "100", "40", "20", "60")][:6]
    assert {"100", "40", "60", "2", "darts", "random"} <= set(found)


def test_a_trade_off_names_its_front_alone() -> None:
    points = {"cheap": (1.0, SINGLE), "good": (200.0, WHOLE), "beaten": (300.0, SINGLE)}
    found = texts(drawn(trade_off_chart(points, "cost", "test accuracy")))
    assert {"cheap", "good"} <= set(found) and "beaten" not in found


def test_names_of_a_front_that_lie_close_stand_apart() -> None:
    near = {f"strategy number {n}": (6.0 + n / 100, Interval((), 0.79 + n / 1000)) for n in range(3)}
    figure = trade_off_chart({"cheap": (1.0, Interval((), 0.7)), **near}, "cost", "test accuracy")
    figure.canvas.draw()
    (axes,) = figure.axes
    boxes = [name.get_window_extent() for name in axes.texts]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_gates_have_a_line_for_each_search_and_layer_and_names_of_the_chosen() -> None:
    history = [
        {"epoch": e, "step": s, "gates": {"0": 0.5, "10": 0.1, "2": 0.9}} for e in (0, 1) for s in (0, 4)
    ]
    one, three = drawn(gate_chart([history], [2, 10])), drawn(gate_chart([history] * 3, [2, 10]))
    assert (len(tips(one)), len(tips(three))) == (3, 9)
    assert [text for text in texts(one) if text.startswith("layer")] == ["layer 10", "layer 2"]


def test_searches_of_other_layers_have_the_lines_of_their_own() -> None:
    searches = [[{"epoch": 0, "step": 0, "gates": gates}] for gates in ({"0": 0.5, "2": 0.9}, {"1": 0.4})]
    figure = drawn(gate_chart(searches, [1, 2]))
    assert sorted(text.split(":")[0] for text in tips(figure)) == ["layer 0", "layer 1", "layer 2"]
    assert [text for text in texts(figure) if text.startswith("layer")] == ["layer 1", "layer 2"]


@pytest.mark.parametrize(
    "figure",
    [
        interval_chart({"a": WHOLE}, "x"),
        layer_chart({"a": [0.5, 1.0]}),
        rank_chart({"a": 1.0, "b": 2.0, "c": 3.0}, 1.0),
    ],
    ids=["intervals", "layers", "ranks"],
)
def test_drawings_are_vectors_without_outside_parts_in_the_colours_of_the_page(figure: Figure) -> None:
    svg = drawn(figure)
    assert svg.startswith("<svg") and 'role="img" aria-label="a picture"' in svg
    assert "<image" not in svg and "data:" not in svg and "var(--" in svg
    assert not re.search(r'href="[^#]', svg)


def test_long_labels_are_broken_at_spaces_and_after_dots() -> None:
    assert wrapped("training.learning_rate") == "training.\nlearning_rate"
    assert wrapped("linear probe on the frozen backbone") == "linear probe on the\nfrozen backbone"
    assert wrapped("a.b.c") == "a.b.c"
    assert wrapped("x" * 60).endswith("…") and wrapped("x" * 60).count("\n") <= 1
