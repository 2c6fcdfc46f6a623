"""Cases in processes of their own, with limits: a crash, a hang or a full memory is told as a failure."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

from benchmarks.fuzz.case import Case, Target
from spt.errors import InputError

SECONDS = 20
# beside what the process has when it begins
MEMORY = 2**30


@dataclass(frozen=True)
class Outcome:
    """Tell how a case ended.

    Attributes:
        damage: of the case.
        passed_first_check: whether the files were of their kind.
        end: accepted and refused are good ends.
        reason: of a failure; None for the good ends.
    """

    damage: str
    passed_first_check: bool
    end: Literal["accepted", "refused", "failed"]
    reason: str | None = None


def run_cases(target: Target, cases: Sequence[Case]) -> list[Outcome]:
    """Run each case in a forked process, one process for as many as end well.

    Args:
        target: whose cases they are, loaded already.
        cases: in order.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < len(cases):
        rest = cases[len(outcomes) :]
        ended, status = _in_child(target, rest)
        outcomes += ended
        if len(ended) < len(rest):
            outcomes.append(Outcome(rest[len(ended)].damage, True, "failed", _death(status)))
    return outcomes


def _in_child(target: Target, cases: Sequence[Case]) -> tuple[list[Outcome], int]:
    """Return the outcomes of the cases up to the one at which the process died, and its exit status."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run_and_exit(target, cases, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        outcomes = [Outcome(**json.loads(line)) for line in lines if line.endswith("\n")]
    return outcomes, os.waitpid(child, 0)[1]


def _run_and_exit(target: Target, cases: Sequence[Case], writing: int) -> None:
    """Run cases in the forked process, and leave it without the parent's ends."""
    try:
        _silence()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with os.fdopen(writing, "w", encoding="utf-8") as results:
            for outcome in _outcomes(target, cases):
                _tell(results, outcome)
    finally:
        os._exit(0)


def _outcomes(target: Target, cases: Sequence[Case]) -> Iterator[Outcome]:
    for case in cases:
        # its default is to end the process, also inside of a C library
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            case.write(Path(folder))
            yield _outcome(target, case, Path(folder))
        signal.alarm(0)


def _outcome(target: Target, case: Case, folder: Path) -> Outcome:
    passed = _raises(target, folder, first=True) is None
    error = _raises(target, folder, first=False)
    if error is not None and not isinstance(error, InputError):
        return Outcome(case.damage, passed, "failed", _shown(error))
    end: Literal["accepted", "refused"] = "accepted" if error is None else "refused"
    if case.expected not in (end, "either"):
        return Outcome(case.damage, passed, "failed", f"must be {case.expected}, but is {end}: {error}"[:500])
    return Outcome(case.damage, passed, end)


def _raises(target: Target, folder: Path, first: bool) -> BaseException | None:
    try:
        (target.first_check if first else target.use)(folder)
    except BaseException as error:
        return error
    return None


def _shown(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in last)
    return f"{type(error).__name__}{where}: {error}"[:500]


def _tell(results: IO[str], outcome: Outcome) -> None:
    results.write(json.dumps(asdict(outcome)) + "\n")
    results.flush()


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"more than {SECONDS} seconds" if name == "SIGALRM" else f"the process died of {name}"
    return f"the process ended with {os.waitstatus_to_exitcode(status)}"


def _silence() -> None:
    logging.disable(logging.CRITICAL)
    faulthandler.disable()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    sys.stdin = sys.__stdin__
