"""What every strategy of the registry holds to, on real trainings of the tiny backbone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nni.nas.strategy.base import Strategy

from experiments import pipeline
from experiments.config import checked
from experiments.run import training
from experiments.run.folder import RunFolder
from spt.errors import InputError, TrialFailed
from strategies.options import OPTIONS, SCORING
from strategies.registry import STRATEGIES, new_strategy
from tests.support.runs import tiny_config
from tests.support.searches import (
    ONE_SHOT,
    SEARCHED,
    TRAINED,
    TRIALS,
    all_searched,
    candidates,
    config,
    searched,
)

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny backbone and data."""
    folder = tmp_path_factory.mktemp("conformance")
    tiny_config(folder)
    return folder


@pytest.fixture(scope="module")
def found(home: Path) -> dict[str, Any]:
    """What each strategy found at one go."""
    return all_searched(home, home / "whole")


def test_every_strategy_is_made_of_its_options() -> None:
    assert list(STRATEGIES) == list(OPTIONS)
    for name, kind in STRATEGIES.items():
        given = {"manual_layers": [0]} if name == "manual" else {}
        options = checked({"search": {"strategy": name, **given}}, "the test").search
        assert type(options) is OPTIONS[name]
        strategy = new_strategy(options, seed=3)
        assert isinstance(strategy, Strategy)
        assert type(strategy) is kind
        assert strategy.options is options


@pytest.mark.parametrize("name", STRATEGIES)
def test_exactly_k_layers_are_found(name: str, found: dict[str, Any]) -> None:
    layers = found[name]["layers"]
    assert len(set(layers)) == 2
    assert set(layers) <= {0, 1, 3}


@pytest.mark.parametrize("name", TRAINED)
def test_what_dev_chose_is_on_the_front(name: str, found: dict[str, Any]) -> None:
    assert found[name]["layers"] == found[name]["front"][-1]["layers"]


@pytest.mark.parametrize("name", TRIALS)
def test_candidates_are_valid_distinct_and_no_more_than_allowed(
    name: str, found: dict[str, Any], home: Path
) -> None:
    tried = candidates(home / "whole" / name)
    assert len(tried) == found[name]["evaluations"] == 3
    assert len({tuple(candidate["layers"]) for candidate in tried}) == 3
    best = max(candidate["dev"] for candidate in tried)
    (chosen,) = (c for c in tried if c["layers"] == found[name]["layers"])
    assert chosen["dev"] == best


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHED)
def test_fewer_layers_may_be_found(name: str, home: Path, tmp_path: Path) -> None:
    evaluations = 3 if name == "exhaustive" else 2
    search = {"exactly": False, "candidates": [2, 3], "evaluations": evaluations, "epochs": 1}
    rule = {"derivation": "threshold", "threshold": 0.99} if name in ONE_SHOT else {}
    if rule and name != "one_shot_random":
        rule["warmup_epochs"] = 0
    layers = searched(home, tmp_path, name, search={**search, **rule})["layers"]
    assert 1 <= len(layers) <= 2
    assert set(layers) <= {2, 3}
    if rule and name != "one_shot_random":
        assert len(layers) == 1


