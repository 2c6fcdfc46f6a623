"""The options of a search: those that its strategy reads, where they are set, and what k was called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.comparing.truth import TREC
from experiments.config import RunConfig, checked, from_stored, load_config
from experiments.keys import for_strategy, override
from spt.errors import InputError
from spt.prompts.config import PromptConfig
from spt.training.config import TrainingConfig
from strategies.options import (
    DEFAULT,
    OPTIONS,
    EvolutionOptions,
    GradientOptions,
    RandomOptions,
    SptDartsOptions,
)
from tests.support.config_files import config_file, refusal


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
        load_config(config_file(tmp_path, "search: {epochs: 3}\n"), {"search.strategy": name})


def test_an_option_beside_or_over_the_strategy_must_be_one_that_it_reads(tmp_path: Path) -> None:
    path = config_file(tmp_path, "search: {strategy: random}\n")
    for place in ({"search.epochs": 3}, {"search.strategy": "random", "search.epochs": 3}):
        with pytest.raises(InputError, match=r"search\.epochs: the strategy random does not read it"):
            load_config(path, place)
    with pytest.raises(InputError, match=r"search\.engine: the strategy gradient does not read it"):
        load_config(None, {"search.engine.kind": "ray"})


def test_a_place_that_names_the_strategy_drops_the_options_of_others_below_it(tmp_path: Path) -> None:
    path = config_file(tmp_path, "search: {k: 3, epochs: 7, budget_flops: 1.0e+12}\n")
    assert load_config(path, {"search.strategy": "random"}).search == RandomOptions(k=3, budget_flops=1e12)
    # the command line is below the rows of a grid
    row = {"search.strategy": "evolution", "search.population": 4}
    found = load_config(path, {"search.patience": 2, "search.evaluations": 5}, row)
    assert found.search == EvolutionOptions(k=3, budget_flops=1e12, evaluations=5, population=4)
    same = load_config(path, {"search.population": 2}, {"search.strategy": "spt_darts"})
    assert same.search == SptDartsOptions(k=3, epochs=7, budget_flops=1e12)


def test_a_place_that_names_the_strategy_drops_nothing_that_no_strategy_reads(tmp_path: Path) -> None:
    path = config_file(tmp_path, "search: {epochz: 7}\n")
    with pytest.raises(InputError, match=r"search\.epochz: there is no such key"):
        load_config(path, {"search.strategy": "random"})
    with pytest.raises(InputError, match=r"(?s)2 problem.*Did you mean 'random'.*search\.epochz"):
        load_config(path, {"search.strategy": "randon"})


def test_dotted_keys_for_many_runs_are_cut_to_what_a_strategy_reads() -> None:
    keys = {"seed": 1, "search.epochs": 2, "search.engine.cpus": 2, "search.k": 3, "search.layers": 3}
    assert for_strategy(keys, "manual") == {"seed": 1}
    assert for_strategy(keys, "random").keys() == {"seed", "search.engine.cpus", "search.k", "search.layers"}


def test_layers_is_read_as_the_old_name_of_k(tmp_path: Path) -> None:
    path = config_file(tmp_path, "search: {layers: 3}\n")
    assert load_config(path).search == GradientOptions(k=3)
    assert load_config(path, {"search.k": 4}).search == GradientOptions(k=4)
    assert load_config(
        config_file(tmp_path, "search: {k: 3}\n"), {"search.layers": 4}
    ).search == GradientOptions(k=4)
    tree: dict[str, Any] = {"run": {"search": {"k": 3}}}
    override(tree, {"run.search.layers": 4})
    assert tree == {"run": {"search": {"k": 4}}}


def test_k_under_both_names_is_refused(tmp_path: Path) -> None:
    path = config_file(tmp_path, "search: {layers: 3, k: 3}\n")
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
    path = config_file(tmp_path, yaml.safe_dump({**STORED, "search": search}))
    assert load_config(path) == config


def test_options_that_a_user_writes_out_leave_the_others_at_their_defaults(tmp_path: Path) -> None:
    written = {
        "search": GradientOptions().model_dump(exclude={"least_distance"}),
        "prompt": PromptConfig().model_dump(exclude={"zero_start", "token_offset"}),
        "training": TrainingConfig().model_dump(exclude={"prompt_rate", "generator_rate"}),
    }
    assert load_config(config_file(tmp_path, yaml.safe_dump(written))) == RunConfig()
    over = {f"{section}.{key}": value for section, keys in written.items() for key, value in keys.items()}
    assert load_config(None, over) == RunConfig()


def test_a_whole_file_that_an_earlier_version_wrote_has_what_it_meant(tmp_path: Path) -> None:
    tree = RunConfig().model_dump(mode="json")
    for section, later in (
        ("search", ["least_distance"]),
        ("prompt", ["zero_start", "token_offset"]),
        ("training", ["prompt_rate", "generator_rate"]),
    ):
        tree[section] = {key: value for key, value in tree[section].items() if key not in later}
    config = load_config(config_file(tmp_path, yaml.safe_dump(tree)))
    assert isinstance(config.search, GradientOptions) and config.search.least_distance == 1
    assert (config.prompt.zero_start, config.prompt.token_offset) == (False, False)
    assert (config.training.prompt_rate, config.training.generator_rate) == (None, None)
    assert from_stored(tree) == config


@pytest.mark.parametrize("strategy", ["spt_darts", "darts", "gumbel_darts", "one_shot_random"])
def test_a_search_of_one_epoch_needs_no_other_option(tmp_path: Path, strategy: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text("name: short\n", encoding="utf-8")
    config = load_config(path, {"search.epochs": 1, "search.strategy": strategy})
    assert config.search.epochs == 1
    assert load_config(path, {"search.strategy": "spt_darts"}).search.warmup_epochs == 1


def test_without_a_section_search_the_strategy_is_the_default_one() -> None:
    strategies = {checked(tree, "it").search.strategy for tree in ({}, {"search": {}}, {"search": {"k": 1}})}
    assert strategies == {DEFAULT}
