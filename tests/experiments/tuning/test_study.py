"""A study in its journal: the same draws in every process, and a journal that a kill or a disk damaged."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from experiments.tuning.study import SAMPLERS, open_study
from spt.errors import InputError

SPACE = {"x": FloatDistribution(0.0, 1.0), "y": CategoricalDistribution(["a", "b", "c"])}


def go_on(study: optuna.Study, trials: int) -> list[dict[str, Any]]:
    """Have trials of a known score, until there are so many."""
    while len(study.trials) < trials:
        trial = study.ask(SPACE)
        study.tell(trial, trial.params["x"])
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "cmaes"])
def test_a_study_draws_the_same_in_one_session_and_in_several(sampler: str, tmp_path: Path) -> None:
    trials = 14
    expected = go_on(open_study("s", ["maximize"], sampler, 3, None), trials)
    for session in (1, 5, 12, trials):
        study = open_study("s", ["maximize"], sampler, 3, tmp_path / "optuna.journal")
        params = go_on(study, session)
    assert params == expected
    assert len({trial["x"] for trial in params[:10]}) == 10
    assert go_on(open_study("s", ["maximize"], sampler, 4, None), trials) != expected


def journal(tmp_path: Path) -> Path:
    path = tmp_path / "optuna.journal"
    go_on(open_study("s", ["maximize"], "random", 0, path), 3)
    return path


@pytest.mark.parametrize("cut", [1, 10])
def test_a_torn_last_record_is_left_out_and_the_study_goes_on(
    cut: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = journal(tmp_path)
    expected = go_on(open_study("s", ["maximize"], "random", 0, None), 5)
    path.write_bytes(path.read_bytes()[:-cut])
    with caplog.at_level(logging.WARNING):
        study = open_study("s", ["maximize"], "random", 0, path)
    assert "optuna.journal was cut off while it was written" in caplog.text
    # what was lost is the end of the last trial
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert go_on(study, 5) == expected
    assert go_on(open_study("s", ["maximize"], "random", 0, path), 5) == expected


def without_the_study(content: bytes) -> bytes:
    return content[content.index(b"\n") + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.replace(b'"op_code"', b'"op_c\xff#', 1),
        lambda content: content.replace(b"}\n", b"}\nnull\n", 1),
        without_the_study,
    ],
)
def test_another_damage_is_refused_by_the_files_name(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = journal(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"optuna\.journal'.*Delete the study's folder"):
        open_study("s", ["maximize"], "random", 0, path)
    assert path.read_bytes() == before


def test_the_lock_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    path = journal(tmp_path)
    Path(f"{path}.lock").symlink_to(path)
    study = open_study("s", ["maximize"], "random", 0, path)
    assert len(go_on(study, 4)) == 4
    assert all(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def test_a_folder_in_the_journals_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, but a study's journal is kept there"):
        open_study("s", ["maximize"], "random", 0, tmp_path)
