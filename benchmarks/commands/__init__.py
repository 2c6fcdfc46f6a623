"""The commands of `python -m benchmarks`, a file a group; what is heavy is imported inside them."""
