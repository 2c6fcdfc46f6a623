"""The grid of an nnictl file: what NNI's grid search tries, with names for people and for folders."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.comparing.experiment_file import Experiment, grid
from experiments.config import checked
from experiments.nested_choices import flat
from experiments.run.folder import RunFolder
from spt.errors import InputError

MANUAL = {"strategy": "manual", "manual_layers": [1]}


def choice(*values: Any) -> dict[str, Any]:
    return {"_type": "choice", "_value": list(values)}


def experiment(folder: Path, space: dict[str, Any], **config: Any) -> Experiment:
    (folder / "config.yml").write_text(yaml.safe_dump({"name": "base", **config}), encoding="utf-8")
    settings = {
        "experimentName": "mine",
        "searchSpace": space,
        "trialCommand": "python3 -m experiments.trial --config config.yml",
        "trialCodeDirectory": ".",
    }
    path = folder / "experiment.yml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return Experiment.load(path)


STRATEGIES = choice(
    {"_name": "spt_darts"},
    {"_name": "manual", "search.manual_layers": choice("input", [1, 2])},
)


def test_nested_choices_are_tried_only_where_they_belong() -> None:
    found = [flat(parameters) for parameters in grid({"search.strategy": STRATEGIES, "seed": choice(0, 1)})]
    manual = {"search.strategy": "manual"}
    assert found == [
        {"search.strategy": "spt_darts", "seed": 0},
        {"search.strategy": "spt_darts", "seed": 1},
        {**manual, "search.manual_layers": "input", "seed": 0},
        {**manual, "search.manual_layers": "input", "seed": 1},
        {**manual, "search.manual_layers": [1, 2], "seed": 0},
        {**manual, "search.manual_layers": [1, 2], "seed": 1},
    ]


def test_cells_have_groups_conditions_and_their_configuration(tmp_path: Path) -> None:
    space = {"search.strategy": STRATEGIES, "task": choice("trec", "sst2"), "seed": choice(3)}
    cells = experiment(tmp_path, space).cells()
    assert [(cell.group, cell.condition) for cell in cells] == [
        ("spt_darts", "trec"),
        ("spt_darts", "sst2"),
        ("manual (manual_layers=input)", "trec"),
        ("manual (manual_layers=input)", "sst2"),
        ("manual (manual_layers=1+2)", "trec"),
        ("manual (manual_layers=1+2)", "sst2"),
    ]
    last = cells[-1]
    assert last.config.seed == 3 and last.config.task.name == "sst2"
    assert last.config.search.manual_layers == (1, 2)
    assert last.values == {"search.strategy": "manual", "search.manual_layers": [1, 2]}
    names = [cell.config.name for cell in cells]
    assert len(set(names)) == len(names)
    assert names[0] == "spt_darts-trec-seed3"


def test_inner_values_are_named_only_where_they_tell_groups_apart(tmp_path: Path) -> None:
    strategies = choice({"_name": "spt_darts"}, {"_name": "manual", "search.manual_layers": choice("all")})
    cells = experiment(tmp_path, {"search.strategy": strategies}).cells()
    assert [cell.group for cell in cells] == ["spt_darts", "manual"]


def test_several_keys_name_themselves(tmp_path: Path) -> None:
    cells = experiment(tmp_path, {"search.k": choice(1), "prompt.length": choice(5, 9)}).cells()
    assert [cell.group for cell in cells] == ["k=1, length=5", "k=1, length=9"]


def test_keys_are_named_as_long_as_tells_them_apart(tmp_path: Path) -> None:
    space = {"training.epochs": choice(3), "search.epochs": choice(1, 2), "search.k": choice(2)}
    cells = experiment(tmp_path, space, search={"strategy": "darts"}).cells()
    assert [cell.group for cell in cells] == [
        "training.epochs=3, search.epochs=1, k=2",
        "training.epochs=3, search.epochs=2, k=2",
    ]


def test_seeds_alone_compare_nothing_but_the_strategy(tmp_path: Path) -> None:
    cells = experiment(tmp_path, {"seed": choice(0, 1)}).cells()
    assert [cell.group for cell in cells] == ["gradient", "gradient"]


def test_backbones_are_conditions(tmp_path: Path) -> None:
    space = {"search.k": choice(1), "backbone.name": choice("minilm-l6", "some/model")}
    assert [cell.condition for cell in experiment(tmp_path, space).cells()] == [
        "trec on minilm-l6",
        "trec on model",
    ]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["some/model", "other/model"], ["some/model", "other/model"]),
        (["some/model", "other/model", "other/net"], ["some/model", "other/model", "net"]),
        (["hub/a/model", "hub/b/model", "model"], ["a/model", "b/model", "model"]),
    ],
)
def test_backbones_of_one_name_are_told_apart_by_their_folders(
    names: list[str], shown: list[str], tmp_path: Path
) -> None:
    cells = experiment(tmp_path, {"backbone.name": choice(*names), "seed": choice(0, 1)}).cells()
    assert [cell.condition for cell in cells[::2]] == [f"trec on {name}" for name in shown]


def test_choices_of_one_task_are_told_apart_by_what_they_differ_in(tmp_path: Path) -> None:
    same = choice("all")
    tasks = choice(
        {"_name": "trec", "data.train_size": choice(100, 200), "data.dev_size": choice(50)},
        {"_name": "sst2", "data.train_size": choice(100), "search.manual_layers": same},
    )
    cells = experiment(tmp_path, {"task": tasks}, search=MANUAL).cells()
    assert [(cell.group, cell.condition) for cell in cells] == [
        ("manual", "trec (train_size=100)"),
        ("manual", "trec (train_size=200)"),
        ("manual", "sst2"),
    ]
    assert [cell.config.name for cell in cells[:2]] == [
        "manual-trec-train_size-100-seed0",
        "manual-trec-train_size-200-seed0",
    ]


def test_choices_of_one_backbone_are_told_apart_by_what_they_differ_in(tmp_path: Path) -> None:
    backbones = choice({"name": "a/model"}, {"name": "a/model", "attention": "eager"})
    cells = experiment(tmp_path, {"backbone": backbones}).cells()
    assert [(cell.group, cell.condition) for cell in cells] == [
        ("gradient", "trec on model"),
        ("gradient", "trec on model (attention=eager)"),
    ]


def test_a_task_may_vary_by_its_name_alone(tmp_path: Path) -> None:
    cells = experiment(tmp_path, {"task.name": choice("trec", "sst2")}).cells()
    assert [(cell.group, cell.condition) for cell in cells] == [("gradient", "trec"), ("gradient", "sst2")]


@pytest.mark.parametrize(
    ("space", "key"),
    [
        ({"seed": choice({"_name": 0, "training.epochs": choice(1, 2)})}, "training.epochs"),
        ({"search.manual_layers": choice([1, 2], "1+2")}, "search.manual_layers"),
        ({"data.train": choice(None, "None")}, "data.train"),
    ],
)
def test_runs_that_would_look_alike_are_refused(space: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"would both be .* with seed 0, but differ in {key}\. Give"):
        experiment(tmp_path, space, search=MANUAL).cells()


def test_folder_names_stay_apart_where_values_look_alike(tmp_path: Path) -> None:
    cells = experiment(tmp_path, {"data.train": choice("a/b.csv", "a b.csv")}).cells()
    assert len({cell.config.name for cell in cells}) == 2
    again = experiment(tmp_path, {"data.train": choice("a b.csv", "a/b.csv")}).cells()
    assert {cell.config.name for cell in cells} == {cell.config.name for cell in again}


def test_folder_names_of_long_values_are_cut_and_stay_apart(tmp_path: Path) -> None:
    long = "The text is ä " * 20
    space = {"task.template": choice(*(f"{long}{{text}} {word} {{mask}}" for word in ("It was", "I was")))}
    names = [cell.config.name for cell in experiment(tmp_path, space, head={"kind": "verbalizer"}).cells()]
    assert len(set(names)) == 2
    assert all(len(name.encode()) < 120 and name.isprintable() for name in names)


def test_a_value_that_is_written_in_several_ways_is_one_choice(tmp_path: Path) -> None:
    space = {"search.k": choice(2, 2.0, 1), "seed": choice(0, 1)}
    cells = experiment(tmp_path, space).cells()
    assert [(cell.group, cell.config.seed) for cell in cells] == [("2", 0), ("2", 1), ("1", 0), ("1", 1)]
    given = experiment(tmp_path, {"seed": choice(0)}).cells({"training.learning_rate": [1.0, 1, 1e-3]})
    assert [cell.group for cell in given] == ["1.0", "0.001"]
    # YAML takes 1e-3 for text
    texts = {"training.learning_rate": choice("1e-3", 0.001, 0.01), "seed": choice(0, "0")}
    cells = experiment(tmp_path, texts).cells()
    assert [(cell.group, cell.config.training.learning_rate) for cell in cells] == [
        ("1e-3", 0.001),
        ("0.01", 0.01),
    ]
    (cell,) = experiment(tmp_path, {"task": choice("trec", {"name": "trec"})}).cells()
    assert cell.condition == "trec"
    inner = choice({"_name": "exhaustive", "search.evaluations": choice(4.0, 4)}, {"_name": "spt_darts"})
    assert len(experiment(tmp_path, {"search.strategy": inner}).cells()) == 2
    # a truth value may be another configuration than its number
    assert list(grid({"any": choice(1, True, 0, False)})) == [{"any": each} for each in (1, True, 0, False)]


def test_groups_that_are_one_configuration_are_refused_by_both_names(tmp_path: Path) -> None:
    strategies = choice({"_name": "darts"}, {"_name": "darts", "search.k": choice(2, 3)})
    twice = r"'darts' on 'trec' and 'darts \(k=2\)' on 'trec' are the same configuration with seed 4, .*Leave"
    with pytest.raises(InputError, match=twice):
        experiment(tmp_path, {"search.strategy": strategies, "seed": choice(4)}).cells()


def test_overrides_change_the_base_and_narrow_what_varies(tmp_path: Path) -> None:
    space = {"search.strategy": STRATEGIES, "seed": choice(0, 1)}
    found = experiment(tmp_path, space).cells(
        {"search.strategy": "spt_darts", "seed": [5, 6, 7], "search.epochs": 9}
    )
    assert [(cell.group, cell.config.seed, cell.config.search.epochs) for cell in found] == [
        ("spt_darts", seed, 9) for seed in (5, 6, 7)
    ]
    with pytest.raises(InputError, match=r"'search.strategy' is \['darts'\], but .* 'spt_darts', 'manual'"):
        experiment(tmp_path, space).cells({"search.strategy": "darts"})


PLAIN = choice({"name": "custom", "metric": "f1"}, {"name": "custom", "metric": "f1", "text": "body"})


def test_choices_may_be_plain_mappings(tmp_path: Path) -> None:
    cells = experiment(tmp_path, {"task": PLAIN, "prompt.length": choice(5)}).cells()
    assert [cell.config.task.text for cell in cells] == ["text", "body"]
    assert [cell.condition for cell in cells] == ["custom", "custom (text=body)"]
    # a key of the run that is neither task nor backbone names its groups by what the mappings hold
    space = {"search.engine": choice({"kind": "ray"}, {"kind": "ray", "cpus": 2})}
    cells = experiment(tmp_path, space, search={"strategy": "random"}).cells()
    assert [cell.group for cell in cells] == ["kind=ray", "kind=ray, cpus=2"]


def test_an_override_takes_the_place_of_plain_mappings(tmp_path: Path) -> None:
    for override, names in (("sst2", ["sst2"]), ([{"name": "trec"}, "mr"], ["trec", "mr"])):
        cells = experiment(tmp_path, {"task": PLAIN, "prompt.length": choice(5)}).cells({"task": override})
        assert [cell.config.task.name for cell in cells] == names


@pytest.mark.parametrize("override", [["spt_darts", ["manual"]], {"_name": "manual"}, [{}], None])
def test_an_override_of_named_choices_must_name_them(override: Any, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"'search.strategy' is .*, but the experiment has 'spt_darts', 'man"
    ):
        experiment(tmp_path, {"search.strategy": STRATEGIES}).cells({"search.strategy": override})


@pytest.mark.parametrize(
    "spec", [None, 3, ["a"], {}, {"_type": "choice"}, {"_type": "choice", "_value": "a"}]
)
def test_a_key_without_choices_is_refused_with_an_override_too(spec: Any, tmp_path: Path) -> None:
    for overrides in ({}, {"seed": 1}):
        with pytest.raises(InputError, match="'seed' in the search space is"):
            experiment(tmp_path, {"seed": spec}).cells(overrides)


def test_runs_of_different_metrics_are_not_ranked_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"runs on 'trec' have the metrics accuracy, f1.*one value"):
        experiment(tmp_path, {"task.metric": choice("f1", "accuracy")}, task="trec").cells()
    space = {"task": choice("sst2", "cola"), "prompt.length": choice(5, 9)}
    assert len(experiment(tmp_path, space).cells()) == 4


def test_options_over_the_base_go_to_the_strategies_that_read_them(tmp_path: Path) -> None:
    space = {"search.strategy": choice("darts", "random", "evolution")}
    cells = experiment(tmp_path, space).cells({"search.epochs": 9, "search.evaluations": 7})
    read = [cell.config.search.model_dump(exclude_unset=True) for cell in cells]
    assert read == [
        {"strategy": "darts", "epochs": 9},
        {"strategy": "random", "evaluations": 7},
        {"strategy": "evolution", "evaluations": 7},
    ]
    with pytest.raises(
        InputError, match=r"'search\.patience' is read by spt_darts, but .* only darts, evolution"
    ):
        experiment(tmp_path, space).cells({"search.patience": 2})


def test_options_varied_beside_the_strategy_must_be_read_by_all(tmp_path: Path) -> None:
    space = {"search.strategy": choice("darts", "random"), "search.epochs": choice(2, 3)}
    with pytest.raises(InputError, match=r"search\.epochs: the strategy random does not read it"):
        experiment(tmp_path, space).cells()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"x": {"_type": "uniform", "_value": [0, 1]}}, "'x' in the search space is .*comparison needs"),
        ({"x": choice()}, "at least one value"),
        ({"x": choice({"_name": "a"}, "b")}, "either all choices have a _name"),
        ({"x": choice({"_name": "a", "y": 3})}, "'y' in the search space is 3"),
    ],
)
def test_spaces_that_are_no_grid_are_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(grid(space))


def run_file(folder: Path, **config: Any) -> Path:
    path = folder / "my.yml"
    path.write_text(yaml.safe_dump({"name": "my", **config}), encoding="utf-8")
    return path


def test_lists_over_a_run_are_choices(tmp_path: Path) -> None:
    experiment = Experiment.load(run_file(tmp_path, search={"strategy": "spt_darts", "consistency": 2.0}))
    assert experiment.name == "my-compare"
    cells = experiment.cells(
        {"search.strategy": ["spt_darts", "random"], "seed": [0, 1], "search.evaluations": 3}
    )
    assert [(cell.group, cell.config.seed) for cell in cells] == [
        ("spt_darts", 0),
        ("spt_darts", 1),
        ("random", 0),
        ("random", 1),
    ]
    assert cells[0].config.search.consistency == 2.0 and cells[-1].config.search.evaluations == 3


@pytest.mark.parametrize(
    ("key", "value", "groups"),
    [
        ("search.manual_layers", [0, 1], ["manual"]),
        ("search.manual_layers", [[0, 1], [2]], ["0+1", "2"]),
        ("search.manual_layers", ["input", "all"], ["input", "all"]),
        ("task.labels", ["a", "b"], ["manual"]),
    ],
)
def test_a_list_for_a_key_that_takes_lists_is_its_value(
    tmp_path: Path, key: str, value: list[Any], groups: list[str]
) -> None:
    cells = Experiment.load(run_file(tmp_path, search=MANUAL)).cells({key: value, "seed": [0]})
    assert [cell.group for cell in cells] == groups


def test_a_list_varies_a_key_of_an_nnictl_file_too(tmp_path: Path) -> None:
    cells = experiment(tmp_path, {"seed": choice(0)}).cells({"data.train_size": [10, 20]})
    assert [cell.config.data.train_size for cell in cells] == [10, 20]


def test_the_config_of_a_runs_folder_can_be_compared(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").claimed(checked({"name": "my"}, "the test")):
        pass
    experiment = Experiment.load(tmp_path / "run" / "config.yml")
    assert experiment.name == "my-compare"
    assert len(experiment.cells({"seed": [0, 1]})) == 2


def test_one_run_alone_compares_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is one run.*seed=\[0, 1, 2\]"):
        Experiment.load(run_file(tmp_path)).cells({"seed": 3})


def test_a_value_that_no_configuration_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"search\.k.*greater than or equal to 1"):
        experiment(tmp_path, {"search.k": choice(0)}).cells()


@pytest.mark.parametrize("text", ["", "[]", "nam: x", "trialCommand: python3 x\nsearchSpace: {}", "{"])
def test_a_file_that_is_no_experiment_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "experiment.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"experiment\.yml"):
        Experiment.load(path)


def test_a_grid_of_too_many_runs_is_refused_before_they_are_made(tmp_path: Path) -> None:
    space = {f"training.{name}": choice(*range(1, 101)) for name in ("epochs", "batch_size", "patience")}
    with pytest.raises(InputError, match=r"more than 10,000 runs.*fewer choices"):
        experiment(tmp_path, {**space, "seed": choice(*range(100))}).cells()
