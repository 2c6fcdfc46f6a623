"""`python -m benchmarks fuzz`: every target with its share of the cases, and what came of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from benchmarks.fuzz import data_files, models, records, run_files
from benchmarks.fuzz.case import Case, Target
from benchmarks.fuzz.isolated import Outcome, run_cases
from benchmarks.record import command_of, write_result

TARGETS: tuple[Target, ...] = (*run_files.TARGETS, records.TARGET, data_files.TARGET, *models.TARGETS)
CHUNK = 100
SHOWN = 20
Record = dict[str, Any]


def measure_fuzz(cases: int, first_seed: int, result: str, say: Callable[[str], None] = print) -> int:
    """Fuzz every target and write benchmarks/results/<result>.json.

    Args:
        cases: of all targets together.
        first_seed: of the first chunk of cases; the same seed draws the same cases.
        result: name of the JSON.
        say: told each target as it ends.

    Returns:
        How many cases failed.
    """
    shares = sum(target.share for target in TARGETS)
    table = []
    for target in TARGETS:
        record = fuzz(target, math.ceil(cases * target.share / shares), first_seed)
        table.append(record)
        say(", ".join(f"{name} {value}" for name, value in record.items() if name != "failures"))
        for failure in record["failures"]:
            say(f"  {failure}")
    command = command_of("fuzz", "--cases", cases, "--seed", first_seed, result=result)
    say(str(write_result(result, command, table, seed=first_seed)))
    return sum(record["failed"] for record in table)


def fuzz(target: Target, cases: int, first_seed: int) -> Record:
    """Run cases of a target and count how they end.

    Returns:
        `target`, `cases`, `passed_first_check`, `accepted`, `refused`, `failed`, and under `failures` the
        first failures, each with its seed, number, damage and reason.
    """
    ends: Counter[str] = Counter()
    passed = 0
    failures: list[Record] = []
    for chunk_seed, number, outcome in _outcomes(target, cases, first_seed):
        ends[outcome.end] += 1
        passed += outcome.passed_first_check
        if outcome.end == "failed" and len(failures) < SHOWN:
            failures.append(
                {"seed": chunk_seed, "number": number, "damage": outcome.damage, "reason": outcome.reason}
            )
    return {
        "target": target.name,
        "cases": ends.total(),
        "passed_first_check": passed,
        **{end: ends[end] for end in ("accepted", "refused", "failed")},
        "failures": failures,
    }


def draw_cases(cases: SearchStrategy[Case], count: int, chunk_seed: int) -> list[Case]:
    """Draw cases by a seed: the same ones in every process."""
    drawn: list[Case] = []

    @seed(chunk_seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def collect(case: Case) -> None:
        drawn.append(case)

    collect()
    return drawn


def _outcomes(target: Target, cases: int, first_seed: int) -> Iterator[tuple[int, int, Outcome]]:
    """Yield the seed and the number of each case in its chunk, and how it ended."""
    strategy = target.cases()
    for chunk in range(math.ceil(cases / CHUNK)):
        drawn = draw_cases(strategy, min(CHUNK, cases - chunk * CHUNK), first_seed + chunk)
        for number, outcome in enumerate(run_cases(target, drawn)):
            yield first_seed + chunk, number, outcome
