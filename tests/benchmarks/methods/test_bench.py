"""Methods side by side on the tiny backbone: dev chooses rates, runs are read back, failures reported."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import record
from benchmarks.methods import runs as method_runs
from benchmarks.methods.bench import BenchRun, MethodBench
from benchmarks.methods.measure import best_rates, beyond, measure_methods
from experiments.comparing.grid import Job, OnDone, RunOutcome, outcome_of
from spt.errors import InputError
from strategies.options import ManualOptions, SptDartsOptions
from tests.support.tiny import tiny_tree

FIXED = {"set": {"search.strategy": "manual", "search.manual_layers": [1]}, "learning_rates": [0.01]}
SHIPPED = Path("experiments") / "methods.yml"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs run in this process; their names in order."""
    called: list[str] = []

    def run_jobs(
        jobs: Mapping[str, Job], folder: Path, _workers: int, on_done: OnDone, **__: Any
    ) -> dict[str, RunOutcome]:
        called.extend(jobs)
        found = {name: outcome_of(job, folder / name) for name, job in jobs.items()}
        for name, outcome in found.items():
            on_done(name, outcome)
        return found

    monkeypatch.setattr(method_runs, "run_jobs", run_jobs)
    return called


def written(results: Path, name: str = "tiny") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    return found


def bench(folder: Path, **changes: Any) -> Path:
    (folder / "base.yml").write_text(yaml.safe_dump(tiny_tree(folder)), encoding="utf-8")
    manual = {"search.strategy": "manual", "search.manual_layers": [1]}
    content = {
        "name": "tiny",
        "config": "base.yml",
        "seeds": [0, 1],
        "conditions": {
            "all": {},
            "shots": {"methods": ["lora"], "set": {"data.shots_per_class": 8, "data.dev_size": None}},
        },
        "methods": {
            "late": {"set": manual, "learning_rates": [0.001, 0.01]},
            "lora": {"baseline": "lora", "size": 2, "learning_rates": [0.01]},
        },
        **changes,
    }
    path = folder / "bench.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.slow