@pytest.mark.slow
def test_another_process_finds_the_same(found: dict[str, Any], home: Path, tmp_path: Path) -> None:
    program = (
        "import json, sys; from pathlib import Path; from tests.support.searches import all_searched; "
        "print('FOUND', json.dumps(all_searched(Path(sys.argv[1]), Path(sys.argv[2]))))"
    )
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(home), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    (line,) = (line for line in process.stdout.splitlines() if line.startswith("FOUND "))
    assert json.loads(line.removeprefix("FOUND ")) == found


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SEARCHED if name != "exhaustive"])
def test_another_seed_finds_something_else(
    name: str, found: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    other = searched(home, tmp_path, name, seed=1)
    if name in TRIALS:
        assert candidates(tmp_path / name) != candidates(home / "whole" / name)
    else:
        parts = ("layers", "scores", "gates")
        assert [other[part] for part in parts] != [found[name][part] for part in parts]


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_killed_search_goes_on_and_finds_the_same(
    name: str, found: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    told: list[tuple[str, int]] = []

    def on_epoch(stage: str, epoch: int, dev: float) -> None:  # noqa: ARG001
        told.append((stage, epoch))
        if len(told) == 2:
            raise Killed

    # the second epoch of a hyper-network, or the second candidate
    folder = RunFolder(tmp_path / name)
    with pytest.raises(Killed), pipeline.claimed(config(home, name), folder, on_epoch) as stages:
        stages.search()
    with pipeline.claimed(config(home, name), folder, on_epoch) as stages:
        stages.search()
    assert searched(home, tmp_path, name) == found[name]
    assert len(told) == 2 + (1 if name in ONE_SHOT else 2)
    ledger = "ledger.json"
    assert (tmp_path / name / ledger).read_text() == (home / "whole" / name / ledger).read_text()


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"k": 5, "manual_layers": "every_0"},
            "budget is 5 prompt layers, but must be from 1 to 3|names no",
        ),
        ({"budget_flops": 1e6}, r"budget_flops is 1e\+06, but .* needs up to"),
    ],
    ids=["layers", "flops"],
)
def test_an_impossible_budget_is_refused(
    name: str, search: dict[str, Any], message: str, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        pipeline.search(config(home, name, search=search), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_budget_in_flops_ends_the_search_early_and_is_kept(
    name: str, found: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    training = json.loads((home / "whole" / "random" / "ledger.json").read_text())["entries"]
    dearest = max(entry["flops"] for entry in training)
    # of the multi-trial ones it pays some candidates; of the one-shot ones half of the search
    allowed = 2.6 * dearest if name in TRIALS else 0.5 * found[name]["search_flops"] + 2.4 * dearest
    metrics = pipeline.run(config(home, name, search={"budget_flops": allowed}), tmp_path / name)
    assert metrics.total_flops <= allowed
    assert len(metrics.layers) == 2
    if name in TRIALS:
        assert 1 <= metrics.evaluations < 3
    else:
        assert 0 < metrics.search_steps < found[name]["search_steps"]
    ledger = json.loads((tmp_path / name / "ledger.json").read_text())
    assert ledger["total_flops"] == metrics.total_flops == metrics.search_flops + metrics.train_flops
    assert ledger["budget_flops"] == allowed
    # a search that was killed after its last step is not trained further
    (tmp_path / name / "architecture.json").unlink()
    again = pipeline.search(config(home, name, search={"budget_flops": allowed}), tmp_path / name)
    assert again.layers == metrics.layers
    assert json.loads((tmp_path / name / "ledger.json").read_text()) == ledger


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["off", "disk"])
@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_budget_that_hardly_pays_a_search_is_kept(
    name: str, cache: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    search = {"candidates": [2, 3], "k": 1}
    with pytest.raises(InputError) as refused:
        pipeline.run(
            config(home, name, cache=cache, search={**search, "budget_flops": 1.0}), tmp_path / "poor"
        )
    needed = re.search(r"needs up to (\S+) for", str(refused.value))
    assert needed is not None
    # it is told with three digits
    budget = 1.006 * float(needed[1])
    paid = config(home, name, cache=cache, search={**search, "budget_flops": budget})
    metrics = pipeline.run(paid, tmp_path / "paid")
    assert metrics.search_steps > 0 and metrics.total_flops <= budget


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "evolution", "exhaustive", "one_shot_random", "spt_darts"])
def test_any_seed_is_one(name: str, home: Path, tmp_path: Path) -> None:
    pruned = {"derivation": "pruned"} if name == "spt_darts" else {}
    assert searched(home, tmp_path, name, seed=5_000_000_000, search=pruned)["layers"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORING)
def test_scores_take_no_training_and_are_charged(name: str, home: Path, tmp_path: Path) -> None:
    allowed = json.loads((home / "whole" / name / "ledger.json").read_text())["total_flops"] * 1e3
    metrics = pipeline.run(config(home, name, search={"budget_flops": allowed}), tmp_path / name)
    assert (metrics.search_steps, metrics.evaluations) == (0, 0)
    assert metrics.scores is not None
    assert set(metrics.scores) == {0, 1, 3}
    assert 0 < metrics.search_flops < metrics.train_flops
    assert metrics.total_flops == metrics.search_flops + metrics.train_flops


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spt_darts", "one_shot_random", "exhaustive"])
def test_a_weight_of_costs_takes_the_cheapest_of_the_front(
    name: str, found: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    cheap = searched(home, tmp_path, name, search={"cost_weight": 1e6})
    assert cheap["front"] == found[name]["front"]
    assert cheap["layers"] == cheap["front"][0]["layers"] == [1, 3]
    assert cheap["search_steps"] >= found[name]["search_steps"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_candidates_may_be_those_that_score_best(name: str, home: Path, tmp_path: Path) -> None:
    search = {"k": 1, "candidates_by": "gradient:2", "evaluations": 2, "budget_flops": 1e13}
    metrics = pipeline.run(config(home, name, search=search), tmp_path / name)
    scored = json.loads((tmp_path / name / "search" / "layer_scores.json").read_text())
    best = sorted(scored["scores"], key=lambda layer: -scored["scores"][layer])[:2]
    assert str(metrics.layers[0]) in best
    entries = json.loads((tmp_path / name / "ledger.json").read_text())["entries"]
    charges = {entry["what"]: entry["flops"] for entry in entries}
    assert charges["layer scores"] == scored["flops"] > 0
    assert metrics.total_flops == sum(charges.values()) == metrics.search_flops + metrics.train_flops


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIALS)
def test_a_failing_candidate_is_reported_and_survived(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.fit

    def failing(model: Any, *arguments: Any) -> Any:
        if model.first_prompt_layer == 0:
            raise TrialFailed("the loss is nan")
        return real(model, *arguments)

    monkeypatch.setattr(training, "fit", failing)
    metrics = pipeline.run(config(home, name), tmp_path / name)
    failed = [c["layers"] for c in candidates(tmp_path / name) if c["failure"] == "the loss is nan"]
    assert sorted(failed) == [[0, 1], [0, 3]]
    assert metrics.evaluations == 3
    assert metrics.layers == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_training_without_numbers_fails_the_run(name: str, home: Path, tmp_path: Path) -> None:
    broken = config(home, name, training={"learning_rate": 1e30})
    # the last step before dev may break the weights after its loss
    of_dev = name in ("spt_darts", "darts", "gumbel_darts")
    said = r"probabilities of (\d+) of \1 rows are not finite" if of_dev else r"loss is (nan|inf)"
    with pytest.raises(TrialFailed, match=said):
        pipeline.run(broken, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    if name in TRIALS:
        assert all(c["flops"] > 0 and c["dev"] is None for c in candidates(tmp_path / "run"))
