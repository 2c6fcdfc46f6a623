"""Bodies of requests: bounded in size and in the time that they take to arrive."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import Response

from experiments.serving.problem_details import CLIENT_CLOSED_REQUEST, problem_response


class BoundedBody:
    """Read a request's body before the app sees it, and refuse those that are too large or too slow.

    Args:
        app: that gets the whole body at once.
        max_bytes: of a body.
        seconds: until the last byte has arrived.
    """

    def __init__(self, app: Any, max_bytes: int, seconds: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            message = await asyncio.wait_for(self._read(scope, receive), self.seconds)
        except asyncio.TimeoutError:
            text = f"The body did not arrive within {self.seconds:g} s. Send it again."
            await problem_response(HTTPStatus.REQUEST_TIMEOUT, [text])(scope, receive, send)
            return
        except _TooLarge:
            text = f"The body has more than {self.max_bytes:,} bytes. Send fewer or shorter texts a request."
            await problem_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [text])(scope, receive, send)
            return

        if message["type"] == "http.disconnect":
            # nobody waits, and it is no failure of the app's
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
            return
        messages = [message]

        async def replay() -> Any:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)

    async def _read(self, scope: Any, receive: Any) -> Any:
        """Return one message with the whole body, or that of the client's leaving."""
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > self.max_bytes:
            raise _TooLarge
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return message
            body += message.get("body", b"")
            if len(body) > self.max_bytes:
                raise _TooLarge
            more = message.get("more_body", False)
        return {"type": "http.request", "body": bytes(body), "more_body": False}


class _TooLarge(Exception):
    """Report that a body is too large."""
