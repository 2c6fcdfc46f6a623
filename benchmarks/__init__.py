"""Measured figures: each module here is a command that writes a JSON to benchmarks/results."""
