"""`spt compare` over the tiny backbone: resumed, failed, judged by a truth table; the shipped experiments."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni.algorithms.hpo.gridsearch_tuner import GridSearchTuner
from nni.experiment.config import ExperimentConfig
from typer.testing import CliRunner

import experiments
from experiments.cli import app
from experiments.comparing import compare as compare_module
from experiments.comparing.compare import folder_names, record_of
from experiments.comparing.experiment_file import Experiment
from experiments.comparing.grid import RunOutcome, is_finished, outcome_of, read_result, run_config
from experiments.comparing.truth import Entry, TruthTable
from experiments.config import RunConfig
from experiments.nested_choices import flat
from experiments.nni_trials.experiment import NniExperiment
from tests.support.tiny import tiny_tree

HERE = Path(experiments.__file__).parent
ABLATIONS = sorted((HERE / "configs" / "ablations").glob("*.yml"))
SHIPPED = [HERE / "compare.yml", *ABLATIONS]


def spt(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def choice(*values: Any) -> dict[str, Any]:
    return {"_type": "choice", "_value": list(values)}


def experiment(folder: Path, space: dict[str, Any], **sections: Any) -> Path:
    tree = tiny_tree(folder, **{"training": {"epochs": 1}, "search": {"epochs": 1}, **sections})
    (folder / "config.yml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    settings = {
        "experimentName": "tiny",
        "searchSpace": space,
        "trialCommand": f"python3 -m experiments.trial --config {folder / 'config.yml'}",
        "trialCodeDirectory": str(HERE.parent),
        "trialConcurrency": 2,
        "maxTrialNumber": 2,
        "tuner": {"name": "GridSearch"},
        "trainingService": {"platform": "local"},
    }
    path = folder / "experiment.yml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def test_an_unknown_reference_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = experiment(tmp_path, {"search.strategy": choice("random", "gradient")})
    result = spt("compare", path, "--folder", tmp_path / "runs", "--reference", "gradent")
    assert result.exit_code == 2 and "Did you mean 'gradient'" in result.output
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The grid in this process, as starting others takes longer; gives the names of runs that trained."""
    trained: list[str] = []

    def run_grid(
        configs: Mapping[str, RunConfig], folder: Path, _workers: int, on_done: Any
    ) -> dict[str, RunOutcome]:
        outcomes = {}
        for name, config in configs.items():
            if is_finished(config, folder / name):
                outcomes[name] = RunOutcome(read_result(folder / name))
            else:
                trained.append(name)
                outcomes[name] = outcome_of(partial(run_config, config), folder / name)
            on_done(name, outcomes[name])
        return outcomes

    monkeypatch.setattr(compare_module, "run_grid", run_grid)
    return trained


LAYERS = {
    "search.strategy": choice(
        {"_name": "spt_darts"}, {"_name": "manual", "search.manual_layers": choice([0], [1, 2])}
    ),
    "seed": choice(0, 1),
}


@pytest.mark.slow
def test_a_comparison_writes_everything_and_trains_nothing_twice(
    tmp_path: Path, in_process: list[str]
) -> None:
    path, folder = experiment(tmp_path, LAYERS), tmp_path / "runs"
    done = spt("compare", path, "--folder", folder)
    assert done.exit_code == 0, done.output
    assert len(in_process) == 6
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    groups = ["spt_darts", "manual (manual_layers=0)", "manual (manual_layers=1+2)"]
    assert [row["group"] for row in results["rows"]] == groups
    assert [(test["group"], test["pairs"]) for test in results["tests"]] == [(g, 2) for g in groups[1:]]
    assert results["command"] == f"spt compare {path}"
    assert [(r["group"], r["seed"]) for r in results["records"]][:2] == [("spt_darts", 0), ("spt_darts", 1)]
    for found in results["records"]:
        if found["group"] == "manual (manual_layers=1+2)":
            assert found["metrics"]["layers"] == [1, 2]
        assert found["metrics"]["total_flops"] > 0 and found["metrics"]["total_seconds"] > 0
    html = (folder / "report.html").read_text(encoding="utf-8")
    pictures = {path.stem for path in (folder / "figures").glob("*.svg")}
    costs = {f"custom-{cost}" for cost in ("total_flops", "tunable_parameters")}
    assert pictures == {"custom-scores", *costs, "custom-layers", "ranks", "spt_darts-custom-gates"}
    # layers are a table there
    assert html.count("<svg") == 5
    again = spt("compare", path, "--folder", folder, "--quiet")
    assert (again.exit_code, again.output) == (0, "")
    assert len(in_process) == 6
    after = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert after["records"] == results["records"]


