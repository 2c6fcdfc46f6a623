"""A few hundred cases of each kind end well, the same seed draws the same ones, and bad ends are noticed."""

from __future__ import annotations

import ctypes
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks import record
from benchmarks.cli import app
from benchmarks.fuzz import measure
from benchmarks.fuzz.case import Case, Target
from benchmarks.fuzz.damage import VALUES, damaged_bytes, damaged_trees, paths
from benchmarks.fuzz.isolated import run_cases
from benchmarks.fuzz.measure import TARGETS, draw_cases, fuzz
from benchmarks.fuzz.models import CODE, RAN
from spt.errors import InputError

CASES = 60
WHOLE = Case({"a": b"1"}, expected="accepted")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_cases_are_accepted_or_refused_and_at_least_half_pass_the_first_check(target: Target) -> None:
    result = fuzz(target, CASES, first_seed=0)
    assert result["failures"] == [] and result["failed"] == 0
    assert result["accepted"] + result["refused"] == result["cases"] >= CASES / 2
    assert result["passed_first_check"] >= result["cases"] / 2
    assert result["accepted"] and result["refused"]


@pytest.mark.parametrize("target", TARGETS[:2], ids=lambda target: target.name)
def test_a_seed_draws_the_same_cases(target: Target) -> None:
    first, again, other = (draw_cases(target.cases(), 20, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len({case.damage for case in first}) > 5


def target_that(use: object) -> Target:
    return Target("odd", lambda: None, lambda _: None, use)  # type: ignore[arg-type, return-value]


def crash(_: Path) -> None:
    ctypes.string_at(0)


def fill(_: Path) -> None:
    np.ones(2**31)


def refuse(folder: Path) -> None:
    if (folder / "a").read_bytes() != b"1":
        raise InputError("it is not 1")


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (crash, "the process died of SIGSEGV"),
        (fill, "MemoryError"),
        (lambda _: time.sleep(60), "more than 1 seconds"),
        (lambda _: int("x"), "ValueError at .*invalid literal"),
        (lambda _: exec("raise SystemExit(3)"), "SystemExit"),
    ],
)
def test_a_bad_end_is_a_failure_and_the_next_case_goes_on(
    use: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.fuzz.isolated.SECONDS", 1)

    def use_or_refuse(folder: Path) -> None:
        refuse(folder)
        if (folder / "bad").exists():
            use(folder)  # type: ignore[operator]

    cases = [WHOLE, Case({"a": b"1", "bad": b""}), Case({"a": b"2"}), WHOLE]
    first, failed, third, last = run_cases(target_that(use_or_refuse), cases)
    assert [first.end, third.end, last.end] == ["accepted", "refused", "accepted"]
    assert failed.end == "failed" and failed.reason is not None
    assert re.search(reason, failed.reason)


def test_an_end_that_must_not_be_is_a_failure() -> None:
    cases = [Case({"a": b"1"}, expected="refused"), Case({"a": b"2"}, expected="accepted")]
    first, second = run_cases(target_that(refuse), cases)
    assert first.reason == "must be refused, but is accepted: None"
    assert second.reason == "must be accepted, but is refused: it is not 1"


def test_damage_changes_one_thing() -> None:
    tree = {"a": {"b": [1, 2]}, "c": "x"}
    assert list(paths(tree)) == [("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1), ("c",)]
    drawn = draw_cases(damaged_trees(tree, closed=True), 50, 0)
    assert tree == {"a": {"b": [1, 2]}, "c": "x"}
    assert {case.expected for case in drawn} == {"refused", "either"}
    texts = draw_cases(damaged_bytes(b"one\ntwo\n"), 50, 0)
    assert len({case.content for case in texts}) > 20
    assert len(draw_cases(VALUES, 50, 0)) > 20


def test_the_code_of_hostile_backbones_would_be_seen_to_run(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_bytes(CODE)
    exec(compile(CODE, str(tmp_path / "evil.py"), "exec"), {"__file__": str(tmp_path / "evil.py")})
    assert (tmp_path / RAN).exists()


def test_the_command_writes_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "TARGETS", (target_of(refuse, b"1"), target_of(refuse, b"2")))
    result = CliRunner().invoke(app, ["fuzz", "--cases", "20", "--seed", "5", "--result", "x"])
    assert result.exit_code == 1 and "cases failed" in result.output, result.output
    content = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert content["command"] == "python -m benchmarks fuzz --cases 20 --seed 5 --result x"
    good, bad = content["records"]
    assert (good["accepted"], good["failed"]) == (good["cases"], 0)
    assert (bad["accepted"], bad["failed"]) == (0, bad["cases"]) and bad["failures"][0]["seed"] == 5


def target_of(use: object, content: bytes) -> Target:
    cases = st.integers(0, 99).map(lambda n: Case({"a": content, "b": str(n).encode()}, expected="accepted"))
    return Target("one", lambda: cases, lambda _: None, use)  # type: ignore[arg-type, return-value]
