"""Report a trial's results to NNI."""

from __future__ import annotations

from typing import Any, Literal

import nni
from nni.runtime.trial_command_channel import get_default_trial_command_channel


class TrialReporter:
    """Reports to the channel that NNI has when the trial begins.

    A search among candidates puts its own channel, and the candidate's number, under NNI's functions to
    report: what they are given goes to the search or, after it, to another trial.

    Args:
        parameter_id: NNI's number of the trial's parameters; None for a trial that is run by hand.
    """

    def __init__(self, parameter_id: int | None) -> None:
        self._channel = get_default_trial_command_channel()
        self._parameter_id = parameter_id
        self._epochs = 0

    def report_epoch(self, stage: str, epoch: int, dev_metric: float) -> None:
        """Report the task's metric on dev after each epoch, the search's first: the curve in NNI's web UI."""
        self._send("PERIODICAL", self._epochs, dev_metric)
        self._epochs += 1

    def report_result(self, result: dict[str, Any]) -> None:
        """Report the final result, each key of which is a column in NNI's web UI."""
        self._send("FINAL", 0, result)

    def _send(self, kind: Literal["PERIODICAL", "FINAL"], sequence: int, value: Any) -> None:
        self._channel.send_metric(kind, self._parameter_id, nni.get_trial_id(), sequence, value)
