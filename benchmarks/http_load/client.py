"""Clients that ask a server of prompts again and again, and what became of each request."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import numpy as np

LABEL = "/v1/label"
PATIENCE = 120.0
# what a request without a response counts as
NO_RESPONSE = "none"

Body = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Hold what became of a request.

    Attributes:
        status: of the response; 'none' where the connection ended without one.
        sent: seconds from the beginning of the load until the request.
        seconds: from the request to the response.
        answers: that came.
    """

    status: str
    sent: float
    seconds: float
    answers: int


@dataclass
class Load:
    """Ask one server, and keep the outcomes.

    Attributes:
        client: of the server.
        bodies: that are asked, drawn at random.
        random: draws them.
        outcomes: of all requests.
    """

    client: httpx.AsyncClient
    bodies: Sequence[Body]
    random: Random
    outcomes: list[Outcome] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    async def ask(self) -> None:
        """Send one request, and keep its outcome."""
        body, sent = self.random.choice(self.bodies), time.monotonic()
        answers = 0
        try:
            response = await self.client.post(LABEL, json=body)
            status = str(response.status_code)
            if response.status_code == 200:
                answers = sum(map(len, response.json()["answers"]))
        except httpx.TransportError:
            status = NO_RESPONSE
        self.outcomes.append(Outcome(status, sent - self.began, time.monotonic() - sent, answers))

    async def by_turns(self, clients: int, seconds: float) -> None:
        """Let clients ask for a while, each again when it has its response."""
        until = time.monotonic() + seconds

        async def again() -> None:
            while time.monotonic() < until:
                await self.ask()

        await asyncio.gather(*(again() for _ in range(clients)))

    async def at_rate(self, rate: float, seconds: float) -> None:
        """Send requests for a while at random moments, whether or not those before are answered.

        Args:
            rate: requests a second, on average.
            seconds: after which no more are sent; those in flight are waited for.
        """
        until, due = time.monotonic() + seconds, time.monotonic()
        asked: set[asyncio.Task[None]] = set()
        while (due := due + self.random.expovariate(rate)) < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self.ask())
            asked.add(task)
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)

    def record(self) -> dict[str, Any]:
        """Return requests, statuses, rates and the times of requests that were answered."""
        good = [outcome for outcome in self.outcomes if outcome.status == "200"]
        seconds = max(outcome.sent + outcome.seconds for outcome in self.outcomes)
        times = 1000 * np.array([outcome.seconds for outcome in good])
        return {
            "requests": len(self.outcomes),
            "statuses": dict(sorted(Counter(outcome.status for outcome in self.outcomes).items())),
            "seconds": round(seconds, 2),
            "requests_per_second": round(len(good) / seconds, 2),
            "answers_per_second": round(sum(outcome.answers for outcome in good) / seconds, 2),
            "p50_ms": round(float(np.percentile(times, 50)), 2),
            "p99_ms": round(float(np.percentile(times, 99)), 2),
        }


Questions = Callable[[Load], Awaitable[None]]


def load(url: str, bodies: Sequence[Body], seed: int, questions: Questions, token: str | None = None) -> Load:
    """Put a load on a server.

    Args:
        url: of the server.
        bodies: that are asked.
        seed: of which, and when.
        questions: asks, by the load that it is given.
        token: of the server.
    """

    async def conversation() -> Load:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(
            base_url=url, headers=headers, limits=limits, timeout=PATIENCE, trust_env=False
        ) as client:
            under_load = Load(client, bodies, Random(seed))  # noqa: S311
            await questions(under_load)
            return under_load

    return asyncio.run(conversation())
