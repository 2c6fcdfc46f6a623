"""The bench of the demo: what it keeps of demos that never were, and what it runs again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import demo as bench
from benchmarks import record
from experiments import demo
from experiments.config import RunConfig
from experiments.run.results import RunMetrics
from spt.errors import MachineFault
from tests.support.metrics import METRICS, run_metrics


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(demo, "RUNS", tmp_path / "runs")


def test_each_seed_is_run_once_and_kept_with_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    def run_demo(_console: Console, folder: Path, seed: int) -> int:
        ran.append(seed)
        folder.mkdir(parents=True)
        theirs = run_metrics(test_metric=0.5, total_flops=4 * 10**12)
        summary = {
            "seed": seed,
            "metrics": run_metrics(test_metric=0.6 + seed / 10).as_json(),
            "baselines": {"head": METRICS.as_json(), "input_prompt": theirs.as_json()},
            "trials": 4,
            "trials_flops": 10**13,
        }
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        return 0

    monkeypatch.setattr(demo, "run_demo", run_demo)
    monkeypatch.setattr(bench, "dev_of_rate", lambda rate: replace(METRICS, dev_metric=1 - rate))
    for _ in range(2):
        path = bench.measure_demo(2)
    assert ran == [0, 1]
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["command"] == "python -m benchmarks demo --seeds 2"
    assert result["input_prompt"]["dev_metric_by_rate"] == {
        "0.01": 0.99,
        "0.02": 0.98,
        "0.05": 0.95,
        "0.1": 0.9,
    }
    assert [line["difference"] for line in result["records"]] == pytest.approx([0.1, 0.2])
    assert result["difference"]["mean"] == pytest.approx(0.15)
    assert result["share_of_operations"] == {"mean": 0.75, "sd": 0.0, "n": 2}
    low, high = result["records"][0]["best_trial"]["test_interval"]
    assert low < 0.6 < high


def test_a_demo_without_a_result_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda *_: 1)
    with pytest.raises(MachineFault, match="seed 0 has no result"):
        bench.summary_of(0)


def test_rates_are_tried_with_a_seed_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = {}

    def baseline(config: RunConfig, kind: str, folder: Path, rate: float) -> RunMetrics:
        assert (config.seed, config.training.epochs, kind) == (
            bench.RATE_SEED,
            demo.INPUT_EPOCHS,
            "input_prompt",
        )
        tried[folder.name] = rate
        return METRICS

    monkeypatch.setattr(bench, "run_without_search", baseline)
    for rate in bench.RATES:
        bench.dev_of_rate(rate)
    assert list(tried.values()) == list(bench.RATES) and demo.INPUT_RATE in bench.RATES
