"""The configuration: all errors at once, the closest key, tasks, and what earlier versions wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.config import RunConfig, checked, from_stored, load_config
from experiments.run.folder import RunFolder
from spt.errors import InputError
from spt.tasks import TASKS, get_task
from tests.support.config_files import config_file, refusal
from tests.support.runs import tiny_config


def test_every_problem_is_told_at_once() -> None:
    tree = {
        "sed": 3,
        "task": {"name": "custom", "lable": "y"},
        "search": {"k": 0, "strategy": "dart", "candidates": [1, "x"]},
        "training": {"epochs": "many", "learnig_rate": 1},
        "prompt": {"dropout": 1.5},
        "data": {"shots_per_class": 4, "shots_total": 9},
        "backbone": [],
    }
    head, *lines = refusal(tree)
    assert head == "10 problems in run.yml:"
    wanted = [
        "sed: there is no such key. Did you mean 'seed'?",
        "task.lable: there is no such key. Did you mean 'label'?",
        "search.k: ",
        "search.strategy: ",
        "search.candidates.1: ",
        "training.epochs: ",
        "training.learnig_rate: there is no such key. Did you mean 'learning_rate'?",
        "prompt.dropout: ",
        "data: shots_per_class = 4 and shots_total = 9",
        "backbone: ",
    ]
    for start in wanted:
        assert sum(line.strip().startswith(start) for line in lines) == 1, start


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"search": {"k": 0}}, r"search.k: Input should be greater than or equal to 1 (given: 0)"),
        ({"head": {"kind": "linear"}}, "'label_vectors' or 'text_to_text' (given: 'linear')"),
        ({"zzz": 1}, "zzz: there is no such key. Known: name, seed,"),
        ({"search": {"zzz": 1}}, "search.zzz: there is no such key. Known: strategy, budget_flops, k,"),
        (
            {"task": {"hub": {"name": "x", "tran": "y"}}},
            "task.hub.tran: there is no such key. Did you mean 'train'?",
        ),
        ({"task": "trek"}, "task: Unknown task 'trek'. Did you mean 'trec'?"),
        ({"task": {"name": "sst22"}}, "task: Unknown task 'sst22'. Did you mean 'sst2'?"),
        ({"task": {"name": 5}}, "task: Unknown task '5'."),
        ({"task": {"name": ["a"]}}, "task: Unknown task"),
        ({"task": 5}, "task: "),
        ({"task": None}, "task: "),
        ({"task": {"label_words": ["a"], "labels": ["x", "y"]}}, "label_words has 1 words, but labels has 2"),
        ({"name": ".."}, "name: "),
        ({"name": "a/b"}, "name: "),
        ({"seed": -1}, "seed: "),
        ({"cache_gb": 0}, "cache_gb: "),
        ({"search": None}, "search: "),
        (
            {"search": {"strategy": "spt_darts", "warmup_epochs": 4}},
            "warmup_epochs is 4, but must be less than epochs (4)",
        ),
    ],
    ids=str,
)
def test_a_problem_names_key_value_and_what_is_allowed(tree: dict[str, Any], line: str) -> None:
    lines = refusal(tree)
    assert lines[0] == "1 problem in run.yml:"
    assert line in lines[1]


def test_a_task_is_a_name_or_its_fields() -> None:
    assert load_config(None).task == get_task("trec")
    assert checked({"task": "sst2"}, "x").task == get_task("sst2")
    changed = checked({"task": {"name": "sst2", "metric": "f1"}}, "x").task
    assert changed == get_task("sst2", metric="f1")
    assert changed != get_task("sst2")
    own = checked({"task": {"text": "question", "label": "kind"}}, "x").task
    assert (own.name, own.text, own.label) == ("custom", "question", "kind")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_survives_the_config_file(name: str) -> None:
    config = checked({"task": name}, "x")
    assert checked(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"))), "x") == config


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(config_file(tmp_path, "# nothing\n")) == load_config(None) == RunConfig()


def test_the_memory_cache_of_earlier_versions_is_refused_with_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cache: 'memory' is not a mode any more.* Use auto, disk or off"):
        load_config(config_file(tmp_path, "cache: memory\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "must be a mapping"),
        (b"just text", "must be a mapping"),
        (b"a: [1\n", "cannot be read"),
        (b"name: \xff\xfe\n", "cannot be read"),
        (b"!!python/object/apply:os.getcwd []\n", "cannot be read"),
    ],
)
def test_a_file_that_is_no_config_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"The config '.*run\.yml' {message}"):
        load_config(path)


@pytest.mark.parametrize("name", ["missing.yml", ""])
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / name)


def test_a_stored_configuration_may_be_older_than_some_options() -> None:
    search = {"strategy": "darts", "manual_layers": [], "layers": 3, "consistency": 2.0}
    assert from_stored({"search": search}).search.model_dump(exclude_unset=True) == {
        "strategy": "darts",
        "k": 3,
    }
    with pytest.raises(ValueError, match="zzz"):
        from_stored({"search": {"zzz": 1}})


def test_a_warmup_that_was_asked_for_is_not_cut() -> None:
    with pytest.raises(InputError, match=r"set search\.warmup_epochs to 0 or less"):
        load_config(None, {"search.strategy": "darts", "search.epochs": 1, "search.warmup_epochs": 1})


def test_the_config_of_a_runs_folder_is_a_config(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    with RunFolder(tmp_path / "run").claimed(config):
        pass
    path = tmp_path / "run" / "config.yml"
    assert {"run", "versions", "machine"} <= yaml.safe_load(path.read_text(encoding="utf-8")).keys()
    assert load_config(path) == config
    assert load_config(path, {"seed": 3}) == config.model_copy(update={"seed": 3})
