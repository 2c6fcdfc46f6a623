"""The HTTP server under load: the results of `serving-http` and `serving-replicas`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.pages import markdown
from benchmarks.record import load
from experiments.serving.options import ServingOptions

Record = Mapping[str, Any]
HEAD = ["seconds", "sent", "200", "429", "5xx", "no response", "answers a second", "p50, ms", "p99, ms"]


def serving_http() -> str:
    """Show what each load of `spt serve` came to."""
    result = load("serving_http")
    title = (
        f"`spt serve` {_asked(result)}, and at most {result['settings']['queue']} answers waiting "
        f"({markdown.command(result['command'])}). Times are of answered requests; memory is resident, "
        f"and the cache, empty at first, may take {ServingOptions().cache_mb} MB of it:"
    )
    rows = [[record["load"], *_cells(record), memory(record)] for record in result["records"]]
    return "\n".join([title, *markdown.table(["requests", *HEAD, "memory begin and end, MB"], rows)])


def serving_replicas() -> str:
    """Show what became of the requests when one of two replicas was killed."""
    result = load("serving_replicas")
    (record,) = result["records"]
    errors = count(record, "5")
    last = f", the last of them {record['last_error_seconds']:.1f} s after the kill" if errors else ""
    title = (
        f"Two replicas of a Ray Serve application {_asked(result)}, asked by {record['clients']} clients by "
        f"turns ({markdown.command(result['command'])}). One replica was killed: {errors} of "
        f"{record['requests']:,} requests got an error{last}, {record['lost']} got neither an answer nor an "
        f"error, and two replicas answered again after {record['replicas_again_within_seconds']:.0f} s."
    )
    return "\n".join([title, *markdown.table(HEAD, [_cells(record)])])


def count(record: Record, prefix: str) -> int:
    """Count the requests of a load whose status begins so."""
    return sum(number for status, number in record["statuses"].items() if status.startswith(prefix))


def memory(record: Record) -> str:
    """Write the memory of the server where it was looked at."""
    return f"{record['rss_mb_begin']:,.0f}, {record['rss_mb_end']:,.0f}" if "rss_mb_begin" in record else ""


def _asked(result: Mapping[str, Any]) -> str:
    settings, machine = result["settings"], result["machine"]
    return (
        f"on {machine['cores']} cores that clients and other work shared: {len(settings['layers'])} tasks "
        f"over {settings['backbone']}, prompts from layer {min(map(min, settings['layers'].values()))} on, "
        f"requests of 1 to {settings['most_texts']} TREC questions for all tasks"
    )


def _cells(record: Record) -> list[str]:
    return [
        f"{record['seconds']:.0f}",
        f"{record['requests']:,}",
        *(f"{count(record, status):,}" for status in ("200", "429", "5", "none")),
        f"{record['answers_per_second']:.1f}",
        f"{record['p50_ms']:,.0f}",
        f"{record['p99_ms']:,.0f}",
    ]
