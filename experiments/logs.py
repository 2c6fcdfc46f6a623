"""What other libraries may say while a command runs."""

import logging
import os
import sys
import warnings

import nni  # noqa: F401

# NNI sets its own level while it is imported, Lightning that of its parent logger
CHATTY = ("nni", "pytorch_lightning.utilities.rank_zero")
# each is about something done on purpose here, or about NNI 3.0 beside a newer torch
HARMLESS = (
    ".*is found to be not a nn.Module.*",
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*The number of training batches .* is smaller than the logging interval.*",
    ".*LeafSpec.*is deprecated.*",
    r".*Found \d+ module\(s\) in eval mode.*",
)


def settle(quiet: bool) -> None:
    """Silence advertising and harmless warnings, and loading bars where nobody watches.

    Call it before anything of Hugging Face is imported: their bars are chosen at import.

    Args:
        quiet: leave errors only.
    """
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("spt").setLevel(logging.ERROR if quiet else logging.INFO)
    # it lists weights that a backbone has and nothing here uses; those that are missing end the command
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    if quiet or not sys.stderr.isatty():
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
