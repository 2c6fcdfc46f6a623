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
def no_weights_bar() -> Iterator[None]:
    """Keep transformers' bar of loading weights from the output for a while; that of a download stays."""
    # as above
    from huggingface_hub.utils import enable_progress_bars  # noqa: PLC0415
    from transformers.utils import logging as untyped  # noqa: PLC0415

    logging: Any = untyped
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    if bars:
        enable_progress_bars()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()


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
