"""`spt top`: what it shows of a run, a comparison and a study, and that it leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.live.grid_progress import grid_noted
from tests.support.run_folders import held, write_history, write_progress


def top(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["top", *map(str, arguments)], env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_once_looks_at_a_run_of_another_process_and_ends(tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        write_history(place.search, 0.7)
        write_progress(place.search, epoch=1, epochs=4)
        before = place.path.stat().st_mtime_ns
        assert top(place.path, "--once").startswith("run: search epoch 2 of 4 (50%)  loss 0.250  dev 70.0 %")
        assert place.path.stat().st_mtime_ns == before


def test_what_nobody_runs_is_stopped_and_not_waited_for(tmp_path: Path) -> None:
    with held(tmp_path / "runs" / "one") as place:
        write_history(place.search, 0.7)
    assert top(place.path).startswith("one: stopped  in search epoch 1 of 4")
    with grid_noted(tmp_path / "runs", ["one", "two"]):
        shown = top(tmp_path / "runs", "--once")
        assert "stopped:" not in shown and "0 of 2 finished" in shown
    assert "stopped: 0 of 2 finished, 1 stopped, 1 queued" in " ".join(top(tmp_path / "runs").split())


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_where_there_is_nothing_to_look_at_it_says_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(app, ["top", str(tmp_path / name)])
    assert result.exit_code == 2
    assert "holds no run, no comparison and no study" in result.stderr


def test_a_config_that_no_run_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("a: 1\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["top", str(tmp_path)])
    assert result.exit_code == 2
    assert "is no configuration that a run wrote" in result.stderr
