"""How runs are shown: in place on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from experiments.live.grid_progress import GridView, SessionGridView, grid_noted, grid_path, run_names
from experiments.live.run_view import RunView
from experiments.live.screen import showing
from experiments.live.trials import TrialRow, TrialTable, changes, trial_line
from experiments.run.lock import is_used
from tests.support.run_folders import held, plain_config, write_history, write_progress, write_search_result


def printed(view: object, width: int = 100, height: int = 30, terminal: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=terminal, color_system=None)
    console.print(view)
    return file.getvalue()


def test_a_run_gives_a_line_for_each_stage_and_each_epoch_that_ended(tmp_path: Path) -> None:
    view, lines = RunView(tmp_path / "run"), []

    def look() -> None:
        view.look()
        lines.extend(view.news())

    look()
    with held(tmp_path / "run") as place:
        write_progress(place.search, epoch=0, epochs=4)
        look()
        write_progress(place.search, epoch=0, epochs=4, step=7)
        look()
        write_history(place.search, 0.7)
        write_progress(place.search, epoch=1, epochs=4)
        look()
        write_search_result(place, (3, 4), None)
        look()
    look()
    assert [line.split("  ")[0] for line in lines] == [
        "reading data and backbone",
        "search epoch 1 of 4",
        "search epoch 1 of 4",
        "train",
    ]
    assert "dev 70.0 %" in lines[2] and "layers 3, 4" in lines[3]


def test_where_there_is_no_terminal_lines_are_printed_and_nothing_is_drawn(tmp_path: Path) -> None:
    file = io.StringIO()
    with held(tmp_path / "run") as place:
        write_progress(place.search, epoch=0, epochs=4)
        with showing(RunView(place.path), Console(file=file, width=40), stays=False):
            write_history(place.search, 0.7)
            write_progress(place.search, epoch=1, epochs=4)
    # lines are not cut, and the last look is at the end
    assert len(file.getvalue().splitlines()) == 2
    assert "\x1b" not in file.getvalue()


def test_a_terminal_sees_one_line_that_is_gone_at_the_end(tmp_path: Path) -> None:
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=True, color_system=None)
    with held(tmp_path / "run") as place:
        write_progress(place.search, epoch=0, epochs=4)
        with showing(RunView(place.path), console, stays=False):
            pass
    assert "search epoch 1 of 4 (50%)" in file.getvalue()
    assert "\n" not in file.getvalue().split("search", 1)[1].rstrip("\n").rsplit("left", 1)[0]


def grid(folder: Path) -> list[str]:
    """Runs in each of the states that files can tell."""
    config = plain_config()
    for name in ("failed", "stopped"):
        with held(folder / name, config) as place:
            write_history(place.search, 0.7)
    (folder / "failed" / "failure.txt").write_text("the loss is nan\n", encoding="utf-8")
    return ["failed", "stopped", "active", "waiting"]


def test_a_comparison_is_shown_with_the_state_of_each_run(tmp_path: Path) -> None:
    view = GridView("grid", tmp_path, grid(tmp_path))
    with held(tmp_path / "active") as place:
        write_history(place.search, 0.7)
        write_progress(place.search, epoch=1, epochs=4, began=1)
        view.look()
    assert [row.state for row in view.rows] == ["failed", "stopped", "resumed", "queued"]
    assert view.caption == "0 of 4 finished, 1 resumed, 1 failed, 1 stopped, 1 queued"
    table = printed(view.drawn())
    assert "the loss is nan" in table and "search epoch 2 of 4 (50%)" in table


def test_in_its_own_session_what_was_left_is_queued_and_then_resumed(tmp_path: Path) -> None:
    view = SessionGridView("grid", tmp_path, grid(tmp_path))
    view.look()
    assert [row.state for row in view.rows] == ["queued"] * 4
    with held(tmp_path / "stopped") as place:
        view.look()
        assert view.rows[1].state == "resumed"
        write_search_result(place, (1, 2), None)
        # also in the stage that it begins anew
        view.look()
        assert view.news() == ["stopped: resumed  in train  layers 1, 2"]
    view.failures["active"] = "out of luck"
    view.look()
    assert view.news() == ["active: failed  out of luck"]


def test_the_runs_of_a_comparison_are_noted_and_held_while_it_goes(tmp_path: Path) -> None:
    names = grid(tmp_path)
    assert run_names(tmp_path) == ["failed", "stopped"]
    with grid_noted(tmp_path, names), grid_noted(tmp_path, names):
        assert is_used(grid_path(tmp_path))
    assert not is_used(grid_path(tmp_path))
    assert run_names(tmp_path) == names


def test_a_table_has_as_many_rows_as_its_terminal_and_those_under_way_first() -> None:
    rows = [TrialRow(f"t{i}", "finished") for i in range(20)]
    rows += [TrialRow("busy", "running"), TrialRow("bad", "failed", failure="[red] no markup")]
    rows += [TrialRow(f"q{i}", "queued") for i in range(20)]
    table = printed(TrialTable("many", rows, "caption"), height=12, terminal=True)
    assert len(table.splitlines()) <= 12
    assert "busy" in table and "[red] no markup" in table and "t19" in table and "q0" not in table
    assert "36 more not shown" in table
    assert "q19" in printed(TrialTable("many", rows, "caption"), height=12)


def test_a_line_of_a_trial_tells_scores_and_values() -> None:
    row = TrialRow("trial 3", "finished", dev=0.9, test=0.8, layers="1, 2", values={"search.k": "2"})
    assert trial_line(row) == "trial 3: finished  dev 90.0 %  test 80.0 %  layers 1, 2  search.k=2"
    assert changes([row], [row]) == []
