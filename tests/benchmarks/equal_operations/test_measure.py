"""Methods within budgets on the tiny backbone: what is spent, read back, reported and left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import record
from benchmarks.equal_operations import cells as cells_module
from benchmarks.equal_operations.measure import measure_methods_deep
from experiments.comparing.grid import Job, OnDone, RunOutcome, outcome_of
from spt.errors import InputError
from tests.support.tiny import tiny_tree

pytestmark = pytest.mark.slow
# with LoRA an epoch of the tiny backbone takes 0.15 * 10^9 operations
SMALL, LARGE = 4e8, 1e12
QUICK = {"search.strategy": "probe"}
METHODS: dict[str, Any] = {
    "lora": {"baseline": "lora", "size": 2, "learning_rates": [0.01]},
    "late": {
        "set": {"search.strategy": "manual", "search.manual_layers": [2]},
        "learning_rates": [0.01],
    },
    "default": {"set": QUICK},
    "tfidf": {"other": "tfidf"},
    "linear_probe": {"other": "linear_probe"},
}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs run in this process; their names in order."""
    called: list[str] = []

    def run_jobs(
        jobs: Mapping[str, Job], folder: Path, _workers: int, on_done: OnDone | None
    ) -> dict[str, RunOutcome]:
        called.extend(jobs)
        done = {name: outcome_of(job, folder / name) for name, job in jobs.items()}
        for name, outcome in done.items():
            if on_done is not None:
                on_done(name, outcome)
        return done

    monkeypatch.setattr(cells_module, "run_jobs", run_jobs)
    return called


def bench(folder: Path, **changes: Any) -> Path:
    (folder / "base.yml").write_text(yaml.safe_dump(tiny_tree(folder, cache="auto")), encoding="utf-8")
    content = {
        "name": "tiny",
        "config": "base.yml",
        "budgets": [SMALL, LARGE],
        "seeds": [0],
        "sweep_seed": 5,
        "conditions": {
            "all": {"set": {"training.eval_batch_size": 10}, "recipe": {"training.epochs": 4}},
        },
        "methods": METHODS,
        **changes,
    }
    path = folder / "bench.yml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def written(results: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((results / "tiny.json").read_text(encoding="utf-8"))
    return content


def test_nothing_takes_more_than_its_budget(tmp_path: Path, results: Path, here: list[str]) -> None:
    path = bench(tmp_path)
    assert measure_methods_deep(path, tmp_path / "runs", {}, workers=1) == 0
    content = written(results)
    records = content["records"]
    assert len(records) == len(METHODS) * 2
    cell = {(line["method"], line["budget_flops"]): line for line in records}
    for line in records:
        assert ("test_accuracy" in line) != ("over_budget" in line)
        if "over_budget" not in line:
            assert line["train_flops"] <= line["budget_flops"]
            assert line["seconds"] > 0 and line["tunable_parameters"] > 0
    small, large = (cell["lora", budget] for budget in (SMALL, LARGE))
    assert 1 <= small["epochs"] < large["epochs"] == 4
    assert (small["shortened"], large["shortened"]) == (True, False)
    # one more epoch would not have fitted
    assert small["train_flops"] * (1 + 1 / small["epochs"]) > small["budget_flops"] / 1.02
    default = cell["default", LARGE]
    assert len(default["layers"]) == 2 and "learning_rate" not in default
    # its own epochs, not those of the recipe
    assert default["epochs"] == 2
    assert cell["late", LARGE]["layers"] == [2]
    assert cell["tfidf", SMALL]["train_flops"] == 0 < cell["linear_probe", LARGE]["train_flops"]
    assert {line["seed"] for line in content["sweep"]} == {5}
    # a search counts, and is made once for all budgets
    (found,) = (tmp_path / "runs" / "all" / "default-rate0-seed0").glob("searches/*/found.json")
    search = json.loads(found.read_text(encoding="utf-8"))
    assert 0 < search["flops"] < default["train_flops"]
    assert 0 < search["seconds"] < default["seconds"]
    # nothing else is left of trainings
    assert not list((tmp_path / "runs").rglob("*.ckpt"))
    # what was killed is run again, and gives the same
    (tmp_path / "runs" / "all" / "lora-rate0.01-seed0" / "0.0004T" / "cell.json").unlink()
    before = len(here)
    measure_methods_deep(path, tmp_path / "runs", {}, methods=["lora"], workers=1)
    assert here[before:] == ["all/lora-rate0.01-seed0/0.0004T"]
    again = written(results)["records"][0]
    assert again["test_accuracy"] == small["test_accuracy"]
    assert again["train_flops"] == small["train_flops"]


