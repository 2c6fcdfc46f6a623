"""What trackers are told of a run: read from its own histories, so that a log knows what they know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from experiments.config import RunConfig
from experiments.run.folder import HISTORY, RunFolder
from spt.storage.json_files import read_json_lines
from spt.training.history import ADVICE
from strategies.options import GateOptions

Series = Literal["search", "candidates", "train"]
# keys of metrics.json that a tracker is told when the run is done
FINAL = (
    "dev_metric",
    "test_metric",
    "dev_accuracy",
    "test_accuracy",
    "test_macro_f1",
    "tunable_parameters",
    "total_flops",
    "total_seconds",
)


@dataclass(frozen=True)
class Record:
    """Hold the numbers of one step.

    Attributes:
        series: that it belongs to: epochs of the search, its candidates, epochs of the training.
        step: from 1, within the series.
        values: by name.
        number: from 0, among all records of the run.
    """

    series: Series
    step: int
    values: Mapping[str, float]
    number: int = 0

    @property
    def tags(self) -> dict[str, float]:
        """Return the values under names that tell the series too: search/loss."""
        return {f"{self.series}/{name}": value for name, value in self.values.items()}


def run_records(folder: RunFolder, config: RunConfig) -> list[Record]:
    """List what a run has found so far, in order: what is found later comes after it.

    Raises:
        InputError: if a history is damaged.
    """
    return [replace(record, number=number) for number, record in enumerate(_records(folder, config))]


def _records(folder: RunFolder, config: RunConfig) -> Iterator[Record]:
    gates = {line["epoch"]: line["gates"] for line in _lines(folder.gates)}
    for line in _lines(folder.search / HISTORY):
        values = {f"gate/{layer}": gate for layer, gate in gates.get(line["epoch"], {}).items()}
        if isinstance(config.search, GateOptions):
            values["rate/gates"] = config.search.gate_learning_rate
        yield Record("search", line["epoch"] + 1, {**_measures(line, config), **values})
    for number, line in enumerate(_lines(folder.candidates), 1):
        if line["dev"] is not None:
            yield Record("candidates", number, {"dev": line["dev"], "flops": line["flops"]})
    for line in _lines(folder.train / HISTORY):
        yield Record("train", line["epoch"] + 1, _measures(line, config))


def final_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a finished run that a tracker is told, by the names of metrics.json."""
    return {name: float(metrics[name]) for name in FINAL if metrics.get(name) is not None}


def _measures(line: Mapping[str, Any], config: RunConfig) -> dict[str, float]:
    """Return loss, dev score and mean learning rates of an epoch."""
    rates = {
        f"rate/{name}": line["rate_share"] * peak
        for name in ("learning_rate", "prompt_rate", "generator_rate")
        if "rate_share" in line and (peak := getattr(config.training, name)) is not None
    }
    return {name: line[name] for name in ("loss", "dev") if name in line} | rates


def _lines(path: Path) -> list[dict[str, Any]]:
    return read_json_lines(path, ADVICE)
