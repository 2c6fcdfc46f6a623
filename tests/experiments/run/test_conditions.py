"""The data of a comparison, a study or a bench is checked before its first run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.comparing.grid import run_grid
from experiments.config import RunConfig
from experiments.run.data_report import check_data
from experiments.tuning.config import TuneConfig
from spt.errors import InputError
from tests.support.runs import tiny_config
from tests.support.tiny import tiny_tree


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conditions")
    tiny_tree(folder)
    (folder / "empty_text.csv").write_text("text,label\na,x\n,y\nb,\n", encoding="utf-8")
    (folder / "one_class.csv").write_text("text,label\na,x\nb,x\n", encoding="utf-8")
    return folder


def config(home: Path, data: str = "data.csv", **sections: Any) -> RunConfig:
    manual = {"strategy": "manual", "manual_layers": [1]}
    return tiny_config(home, data={"train": str(home / data)}, search=manual, **sections)


def test_a_comparison_tells_every_problem_of_its_data_and_runs_nothing(home: Path, tmp_path: Path) -> None:
    configs = {
        "good": config(home),
        "empty": config(home, "empty_text.csv", task={"name": "custom", "metric": "macro_f1"}),
        "one": config(home, "one_class.csv", task={"name": "custom", "label_words": None}),
        "weights": config(home, training={"class_weights": {"god": 2.0}}),
    }
    with pytest.raises(InputError) as refused:
        run_grid(configs, tmp_path, workers=1)
    said = str(refused.value)
    assert said.startswith("4 problems in the data of the runs:\n")
    assert "empty_text.csv: The text column 'text' of train is empty in row 2" in said
    assert "empty_text.csv: The label column 'label' of train is empty in row 3" in said
    assert "one class only: 'x'" in said
    assert "Unknown class 'god'. Did you mean 'good'?" in said
    assert list(tmp_path.iterdir()) == []


def test_a_study_checks_every_choice_of_its_data(home: Path) -> None:
    files = [str(home / name) for name in ("data.csv", "one_class.csv")]
    space = {
        "data.train": {"_type": "choice", "_value": files},
        "data.windows": {"_type": "choice", "_value": [1, 2]},
        "training.epochs": {"_type": "randint", "_value": [1, 3]},
    }
    study = TuneConfig(run=config(home).model_dump(mode="json"), searchSpace=space, asha=None)
    assert len(study.conditions()) == 4
    with pytest.raises(InputError, match="one class only: 'x'"):
        check_data(study.conditions())
