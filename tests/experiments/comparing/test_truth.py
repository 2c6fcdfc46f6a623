"""The truth table: what it holds, regret without luck, and which runs it may judge."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.comparing.truth import TREC, TruthTable
from spt.errors import InputError


def content(**changes: Any) -> dict[str, Any]:
    """Three single layers over four seeds; layer 1 is best, layer 2 has one lucky seed."""
    tests = {0: [0.60, 0.60, 0.60, 0.60], 1: [0.70, 0.70, 0.70, 0.70], 2: [0.60, 0.60, 0.60, 0.80]}
    return {
        "layers_total": 3,
        "run": {
            "task": {"name": "trec", "metric": "f1"},
            "backbone": {"name": "minilm-l6"},
            "data": {"train_size": 2000},
        },
        "records": [
            {
                "layers": [layer],
                "seeds": [0, 1, 2, 3],
                "dev_metric": [0.5] * 4,
                "test_metric": scores,
                "train_flops": [7] * 4,
            }
            for layer, scores in tests.items()
        ],
        **changes,
    }


def table(folder: Path, **changes: Any) -> TruthTable:
    path = folder / "truth.json"
    path.write_text(json.dumps(content(**changes)), encoding="utf-8")
    return TruthTable.load(path)


def test_a_table_is_read(tmp_path: Path) -> None:
    made = table(tmp_path)
    assert made.seeds == (0, 1, 2, 3)
    assert made.budget.num_subsets == 3 and made.budget.k == 1
    assert made.test((2,)) == pytest.approx(0.65)
    assert made.test((2,), (0, 1)) == pytest.approx(0.60)


def test_regret_scores_the_best_on_other_seeds_than_chose_it(tmp_path: Path) -> None:
    made = table(tmp_path)
    # choosing on halves with the lucky seed ties layers 1 and 2, and the first wins
    assert made.regret((0,)) == pytest.approx(0.10)
    assert made.regret((1,)) == pytest.approx(0.0)
    assert made.regret((2,)) == pytest.approx(0.05)


def test_kendall_of_the_true_order_is_one(tmp_path: Path) -> None:
    made = table(tmp_path)
    assert made.kendall({0: 0.1, 1: 0.9, 2: 0.5}) == pytest.approx(1)
    assert made.kendall({0: 0.9, 1: 0.1, 2: 0.5}) == pytest.approx(-1)


def test_scores_that_differ_in_their_last_bits_are_tied(tmp_path: Path) -> None:
    made = table(tmp_path)
    assert made.kendall({0: 0.3, 1: 0.9, 2: 0.1 + 0.2}) == made.kendall({0: 0.3, 1: 0.9, 2: 0.3}) is not None
    # small ones are told apart
    assert made.kendall({0: 1e-13, 1: 9e-13, 2: 5e-13}) == pytest.approx(1)


def test_scores_that_rank_nothing_or_leave_a_layer_out_have_no_kendall(tmp_path: Path) -> None:
    made = table(tmp_path)
    assert made.kendall({0: 0.5, 1: 0.5, 2: 0.5}) is None
    assert made.kendall({1: 0.9, 2: 0.5}) is None
    assert made.kendall({}) is None
    assert made.kendall({1: 0.9}, {0: 0.0}) is None


def test_subsets_with_a_dropped_layer_are_tied_below_the_others(tmp_path: Path) -> None:
    made = table(tmp_path)
    # layer 0 is the worst, 1 the best
    assert made.kendall({1: -0.5, 2: -0.9}, {0: 0.0, 1: 0.6}) == pytest.approx(1)
    assert made.kendall({0: 0.2, 2: 0.9}, {1: 0.0}) == pytest.approx(-1 / 3)
    tied = made.kendall({1: 0.9}, {0: 0.0, 2: 0.0})
    assert tied == made.kendall({0: 0.1, 1: 0.9, 2: 0.1}) is not None
    # gates that are scores have 0 there
    assert made.kendall({0: 0.0, 1: 0.0, 2: 0.5}, {0: 0.0, 1: 0.0}) == made.kendall({0: 0.0, 1: 0.0, 2: 0.5})


def test_a_run_is_judged_only_within_the_space(tmp_path: Path) -> None:
    made = table(tmp_path)
    run = {"task": "trec", "backbone": "minilm-l6", "train_size": 2000, "layers_total": 3, "layers": [1]}
    run["metric"] = "f1"
    assert made.judges(run)
    for other in (
        {"task": "sst2"},
        {"metric": "accuracy"},
        {"layers": [0, 1]},
        {"train_size": 100},
        {"layers_total": 6},
    ):
        assert not made.judges({**run, **other})


def test_the_shipped_table_has_accuracies_which_are_the_metric_of_trec() -> None:
    shipped = TruthTable.load()
    record = json.loads(TREC.read_text(encoding="utf-8"))["records"][0]
    entries = shipped.entries[tuple(record["layers"])]
    assert [entry.test for entry in entries.values()] == record["test_accuracy"]
    assert [entry.dev for entry in entries.values()] == record["dev_accuracy"]
    assert shipped.setting["metric"] == "accuracy"


def test_accuracies_are_not_taken_for_another_metric(tmp_path: Path) -> None:
    records = content()["records"]
    for record in records:
        record["dev_accuracy"], record["test_accuracy"] = record.pop("dev_metric"), record.pop("test_metric")
    with pytest.raises(InputError, match=r"not a truth table \('dev_metric'\)"):
        table(tmp_path, records=records)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a truth table"):
        TruthTable.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="not a truth table"):
        table(tmp_path, records=[{"layers": [0]}])
    records = content()["records"]
    records[0] = {
        key: value[:3] if isinstance(value, list) and len(value) == 4 else value
        for key, value in records[0].items()
    }
    with pytest.raises(InputError, match="same two or more seeds"):
        table(tmp_path, records=records)


@pytest.mark.parametrize("layers", [[0, 1], [0, 1, 1, 2]])
def test_a_table_that_lacks_a_subset_or_has_one_twice_is_refused(layers: list[int], tmp_path: Path) -> None:
    records = [content()["records"][layer] for layer in layers]
    with pytest.raises(InputError, match=r"but must hold each of exactly 1 of \[0, 1, 2\] once"):
        table(tmp_path, records=records)


def test_reliability_is_the_rank_correlation_of_halves_of_the_seeds(tmp_path: Path) -> None:
    made = table(tmp_path)
    # of a half without the lucky seed, whose layers 0 and 2 are level, with one in which layers 1 and 2 are:
    # of the three pairs one agrees, and each has two that are not level
    assert made.reliability() == pytest.approx(0.5)
    even = [{**record, "test_metric": [0.5] * 4} for record in content()["records"]]
    assert table(tmp_path, records=even).reliability() is None
