"""The tables of what parts of a training are worth, from a small result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import CHECKOUT
from benchmarks import record as recording
from benchmarks.layers.recipe import read_recipe_bench
from benchmarks.pages.recipe_tables import epochs, few_rows, placements, recipe
from tests.support.markdown_tables import table, tables


def result(reference: str) -> dict[str, Any]:
    cell = {"condition": "trec", "placement": "two", "tunable_parameters": 6150, "train_flops": 4e12}
    scored = [(reference, 0, 0.90), (reference, 1, 0.92), ("free", 1, 0.89), ("free", 0, 0.90)]
    records = [{**cell, "variant": name, "seed": seed, "dev_metric": dev} for name, seed, dev in scored]
    failed = {**cell, "variant": "free", "seed": 2, "failure": "the loss is nan"}
    summary = [
        {**cell, "variant": "free", "dev_metric": {"mean": 0.895, "sd": 0.007}},
        {**cell, "variant": reference, "dev_metric": {"mean": 0.91, "sd": 0.014}},
    ]
    return {
        "command": "python -m benchmarks recipe",
        "placements": {"two": [7, 9]},
        "summary": summary,
        "records": [*records, failed],
    }


def test_variants_stand_beside_the_default_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    (tmp_path / "recipe.json").write_text(json.dumps(result("token_offset")))
    text = recipe()
    assert "`trec`, layers 7+9:" in text
    ((first, second),) = tables(text)
    assert first["variant"] == "`token_offset`" and first["to `token_offset`"] == ""
    assert second["to `token_offset`"] == "-1.5 (-20.6 to +17.6)"
    assert (second["parameters"], second["10^12 FLOPs"], second["dev %"]) == ("6,150", "4.0", "89.5 ± 0.7")


def test_few_rows_have_a_default_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    (tmp_path / "few_rows.json").write_text(json.dumps(result("contrastive_25")))
    assert "`contrastive_25` is the default" in few_rows()


def compared(key: str, first: str, second: str) -> dict[str, Any]:
    """A result of two seeds whose records differ in a key."""
    scored = [(first, 0, 0.90), (first, 1, 0.92), (second, 1, 0.93), (second, 0, 0.92)]
    return {
        "command": "python -m benchmarks recipe --add",
        "earlier": [{"command": "python -m benchmarks recipe"}],
        "placements": {"found": [8, 9]},
        "variants": {},
        "summary": [{key: name, "train_flops": 4e12} for name in (first, second)],
        "records": [
            {key: name, "seed": seed, "dev_metric": 0.9, "test_metric": test} for name, seed, test in scored
        ],
    }


def test_other_layers_stand_beside_those_found_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    content = compared("placement", "found", "lower")
    content["placements"]["lower"] = [4, 8]
    (tmp_path / "placements.json").write_text(json.dumps(content))
    found, lower = table(placements())
    assert (found["layers"], found["test %"], found["on test, to found"]) == ("8+9", "91.0 ± 1.4", "")
    assert (lower["layers"], lower["test %"]) == ("4+8", "92.5 ± 0.7")
    assert lower["on test, to found"] == "+1.5 (-4.9 to +7.9)"


def test_trainings_of_fewer_epochs_stand_beside_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    content = compared("variant", "five_epochs", "two_epochs")
    content["variants"] = {"five_epochs": {}, "two_epochs": {"training.epochs": 2}}
    (tmp_path / "epochs.json").write_text(json.dumps(content))
    text = epochs()
    assert "at layers 8+9" in text
    # of all commands that measured it
    assert "(`python -m benchmarks recipe --add`; `python -m benchmarks recipe`;" in text
    five, two = table(text)
    assert (five["variant"], five["on test, to `five_epochs`"]) == ("`five_epochs`", "")
    assert (two["variant"], two["dev %"], two["test %"]) == ("`two_epochs`", "90.0 ± 0.0", "92.5 ± 0.7")
    assert two["on test, to `five_epochs`"] == "+1.5 (-4.9 to +7.9)"


@pytest.mark.parametrize(
    ("name", "reference"),
    [("recipe", "token_offset"), ("few_rows", "contrastive_25"), ("epochs", "five_epochs")],
)
def test_the_default_is_among_the_shipped_variants(name: str, reference: str) -> None:
    assert reference in read_recipe_bench(CHECKOUT / "benchmarks" / "layers" / f"{name}.yml").variants
