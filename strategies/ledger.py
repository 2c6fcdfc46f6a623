"""What a run has spent, in training operations: the same account for every strategy."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json

ADVICE = "What the run has spent is lost with it: delete the run's folder, and run it again."


@dataclass(frozen=True)
class Charge:
    """What was paid for, its operations, and its optimiser steps."""

    what: str
    flops: int
    steps: int


@dataclass(frozen=True)
class _Account:
    """What is read of the file."""

    entries: tuple[Charge, ...]


class Ledger:
    """Every charge of a run, kept in a JSON file as it grows.

    A charge under a name that is there already replaces it: what a resumed run repeats is paid once.

    Args:
        path: of the file, written at each charge; None keeps the account in memory.
        budget: operations that may be spent in all; None for any number.
    """

    def __init__(self, path: Path | None = None, budget: float | None = None) -> None:
        self.path = path
        self.budget = budget
        self._charges: dict[str, Charge] = {}
        if path is not None and path.exists():
            account = checked(_Account, read_json(path, ADVICE), f"'{path}'", ADVICE)
            self._charges = {charge.what: charge for charge in account.entries}

    def charge(self, what: str, flops: int, steps: int = 0) -> None:
        """Enter a charge."""
        self._charges[what] = Charge(what, flops, steps)
        if self.path is not None:
            content = {
                "budget_flops": self.budget,
                "entries": [asdict(charge) for charge in self._charges.values()],
                "total_flops": self.flops,
                "total_steps": self.steps,
            }
            write_text(self.path, json.dumps(content, indent=2) + "\n")

    def __contains__(self, what: str) -> bool:
        return what in self._charges

    def __getitem__(self, what: str) -> Charge:
        return self._charges[what]

    @property
    def flops(self) -> int:
        """Return the operations spent so far."""
        return sum(charge.flops for charge in self._charges.values())

    @property
    def steps(self) -> int:
        """Return the optimiser steps taken so far."""
        return sum(charge.steps for charge in self._charges.values())
