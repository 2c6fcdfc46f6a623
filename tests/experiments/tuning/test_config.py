from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.tuning import session
from experiments.tuning.config import TuneConfig, load_tune_config
from spt.errors import InputError
from strategies.options import RandomOptions

SPACE = {"search.consistency": {"_type": "uniform", "_value": [0.0, 1.0]}}
# whose options the space has
SEARCHED = {"search": {"strategy": "spt_darts"}}


def load(folder: Path, **keys: Any) -> TuneConfig:
    folder.mkdir(exist_ok=True)
    path = folder / "tune.yml"
    run = keys.pop("run", {})
    run = {**SEARCHED, **run} if isinstance(run, dict) else run
    path.write_text(yaml.safe_dump({"searchSpace": SPACE, "run": run, **keys}), encoding="utf-8")
    return load_tune_config(path)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(
            tmp_path,
            trails=3,
            objectives=["dev_metrik"],
            sampler="tpee",
            resources={"cpus": 0, "gpus": 1.5},
            storage_path="somewhere",
            run={"search": {"layerz": 2}, "training": {"epochs": 0}},
            searchSpace={"a": {"_type": "normal", "_value": [0, 1]}},
        )
    message = str(caught.value)
    assert message.startswith("9 problems")
    for part in (
        "trails: there is no such key. Did you mean 'trials'?",
        "Did you mean 'dev_metric'?",
        "Did you mean 'tpe'?",
        "resources.cpus",
        "more than one GPU must be a whole number",
        "must be an absolute path or a URI",
        "run.search.layerz: there is no such key. Did you mean 'k'?",
        "run.training.epochs",
        "Optuna cannot sample 'normal'",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("name", "space", "problem"),
    [
        ("search.consistencyy", {"_type": "uniform", "_value": [0, 1]}, "there is no such key"),
        ("search.mask_probability", {"_type": "uniform", "_value": [0.1, 1.0]}, "less than 1"),
        ("training.epochs", {"_type": "randint", "_value": [0, 4]}, "greater than or equal to 1"),
        ("prompt.pooler", {"_type": "choice", "_value": ["average", "none"]}, "given: 'none'"),
        ("search.warmup_epochs", {"_type": "randint", "_value": [0, 5]}, "the gates never move"),
    ],
)
def test_the_ends_of_the_space_must_be_valid_runs(
    tmp_path: Path, name: str, space: Any, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        load(tmp_path, searchSpace={name: space})


def test_strategies_can_be_tuned_with_options_that_all_of_them_read(tmp_path: Path) -> None:
    strategies = {"_type": "choice", "_value": ["spt_darts", "random"]}
    k = {"_type": "randint", "_value": [1, 3]}
    config = load(tmp_path, searchSpace={"search.strategy": strategies, "search.layers": k})
    trial = config.trial_run({"search.strategy": "random", "search.layers": 1})
    assert trial.search == RandomOptions(k=1)
    with pytest.raises(InputError, match=r"search\.consistency.*the strategy random does not read it"):
        load(tmp_path, searchSpace={"search.strategy": strategies, **SPACE})


def test_asha_and_several_objectives_do_not_go_together(tmp_path: Path) -> None:
    objectives = ["dev_metric", "total_flops"]
    with pytest.raises(InputError, match="set asha: null"):
        load(tmp_path, objectives=objectives)
    assert load(tmp_path, objectives=objectives, asha=None).directions == ["maximize", "minimize"]


def test_the_objective_is_the_metric_of_the_task(tmp_path: Path) -> None:
    assert load(tmp_path).objectives == ("dev_metric",)
    assert load(tmp_path, objectives=["dev_accuracy"], run={"task": "trec"}).directions == ["maximize"]
    for task, title in (("cola", "Matthews correlation"), ("mrpc", "mean of accuracy and F1")):
        with pytest.raises(InputError, match=f"dev selects by {title}; name dev_metric"):
            load(tmp_path, objectives=["dev_accuracy"], run={"task": task})
    with pytest.raises(InputError, match="dev_metric and dev_accuracy, which are the same"):
        load(tmp_path, objectives=["dev_metric", "dev_accuracy"], asha=None)


def test_a_study_of_a_version_with_fewer_options_goes_on(tmp_path: Path) -> None:
    config = load(tmp_path, trials=3)
    stored = config.model_dump(mode="json", by_alias=True)
    del stored["max_failures"], stored["run"]["search"]["shrink"], stored["run"]["cache_gb"]
    (tmp_path / "tune.yml").write_text(yaml.safe_dump(stored), encoding="utf-8")
    session.check_folder(tmp_path, config, resume=True)
    session.check_folder(tmp_path, load(tmp_path / "more", trials=9), resume=True)
    with pytest.raises(InputError, match=r"another configuration \(different: seed\).*trials may change"):
        session.check_folder(tmp_path, load(tmp_path / "more", seed=5), resume=True)


def test_the_test_split_is_no_objective(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Unknown objective 'test_accuracy'"):
        load(tmp_path, objectives=["test_accuracy"])


def test_trials_do_not_start_ray_themselves(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trials are Ray's already"):
        load(tmp_path, run={"search": {"strategy": "random", "engine": {"kind": "ray"}}})


def test_the_run_may_be_a_file_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text("search: {strategy: spt_darts, k: 3}\n", encoding="utf-8")
    config = load(tmp_path, run="base.yml")
    assert config.run.search.k == 3
    assert config.trial_run({"search.consistency": 0.5}).search.consistency == 0.5
    assert config.trial_run({"search.consistency": 0.5}).search.k == 3
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path, run="missing.yml")
