"""The tables of what parts of a training are worth, from a small result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import CHECKOUT
from benchmarks import record as recording
from benchmarks.layers.recipe import read_recipe_bench
from benchmarks.pages.recipe_tables import few_rows, placements, recipe, width
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


def compared(*cells: tuple[str, str, str]) -> dict[str, Any]:
    """A result of two seeds, of condition, placement and variant; each cell is above the one before."""
    named = [dict(zip(("condition", "placement", "variant"), cell, strict=True)) for cell in cells]
    return {
        "command": "python -m benchmarks recipe --add",
        "earlier": [{"command": "python -m benchmarks recipe"}],
        "placements": {"two": [8, 9], "six": [4, 8]},
        "summary": [{**names, "train_flops": 4e12, "tunable_parameters": 6150} for names in named],
        "records": [
            {**names, "seed": seed, "dev_metric": 0.9, "test_metric": 0.9 + (number + 1) * (1 + seed) / 50}
            for number, names in enumerate(named)
            for seed in (1, 0)
        ],
    }


def test_other_layers_stand_beside_those_found_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    content = compared(("trec", "two", "default"), ("trec", "six", "default"))
    (tmp_path / "placements.json").write_text(json.dumps(content))
    text = placements()
    # all commands that measured it
    assert "(`python -m benchmarks recipe --add`; `python -m benchmarks recipe`)" in text
    found, lower = table(text)
    assert (found["layers"], found["test %"], found["on test, to the first"]) == ("8+9", "93.0 ± 1.4", "")
    assert (lower["layers"], lower["test %"], lower["dev %"]) == ("4+8", "96.0 ± 2.8", "90.0 ± 0.0")
    assert lower["on test, to the first"] == "+3.0 (-9.7 to +15.7)"
    assert (lower["parameters"], lower["10^12 FLOPs"]) == ("6,150", "4.0")


def test_narrower_generators_stand_beside_the_default_on_the_same_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    sst2 = [("sst2", "two", "default"), ("sst2", "two", "narrow")]
    trec = [("trec", "two", "default"), ("trec", "two", "narrow")]
    (tmp_path / "width.json").write_text(json.dumps(compared(*sst2, *trec)))
    text = width()
    first, second = tables(text)
    assert text.index("`sst2`:") < text.index("`trec`:")
    assert [row["variant"] for row in (*first, *second)] == ["`default`", "`narrow`"] * 2
    assert {row["layers"] for row in (*first, *second)} == {"8+9"}
    # each beside the first of its own
    assert first[0]["on test, to the first"] == second[0]["on test, to the first"] == ""
    assert first[1]["on test, to the first"] == second[1]["on test, to the first"] == "+3.0 (-9.7 to +15.7)"


@pytest.mark.parametrize(
    ("name", "reference"),
    [("recipe", "token_offset"), ("few_rows", "contrastive_25"), ("width", "default")],
)
def test_the_default_is_among_the_shipped_variants(name: str, reference: str) -> None:
    assert reference in read_recipe_bench(CHECKOUT / "benchmarks" / "layers" / f"{name}.yml").variants
