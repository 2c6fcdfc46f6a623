"""What is measured, beside other libraries, in the checkout alone: commands that write benchmarks/results."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
