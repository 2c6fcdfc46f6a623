"""docs/results.md and the table of the README, from the measured JSON."""
