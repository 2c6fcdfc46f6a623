"""What libraries would tell their makers about their use: nothing, unless the user asks for it."""

import os

# NNI, Optuna, Lightning and PyTorch send none
SETTINGS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # a request to the hub for each data set that is loaded, for its counts
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off_telemetry() -> None:
    """Set the variables that switch telemetry off, except those that the environment has already."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
