"""`python -m benchmarks COMMAND`."""

from benchmarks.cli import app

app(prog_name="python -m benchmarks")
