from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.tuning import session
from experiments.tuning.config import TuneConfig, load_tune_config
from spt.errors import InputError
from spt.training.config import TrainingConfig
from strategies.options import DartsOptions, RandomOptions

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


def test_keys_are_listed_as_files_have_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"zzz: there is no such key\. Known: name, .* run, searchSpace"):
        load(tmp_path, zzz=1)
    with pytest.raises(InputError, match=r"searchspace: there is no such key\. Did you mean 'searchSpace'"):
        load(tmp_path, searchspace={})


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


def test_what_follows_from_a_value_that_trials_change_follows_anew(tmp_path: Path) -> None:
    generators = {"_type": "choice", "_value": ["free", "pooled"]}
    config = load(
        tmp_path,
        run={"prompt": {"generator": "free", "length": 4}},
        searchSpace={"prompt.generator": generators},
    )
    again = TuneConfig.model_validate(config.as_tree())
    for study in (config, again):
        free = study.trial_run({"prompt.generator": "free"}).prompt
        pooled = study.trial_run({"prompt.generator": "pooled"}).prompt
        assert (free.token_offset, pooled.token_offset) == (False, True)
        assert free.length == pooled.length == 4


def test_a_strategy_has_its_own_defaults_in_a_trial(tmp_path: Path) -> None:
    strategies = {"_type": "choice", "_value": ["spt_darts", "darts"]}
    config = load(tmp_path, searchSpace={"search.strategy": strategies})
    for study in (config, TuneConfig.model_validate(config.as_tree())):
        assert study.trial_run({"search.strategy": "darts"}).search == DartsOptions()


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("task", ["trec", "sst2"], "scores on different tasks cannot be compared; make a study for each"),
        ("task.name", ["trec", "sst2"], "scores on different tasks cannot be compared"),
        ("task.metric", ["accuracy", "macro_f1"], "scores of different metrics cannot be compared"),
        ("threads", [1, 2], "trials have resources.cpus threads"),
    ],
)
def test_trials_differ_in_nothing_that_they_are_judged_by(
    tmp_path: Path, name: str, values: list[Any], said: str
) -> None:
    with pytest.raises(InputError, match=f"{name}: {said}"):
        load(tmp_path, searchSpace={name: {"_type": "choice", "_value": values}})


def test_a_trial_computes_where_its_resources_are(tmp_path: Path) -> None:
    trial = load(tmp_path, resources={"cpus": 3}).trial_run({"search.consistency": 0.5})
    assert (trial.threads, trial.device) == (3, "cpu")
    trial = load(tmp_path, resources={"gpus": 0.5}).trial_run({"search.consistency": 0.5})
    assert (trial.threads, trial.device) == (1, "auto")
    with pytest.raises(InputError, match=r"run\.device is cuda, but resources\.gpus is 0"):
        load(tmp_path, run={"device": "cuda"})


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


def test_a_study_of_trials_with_one_rate_does_not_go_on_with_several(tmp_path: Path) -> None:
    config = load(tmp_path, searchSpace={"search.consistency": {"_type": "uniform", "_value": [0.1, 1.0]}})
    stored = config.model_dump(mode="json", by_alias=True)
    for rate in ("prompt_rate", "generator_rate"):
        del stored["run"]["training"][rate]
    (tmp_path / "tune.yml").write_text(yaml.safe_dump(stored), encoding="utf-8")
    with pytest.raises(InputError, match=r"another configuration \(different: run\)"):
        session.check_folder(tmp_path, config, resume=True)


def test_trials_have_the_rates_of_the_base_run(tmp_path: Path) -> None:
    written = TrainingConfig().model_dump(mode="json", exclude={"prompt_rate", "generator_rate"})
    config = load(tmp_path, run={"training": written})
    assert (
        config.trial_run({"training.epochs": 3}).training.prompt_rate
        == config.run.training.prompt_rate
        == 0.05
    )


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


def test_keys_of_the_run_go_over_those_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text("search: {strategy: spt_darts, k: 3}\n", encoding="utf-8")
    load(tmp_path, run="base.yml")
    run = load_tune_config(tmp_path / "tune.yml", {"run.training.epochs": 7}).run
    assert (run.training.epochs, run.search.k) == (7, 3)
