"""Where a run is, told from the files that it has at each of its stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.live.lines import begun_line, epoch_line, run_line
from experiments.live.run_progress import RunProgress, last_line, read_run
from experiments.live.time_left import duration
from tests.support.run_folders import (
    held,
    plain_config,
    write_history,
    write_lines,
    write_progress,
    write_search_result,
)

GATES = {"0": 0.41, "3": 0.62, "4": 0.58, "5": 0.1}


def progress_of(folder: Path) -> RunProgress:
    progress = read_run(folder)
    assert progress is not None
    return progress


def test_a_folder_without_a_run_has_no_progress(tmp_path: Path) -> None:
    assert read_run(tmp_path) is None
    assert read_run(tmp_path / "missing") is None


def test_before_the_search_data_are_read(tmp_path: Path) -> None:
    with held(tmp_path / "run"):
        assert run_line(progress_of(tmp_path / "run")) == "reading data and backbone"


def test_a_search_of_gates_tells_epoch_loss_score_top_gates_and_time_left(tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        write_history(place.search, 0.7, 0.65)
        write_lines(place.search / "gates.jsonl", {"epoch": 0, "gates": {}}, {"epoch": 2, "gates": GATES})
        write_progress(place.search, epoch=2, epochs=4)
        progress = progress_of(place.path)
    assert (progress.state, progress.stage, progress.epoch, progress.epochs) == ("running", "search", 3, 4)
    assert (progress.share, progress.loss, progress.ended_loss, progress.dev) == (0.5, 0.25, 0.5, 0.65)
    assert progress.layers == (3, 4) and progress.gates == {3: 0.62, 4: 0.58}
    # one and a half epochs of the search, and six of the training, each of ten seconds
    assert progress.seconds_left == pytest.approx(75)
    line = "loss {}  dev 65.0 % (best 70.0 %)  top gates: 3 (0.62), 4 (0.58)  about 1 min 15 s left"
    assert run_line(progress) == f"search epoch 3 of 4 (50%)  {line.format('0.250')}"
    assert epoch_line(progress) == f"search epoch 2 of 4  {line.format('0.500')}"


def test_the_time_left_is_of_what_this_session_took(tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        write_progress(place.search, epoch=2, epochs=4, began=2, seconds=20.0)
        progress = progress_of(place.path)
    assert progress.resumed
    assert progress.seconds_left == pytest.approx(40 * 7.5)


def test_a_training_tells_its_layers(tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        write_search_result(place, (3, 4), {3: 0.62, 4: 0.58, 0: 0.41})
        write_history(place.train, 0.7)
        write_progress(place.train, epoch=1, epochs=6, loss=None)
        progress = progress_of(place.path)
    assert (progress.stage, progress.epoch, progress.seconds_left) == ("train", 2, pytest.approx(45))
    assert begun_line(progress) == "train epoch 2 of 6  layers 3 (0.62), 4 (0.58)"
    # before the first step of an epoch the loss is that of the last one
    assert run_line(progress).startswith("train epoch 2 of 6 (50%)  loss 1.000  dev 70.0 %  layers 3 (0.62)")


def test_a_search_among_candidates_tells_which_one_trains(tmp_path: Path) -> None:
    config = plain_config(search={"strategy": "random", "k": 2, "evaluations": 5})
    with held(tmp_path / "run", config) as place:
        tried = (
            {"layers": [0, 1], "dev": 0.8},
            {"layers": [2, 3], "dev": 0.6},
            {"layers": [1, 3], "dev": None},
        )
        write_lines(place.search / "candidates.jsonl", *tried)
        folder = place.search / "candidates" / "1+2"
        write_history(folder, 0.3)
        write_progress(folder, epoch=1, epochs=6)
        progress = progress_of(place.path)
    assert (progress.candidate, progress.candidates, progress.epoch) == (4, 5, 2)
    assert (progress.dev, progress.best_dev, progress.layers) == (0.3, 0.8, (0, 1))
    assert run_line(progress).startswith("search candidate 4 of at most 5, epoch 2 of 6 (50%)")
    # the rest of this one and all of one more; the best one's training is there by then
    assert progress.seconds_left == pytest.approx(45 + 60)


def test_a_run_that_nobody_holds_is_stopped(tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        write_history(place.search, 0.7, 0.65)
        write_progress(place.search, epoch=2, epochs=4)
    progress = progress_of(place.path)
    assert (progress.state, progress.seconds_left) == ("stopped", None)
    assert run_line(progress) == "stopped  in search epoch 2 of 4  loss 0.500  dev 65.0 % (best 70.0 %)"


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        pass
    place.failure.write_text("the loss is nan\n", encoding="utf-8")
    assert run_line(progress_of(place.path)).startswith("failed: the loss is nan")


@pytest.mark.parametrize("name", ["search/history.jsonl", "search/gates.jsonl", "search/progress.json"])
def test_a_damaged_file_is_taken_as_not_there(name: str, tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        write_history(place.search, 0.7)
        write_progress(place.search, epoch=1, epochs=4)
        (place.path / name).write_bytes(b"\xff{\n")
        assert progress_of(place.path).stage == "search"


def test_looking_writes_nothing(tmp_path: Path) -> None:
    with held(tmp_path / "run") as place:
        write_history(place.search, 0.7)
        write_progress(place.search, epoch=1, epochs=4)
        before = state_of_files(place.path)
        assert progress_of(place.path).state == "running"
        assert state_of_files(place.path) == before
    assert progress_of(place.path).state == "stopped"
    assert state_of_files(place.path) == before


def state_of_files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in [folder, *folder.rglob("*")]}


def test_the_last_line_of_a_long_file_is_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("x" * 200_000 + '\n{"a": 1}\n{"a": 2}\n{"a": 3', encoding="utf-8")
    assert last_line(path) == {"a": 2}
    path.write_text("", encoding="utf-8")
    assert last_line(path) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (600, "10 min"),
        (7320, "2 h 2 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
