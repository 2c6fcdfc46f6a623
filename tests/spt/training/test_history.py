"""A history grows line by line, and repeats no epoch of a killed session."""

import json
from pathlib import Path

from spt.training.history import History


def test_history_grows_line_by_line_and_forgets_an_epoch_that_is_repeated(tmp_path: Path) -> None:
    history = History(tmp_path / "gates.jsonl")
    history.begin_epoch(0)
    for epoch in (0, 1):
        for step in (0, 10):
            history.record(epoch, step=step, gates={0: 0.5, 2: 0.25})
    history.begin_epoch(1)
    lines = [json.loads(line) for line in history.path.read_text(encoding="utf-8").splitlines()]
    assert lines == [{"epoch": 0, "step": step, "gates": {"0": 0.5, "2": 0.25}} for step in (0, 10)]


def test_history_survives_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    history = History(tmp_path / "gates.jsonl")
    history.record(0, step=0, gates={0: 0.5})
    with history.path.open("a", encoding="utf-8") as file:
        file.write('{"epoch": 1, "st')
    history.begin_epoch(1)
    history.record(1, step=0, gates={0: 0.6})
    lines = [json.loads(line) for line in history.path.read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1]
