"""The consistency term's distances and its random masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import entropy
from torch import Tensor

from spt.heads import Output
from strategies.consistency import DISTANCES, SET_DISTANCES, kl, mse, pruned_slots


def outputs(seed: int) -> Output:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(4, 6, generator=generator, requires_grad=True)
    return Output(features, torch.randn(4, 3, generator=generator, requires_grad=True))


def test_mse_is_the_mean_square_of_the_features_difference() -> None:
    clean, pruned = outputs(0), outputs(1)
    by_hand = (
        sum((clean.features[b, h] - pruned.features[b, h]) ** 2 for b in range(4) for h in range(6)) / 24
    )
    torch.testing.assert_close(mse(clean, pruned), by_hand)


def test_kl_is_scipys_from_clean_to_pruned() -> None:
    clean, pruned = outputs(0), outputs(1)
    p, q = (part.logits.detach().softmax(-1).numpy() for part in (clean, pruned))
    expected = entropy(p, q, axis=-1).mean()
    assert kl(clean, pruned).item() == pytest.approx(expected, rel=1e-5)
    assert abs(expected - entropy(q, p, axis=-1).mean()) > 1e-3


def test_of_several_labels_kl_is_the_sum_over_classes_of_scipys_from_clean_to_pruned() -> None:
    clean, pruned = outputs(0), outputs(1)
    p, q = (part.logits.detach().sigmoid().numpy() for part in (clean, pruned))

    def summed(one: NDArray[Any], other: NDArray[Any]) -> float:
        return float(entropy([one, 1 - one], [other, 1 - other], axis=0).sum(-1).mean())

    assert SET_DISTANCES["kl"](clean, pruned).item() == pytest.approx(summed(p, q), rel=1e-5)
    assert abs(summed(p, q) - summed(q, p)) > 1e-3


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_is_zero_to_itself_alone_and_pulls_both_sides(name: str) -> None:
    clean, pruned = outputs(0), outputs(1)
    assert DISTANCES[name](clean, clean).item() == pytest.approx(0, abs=1e-6)
    distance: Tensor = DISTANCES[name](clean, pruned)
    assert distance.item() > 0.01
    distance.backward()
    for side in (clean, pruned):
        tensor = side.features if name == "mse" else side.logits
        assert tensor.grad.abs().sum() > 0


@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_each_gate_is_pruned_with_the_probability_and_never_all(probability: float) -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [(1, "insert"), (4, "insert"), (4, "free"), (9, "insert")]
    masks = [pruned_slots(layers, probability, generator) for _ in range(4000)]
    assert all(mask.keys() < set(layers) for mask in masks)
    assert {value for mask in masks for value in mask.values()} == {0.0}
    # a mask of all four gets one gate back
    wanted = probability - probability**4 / 4
    for layer in layers:
        assert sum(layer in mask for mask in masks) / 4000 == pytest.approx(wanted, abs=0.025)


def test_when_all_would_go_a_random_one_stays() -> None:
    generator = torch.Generator().manual_seed(0)
    every = [(layer, "insert") for layer in range(3)]
    left = [set(every) - pruned_slots(every, 0.9999, generator).keys() for _ in range(300)]
    assert all(len(layers) == 1 for layers in left)
    assert {slot for slots in left for slot in slots} == set(every)


def test_a_lone_gate_is_never_pruned() -> None:
    generator = torch.Generator().manual_seed(0)
    assert all(pruned_slots([(7, "insert")], 0.9, generator) == {} for _ in range(50))


def test_the_generator_alone_decides() -> None:
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(masks))
        generator = torch.Generator().manual_seed(seed)
        masks.append(
            [pruned_slots([(layer, "insert") for layer in range(8)], 0.5, generator) for _ in range(5)]
        )
    assert masks[0] == masks[1] != masks[2]
