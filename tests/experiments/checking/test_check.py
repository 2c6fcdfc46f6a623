"""`spt check`: every problem of config and data at once, and what was seen."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from experiments.checking.check import Check, check_file
from experiments.cli import app
from experiments.comparing.grid import run_grid
from experiments.config import load_config
from experiments.pipeline import run
from experiments.run.data_report import check_data, report_data
from experiments.run.training import load_workbench
from spt.backbones import registry
from spt.data.encoded.cuts import cut_shares
from spt.errors import InputError
from tests.support.runs import tiny_config
from tests.support.tiny import tiny_tree


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny backbone and data."""
    folder = tmp_path_factory.mktemp("check")
    tiny_tree(folder)
    return folder


def config(folder: Path, home: Path, **sections: Any) -> Path:
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(tiny_tree(home, **sections)), encoding="utf-8")
    return path


def rows(path: Path, *lines: tuple[str, str]) -> str:
    content = [("text", "label"), *lines]
    path.write_text("".join(f"{text},{label}\n" for text, label in content), encoding="utf-8")
    return str(path)


def words(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def test_a_good_config_has_no_problem_and_says_what_it_saw(home: Path, tmp_path: Path) -> None:
    path = config(tmp_path, home)
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 0, result.output
    assert "No problem." in result.stdout
    seen = json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)
    (data,) = seen["data"]
    assert seen["problems"] == [] and seen["runs"] == 1
    assert {split: report["rows"] for split, report in data["splits"].items()} == {
        "train": 120,
        "dev": 20,
        "test": 20,
    }
    assert sum(data["splits"]["train"]["classes"].values()) == 120
    assert {report["cut"] for report in data["splits"].values()} == {0.0}


def test_problems_of_config_backbone_and_data_are_listed_together(home: Path, tmp_path: Path) -> None:
    train = rows(tmp_path / "train.csv", *[("it was fine", "a"), ("it was dull", "b"), ("", "b")] * 9)
    dev = rows(tmp_path / "dev.csv", ("the plot", "c"), ("the film", ""))
    path = config(
        tmp_path,
        home,
        task={"label_words": None},
        data={"train": train, "dev": dev, "dev_size": None, "max_length": 99},
        search={"k": 9},
    )
    check = check_file(path, {})
    for said in (
        "train.*is empty in 9 rows: 3",
        "dev.*is empty in row 2",
        "max_length is 99.*at most 32",
        "budget is 9",
    ):
        assert any(_matches(said, problem) for problem in check.problems), (said, check.problems)
    # what can be seen is shown all the same
    wrong = CliRunner().invoke(app, ["check", str(path), "training.epochs=0", "serch.k=2"])
    assert wrong.exit_code == 2
    for said in ("training.epochs", "serch", "is empty in 9 rows"):
        assert said in wrong.stdout