@pytest.mark.slow
def test_a_failed_cell_is_reported_as_failed(tmp_path: Path, in_process: list[str]) -> None:
    space = {"training.learning_rate": choice(0.01, 1e38), "seed": choice(0)}
    manual = {"strategy": "manual", "manual_layers": [1]}
    done = spt("compare", experiment(tmp_path, space, search=manual), "--folder", tmp_path / "runs")
    assert done.exit_code == 1
    assert "0, 1 failed" in done.output and "The loss is nan" in done.output
    results = json.loads((tmp_path / "runs" / "results.json").read_text(encoding="utf-8"))
    whole, broken = results["records"]
    assert whole["failure"] is None
    assert broken["metrics"] is None and "The loss is nan" in broken["failure"]
    assert "The loss is nan" in (tmp_path / "runs" / "report.html").read_text(encoding="utf-8")
    # failed cells are tried again, whole ones are not
    spt("compare", tmp_path / "experiment.yml", "--folder", tmp_path / "runs")
    assert in_process.count("0.01-custom-seed0") == 1
    assert len(in_process) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_where_nothing_trains_the_command_fails(tmp_path: Path) -> None:
    space = {"training.learning_rate": choice(1e38)}
    manual = {"strategy": "manual", "manual_layers": [1]}
    done = spt("compare", experiment(tmp_path, space, search=manual), "--folder", tmp_path / "runs")
    assert done.exit_code == 1
    assert "No run gave results" in done.output
    assert not (tmp_path / "runs" / "results.json").exists()


def test_bad_input_ends_with_two(tmp_path: Path) -> None:
    done = spt("compare", experiment(tmp_path, {"search.k": choice(0)}), "--folder", tmp_path / "runs")
    assert done.exit_code == 2
    assert "search.k" in done.output
    assert spt("compare", tmp_path / "none.yml").exit_code == 2
    assert not (tmp_path / "runs").exists()


def test_runs_are_known_by_their_configuration(tmp_path: Path) -> None:
    """What nnictl ran has a trial's id for its folder's name."""
    first, second = Experiment.load(experiment(tmp_path, {"seed": choice(0, 1)})).cells()
    trial = tmp_path / "runs" / "aB3xY"
    trial.mkdir(parents=True)
    there = second.config.model_copy(update={"name": "base", "threads": 7})
    (trial / "config.yml").write_text(
        yaml.safe_dump({"run": there.model_dump(mode="json")}), encoding="utf-8"
    )
    other = tmp_path / "runs" / "other"
    other.mkdir()
    (other / "config.yml").write_text("not: a run", encoding="utf-8")
    assert folder_names([first, second], tmp_path / "runs") == [first.config.name, "aB3xY"]


def test_two_cells_that_differ_in_no_number_have_their_own_folders(tmp_path: Path) -> None:
    cells = Experiment.load(experiment(tmp_path, {"threads": choice(1, 2)})).cells()
    for cell in cells:
        stored = yaml.safe_dump({"run": cell.config.model_dump(mode="json")})
        (tmp_path / "runs" / cell.config.name).mkdir(parents=True)
        (tmp_path / "runs" / cell.config.name / "config.yml").write_text(stored, encoding="utf-8")
    assert folder_names(cells, tmp_path / "runs") == [cell.config.name for cell in cells]
    (tmp_path / "runs" / cells[0].config.name).rename(tmp_path / "runs" / "aB3xY")
    assert folder_names(cells, tmp_path / "runs") == ["aB3xY", cells[1].config.name]


TRUTH = TruthTable(
    {
        (0,): {seed: Entry(0.5, 0.60, 1) for seed in (0, 1)},
        (1,): {seed: Entry(0.5, 0.70, 1) for seed in (0, 1)},
        (2,): {seed: Entry(0.5, 0.65, 1) for seed in (0, 1)},
    },
    3,
    {"task": "trec", "metric": "accuracy", "backbone": "minilm-l6", "train_size": 9, "layers_total": 3},
)


