"""What other libraries may say while a command runs."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from spt.process.quiet import quiet_hugging_face

# each is about something done on purpose here, or about NNI 3.0 beside a newer torch
HARMLESS = (
    ".*is found to be not a nn.Module.*",
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    # a candidate that is kept is not trained again, and its folder becomes that of the retraining
    ".*The dirpath has changed.*",
    ".*The number of training batches .* is smaller than the logging interval.*",
    ".*LeafSpec.*is deprecated.*",
    r".*Found \d+ module\(s\) in eval mode.*",
)
# of libraries that a search and a training use
TRAINING_LOGGERS = ("nni", "pytorch_lightning", "lightning", "lightning_fabric", "lightning.pytorch")


def quiet_libraries(quiet: bool) -> None:
    """Silence advertising and harmless warnings, and loading bars where nobody watches.

    It imports none of them. Call it before anything of Hugging Face is imported: their bars are chosen then.

    Args:
        quiet: leave errors only.
    """
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message)
    # NNI and Lightning set their own levels when they are imported, so that levels set here would not last
    logging.disable(logging.INFO)
    for room in ("spt", "experiments"):
        logging.getLogger(room).setLevel(logging.ERROR if quiet else logging.WARNING)
    # it lists weights that a backbone has and nothing here uses; those that are missing end the command
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    if quiet or not sys.stderr.isatty():
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"


@contextmanager
def quiet_training() -> Iterator[None]:
    """Keep other libraries' words about a search and a training from the output for a while.

    What `spt` and `experiments` log stays, and afterwards all is as it was, for a user's program goes on. NNI
    and Lightning set the levels of their loggers when they are imported, so import them before, in a block of
    its own.
    """
    with warnings.catch_warnings():
        for message in HARMLESS:
            warnings.filterwarnings("ignore", message)
        loggers = [logging.getLogger(name) for name in TRAINING_LOGGERS]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            with quiet_hugging_face():
                yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