def test_a_misspelt_key_hides_no_other_problem(home: Path, tmp_path: Path) -> None:
    wrong = {
        "serch.k": 2,
        "prompt.lenght": 3,
        "training.epochs": 0,
        "training.class_weights": {"bda": 2},
        "search.k": 9,
        "answers": {"coverage": 0.5, "min_accuracy": 0.9},
        "task.text_pair": "reply",
        "data.windows": True,
    }
    pairs = tmp_path / "pairs.csv"
    pd.read_csv(home / "data.csv").assign(reply="so it was").to_csv(pairs, index=False)
    problems = words(check_file(config(tmp_path, home, data={"train": str(pairs)}), wrong).problems)
    for said in (
        "serch: there is no such key",
        "Did you mean 'length'",
        "training.epochs: ",
        "Unknown class 'bda'",
        "budget is 9",
        "coverage = 0.5",
        "\ndata.windows is",
    ):
        assert said in problems, (said, problems)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"prompt.phm_order": 3}, "PHM order is 3, but it must divide the layer's sizes 32 and 8"),
        ({"prompt.bottleneck": 7}, "must divide the layer's sizes 32 and 7"),
        (
            {"prompt.generator": "free", "search.kinds": ["generated_offset"], "prompt.phm_order": 3},
            "order is 3",
        ),
        ({"head.kind": "verbalizer", "task.label_words": ["superlative", "great"]}, "word 'superlative' "),
        ({"head.kind": "verbalizer", "task.label_words": None}, "needs a label word for each class"),
        ({"head.kind": "text_to_text"}, "is no encoder-decoder"),
        ({"head.kind": "verbalizer", "data.max_length": 4}, "leaves no room for a text"),
        ({"task.template": "{text} {prompt} {mask}"}, "has 1 times {prompt}, but prompt.place is front"),
    ],
    ids=str,
)
def test_what_a_run_refuses_of_its_model_is_a_problem(
    keys: dict[str, Any], said: str, home: Path, tmp_path: Path
) -> None:
    path = config(tmp_path, home, search={"strategy": "random"})
    problems = check_file(path, keys).problems
    assert len(problems) == 1 and said in problems[0], problems
    with pytest.raises(InputError) as refused:
        run(load_config(path, keys), tmp_path / "run")
    assert problems[0] in str(refused.value)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"strategy": "exhaustive", "evaluations": 2}, "would train 6 subsets of layers"),
        (
            {"strategy": "random", "kinds": ["free"], "lengths": [6], "most_parameters": 10},
            "most_parameters is 10, but",
        ),
        (
            {"strategy": "probe", "k": 2, "least_distance": 4},
            "least_distance is 4, but no 2 of the candidate",
        ),
    ],
    ids=str,
)
def test_what_a_run_refuses_of_its_space_is_a_problem(
    search: dict[str, Any], said: str, home: Path, tmp_path: Path
) -> None:
    path = config(tmp_path, home, search={"k": 2, **search})
    (problem,) = check_file(path, {}).problems
    assert said in problem
    with pytest.raises(InputError) as refused:
        run(load_config(path), tmp_path / "run")
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"search.budget_flops": 1}, "budget_flops is 1, but spt_darts needs up to"),
        ({"search.strategy": "gradient", "search.budget_flops": 1e6}, "but gradient needs up to"),
        ({"cache": "disk", "cache_gb": 1e-9}, "Raise cache_gb"),
    ],
    ids=str,
)
def test_what_a_run_refuses_of_its_sizes_is_a_problem(
    keys: dict[str, Any], said: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, home)
    with pytest.raises(InputError, match=said) as refused:
        run(load_config(path, keys), tmp_path / "run")
    enough = {**keys, "search.budget_flops": 1e15, "cache_gb": 1}
    monkeypatch.setattr(registry, "load_backbone", None)
    assert check_file(path, keys).problems == (str(refused.value),)
    assert check_file(path, enough).problems == ()
    # for what is wrong otherwise no rows are encoded
    assert "budget_flops" not in words(check_file(path, {**keys, "search.k": 9}).problems)


def test_problems_of_head_prompt_and_lengths_are_listed_together(home: Path, tmp_path: Path) -> None:
    wrong = {"prompt.phm_order": 3, "head.kind": "text_to_text", "data.max_length": 99, "search.k": 9}
    problems = words(check_file(config(tmp_path, home), wrong).problems)
    for said in ("order is 3", "no encoder-decoder", "at most 32", "budget is 9"):
        assert said in problems


@pytest.mark.parametrize("key", ["task.lable", "data.trian", "dta", "data.train"])
def test_other_rows_than_were_meant_are_not_looked_at(key: str, home: Path, tmp_path: Path) -> None:
    check = check_file(config(tmp_path, home), {key: 5, "search.k": 9})
    assert check.data == () and len(check.problems) == 2
    assert "budget is 9" in check.problems[1]


def test_layers_of_another_backbone_than_was_meant_are_not_judged(home: Path, tmp_path: Path) -> None:
    check = check_file(config(tmp_path, home), {"backbone.nmae": "x", "search.k": 99})
    assert len(check.problems) == 1 and check.data[0].data.splits["train"].rows == 120


def _matches(pattern: str, text: str) -> bool:
    first, *rest = pattern.split(".*")
    return first in text and all(part in text for part in rest)


