"""What was looked at, and whether it works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# a note is worth knowing and stops nothing; without what is broken some command fails
State = Literal["ok", "note", "broken"]
MARKS = {"ok": "ok", "note": "--", "broken": "!!"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: of it, as "Ray".
        value: what was found, in a few words.
        state: whether it works.
        advice: what to do; empty where there is nothing to do.
    """

    subject: str
    value: str
    state: State = "ok"
    advice: str = ""


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Write findings for people, a line each, and one more where there is advice."""
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]}  {finding.subject:<18} {finding.value}")
        if finding.advice:
            lines.append(f"{'':<22} {finding.advice}")
    return lines
