"""A process that serves: the socket, the log, and the end that answers what was asked before."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Sequence

import uvicorn

from experiments.serving.api import make_app
from experiments.serving.auth import VARIABLE, is_loopback, read_token
from experiments.serving.engine import Engine
from experiments.serving.folders import PromptFolders
from experiments.serving.options import ServingOptions
from spt.errors import InputError

# for answers to be sent, after the last request has timed out
GRACE = 5


def serve(arguments: Sequence[str], host: str, port: int, options: ServingOptions) -> None:
    """Serve saved prompts until this process is asked to end, and then answer what is in flight.

    Args:
        arguments: folders, as `PromptFolders.of` takes them.
        host: name or address to listen at.
        port: to listen at; 0 takes a free one.
        options: of the application.

    Raises:
        InputError: for folders that cannot be served, an address that cannot be had, or one that others
            reach without a token.
        KeyboardInterrupt: on Ctrl-C and SIGTERM, after the last answer.
    """
    token = read_token(options.token_file)
    if token is None and not is_loopback(host):
        raise InputError(
            f"The host '{host}' is reached from other machines, so a token is needed. Set {VARIABLE} or "
            "--token-file, or leave out --host."
        )
    folders = PromptFolders.of(arguments)
    with listening(host, port) as listener:
        engine = Engine(folders.current().prompts, options.batch_size, options.cache_mb * 2**20)
        log_to_stderr()
        config = uvicorn.Config(
            make_app(engine, folders, options, token),
            # with bounds for headers, and the same whatever else is installed
            http="h11",
            ws="none",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=round(options.timeout + GRACE),
        )
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}"
        print(f"Serving {', '.join(engine.served)} at {address}", file=sys.stderr, flush=True)
        uvicorn.Server(config).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InputError: if the address cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"Cannot listen at {host}:{port}: {reason}. Choose another --port or --host."
        ) from error


def log_to_stderr() -> None:
    """Write what the server has to say, with times, and nothing of single requests."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in (("experiments.serving", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False
    # clients' texts are as long as they like, and each would be told of
    logging.getLogger("spt.data.encoded.encoding").setLevel(logging.ERROR)
    # commands keep libraries' advertising out, of which nothing comes while serving
    logging.disable(logging.NOTSET)
