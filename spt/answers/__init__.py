"""How probabilities become answers, and how good answers are."""