@pytest.mark.usefixtures("here")
def test_what_no_budget_shortens_is_not_repeated_within_a_larger_one(tmp_path: Path, results: Path) -> None:
    path = bench(tmp_path, methods={"linear_probe": {"other": "linear_probe"}}, budgets=[1e11, LARGE])
    measure_methods_deep(path, tmp_path / "runs", {}, workers=1)
    first, second = written(results)["records"]
    assert first["seconds"] == second["seconds"]
    assert (first["budget_flops"], second["budget_flops"]) == (1e11, LARGE)


def test_what_a_larger_budget_gave_is_not_taken_for_a_smaller_one(
    tmp_path: Path, results: Path, here: list[str]
) -> None:
    only = {"linear_probe": {"other": "linear_probe"}}
    measure_methods_deep(bench(tmp_path, methods=only, budgets=[LARGE]), tmp_path / "runs", {}, workers=1)
    before = len(here)
    both = bench(tmp_path, methods=only, budgets=[1e11, LARGE])
    measure_methods_deep(both, tmp_path / "runs", {}, workers=1)
    assert here[before:] == ["all/linear_probe-rate0-seed0/0.1T"]
    assert len(written(results)["records"]) == 2


@pytest.mark.usefixtures("here")
def test_what_layers_get_is_trained_as_it_was_found(tmp_path: Path, results: Path) -> None:
    drawn = {"search.strategy": "random", "search.evaluations": 1, "search.k": 1, "search.kinds": ["free"]}
    path = bench(tmp_path, methods={"default": {"set": drawn}}, budgets=[LARGE])
    measure_methods_deep(path, tmp_path / "runs", {}, workers=1)
    (line,) = written(results)["records"]
    assert line["kinds"] == ["free"]
    # P * H for the prompt, (H + 1) * C for the head
    assert line["tunable_parameters"] == 3 * 32 + 33 * 2


@pytest.mark.usefixtures("here")
def test_a_budget_that_holds_no_epoch_gives_a_reason_and_no_figures(tmp_path: Path, results: Path) -> None:
    only = {"lora": METHODS["lora"], "default": METHODS["default"]}
    path = bench(tmp_path, methods=only, budgets=[1e6, LARGE])
    assert measure_methods_deep(path, tmp_path / "runs", {}, workers=1) == 0
    content = written(results)
    small = [line for line in content["records"] if line["budget_flops"] == 1e6]
    assert {line["method"] for line in small} == set(only)
    for line in small:
        assert "test_accuracy" not in line and "train_flops" not in line
        expected = "The search alone took" if line["method"] == "default" else "An epoch takes"
        assert line["over_budget"].startswith(expected)
    # a rate is chosen where an epoch fits
    tried = {line["budget_flops"]: line["dev_accuracy"] for line in content["sweep"]}
    assert tried[1e6] is None and tried[LARGE] > 0
    summary = {(entry["method"], entry["budget_flops"]): entry for entry in content["summary"]}
    assert "reason" in summary["lora", 1e6] and "place" not in summary["lora", 1e6]
    assert summary["lora", LARGE]["of"] == 2


@pytest.mark.usefixtures("here")
def test_each_budget_has_the_rate_that_dev_chose_within_it(tmp_path: Path, results: Path) -> None:
    late = {**METHODS["late"], "learning_rates": [0.001, 0.1]}
    path = bench(tmp_path, methods={"late": late}, seeds=[0])
    measure_methods_deep(path, tmp_path / "runs", {}, workers=1)
    content = written(results)
    for line in content["records"]:
        tried = {
            -each["learning_rate"]: each["dev_accuracy"]
            for each in content["sweep"]
            if each["budget_flops"] == line["budget_flops"]
        }
        assert len(tried) >= 2
        assert line["learning_rate"] == -max((dev, rate) for rate, dev in tried.items())[1]


