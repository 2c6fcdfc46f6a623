"""The account of a run."""

from __future__ import annotations

import json
from pathlib import Path

from strategies.ledger import Charge, Ledger


def test_charges_add_up_and_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = Ledger(path, budget=1e3)
    ledger.charge("search", 300, 20)
    ledger.charge("derivation", 50)
    ledger.charge("retraining", 400, 30)
    assert (ledger.flops, ledger.steps) == (750, 50)
    assert json.loads(path.read_text("utf-8")) == {
        "budget_flops": 1e3,
        "entries": [
            {"what": "search", "flops": 300, "steps": 20},
            {"what": "derivation", "flops": 50, "steps": 0},
            {"what": "retraining", "flops": 400, "steps": 30},
        ],
        "total_flops": 750,
        "total_steps": 50,
    }


def test_what_is_repeated_after_a_kill_is_paid_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    Ledger(path).charge("search", 300, 20)
    again = Ledger(path)
    assert "search" in again
    assert "retraining" not in again
    again.charge("search", 310, 20)
    again.charge("retraining", 1)
    assert again["search"] == Charge("search", 310, 20)
    assert again.flops == Ledger(path).flops == 311
