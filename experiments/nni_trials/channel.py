"""Make a trial use the parameters that NNI records for it."""

import json
import time
import urllib.request
from typing import Any, Literal
from urllib.parse import urlsplit

from nni.runtime.trial_command_channel import (
    ParameterRecord,
    TrialCommandChannel,
    get_default_trial_command_channel,
    set_default_trial_command_channel,
)

WAIT_SECONDS = 10.0


class RecordedParameters(TrialCommandChannel):  # type: ignore[misc]
    """NNI's channel of a trial on the manager's own machine, with the right parameters.

    NNI 3.0 hands parameters out in the order in which trials ask for them. When two start at once, each may
    get what the web UI, the export and the end of the trial show for the other. Here a trial takes what is
    shown for it.

    Args:
        channel: NNI's own.
        url: of the trial at NNI's REST API.
    """

    def __init__(self, channel: TrialCommandChannel, url: str) -> None:
        self._channel = channel
        self._url = url

    def receive_parameter(self) -> ParameterRecord | None:
        """Take this trial's turn in the queue, and give what NNI recorded for the trial."""
        if self._channel.receive_parameter() is None:
            return None
        record: ParameterRecord = json.loads(self._recorded())
        return record

    def send_metric(
        self,
        type: Literal["PERIODICAL", "FINAL"],
        parameter_id: int | None,
        trial_job_id: str,
        sequence: int,
        value: Any,
    ) -> None:
        """Send a metric through NNI's own channel."""
        self._channel.send_metric(type, parameter_id, trial_job_id, sequence, value)

    def _recorded(self) -> str:
        until = time.monotonic() + WAIT_SECONDS
        while True:
            # its scheme is http: it is made from NNI's own address
            with urllib.request.urlopen(self._url, timeout=WAIT_SECONDS) as answer:  # noqa: S310
                parameters = json.load(answer).get("hyperParameters")
            if parameters:
                return str(parameters[0])
            if time.monotonic() > until:
                raise TimeoutError(f"NNI has no parameters for this trial at {self._url}")
            time.sleep(0.1)


def use_recorded_parameters(url: str, trial: str) -> None:
    """Put `RecordedParameters` under `nni.get_next_parameter`.

    Args:
        url: NNI_TRIAL_COMMAND_CHANNEL; the REST API is on the same host and port.
        trial: the trial's id.
    """
    server = urlsplit(url).netloc
    set_default_trial_command_channel(
        RecordedParameters(
            get_default_trial_command_channel(), f"http://{server}/api/v1/nni/trial-jobs/{trial}"
        )
    )