def test_what_is_odd_about_the_rows_is_told(home: Path, tmp_path: Path) -> None:
    plain = [
        (f"the film was {word} {n}", label)
        for n in range(30)
        for word, label in (("fine", "a"), ("dull", "b"))
    ]
    train = rows(
        tmp_path / "train.csv",
        *plain,
        ("the film was fine 0", "a"),
        ("the film was fine 1", "b"),
        ("so", "c"),
    )
    dev = rows(
        tmp_path / "dev.csv", ("the film was fine 0", "a"), ("the film was dull 3", "b"), ("very dull", "b")
    )
    path = config(
        tmp_path,
        home,
        task={"label_words": None},
        data={"train": train, "dev": dev, "dev_size": None, "max_length": 6},
    )
    check = check_file(path, {})
    assert check.problems == ()
    notes = words(check.notes)
    assert "train: text and label stand in an earlier row too, in row 61" in notes
    assert "train: the text has another label in an earlier row, in row 62" in notes
    assert "have texts that are in dev too" in notes
    assert "hard to learn: c (1)" in notes
    (data,) = check.data
    # [CLS] is not added by this tokenizer; five words fit
    assert data.cut("dev") == 0.0 and check_file(path, {"data.max_length": 4}).data[0].cut("dev") == 2 / 3


@pytest.mark.parametrize("head", ["classification", "verbalizer"])
def test_as_many_texts_are_cut_as_the_run_cuts(head: str, home: Path, tmp_path: Path) -> None:
    path = config(tmp_path, home, head={"kind": head}, data={"max_length": 8})
    (data,) = check_file(path, {}).data
    shares = {split: data.cut(split) for split in data.data.splits}
    assert shares == cut_shares(load_workbench(load_config(path)).examples) and shares["train"]


def test_a_training_that_does_not_suit_its_rows_is_told(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    tree = {key: value for key, value in tiny_tree(home).items() if key != "training"}
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    suits = "train has 120 rows, and the defaults suit many: training.contrastive_steps=25 suits so few."
    assert suits in check_file(path, {}).notes
    assert not [note for note in check_file(path, {"training.epochs": 3}).notes if "suits" in note]
    unread = check_file(path, {"training.epochs": 3, "training.contrastive_steps": 2}).notes
    assert "training.epochs is set but not read" in words(unread)


def test_options_that_nothing_reads_are_told(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(tiny_tree(home)), encoding="utf-8")
    unread = check_file(path, {"prompt.generator": "naive", "prompt.pooler": "max"}).notes
    assert "prompt.pooler is set but not read: what layers get is naive" in words(unread)
    unread = check_file(path, {"search.derivation": "top_k", "search.threshold": 0.9}).notes
    assert "search.threshold is set but not read: search.derivation is top_k" in words(unread)


def test_a_misspelt_backbone_is_a_problem_and_the_data_are_checked(home: Path, tmp_path: Path) -> None:
    check = check_file(config(tmp_path, home), {"backbone.name": "minilm-l7"})
    assert any("Did you mean 'minilm-l6'" in problem for problem in check.problems)
    assert check.data[0].data.splits["train"].rows == 120 and check.data[0].cut("train") is None


def experiment(folder: Path, home: Path) -> Path:
    config(folder, home)
    path = folder / "experiment.yml"
    other = rows(folder / "other.csv", *[("it was fine", "a"), ("", "b")] * 20)
    space = {
        "data.train": {"_type": "choice", "_value": [str(home / "data.csv"), other]},
        "seed": {"_type": "choice", "_value": [0, 1]},
    }
    settings = {"searchSpace": space, "trialCommand": "python3 -m experiments.trial --config config.yml"}
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["spt.yml", "compare.yml", "tune.yml"])
def test_the_files_that_are_shipped_have_no_problem(name: str) -> None:
    # of a budget steps are counted, which take long with many rows
    small = {"training.batch_size": 2, "training.eval_batch_size": 2} if name == "compare.yml" else {}
    assert check_file(Path(__file__).parents[3] / "experiments" / name, small).problems == ()


