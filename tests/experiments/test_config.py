"""The configuration: all errors at once, the closest key, overrides, tasks, and the schema as YAML."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from experiments.comparing.truth import TREC
from experiments.config import RunConfig, checked, from_stored, load_config
from experiments.keys import as_arguments, for_strategy, override, parse_overrides, schema_lines
from experiments.run.folder import RunFolder
from spt.errors import InputError
from spt.tasks import TASKS, get_task
from strategies.options import (
    DEFAULT,
    OPTIONS,
    EvolutionOptions,
    GradientOptions,
    RandomOptions,
    SptDartsOptions,
)
from tests.support.runs import tiny_config


def refusal(tree: dict[str, Any]) -> list[str]:
    """The lines of the error a tree gets."""
    with pytest.raises(InputError) as error:
        checked(tree, "run.yml")
    return str(error.value).splitlines()


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yml"
    path.write_text(text, encoding="utf-8")
    return path


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
    assert load_config(write(tmp_path, "# nothing\n")) == load_config(None) == RunConfig()


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "task: sst2\nsearch:\n  strategy: spt_darts\n  k: 3\n  epochs: 7\n")
    overrides = parse_overrides(
        ["search.k=4", "prompt.dropout=0.2", "task.metric=f1", "search.candidates=[0, 3, 4, 5]"]
    )
    config = load_config(path, overrides)
    assert (config.search.k, config.search.epochs, config.prompt.dropout) == (4, 7, 0.2)
    assert config.search.candidates == (0, 3, 4, 5)
    assert config.task == get_task("sst2", metric="f1")


def test_the_memory_cache_of_earlier_versions_is_refused_with_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cache: 'memory' is not a mode any more.* Use auto, disk or off"):
        load_config(write(tmp_path, "cache: memory\n"))


def test_off_is_not_false(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "cache: off\n")).cache == "off"
    assert load_config(None, parse_overrides(["cache=off"])).cache == "off"
    with pytest.raises(InputError, match="cache"):
        load_config(None, {"cache": True})


def test_overrides_are_read_as_yaml() -> None:
    pairs = ["a=1", "b=1e-3", "c=1.0e-3", "d=[1, 2]", "e=null", "f=yes", "g=x=y", "h=", "i='1'"]
    assert parse_overrides(pairs) == {
        "a": 1,
        "b": "1e-3",
        "c": 0.001,
        "d": [1, 2],
        "e": None,
        "f": True,
        "g": "x=y",
        "h": None,
        "i": "1",
    }
    assert load_config(None, parse_overrides(["training.learning_rate=1e-3"])).training.learning_rate == 1e-3


def test_overrides_can_be_given_again() -> None:
    overrides = {"a": 1, "b": [1, 2], "c": {"name": "it's"}, "d": None, "e": 0.001, "f": "x=y z"}
    assert parse_overrides(shlex.split(as_arguments(overrides))) == overrides
    assert as_arguments({"search.k": 4}) == " search.k=4"
    assert as_arguments({}) == ""


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]+(\.[a-z_]+)*", fullmatch=True),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
            max_leaves=4,
        ),
        max_size=3,
    )
)
@example({"training.learning_rate": 1e-05})
def test_overrides_are_read_back_equal(overrides: dict[str, Any]) -> None:
    assert parse_overrides(shlex.split(as_arguments(overrides))) == overrides


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["search.k", "seed=1", "x"], "must read key=value, but got 'search.k', 'x'"),
        (["search.k=[1"], r"value of 'search\.k' is not YAML: \[1\. Put quotes"),
    ],
)
def test_a_wrong_override_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_overrides(pairs)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"search.layer": 4}, "search.layer: there is no such key. Did you mean 'k'"),
        ({"serch.layers": 4}, "serch: there is no such key. Did you mean 'search'"),
        ({"seed.x": 4}, "'seed.x' goes into 'seed', which is not a section"),
    ],
)
def test_an_override_of_an_unknown_key_is_refused(
    overrides: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        load_config(write(tmp_path, "seed: 2\n"), overrides)
    assert message in str(error.value)


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


def test_an_option_of_another_strategy_is_refused_with_those_that_read_it() -> None:
    lines = refusal({"search": {"strategy": "random", "epochs": 4, "evaluation": 3, "engine": {"cpu": 1}}})
    assert lines[0] == "3 problems in run.yml:"
    assert lines[1] == "  search.engine.cpu: there is no such key. Did you mean 'cpus'?"
    assert lines[2].startswith(
        "  search.epochs: the strategy random does not read it, spt_darts, darts, gumbel_darts, "
        "one_shot_random do. Remove it, or change search.strategy. Known: strategy, budget_flops, k,"
    )
    assert lines[3] == "  search.evaluation: there is no such key. Did you mean 'evaluations'?"


def test_layers_chosen_by_hand_must_be_given_and_may_be_none() -> None:
    with pytest.raises(
        InputError, match=r"manual_layers is missing; name layers, .* or give \[\] to train a"
    ):
        load_config(None, {"search.strategy": "manual"})
    head = load_config(None, {"search.strategy": "manual", "search.manual_layers": []})
    assert head.search.manual_layers == ()
    # as a run's folder keeps it
    assert checked(head.model_dump(mode="json"), "config.yml") == head


def test_all_errors_of_a_search_are_found_though_its_strategy_is_unknown() -> None:
    lines = refusal({"search": {"strategy": "evolutoin", "population": 1, "epochs": 3}})
    assert lines[0] == "3 problems in run.yml:"
    assert "Unknown strategy 'evolutoin'. Did you mean 'evolution'?" in lines[1]
    assert "search.population: " in lines[2]
    assert "search.epochs: the strategy evolution does not read it" in lines[3]


@pytest.mark.parametrize("name", [None, 3, ["random"], {"a": 1}], ids=str)
def test_a_strategy_that_is_no_name_is_refused(name: Any, tmp_path: Path) -> None:
    assert "search.strategy: Unknown strategy" in refusal({"search": {"strategy": name}})[1]
    with pytest.raises(InputError, match=r"search\.strategy: Unknown strategy"):
        load_config(write(tmp_path, "search: {epochs: 3}\n"), {"search.strategy": name})


def test_an_option_beside_or_over_the_strategy_must_be_one_that_it_reads(tmp_path: Path) -> None:
    path = write(tmp_path, "search: {strategy: random}\n")
    for place in ({"search.epochs": 3}, {"search.strategy": "random", "search.epochs": 3}):
        with pytest.raises(InputError, match=r"search\.epochs: the strategy random does not read it"):
            load_config(path, place)
    with pytest.raises(InputError, match=r"search\.engine: the strategy gradient does not read it"):
        load_config(None, {"search.engine.kind": "ray"})


def test_a_place_that_names_the_strategy_drops_the_options_of_others_below_it(tmp_path: Path) -> None:
    path = write(tmp_path, "search: {k: 3, epochs: 7, budget_flops: 1.0e+12}\n")
    assert load_config(path, {"search.strategy": "random"}).search == RandomOptions(k=3, budget_flops=1e12)
    # the command line is below the rows of a grid
    row = {"search.strategy": "evolution", "search.population": 4}
    found = load_config(path, {"search.patience": 2, "search.evaluations": 5}, row)
    assert found.search == EvolutionOptions(k=3, budget_flops=1e12, evaluations=5, population=4)
    same = load_config(path, {"search.population": 2}, {"search.strategy": "spt_darts"})
    assert same.search == SptDartsOptions(k=3, epochs=7, budget_flops=1e12)


def test_a_place_that_names_the_strategy_drops_nothing_that_no_strategy_reads(tmp_path: Path) -> None:
    path = write(tmp_path, "search: {epochz: 7}\n")
    with pytest.raises(InputError, match=r"search\.epochz: there is no such key"):
        load_config(path, {"search.strategy": "random"})
    with pytest.raises(InputError, match=r"(?s)2 problem.*Did you mean 'random'.*search\.epochz"):
        load_config(path, {"search.strategy": "randon"})


def test_dotted_keys_for_many_runs_are_cut_to_what_a_strategy_reads() -> None:
    keys = {"seed": 1, "search.epochs": 2, "search.engine.cpus": 2, "search.k": 3, "search.layers": 3}
    assert for_strategy(keys, "manual") == {"seed": 1}
    assert for_strategy(keys, "random").keys() == {"seed", "search.engine.cpus", "search.k", "search.layers"}


def test_layers_is_read_as_the_old_name_of_k(tmp_path: Path) -> None:
    path = write(tmp_path, "search: {layers: 3}\n")
    assert load_config(path).search == GradientOptions(k=3)
    assert load_config(path, {"search.k": 4}).search == GradientOptions(k=4)
    assert load_config(write(tmp_path, "search: {k: 3}\n"), {"search.layers": 4}).search == GradientOptions(
        k=4
    )
    tree: dict[str, Any] = {"run": {"search": {"k": 3}}}
    override(tree, {"run.search.layers": 4})
    assert tree == {"run": {"search": {"k": 4}}}


def test_k_under_both_names_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "search: {layers: 3, k: 3}\n")
    with pytest.raises(InputError, match="layers is the old name of k, but both are given; remove layers"):
        load_config(path)
    with pytest.raises(InputError, match=r"search\.layers"):
        load_config(None, {"search.layers": 3, "search.k": 3})
    with pytest.raises(InputError, match="strategy manual does not read it"):
        load_config(None, {"search.strategy": "manual", "search.layers": 3})


# what earlier versions wrote into a run's config.yml: the options of all strategies
STORED = json.loads(TREC.read_text(encoding="utf-8"))["run"]


@pytest.mark.parametrize("strategy", OPTIONS)
def test_a_stored_configuration_of_an_earlier_version_is_read(strategy: str, tmp_path: Path) -> None:
    search = {**STORED["search"], "strategy": strategy, "population": 9, "layers": 3, "evaluations": 40}
    config = from_stored({**STORED, "search": search})
    assert type(config.search) is OPTIONS[strategy]
    wanted = {
        name: value for name, value in {**search, "k": 3}.items() if name in OPTIONS[strategy].model_fields
    }
    # an option that is newer has its default
    assert config.search.model_dump(mode="json") == {**OPTIONS[strategy]().model_dump(mode="json"), **wanted}
    assert from_stored(config.model_dump(mode="json")) == config
    # the files that such a version wrote for `spt run`, best.yml of a study among them
    path = write(tmp_path, yaml.safe_dump({**STORED, "search": search}))
    assert load_config(path) == config


def test_a_stored_configuration_may_be_older_than_some_options() -> None:
    search = {"strategy": "darts", "manual_layers": [], "layers": 3, "consistency": 2.0}
    assert from_stored({"search": search}).search.model_dump(exclude_unset=True) == {
        "strategy": "darts",
        "k": 3,
    }
    with pytest.raises(ValueError, match="zzz"):
        from_stored({"search": {"zzz": 1}})


def test_the_schema_shows_the_options_of_other_strategies_as_comments() -> None:
    lines = list(schema_lines(RunConfig))
    start = lines.index("  # read by random, evolution, exhaustive:")
    assert lines[start + 1].startswith("  # evaluations: 16  # ")
    assert lines[start + 2 : start + 4][0] == "  # engine:"
    assert lines[start + 3].startswith("  #   kind: sequential  # ")
    start = lines.index("  # read by spt_darts, darts, gumbel_darts:")
    assert lines[start + 1].startswith("  # gate_learning_rate: 0.05  # ")
    assert [line[:6] for line in lines if line.startswith("  k: ")] == ["  k: 2"]
    assert sum(line.lstrip(" #").startswith("strategy: ") for line in lines) == 1


def leaves(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Dotted keys of a config with their descriptions, the task as one."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "search":
            for options in OPTIONS.values():
                found |= leaves(options, "search.")
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and name != "task":
            found |= leaves(kind, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = field.description or ""
    return found


def test_the_schema_is_a_config_of_the_defaults_with_every_key_explained() -> None:
    lines = list(schema_lines(RunConfig))
    text = "\n".join(lines)
    assert checked(yaml.safe_load(text), "schema") == RunConfig()
    for key, description in leaves(RunConfig).items():
        name = key.rpartition(".")[2]
        assert description, key
        assert any(line.lstrip(" #").startswith(f"{name}: ") and description in line for line in lines), key
    for name in TASKS:
        assert name in text


def test_no_option_is_in_the_config_without_a_doc_or_of_two_minds() -> None:
    """A dumped config is read back as the same one."""
    config = RunConfig()
    assert checked(config.model_dump(mode="json"), "x") == config
    assert all(leaves(RunConfig).values())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    k=st.integers(1, 24),
    seed=st.integers(0, 10**9),
    rate=st.floats(1e-9, 10),
    candidates=st.none() | st.lists(st.integers(0, 24), max_size=4),
    dropout=st.floats(0, 0.99),
)
def test_any_config_survives_yaml(
    k: int, seed: int, rate: float, candidates: list[int] | None, dropout: float
) -> None:
    tree = {
        "seed": seed,
        "search": {"strategy": "darts", "k": k, "candidates": candidates, "gate_learning_rate": rate},
        "prompt": {"dropout": dropout},
    }
    config = checked(tree, "x")
    assert checked(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"))), "x") == config
    assert config.search.gate_learning_rate == rate


@pytest.mark.parametrize("value", ["2024-13-45", "9" * 5000, '!!int ""', "[" * 20_000])
def test_what_yaml_cannot_make_a_value_of_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(f"seed: {value}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.yml' cannot be read"):
        load_config(path)
    with pytest.raises(InputError, match=r"'seed' is not YAML.* Put quotes around it"):
        parse_overrides([f"seed={value}"])


@pytest.mark.parametrize(
    "override",
    [{"seed": 10**14}, {"threads": 10**20}, {"cache_gb": float("inf")}, {"training.batch_size": 10**20}],
    ids=str,
)
def test_numbers_that_no_machine_has_are_refused(override: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="less than or equal to"):
        load_config(None, override)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: {name: custom, labels: [no, yes]}", r"task\.labels: .*put it in quotes .given: .False, True"),
        ("task: {name: custom, labels: [1, 2]}", r"task\.labels\.0: .*given: 1.; put it in quotes"),
        ("training: {epochs: true}", r"training\.epochs: true and false are no number"),
        ("name: run\nseed: 1\nname: b", "line 3: the key 'name' is there twice, first in line 1"),
        ("task: {name: custom, text: on}", r"task\.text: .*put it in quotes"),
    ],
)
def test_words_that_yaml_takes_for_something_else_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"(?s){said}") as caught:
        load_config(write(tmp_path, text))
    # a default that was to follow from the wrong value is no problem of its own
    assert "default" not in str(caught.value).lower()


def test_labels_in_quotes_are_labels(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "task: {name: custom, labels: ['no', 'yes']}"))
    assert config.task.labels == ("no", "yes")


@pytest.mark.parametrize("strategy", ["spt_darts", "darts", "gumbel_darts", "one_shot_random"])
def test_a_search_of_one_epoch_needs_no_other_option(tmp_path: Path, strategy: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text("name: short\n", encoding="utf-8")
    config = load_config(path, {"search.epochs": 1, "search.strategy": strategy})
    assert config.search.epochs == 1
    assert load_config(path, {"search.strategy": "spt_darts"}).search.warmup_epochs == 1


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


def test_without_a_section_search_the_strategy_is_the_default_one() -> None:
    strategies = {checked(tree, "it").search.strategy for tree in ({}, {"search": {}}, {"search": {"k": 1}})}
    assert strategies == {DEFAULT}
