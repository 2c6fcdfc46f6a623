"""Seeds of what a run draws apart: its layers, its epochs, its steps."""

from __future__ import annotations

# primes: above the layers and the epochs of most trainings, and above the steps of an epoch
FEW, MANY = 10_007, 1_000_003


def derived_seed(seed: int, number: int, most: int = FEW) -> int:
    """Return a seed for each number under a seed, so that runs of neighbouring seeds draw nothing alike.

    It depends on nothing that was drawn before: what goes on after a kill draws what it would have drawn.

    Args:
        seed: of the run.
        number: of what is drawn, such as a layer or an epoch.
        most: up to where numbers keep clear of those under the next seed, FEW or MANY.

    Source: ours.
    """
    return seed * most + number
