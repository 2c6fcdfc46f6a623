import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record, tuning
from benchmarks.tuning import measure_tuning
from experiments.comparing.grid import RunOutcome
from spt.data.loading import load_splits
from spt.errors import TrialFailed


def sst2_files(folder: Path) -> Path:
    for split, rows in (("train", 160), ("test", 20)):
        lines = [f"{row % 2} a {'good' if row % 2 else 'bad'} film {row}" for row in range(rows)]
        (folder / f"stsa.binary.{split}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_few_shot_data_are_sixteen_rows_a_class_and_differ_by_seed(tmp_path: Path) -> None:
    folder = sst2_files(tmp_path)
    texts = []
    for seed in (0, 1):
        config = tuning.few_shot("sst2", seed, folder)
        splits = load_splits(config.task, config.data, config.seed)
        assert [len(splits[name]) for name in ("train", "dev", "test")] == [32, 32, 20]
        texts.append(set(splits["train"]["text"]))
    assert texts[0] != texts[1]


def test_a_study_tunes_the_shipped_space_around_the_same_run() -> None:
    run = tuning.few_shot("trec", 3, None)
    config = tuning.study(run, trials=5)
    assert config.run == run
    assert (config.trials, config.concurrency, config.seed) == (5, 2, 3)
    assert "search.consistency" in config.search_space


def fake_tune(run: Any, _folder: Path, _trials: int) -> dict[str, Any]:
    # 2 points better in seed 0, 4 points in seed 1
    gain = 0.02 * (run.seed + 1)
    return {"parameters": {}, "dev_metric": 0.9, "test_metric": 0.7 + gain, "states": {}}


@pytest.fixture
def faked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    metrics = {"dev_metric": 0.8, "test_metric": 0.7}
    monkeypatch.setattr(tuning, "cluster", nullcontext)
    monkeypatch.setattr(tuning, "measure_overhead", lambda _: {"ratio": 1.1})
    monkeypatch.setattr(
        tuning, "run_grid", lambda configs, *_, **__: {n: RunOutcome(metrics) for n in configs}
    )
    monkeypatch.setattr(tuning, "tune_one", fake_tune)
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path


def test_the_result_holds_the_paired_differences_with_their_interval(faked: Path) -> None:
    path = measure_tuning(faked / "runs", Path("sst2"), ["trec"], range(2), trials=3, say=lambda _: None)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["command"] == "python -m benchmarks tuning --seeds 2 --trials 3 --data-folder sst2"
    assert [found["difference"] for found in content["records"]] == pytest.approx([0.02, 0.04])
    spread = content["difference"]["trec"]
    assert spread["mean"] == pytest.approx(0.03)
    # t(0.975, 1) = 12.706, standard error 0.01
    assert [spread["low"], spread["high"]] == pytest.approx([0.03 - 0.12706, 0.03 + 0.12706], abs=1e-4)
    assert content["overhead"] == {"ratio": 1.1}


def test_what_is_done_is_not_repeated(faked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure_tuning(faked / "runs", tasks=["trec"], seeds=range(2), trials=3, say=lambda _: None)
    before = json.loads(first.read_text(encoding="utf-8"))
    for name in ("tune_one", "measure_overhead"):
        monkeypatch.setattr(tuning, name, lambda *_: pytest.fail("it was measured again"))
    again = measure_tuning(faked / "runs", tasks=["trec"], seeds=range(2), trials=3, say=lambda _: None)
    assert json.loads(again.read_text(encoding="utf-8"))["records"] == before["records"]


def test_a_failed_default_run_is_no_number(faked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = RunOutcome(failure="the loss is nan")
    monkeypatch.setattr(tuning, "run_grid", lambda configs, *_, **__: dict.fromkeys(configs, failed))
    with pytest.raises(TrialFailed, match="the loss is nan"):
        measure_tuning(faked / "runs", tasks=["trec"], seeds=range(2), say=lambda _: None)