def test_every_method_is_run_at_its_best_rate(tmp_path: Path, results: Path, here: list[str]) -> None:
    path = bench(tmp_path)
    assert measure_methods(path, tmp_path / "runs", conditions=["all"], workers=1) == 0
    found = written(results)
    records = found["records"]
    (made,) = found["measurements"]
    assert made["command"] == f"python -m benchmarks methods {path} --on all"
    assert made.keys() == {"command", "date", "versions", "machine"}
    assert [(r["method"], r["seed"]) for r in records] == [
        ("late", 0),
        ("late", 1),
        ("lora", 0),
        ("lora", 1),
    ]
    keys = {
        "task",
        "shots",
        "condition",
        "tunable_parameters",
        "learning_rate",
        "metric",
        "total_flops",
        "total_seconds",
    }
    for line in records:
        assert keys <= line.keys()
        assert line["bytes"] > 0 and line["peak_bytes"] > 10**7 and line["total_flops"] > 0
    sweep = {(line["method"], line["learning_rate"]): line["dev_metric"] for line in found["sweep"]}
    rates = {rate for method, rate in sweep if method == "late"}
    assert {0.001, 0.01} < rates and {rate for method, rate in sweep if method == "lora"} == {0.01}
    best = max(rates, key=lambda rate: (sweep["late", rate], -rate))
    assert {r["learning_rate"] for r in records if r["method"] == "late"} == {best}
    assert {"results.json", "report.html", "table.csv", "runs.csv"} <= {
        p.name for p in (tmp_path / "runs").iterdir()
    }
    before = len(here)
    # keys of a condition that is not run do not matter
    shots = {"shots.data.shots_per_class": 4}
    assert measure_methods(path, tmp_path / "runs", conditions=["all"], overrides=shots, workers=1) == 0
    assert len(here) == before
    assert written(results)["records"] == records
    # of an unfinished bench, methods with all their runs
    next((tmp_path / "runs" / "all").glob("late-*-seed1/measured.json")).unlink()
    assert measure_methods(path, tmp_path / "runs", only_finished=True) == 0
    assert len(here) == before
    found = written(results)
    assert [made["command"] for made in found["measurements"]] == [
        f"python -m benchmarks methods {path} --finished"
    ]
    assert found["records"] == [line for line in records if line["method"] == "lora"]
    assert {line["method"] for line in found["sweep"]} == {"lora"}
    # under another name, which a copied command gives again
    assert measure_methods(path, tmp_path / "runs", only_finished=True, result="more") == 0
    more = written(results, "more")
    assert (
        more["measurements"][0]["command"] == f"python -m benchmarks methods {path} --finished --result more"
    )
    assert more["records"] == found["records"]
    # with another size nothing has been run
    other = {"lora": {"baseline": "lora", "learning_rates": [0.01]}}
    path = bench(tmp_path, conditions={"all": {}}, methods=other)
    with pytest.raises(InputError, match="Nothing of"):
        measure_methods(path, tmp_path / "runs", only_finished=True)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_what_another_machine_measured_is_kept_where_methods_are_added(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"set": {"search.strategy": "manual", "search.manual_layers": []}, "learning_rates": [0.01]}
    lora = {"baseline": "lora", "size": 2, "learning_rates": [0.01]}
    path = bench(tmp_path, conditions={"all": {}, "more": {}}, methods={"head": few, "lora": lora}, seeds=[0])

    def groups(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        return [(line["condition"], line["method"]) for line in lines]

    measure_methods(path, tmp_path / "first", ["lora"], ["more"], workers=1)
    measure_methods(path, tmp_path / "first", ["lora"], ["all"], workers=1, add=True)
    before = written(results)
    assert groups(before["records"]) == groups(before["sweep"]) == [("all", "lora"), ("more", "lora")]
    with monkeypatch.context() as patch:
        patch.setattr("spt.process.provenance.versions", lambda: {"torch": "9"})
        measure_methods(path, tmp_path / "second", ["head"], workers=1, add=True)
    found = written(results)
    everything = [("all", "head"), ("all", "lora"), ("more", "head"), ("more", "lora")]
    assert groups(found["records"]) == groups(found["sweep"]) == everything
    made = {(x["method"], x["condition"]): found["measurements"][x["measurement"]] for x in found["records"]}
    assert [m["command"] for m in before["measurements"]] == [
        made["lora", condition]["command"] for condition in ("all", "more")
    ]
    assert made["head", "all"]["command"].endswith("--only head --add")
    assert made["head", "all"]["versions"] == {"torch": "9"} != made["lora", "all"]["versions"]
    # what is measured anew takes the place of what was, and without --add so does all
    measure_methods(path, tmp_path / "third", ["lora"], ["all"], workers=1, add=True)
    assert groups(written(results)["records"]) == everything
    assert len(written(results)["measurements"]) == 3
    measure_methods(path, tmp_path / "third", ["lora"], ["all"], workers=1)
    assert groups(written(results)["records"]) == [("all", "lora")]
    (results / "speed.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"speed.json' is no result of `python -m benchmarks methods`"):
        measure_methods(path, tmp_path / "fourth", result="speed", add=True)
    assert not (tmp_path / "fourth").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_baseline_that_does_not_suit_the_backbone_fails_alone(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.baselines.methods.PAST", ())
    names = ("lora", "prefix_tuning")
    path = bench(
        tmp_path,
        conditions={"all": {}},
        methods={name: {"baseline": name, "learning_rates": [0.01]} for name in names},
    )
    assert measure_methods(path, tmp_path / "runs", workers=1) == 2
    records = written(results)["records"]
    assert ["failure" in line for line in records] == [False, False, True, True]
    assert "A bert takes no keys and values from outside" in records[-1]["failure"]
    assert measure_methods(path, tmp_path / "runs", only_finished=True) == 2
    assert written(results)["records"] == records


@pytest.mark.usefixtures("results")
def test_a_report_of_a_bench_of_which_nothing_is_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)Nothing of .*bench.yml is finished in .*runs"):
        measure_methods(bench(tmp_path), tmp_path / "runs", only_finished=True)
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_method_that_fails_at_every_rate_is_reported_as_failed(
    tmp_path: Path, results: Path, here: list[str]
) -> None:
    late = {"set": {"search.strategy": "manual", "search.manual_layers": [3]}}
    path = bench(
        tmp_path,
        conditions={"all": {}},
        methods={"whole": {**late, "learning_rates": [0.01]}, "broken": {**late, "learning_rates": [1e30]}},
    )
    assert measure_methods(path, tmp_path / "runs", conditions=["all"], workers=1) == 2
    records = written(results)["records"]
    failed = [r for r in records if r["method"] == "broken"]
    assert len(failed) == 2
    assert all("no learning rate worked" in r["failure"] and "dev_metric" not in r for r in failed)
    before = len(here)
    assert measure_methods(path, tmp_path / "runs", only_finished=True) == 2
    assert written(results)["records"] == records
    assert len(here) == before
    # in another configuration it has not failed yet
    overrides = {"training.epochs": 5}
    with pytest.raises(InputError, match="Nothing of"):
        measure_methods(path, tmp_path / "runs", overrides=overrides, only_finished=True)


def test_the_data_of_all_conditions_is_checked_before_the_first_run(
    tmp_path: Path, results: Path, here: list[str]
) -> None:
    (tmp_path / "empty.csv").write_text("text,label\na,x\n,y\n", encoding="utf-8")
    conditions = {"good": {}, "empty": {"set": {"data.train": "empty.csv"}}}
    with pytest.raises(InputError, match="text column 'text' of train is empty in row 2"):
        measure_methods(bench(tmp_path, conditions=conditions), tmp_path / "runs")
    assert here == []
    assert not results.exists()


def cells(scores: Iterable[tuple[float, float | None]]) -> dict[BenchRun, RunOutcome]:
    return {
        BenchRun("m", "c", 0, rate): RunOutcome(failure="x")
        if dev is None
        else RunOutcome({"dev_metric": dev})
        for rate, dev in scores
    }


@pytest.mark.parametrize(
    ("scores", "rates"),
    [
        ([(0.003, 0.9), (0.01, 0.8), (0.03, 0.7)], [0.0009]),
        ([(0.003, 0.7), (0.01, 0.8), (0.03, 0.9)], [0.09]),
        ([(0.003, 0.7), (0.01, 0.8), (0.03, 0.7)], []),
        ([(0.003, 0.7), (0.01, 0.8), (0.03, None)], []),
        ([(0.2, 0.7), (0.05, 0.6)], [0.8]),
        ([(0.01, 0.8)], []),
        ([(0.01, None), (0.03, None)], []),
    ],
)
def test_a_sweep_goes_on_beyond_a_best_rate_at_its_edge(
    scores: list[tuple[float, float | None]], rates: list[float]
) -> None:
    assert beyond(cells(scores)) == [BenchRun("m", "c", 0, rate) for rate in rates]


def test_the_lower_of_two_equal_rates_wins_and_failures_lose() -> None:
    assert best_rates(cells([(0.1, 0.8), (0.01, 0.8), (1.0, None)])) == {("m", "c"): 0.01}
    assert best_rates(cells([(0.1, 0.9), (0.01, 0.8)])) == {("m", "c"): 0.1}
    assert best_rates(cells([(0.1, None)])) == {}


def test_what_is_wrong_with_a_bench_is_said_together(tmp_path: Path) -> None:
    path = bench(tmp_path, seeds=[], methods={"x": {"baseline": "lore", "learning_rates": [0]}})
    with pytest.raises(InputError, match=r"(?s)3 problem.*seeds.*learning_rates"):
        MethodBench.load(path)
    sized = {"lora": {"size": 3}, "bitfit": {"baseline": "bitfit", "size": 3}}
    path = bench(tmp_path, methods={name: {**m, "learning_rates": [0.1]} for name, m in sized.items()})
    with pytest.raises(InputError, match=r"(?s)2 problem.*size is 3, but only these .* have one: lora"):
        MethodBench.load(path)
    with pytest.raises(InputError, match="no methods lore"):
        MethodBench.load(bench(tmp_path)).chosen(["lore"], [])


def test_a_condition_may_have_some_of_the_methods_only(tmp_path: Path) -> None:
    found = MethodBench.load(bench(tmp_path))
    assert (found.methods_on("all"), found.methods_on("shots")) == (["late", "lora"], ["lora"])
    assert found.chosen(["late"], []).methods_on("shots") == []
    with pytest.raises(InputError, match="none of late on shots"):
        found.chosen(["late"], ["shots"])
    with pytest.raises(InputError, match="condition 'all' has methods lore; known: late, lora"):
        MethodBench.load(bench(tmp_path, conditions={"all": {"methods": ["lore"]}}))


def test_a_condition_sets_of_a_search_what_the_methods_strategy_reads(tmp_path: Path) -> None:
    few = {"set": {"search.epochs": 1, "search.warmup_epochs": 0, "training.epochs": 1}}
    searched = {"learning_rates": [0.01]}
    path = bench(tmp_path, conditions={"few": few}, methods={"fixed": FIXED, "searched": searched})
    configs = [
        MethodBench.load(path).config_of(BenchRun(m, "few", 0, 0.01), tmp_path) for m in ("fixed", "searched")
    ]
    assert configs[0].search == ManualOptions(manual_layers=(1,))
    assert configs[1].search == SptDartsOptions(epochs=1, warmup_epochs=0)
    assert [config.training.epochs for config in configs] == [1, 1]


def test_overrides_change_all_conditions_or_the_one_they_name() -> None:
    found = MethodBench.load(SHIPPED)
    changed = found.changed({"sst2.data.train": "a.txt", "training.epochs": 2, "trec-16.task": "mr"})
    keys = {name: condition.set for name, condition in changed.conditions.items()}
    assert keys["sst2"]["data.train"] == str(Path("a.txt").absolute())
    assert {found["training.epochs"] for found in keys.values()} == {2}
    assert keys["trec-16"]["task"] == "mr"
    assert "data.train" not in keys["sst2-16"]
    assert found.conditions["sst2"].set["training.epochs"] == 3
    cell = BenchRun("lora", "sst2", 0, 0.01)
    with pytest.raises(InputError, match=r"data\.trian"):
        found.changed({"sst2.data.trian": "a.txt"}).config_of(cell, SHIPPED.parent)


def test_the_shipped_bench_is_right() -> None:
    found = MethodBench.load(SHIPPED)
    for condition in found.conditions:
        for method in found.methods_on(condition):
            cell = BenchRun(method, condition, 0, found.methods[method].learning_rates[0])
            config = found.config_of(cell, SHIPPED.parent)
            assert config.task.name == condition.removesuffix("-16")
            assert config.data.shots_per_class == (16 if condition.endswith("-16") else None)


@pytest.mark.parametrize("name", ["data", "training", "seed", "sst2.16"])
def test_a_condition_whose_name_swallows_overrides_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"a condition is called '{name}'"):
        MethodBench.load(bench(tmp_path, conditions={name: {}}))


def test_an_override_of_a_condition_must_name_a_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"The override 'shots' is a condition"):
        MethodBench.load(bench(tmp_path)).changed({"shots": 4})


def test_paths_start_from_the_bench_and_those_of_overrides_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "benches"
    folder.mkdir()
    path = bench(folder, conditions={"own": {"set": {"data.train": "rows.csv"}}})
    here = MethodBench.load(path)
    cell = next(here.sweep())
    assert here.config_of(cell, folder).data.train == folder / "rows.csv"
    changed = here.changed({"own.data.train": "rows.csv"})
    assert changed.config_of(cell, folder).data.train == tmp_path / "rows.csv"
