"""adapters.Parallel as a system: a worker process in an environment that has the library."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.serving.systems import Setup, System, Texts
from spt.assets import backbone_path
from spt.errors import InputError

WORKER = Path(__file__).with_name("adapters_worker.py")


class Worker:
    """Ask a process that serves by adapters.Parallel.

    Args:
        python: of an environment with the library.
        setup: what is served.
        tasks: how many.
        first_layer: below which no layer has adapters.

    Attributes:
        versions: of the library and what it runs on.

    Raises:
        InputError: if the process does not start.
    """

    def __init__(self, python: Path, setup: Setup, tasks: int, first_layer: int) -> None:
        numbers = (tasks, first_layer, setup.classes, setup.max_length)
        self._python = python
        self._process = subprocess.Popen(
            [python, WORKER, backbone_path(setup.backbone), *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.versions: dict[str, str] = self._read()

    def answer(self, texts: Texts) -> Any:
        """Return the class probabilities [tasks, texts, C]."""
        return self._ask(texts, count=False)

    def figures(self, texts: Texts) -> dict[str, int]:
        """Return the operations of answering, and the most memory that the process has held."""
        figures: dict[str, int] = self._ask(texts, count=True)
        return figures

    def system(self) -> System:
        """Return the process as a system."""
        return System(self.answer, lambda texts: self.figures(texts)["flops"], self.close)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, texts: Texts, *, count: bool) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"texts": list(texts), "count": count}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise InputError(
                f"'{self._python}' does not run adapters.Parallel. Make an environment with "
                "adapters 1.2 and the transformers that it pins, or leave --adapters-python out."
            )
        return json.loads(line)