def test_ranges_are_checked_at_both_ends(home: Path, tmp_path: Path) -> None:
    path = experiment(tmp_path, home)
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["searchSpace"] = {
        "training.learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]},
        "prompt.dropout": {"_type": "uniform", "_value": [0.0, 1.5]},
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    (problem,) = check_file(path, {}).problems
    assert problem.startswith("prompt.dropout: ") and "1.5" in problem
    settings["searchSpace"]["prompt.dropout"]["_value"] = [0.0, 0.2]
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert check_file(path, {}).problems == () and check_file(path, {}).runs == 4
    settings["searchSpace"]["prompt.dropout"]["_type"] = "normal"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert "Use 'uniform' with a range" in words(check_file(path, {}).problems)


def test_a_comparison_is_checked_on_all_its_data(home: Path, tmp_path: Path) -> None:
    check = check_file(experiment(tmp_path, home), {})
    assert check.runs == 4 and len(check.data) == 2
    assert any("other.csv" in problem for problem in check.problems)


def test_options_that_our_tuner_cannot_draw_are_a_problem(home: Path, tmp_path: Path) -> None:
    path = experiment(tmp_path, home)
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["searchSpace"] = {"search.manual_layers": {"_type": "choice", "_value": [[0], [0, 1]]}}
    drawn = {"className": "experiments.nni_trials.tuner.OptunaTuner"}
    for tuner, refused in (({"name": "GridSearch"}, False), (drawn, True)):
        path.write_text(yaml.safe_dump({**settings, "tuner": tuner}), encoding="utf-8")
        problems = words(check_file(path, {"search.strategy": "manual"}).problems)
        assert ("the option [0] is not text" in problems) == refused, problems


def test_every_choice_of_a_study_is_checked(home: Path, tmp_path: Path) -> None:
    config(tmp_path, home)
    study = tmp_path / "tune.yml"
    space = {
        "data.train": {"_type": "choice", "_value": [str(home / "data.csv"), str(home / "gone.csv")]},
        "prompt.bottleneck": {"_type": "choice", "_value": [16, 30]},
    }
    study.write_text(yaml.safe_dump({"run": "config.yml", "searchSpace": space}), encoding="utf-8")
    check = check_file(study, {"run.prompt.phm_order": 4})
    problems = words(check.problems)
    assert "gone.csv does not exist" in problems and "30" in problems and "phm_order" in problems


def test_a_study_is_checked_on_its_base_run(home: Path, tmp_path: Path) -> None:
    config(tmp_path, home)
    study = tmp_path / "tune.yml"
    space = {"search.consistency": {"_type": "uniform", "_value": [0.1, 1.0]}}
    study.write_text(yaml.safe_dump({"run": "config.yml", "searchSpace": space}), encoding="utf-8")
    assert check_file(study, {}).problems == ()
    assert "searchSpace" in words(check_file(study, {"searchSpace": {"x": 3}}).problems)


@pytest.mark.parametrize("text", ["{", "methods: {}\nconditions: {}\n", "trialCommand: x\n"])
def test_other_files_are_a_problem(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.yml"
    path.write_text(text, encoding="utf-8")
    check = check_file(path, {})
    assert isinstance(check, Check) and len(check.problems) == 1 and "other.yml" in check.problems[0]


def test_the_command_that_checks_a_bench_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "my bench.yml"
    path.write_text("methods: {}\nconditions: {}\n", encoding="utf-8")
    (problem,) = check_file(path, {}).problems
    assert shlex.split(problem.split("`")[1]) == ["python", "-m", "benchmarks", "methods", str(path)]


def test_a_comparison_refuses_all_bad_data_before_its_first_run(home: Path, tmp_path: Path) -> None:
    bad = {
        name: tiny_config(
            home, name=name, data={"train": rows(tmp_path / f"{name}.csv", ("a b", "x"), ("", "y"))}
        )
        for name in ("first", "second")
    }
    configs = {"good": tiny_config(home), **bad}
    with pytest.raises(InputError, match=r"(?s)first\.csv.*second\.csv"):
        run_grid(configs, tmp_path / "runs", workers=1)
    assert not (tmp_path / "runs").exists()


def test_the_seed_of_a_run_stands_in_its_source(home: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        (tmp_path / f"few-{seed}").mkdir()
        shutil.copy(home / "data.csv", tmp_path / f"few-{seed}" / "train.csv")
    data = {"train": None, "source": str(tmp_path / "few-{seed}")}
    check_data([tiny_config(home, data=data, seed=seed) for seed in (1, 2)])
    assert check_file(config(tmp_path, home, data=data, seed=2), {}).problems == ()
    with pytest.raises(InputError, match=r"few-3' does not exist"):
        check_data([tiny_config(home, data=data, seed=seed) for seed in (1, 3)])


def test_the_warnings_of_reading_are_kept_from_the_terminal(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = report_data(tiny_config(home))
    assert report.problems == () and caplog.records == []
