"""The live table of a tuning study."""

from __future__ import annotations

import sys
from typing import Any

from ray.tune import Callback
from rich.live import Live
from rich.table import Table

from experiments.tuning.config import TuneConfig
from experiments.tuning.trial import DEV, EPOCH, FAILURE, FINAL, METRICS, RESUMED_AT

SHOWN = 20


class LiveTable(Callback):  # type: ignore[misc]
    """A table of the trials where someone watches; elsewhere a line as each one ends."""

    def __init__(self, config: TuneConfig) -> None:
        self.config = config
        # made later, because Tune pickles its callbacks
        self.live: Live | None = None

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Draw the table anew."""
        if not sys.stdout.isatty():
            return
        if self.live is None:
            self.live = Live(refresh_per_second=2)
            self.live.start()
        self.live.update(self._table(trials))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print a line for a trial that ended or was stopped."""
        self._say(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print a line for a trial that was given up."""
        self._say(trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Leave the last table standing."""
        if self.live is not None:
            self.live.stop()

    def _say(self, trial: Any) -> None:
        if not sys.stdout.isatty():
            # Tune changes the status after it tells
            number, _, epoch, dev, *values = _cells(trial, self.config)
            state = _state("TERMINATED" if trial.status == "RUNNING" else trial.status, trial.last_result)
            print(f"trial {number}: {state}, epoch {epoch}, dev {dev}; {' '.join(values)}", flush=True)

    def _table(self, trials: list[Any]) -> Table:
        table = Table(title=f"{self.config.name}: {len(trials)} of {self.config.trials} trials begun")
        for name in ("trial", "state", "epoch", "dev", *self.config.search_space):
            table.add_column(name, overflow="fold")
        for trial in trials[-SHOWN:]:
            table.add_row(*_cells(trial, self.config))
        return table


def _cells(trial: Any, config: TuneConfig) -> list[str]:
    result = trial.last_result or {}
    # the final report has the metrics of the best epoch, an earlier one that of its own
    dev = result.get(METRICS, {}).get("dev_metric", result.get(DEV))
    parameters = trial.config["parameters"]
    return [
        str(trial.config["number"]),
        _state(trial.status, result),
        str(result.get(EPOCH, "")),
        "" if dev is None else f"{dev:.3f}",
        *(_short(parameters[name]) for name in config.search_space),
    ]


def _state(status: str, result: dict[str, Any]) -> str:
    if status == "ERROR" or FAILURE in result:
        return "failed"
    if result.get(FINAL):
        return "complete"
    if status == "TERMINATED":
        return "stopped early"
    return "resumed" if status == "RUNNING" and result.get(RESUMED_AT) else status.lower()


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
