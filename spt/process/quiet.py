"""What libraries say that nobody here can act on: Hugging Face while a backbone is loaded, and loggers."""

from __future__ import annotations

import logging as loggers
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_hugging_face() -> Iterator[None]:
    """Keep bars, advice and lists of unused weights from the output for a while; errors stay."""
    # takes seconds to load, for which what is imported with this need not wait
    from transformers.utils import logging as untyped  # noqa: PLC0415

    logging: Any = untyped
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def quiet_weights() -> Iterator[None]:
    """Keep the bar and the report of loading weights from the output for a while; bars of downloads stay.

    The report lists weights that a backbone has and nothing here uses; missing ones are ours to refuse.
    """
    # as above
    from huggingface_hub import utils as untyped  # noqa: PLC0415

    hub: Any = untyped
    downloads = not hub.are_progress_bars_disabled()
    with quiet_hugging_face():
        if downloads:
            hub.enable_progress_bars()
        yield


@contextmanager
def quiet_logger(name: str) -> Iterator[None]:
    """Keep what a logger says below an error from the output for a while; "root" is all loggers'."""
    logger = loggers.getLogger(name)
    level = logger.level
    logger.setLevel(loggers.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
