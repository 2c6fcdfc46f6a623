"""What other libraries may say while a command runs."""

import logging
import sys
import warnings

import datasets
import nni  # noqa: F401
import transformers

# NNI sets its own level while it is imported, Lightning that of its parent logger
CHATTY = ("nni", "pytorch_lightning.utilities.rank_zero")
# each is about something done on purpose here, or about NNI 3.0 beside a newer torch
HARMLESS = (
    ".*is found to be not a nn.Module.*",
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*The number of training batches .* is smaller than the logging interval.*",
    r".*Found \d+ module\(s\) in eval mode.*",
)


def settle(quiet: bool) -> None:
    """Silence advertising and harmless warnings, and loading bars where nobody watches.

    Args:
        quiet: leave errors only.
    """
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("spt").setLevel(logging.ERROR if quiet else logging.INFO)
    if quiet or not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
        datasets.disable_progress_bars()
