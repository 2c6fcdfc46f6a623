"""What every strategy holds to where it also chooses what each layer gets, and how long its prompt is."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from experiments import pipeline
from experiments.config import checked
from experiments.run.folder import RunFolder
from experiments.run.summary import summary
from search_spaces.prompt_layers import PROPAGATE, PromptLayerSpace
from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from strategies.budgets import budget_before_scores
from strategies.options import SCORING, ProbeOptions
from tests.support.runs import tiny_config
from tests.support.searches import BY_KIND, ONE_SHOT, SPACES, TRIALS, candidates, config, searched
from tests.support.tiny import tiny_workbench

NAMES = {
    "kinds": ("free", "generated_offset", "scaling"),
    "lengths": ("insert_2", "insert_6"),
    "parameters": ("free_2", "free_6"),
}
# one that tries every subset needs a space of few
FEW: dict[str, Any] = {"k": 1, "candidates": [1, 3], "evaluations": 6}
EVERY = list(product(SPACES, BY_KIND))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny backbone and data."""
    folder = tmp_path_factory.mktemp("conformance")
    tiny_config(folder)
    return folder


def options(space: str, name: str) -> dict[str, Any]:
    return {**SPACES[space], **(FEW if name == "exhaustive" else {})}


@pytest.fixture(scope="module")
def found(home: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What each strategy found at one go."""
    return {
        (space, name): searched(home, home / space, name, search=options(space, name))
        for space, name in EVERY
    }


@pytest.mark.parametrize(("space", "name"), EVERY)
def test_each_layer_that_is_found_gets_one_of_the_kinds(
    space: str, name: str, found: dict[tuple[str, str], dict[str, Any]], home: Path
) -> None:
    result = found[space, name]
    k = 1 if name == "exhaustive" else 2
    assert len(set(result["layers"])) == len(result["kinds"]) == k
    assert set(result["layers"]) <= ({1, 3} if space == "parameters" else {0, 1, 3})
    # two prompts of six vectors would be more than the space allows
    assert space != "parameters" or result["kinds"] != ["free_6", "free_6"]
    assert set(result["kinds"]) <= set(NAMES[space])
    written = PromptLayers.load(home / space / name / "architecture.json")
    assert (list(written.layers), list(written.kinds)) == (result["layers"], result["kinds"])
    scores = result["kind_scores"]
    assert (scores is not None) == (name in ONE_SHOT)
    for layer, of_kinds in (scores or {}).items():
        assert of_kinds.keys() == set(NAMES[space])
        # a layer counts by its best kind, or by all subsets that hold it
        assert min(of_kinds.values()) <= result["scores"][layer] <= max(of_kinds.values())
    for subset in result["front"]:
        assert len(subset["kinds"]) == len(subset["layers"]) == k
    if name not in SCORING:
        best = result["front"][-1]
        assert (best["layers"], best["kinds"]) == (result["layers"], result["kinds"])


@pytest.mark.parametrize(("space", "name"), [(space, name) for space, name in EVERY if name in TRIALS])
def test_candidates_are_distinct_and_the_best_is_taken(
    space: str, name: str, found: dict[tuple[str, str], dict[str, Any]], home: Path
) -> None:
    tried = candidates(home / space / name)
    many = (2 * len(NAMES[space])) if name == "exhaustive" else 3
    assert len(tried) == found[space, name]["evaluations"] == many
    assert len({(*each["layers"], *each["kinds"]) for each in tried}) == many
    best = max(each["dev"] for each in tried)
    result = found[space, name]
    (chosen,) = (e for e in tried if (e["layers"], e["kinds"]) == (result["layers"], result["kinds"]))
    assert chosen["dev"] == best


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.mark.slow
# one of each way: a hyper-network, and trained candidates
@pytest.mark.parametrize("name", ["spt_darts", "evolution"])
def test_a_killed_search_goes_on_and_finds_the_same(
    name: str, found: dict[tuple[str, str], dict[str, Any]], home: Path, tmp_path: Path
) -> None:
    told: list[int] = []

    def on_epoch(stage: str, epoch: int, dev: float) -> None:  # noqa: ARG001
        told.append(epoch)
        if len(told) == 2:
            raise Killed

    run = config(home, name, search=options("kinds", name))
    with pytest.raises(Killed), pipeline.claimed(run, RunFolder(tmp_path / name), on_epoch) as stages:
        stages.search()
    assert searched(home, tmp_path, name, search=options("kinds", name)) == found["kinds", name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one_shot_random", "evolution"])
def test_a_budget_in_flops_is_kept_and_fewer_layers_may_be_found(
    name: str, home: Path, tmp_path: Path
) -> None:
    search = {**options("kinds", name), "lengths": [2, 6], "exactly": False, "budget_flops": 6e8}
    metrics = pipeline.run(config(home, name, search=search), tmp_path / "run")
    assert 1 <= len(metrics.layers) == len(metrics.kinds) <= 2
    assert metrics.total_flops <= 6e8
    with pytest.raises(InputError, match=r"budget_flops is 1e\+06, but .* needs up to"):
        pipeline.run(config(home, name, search={**search, "budget_flops": 1e6}), tmp_path / "poor")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spt_darts", "darts"])
def test_the_generators_of_the_search_are_those_of_the_kinds_that_are_kept(
    name: str, home: Path, tmp_path: Path
) -> None:
    search = {**SPACES["kinds"], "inherit": True, "k": 3, "candidates": None, "derivation": "top_k"}
    metrics = pipeline.run(config(home, name, search=search), tmp_path / "run")
    saved = load_file(tmp_path / "run" / "search" / "inherited.safetensors")
    chosen = PromptLayers.of(metrics.layers, 4, metrics.kinds)
    model = PromptClassifier.from_pretrained(tmp_path / "run" / "model").model
    names = {name for name, _ in model.named_parameters() if name.startswith(("choices", "head"))}
    assert saved.keys() == names
    assert PromptClassifier.from_pretrained(tmp_path / "run" / "model").architecture == chosen


@pytest.mark.slow
def test_a_run_tells_what_each_layer_got_wherever_it_tells_layers(home: Path, tmp_path: Path) -> None:
    manual = {"manual_layers": {1: "generated_offset_3", 2: "scaling", 3: "insert"}}
    metrics = pipeline.run(config(home, "manual", search=manual), tmp_path / "run")
    assert metrics.layers == (1, 2, 3)
    assert metrics.kinds == ("generated_offset_3", "scaling", "insert")
    text = "1 (generated + offset, 3 vectors), 2 (scaling), 3"
    assert summary(tmp_path / "run")["layers"] == f"{text} of 0 to 3"
    assert text in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert text in (tmp_path / "run" / "model" / "README.md").read_text("utf-8")
    content = json.loads((tmp_path / "run" / "architecture.json").read_text("utf-8"))
    assert content == {"layers": [1, 2, 3], "total": 4, "kinds": ["generated_offset_3", "scaling", "insert"]}
    assert pipeline.run(config(home, "manual", search=manual), tmp_path / "run") == metrics
    again = {"manual_layers": str(tmp_path / "run" / "architecture.json")}
    same = pipeline.run(config(home, "manual", search=again), tmp_path / "again")
    assert (same.layers, same.kinds, same.dev_metric) == (metrics.layers, metrics.kinds, metrics.dev_metric)


def test_the_report_of_a_search_shows_the_scores_of_each_kind(home: Path, tmp_path: Path) -> None:
    pipeline.run(config(home, "spt_darts", search=SPACES["kinds"]), tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    for title in ("free", "generated + offset", "scaling"):
        assert f"score of {title}" in page


@pytest.mark.parametrize("name", [*SCORING, "manual"])
@pytest.mark.parametrize("option", [{"kinds": ["free"]}, {"lengths": [3]}], ids=str)
def test_strategies_that_know_layers_alone_name_those_that_choose_kinds(
    name: str, option: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as error:
        checked({"search": {"strategy": name, **option}}, "the test")
    assert all(other in str(error.value) for other in BY_KIND)


@pytest.mark.parametrize("strategy", ["manual", "spt_darts"])
def test_a_kind_that_the_section_does_not_fit_is_refused_before_anything_is_written(
    strategy: str, home: Path, tmp_path: Path
) -> None:
    search = {"manual_layers": {1: "insert_4"}} if strategy == "manual" else {"lengths": [4]}
    with pytest.raises(
        InputError, match=r"'insert_4' gives a layer 4 vectors, but prompt\.generator is scaling"
    ):
        pipeline.search(
            config(home, strategy, search=search, prompt={"generator": "scaling", "bottleneck": 8}),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["spt_darts", "evolution"])
def test_parameters_that_pay_for_nothing_are_refused_with_the_least_that_would(
    name: str, home: Path, tmp_path: Path
) -> None:
    search = {"kinds": ["free", "generated"], "most_parameters": 100}
    with pytest.raises(InputError, match=r"most_parameters is 100, but .* k=2 .* at least 192\."):
        pipeline.search(config(home, name, search=search), tmp_path / "run")
    found = pipeline.search(config(home, name, search={**search, "most_parameters": 192}), tmp_path / "run")
    assert found.kinds == ("free", "free")
    with pytest.raises(InputError, match=r"prompt\.shared is true"):
        pipeline.search(
            config(home, name, search={**search, "kinds": ["generated"]}, prompt={"shared": True}),
            tmp_path / "shared",
        )


@pytest.mark.parametrize("rule", ["top_k", "ablation", "pruned", "threshold"])
@pytest.mark.parametrize("weight", [0.0, 1e6])
def test_every_derivation_stays_within_the_parameters(
    rule: str, weight: float, home: Path, tmp_path: Path
) -> None:
    search = {
        **SPACES["parameters"],
        "most_operations": 1,
        "derivation": rule,
        "exactly": rule != "threshold",
        "threshold": 0.01,
        "cost_weight": 0 if rule == "threshold" else weight,
        "epochs": 1,
    }
    result = searched(home, tmp_path, "darts", search=search)
    assert sum({"free_2": 64, "free_6": 192}[kind] for kind in result["kinds"]) <= 300
    assert len(result["layers"]) == 2
    assert result["layers"] == [1, 3] or not weight or rule == "threshold"


@pytest.mark.parametrize("name", ["gradient", "spt_darts", "random", "probe"])
def test_operations_leave_the_layers_that_cost_no_more(name: str, home: Path, tmp_path: Path) -> None:
    search = {"candidates": None, "k": 1, "most_operations": 0.5, "epochs": 1}
    assert set(searched(home, tmp_path, name, search=search)["layers"]) <= {2, 3}
    with pytest.raises(
        InputError, match=r"most_operations is 0\.4, which leaves 1 .* Set it to 0\.5 or more"
    ):
        searched(home, tmp_path / "poor", name, search={**search, "k": 2, "most_operations": 0.4})


@pytest.mark.parametrize("name", SCORING)
def test_layers_so_far_apart_are_chosen_by_their_scores(name: str, home: Path, tmp_path: Path) -> None:
    for distance, possible in {2: [[0, 2], [0, 3], [1, 3]], 3: [[0, 3]]}.items():
        search = {"candidates": None, "least_distance": distance}
        found = searched(home, tmp_path / str(distance), name, search=search)
        assert found["layers"] in possible
        assert all(subset["layers"] in possible for subset in found["front"])
    message = r"least_distance is 4, but no 2 of .*\[0, 1, 2, 3\] are so far apart\. Set it to 3 or less"
    with pytest.raises(InputError, match=message):
        searched(home, tmp_path / "poor", name, search={**search, "least_distance": 4})


def test_a_distance_that_scored_candidates_may_not_have_is_refused_before_they_are_scored() -> None:
    options = ProbeOptions(k=2, candidates_by="gradient:3", least_distance=2)
    assert budget_before_scores(12, options).k == 2
    message = r"least_distance is 3, but no 2 of the 3 that search\.candidates_by leaves need be so far apart"
    with pytest.raises(InputError, match=rf"{message}\. Set it to 2 or less, leave more candidates"):
        budget_before_scores(12, options.model_copy(update={"least_distance": 3}))
    with pytest.raises(InputError, match="Set it to 11 or less"):
        budget_before_scores(12, ProbeOptions(k=2, least_distance=10**6))


def test_candidates_that_cost_too_much_are_not_scored(home: Path, tmp_path: Path) -> None:
    search = {"candidates": None, "k": 1, "most_operations": 0.5, "candidates_by": "gradient:1", "epochs": 1}
    searched(home, tmp_path, "one_shot_random", search=search)
    scored = json.loads((tmp_path / "one_shot_random" / "search" / "layer_scores.json").read_text("utf-8"))
    assert scored["scores"].keys() == {"2", "3"}


def test_the_space_is_a_choice_a_layer_of_propagate_and_every_kind_with_every_length(tmp_path: Path) -> None:
    run = checked(
        {
            "search": {
                "strategy": "darts",
                "k": 1,
                "candidates": [1],
                "kinds": ["free", "scaling"],
                "lengths": [2, 5],
            }
        },
        "the test",
    )
    budget = budget_before_scores(4, run.search)
    space = PromptLayerSpace(tiny_workbench(tmp_path).factory, budget)
    assert space.choices[1].names == [PROPAGATE, "free_2", "free_5", "scaling"]
    assert budget.num_subsets == 3
