"""Counts of the speed benchmark that do not depend on the machine: B 8, T 128, P 10, 12 layers of 768."""

import pytest
import torch

from benchmarks.contenders import Shape, peft_configs, peft_method, prompted
from benchmarks.speed import UNIT, counts, ratios

pytestmark = pytest.mark.slow

# largest FLOPs and saved bytes of a step, in units of one peft PromptTuning step
LIMITS = {
    "spt_4_7_9_11": (0.83, 0.67),
    "late_6": (0.74, 0.51),
    "late_6_cached": (0.51, 0.51),
    "late_9_cached": (0.26, 0.26),
}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    shape, device = Shape(), torch.device("cpu")
    rows = shape.rows(device)
    unit = peft_method(UNIT, peft_configs(shape)[UNIT], shape, rows, device)
    ours = [method for method in prompted(shape, rows, device) if method.name in LIMITS]
    return {record["name"]: record for record in ratios({m.name: counts(m) for m in [unit, *ours]})}


@pytest.mark.parametrize("name", LIMITS)
def test_a_step_costs_no_more_than_the_layers_that_learn(
    name: str, found: dict[str, dict[str, float]]
) -> None:
    flops, saved = LIMITS[name]
    assert found[name]["ratio_flops"] <= flops
    assert found[name]["ratio_saved_bytes"] <= saved


def test_caching_the_prefix_saves_its_operations_and_nothing_of_the_backward_pass(
    found: dict[str, dict[str, float]],
) -> None:
    assert found["late_6_cached"]["flops"] < 0.72 * found["late_6"]["flops"]
    assert found["late_6_cached"]["saved_bytes"] == found["late_6"]["saved_bytes"]
