"""Saved prompts behind HTTP: one API, whether `spt serve` or Ray Serve runs it."""
