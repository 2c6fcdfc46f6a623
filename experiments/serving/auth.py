"""Who may ask: the token, and the names under which a server without one is asked."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from experiments.serving.problem_details import problem_response
from spt.errors import InputError
from spt.storage.files import expanded, read_bounded

VARIABLE = "SPT_SERVE_TOKEN"
SHORTEST, LONGEST = 16, 4096
# of orchestrators, which bear no token; they tell nothing but whether the server works
OPEN = ("/health", "/ready")


def read_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token that requests must bear; None where neither a file nor the variable names one.

    Args:
        file: that holds the token alone.
        environment: with the variable, or without.

    Raises:
        InputError: if both do, the file cannot be read, or what it holds is no token.
    """
    variable = environment.get(VARIABLE)
    if file is None:
        return None if variable is None else _checked(variable, f"The variable {VARIABLE}")
    if variable is not None:
        raise InputError(f"Both {VARIABLE} and the token file '{file}' are given. Leave one of them out.")
    try:
        text = read_bounded(expanded(file), LONGEST).decode("ascii")
    except (OSError, UnicodeDecodeError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            f"The token file '{file}' cannot be read: {reason}. Write a token into it, for example by: "
            f"openssl rand -hex 32 > {file}"
        ) from error
    return _checked(text.strip(), f"The token file '{file}'")


def _checked(token: str, where: str) -> str:
    if not re.fullmatch(rf"[!-~]{{{SHORTEST},{LONGEST}}}", token):
        # the token itself is a secret
        raise InputError(
            f"{where} holds {len(token)} characters, but a token has {SHORTEST} to {LONGEST:,}, of ASCII and "
            "without spaces. Make one, for example by: openssl rand -hex 32"
        )
    return token


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """Refuse requests without the token; without a token, those that name another host than this machine.

    A page in a browser could otherwise have its own name resolve to the loopback address, and read answers.

    Args:
        app: that is guarded.
        token: that requests must bear; None for none.
    """

    def __init__(self, app: Any, token: str | None) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        problem = None
        if scope["type"] == "http" and scope["path"] not in OPEN:
            headers = dict(scope["headers"])
            problem = self._stranger(headers) if self.token is None else self._unauthorised(headers)
        await (problem or self.app)(scope, receive, send)

    def _unauthorised(self, headers: Mapping[bytes, bytes]) -> Any:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        digests = [sha256(token).digest() for token in (given.strip(), str(self.token).encode("ascii"))]
        # takes as long wherever the first difference is, and whatever the lengths are
        if hmac.compare_digest(*digests) and scheme.lower() == b"bearer":
            return None
        return problem_response(
            HTTPStatus.UNAUTHORIZED,
            ["This server wants a token. Send the header: Authorization: Bearer TOKEN"],
            {"WWW-Authenticate": "Bearer"},
        )

    @staticmethod
    def _stranger(headers: Mapping[bytes, bytes]) -> Any:
        host = headers.get(b"host", b"").decode("latin-1")
        if is_loopback(re.sub(r":\d*$", "", host)):
            return None
        return problem_response(
            HTTPStatus.MISDIRECTED_REQUEST,
            [
                f"This server has no token and answers to localhost alone, not to '{host:.100}'. Ask it at "
                f"http://localhost, or start it with a token in {VARIABLE}."
            ],
        )