def test_what_is_finished_is_reported_and_new_defaults_run_what_has_them(
    tmp_path: Path, results: Path, here: list[str]
) -> None:
    kept = {name: METHODS[name] for name in ("lora", "default", "tfidf")}
    path = bench(tmp_path, methods=kept)
    with pytest.raises(InputError, match="Nothing of"):
        measure_methods_deep(path, tmp_path / "runs", {}, workers=1, only_finished=True)
    names = ["lora", "default"]
    measure_methods_deep(path, tmp_path / "runs", {}, names, budgets=[LARGE], workers=1)
    # the sweep is within the same budget
    assert here[0] == "all/lora-rate0.01-seed5/1T"
    command = f"python -m benchmarks methods-deep --bench {path} --only lora --only default --budget 1"
    assert written(results)["measurements"][0]["command"] == command
    before = len(here)
    assert measure_methods_deep(path, tmp_path / "runs", {}, workers=1, only_finished=True) == 0
    assert len(here) == before
    records = written(results)["records"]
    assert [(line["method"], line["budget_flops"]) for line in records] == [(name, LARGE) for name in names]
    # with other defaults it has another run; what others set is the same
    path = bench(tmp_path, methods={**kept, "default": {"set": {**QUICK, "prompt.length": 4}}})
    measure_methods_deep(path, tmp_path / "runs", {}, workers=1, only_finished=True)
    assert {line["method"] for line in written(results)["records"]} == {"lora"}
    # without its sweep a method is not finished
    next((tmp_path / "runs" / "all").glob("lora-*-seed5/*/cell.json")).unlink()
    with pytest.raises(InputError, match="Nothing of"):
        measure_methods_deep(path, tmp_path / "runs", {}, workers=1, only_finished=True)


@pytest.mark.usefixtures("here")
def test_what_another_folder_gave_is_kept_where_methods_are_added(tmp_path: Path, results: Path) -> None:
    kept = {name: METHODS[name] for name in ("late", "tfidf", "linear_probe")}
    path = bench(tmp_path, methods=kept)

    def measured(folder: str, name: str, *budgets: float, add: bool = True) -> list[tuple[str, float]]:
        measure_methods_deep(path, tmp_path / folder, {}, [name], budgets=budgets, workers=1, add=add)
        return [(line["method"], line["budget_flops"]) for line in written(results)["records"]]

    measured("first", "linear_probe", LARGE)
    probe = ("linear_probe", LARGE)
    before = written(results)
    assert measured("second", "tfidf", SMALL) == [("tfidf", SMALL), probe]
    # of other budgets too
    assert measured("third", "tfidf", LARGE) == [("tfidf", SMALL), ("tfidf", LARGE), probe]
    assert measured("fourth", "late", LARGE)[0] == ("late", LARGE)
    found = written(results)
    assert found["records"][-1] == {**before["records"][0], "measurement": 3}
    assert found["measurements"][3] == before["measurements"][0]
    assert found["measurements"][1]["command"].endswith("--only tfidf --budget 0.0004 --add")
    # told of all of them together
    (late,) = [entry for entry in found["summary"] if entry["method"] == "late"]
    assert late["of"] == 3
    assert {line["method"] for line in found["sweep"]} == {"late"}
    # what is measured anew takes the place of what was, and without --add so does all
    assert len(measured("fifth", "late", LARGE)) == 4
    assert measured("fifth", "late", LARGE, add=False) == [("late", LARGE)]


def test_methods_are_added_to_no_result_of_another_bench(tmp_path: Path, results: Path) -> None:
    results.mkdir()
    (results / "tiny.json").write_text('{"measurements": [], "sweep": [], "records": []}', encoding="utf-8")
    with pytest.raises(InputError, match=r"tiny.json' is no result of `python -m benchmarks methods-deep`"):
        measure_methods_deep(bench(tmp_path), tmp_path / "runs", {}, workers=1, add=True)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("here")
def test_a_training_that_fails_is_reported_as_failed(tmp_path: Path, results: Path) -> None:
    broken = {**METHODS["late"], "learning_rates": [1e30]}
    path = bench(tmp_path, methods={"broken": broken}, budgets=[LARGE])
    assert measure_methods_deep(path, tmp_path / "runs", {}, workers=1) == 1
    (failed,) = written(results)["records"]
    assert "loss is" in failed["failure"] and "test_accuracy" not in failed


@pytest.mark.usefixtures("here")
def test_data_files_are_named_without_their_folders(tmp_path: Path, results: Path) -> None:
    path = bench(tmp_path, methods={"tfidf": {"other": "tfidf"}}, budgets=[LARGE])
    overrides = {"all.data.train": str(tmp_path / "data.csv"), "all.data.test_size": 30}
    measure_methods_deep(path, tmp_path / "runs", overrides, workers=1)
    (made,) = written(results)["measurements"]
    assert made["command"].endswith(" all.data.train=data.csv all.data.test_size=30")