def judged(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    (cell,) = Experiment.load(experiment(tmp_path, {"seed": choice(0)})).cells()
    metrics = {
        "task": "trec",
        "metric": "accuracy",
        "backbone": "minilm-l6",
        "train_size": 9,
        "layers": [2],
        "layers_total": 3,
        "scores": {"0": 0.1, "1": 0.9, "2": 0.5},
        **changes,
    }
    return dict(record_of("run", cell, RunOutcome(metrics), TRUTH).metrics or {})


def test_the_truth_judges_runs_of_its_space(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert found["regret"] == pytest.approx(0.05)
    assert found["kendall_tau"] == pytest.approx(1.0)
    assert "kendall_tau" not in judged(tmp_path, scores=None)
    without_first = {"1": 0.9, "2": 0.5}
    shut, learned = {"0": 0.0, "1": 0.6, "2": 0.5}, {"0": 1e-9, "1": 0.6, "2": 0.5}
    assert judged(tmp_path, scores=without_first, gates=shut)["kendall_tau"] == pytest.approx(1.0)
    assert "kendall_tau" not in judged(tmp_path, scores=without_first, gates=learned)


@pytest.mark.parametrize(
    "other",
    [
        {"task": "sst2"},
        {"metric": "f1"},
        {"layers": [0, 1]},
        {"layers_total": 4},
        {"train_size": 8},
        {"backbone": "x"},
        {"kinds": ["free"]},
    ],
)
def test_the_truth_is_silent_about_other_runs(tmp_path: Path, other: dict[str, Any]) -> None:
    assert "regret" not in judged(tmp_path, **other)


# The experiments that come with the project


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nnictl_takes_a_shipped_experiment_and_tries_the_same_grid(path: Path) -> None:
    config = ExperimentConfig.load(str(path))
    config.validate()
    loaded = Experiment.load(path)
    assert loaded.config.resolve().is_file()
    cells = loaded.cells()
    # NNI has nothing that ends a finished grid but this
    assert config.max_trial_number == len(cells)
    tuner = GridSearchTuner()
    tuner.update_search_space(config.search_space)
    tried = [flat(tuner.generate_parameters()) for _ in cells]
    for parameters, cell in zip(tried, cells, strict=True):
        assert parameters["seed"] == cell.config.seed
        assert cell.values.items() <= parameters.items()


def test_the_comparison_is_of_strategies_at_one_budget() -> None:
    cells = Experiment.load(HERE / "compare.yml").cells()
    assert {cell.group for cell in cells} == {
        "spt_darts",
        "darts",
        "gumbel_darts",
        "one_shot_random",
        "random",
        "evolution",
        "manual",
    }
    assert {cell.config.seed for cell in cells} == {0, 1, 2, 3, 4}
    assert len({cell.config.search.budget_flops for cell in cells}) == 1
    assert cells[0].config.search.budget_flops is not None


VARIED: dict[str, list[Any]] = {
    "bilevel": [True, False],
    "derivation": ["top_k", "ablation", "pruned"],
    "lambda": [0.0, 0.1, 0.3, 1.0, 3.0, 10.0],
    "layers": [1, 2, 4, 6],
    "mask_probability": [0.1, 0.3, 0.5, 0.7, 0.9],
    "phm_order": [1, 2, 4, 8, 16],
    "pooler": ["average", "max", "first", "attention"],
    "prompt_length": [1, 5, 10, 20, 50],
}


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_varies_one_key_over_five_seeds(path: Path) -> None:
    values = VARIED[path.stem]
    cells = Experiment.load(path).cells()
    assert len(cells) == 5 * len(values)
    assert len({key for cell in cells for key in cell.values}) == 1
    assert [next(iter(cell.values.values())) for cell in cells[::5]] == values
    # each value makes another run of it
    assert len({cell.config.model_dump_json(exclude={"name", "seed"}) for cell in cells}) == len(values)


def test_every_ablation_is_there() -> None:
    assert {path.stem for path in ABLATIONS} == set(VARIED)


@pytest.mark.nni
def test_what_nnictl_ran_is_read_in(tmp_path: Path, in_process: list[str]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    strategies = choice(
        {"_name": "manual", "search.manual_layers": choice([0])},
        {"_name": "random", "search.evaluations": choice(1), "search.k": choice(1)},
    )
    path = experiment(tmp_path, {"search.strategy": strategies, "seed": choice(0)})
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["trialCommand"] += f" --runs {tmp_path / 'runs'}"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    with NniExperiment(path, environment={"HOME": str(home)}) as running:
        *_, trials = running.watch(240)
    assert [trial.status for trial in trials] == ["SUCCEEDED", "SUCCEEDED"]
    folder = tmp_path / "runs" / running.id
    left = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    best = max(trials, key=lambda trial: trial.result or 0.0)
    assert f"# trial {best.number} ({best.id})" in (folder / "best.yml").read_text(encoding="utf-8")
    for trial in trials:
        metrics = json.loads((folder / trial.id / "metrics.json").read_text(encoding="utf-8"))
        assert trial.result == metrics["dev_metric"]
        assert trial.curve == pytest.approx([metrics["dev_metric"]])
        log = (trial.log / "trial.log").read_text(encoding="utf-8")
        assert f"layers: {metrics['layers'][0]} of 0 to 3" in log
        assert f"{folder / 'report.html'}" in log and f"spt run {folder / 'best.yml'}" in log
    done = spt("compare", path, "--folder", folder)
    assert done.exit_code == 0, done.output
    assert in_process == []
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["records"][0]["metrics"]["layers"] == [0]
    assert results["records"] == left["records"]
