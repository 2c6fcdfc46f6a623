"""What a server counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Count requests, batches, answers and reloads, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests by path and status.", "path", "status")
        self.request_seconds = self._histogram("request_seconds", "Time until the response.", SECONDS)
        self.answers = self._counter("answers", "Answers by task.", "task")
        self.batch_answers = self._histogram("batch_answers", "Answers that were computed together.", SIZES)
        self.batch_seconds = self._histogram(
            "batch_seconds", "Time that the model took for a batch.", SECONDS
        )
        self.reloads = self._counter("reloads", "Changed prompts by task and result.", "task", "result")

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read when the metrics are."""
        Gauge(f"spt_serve_{name}", text, registry=self.registry).set_function(read)

    def count(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a count that only grows, and is kept elsewhere."""
        self.registry.register(_Kept(f"spt_serve_{name}", text, read))

    def as_text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"spt_serve_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"spt_serve_{name}", text, registry=self.registry, buckets=buckets)


class _Kept(Collector):
    """Show a count that something else keeps."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name = name
        self._text = text
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())


class Counted:
    """Count requests with their status and time.

    Args:
        app: whose requests are counted.
        metrics: that count.
        paths: that are counted by themselves; all others together, for anybody can make them up.
    """

    def __init__(self, app: Any, metrics: Metrics, paths: frozenset[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.paths = paths

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand a request on, and count what it is answered with; 500 where nothing answers it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.request_seconds.observe(time.perf_counter() - began)
