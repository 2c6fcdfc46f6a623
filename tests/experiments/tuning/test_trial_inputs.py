"""A study that goes on knows what its trials ran on: other data and backbones are refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from experiments.pipeline import run
from experiments.tuning.config import TuneConfig
from experiments.tuning.searcher import CHECKPOINT
from experiments.tuning.trial_inputs import check_trial_inputs
from spt.errors import InputError
from tests.support.tiny import make_backbone, tiny_tree

PROMPT_LENGTH = "prompt.length"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the backbone and the data of one trial, whose run is in `trial`."""
    home = tmp_path_factory.mktemp("study")
    run(config(home).trial_run({PROMPT_LENGTH: 2}), home / "trial")
    return home


def config(home: Path) -> TuneConfig:
    search = {"strategy": "manual", "manual_layers": [1]}
    return TuneConfig.model_validate(
        {
            "run": tiny_tree(home, search=search, training={"epochs": 1}),
            "searchSpace": {PROMPT_LENGTH: {"_type": "randint", "_value": [1, 5]}},
        }
    )


def study(checkpoint: Path) -> optuna.Study:
    """A study of one trial without notes, and one that was saved there."""
    study = optuna.create_study()
    for attributes in ({}, {CHECKPOINT: str(checkpoint)}):
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=0.5,
                params={PROMPT_LENGTH: 2},
                distributions={PROMPT_LENGTH: IntDistribution(1, 4)},
                user_attrs=attributes,
            )
        )
    return study


def flip_labels(home: Path) -> None:
    text = (home / "data.csv").read_text(encoding="utf-8")
    flipped = text.replace(",good", ",x").replace(",bad", ",good").replace(",x", ",bad")
    (home / "data.csv").write_text(flipped, encoding="utf-8")


def replace_backbone(home: Path) -> None:
    shutil.rmtree(home / "backbone")
    make_backbone(home / "backbone", layers=3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flip_labels, r"The data file '.*data\.csv' has changed since the study in 'runs/a' began \(SHA-256"),
        (replace_backbone, r"The study in 'runs/a' began with other data or another backbone\..*weights"),
    ],
)
def test_what_the_trials_did_not_run_on_is_refused(
    change: Callable[[Path], None], said: str, finished: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(finished, tmp_path / "home")
    check_trial_inputs(config(home), study(home / "trial"), Path("runs/a"))
    change(home)
    with pytest.raises(InputError, match=said):
        check_trial_inputs(config(home), study(home / "trial"), Path("runs/a"))
    # a storage that was tidied up says nothing
    check_trial_inputs(config(home), study(tmp_path / "gone"), Path("runs/a"))


def test_damaged_notes_are_refused_by_name(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=rf"'{tmp_path / 'inputs.json'}' is damaged"):
        check_trial_inputs(config(finished), study(tmp_path), Path("runs/a"))
