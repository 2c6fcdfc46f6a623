"""How many trials of an experiment run at a time, as NNI's manager has it now."""

import json
import urllib.request
from urllib.parse import urlsplit

ANSWER_SECONDS = 10.0


def trials_at_a_time(channel: str) -> int:
    """Ask the manager of a trial for its experiment's trialConcurrency; 1 where it does not say.

    Args:
        channel: NNI_TRIAL_COMMAND_CHANNEL; the REST API is on the same host and port.
    """
    server = urlsplit(channel).netloc
    try:
        # its scheme is http, as NNI's own address is
        with urllib.request.urlopen(
            f"http://{server}/api/v1/nni/experiment", timeout=ANSWER_SECONDS
        ) as answer:
            return max(1, int(json.load(answer)["params"]["trialConcurrency"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 1
