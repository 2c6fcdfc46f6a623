"""Layers found elsewhere, at the same relative depth of another backbone, beside a search there."""

import json
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from experiments.cli import app
from experiments.comparing import compare
from experiments.comparing.grid import outcome_of, run_config
from experiments.comparing.transfer import transfer_cells
from experiments.config import load_config
from spt.architecture import PromptLayers
from spt.errors import InputError
from tests.support.tiny import make_backbone, tiny_tree


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a run on a backbone of six layers."""
    six = make_backbone(tmp_path / "six", layers=6)
    tree = tiny_tree(tmp_path, backbone={"name": str(six)}, search={"epochs": 1}, training={"epochs": 1})
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A run folder with layers of a backbone of four."""
    folder = tmp_path / "found"
    folder.mkdir()
    PromptLayers.of([1, 3], 4).save(folder / "architecture.json")
    return folder


def test_the_cells_are_a_search_and_the_layers_over_seeds(source: Path, config: Path) -> None:
    cells = transfer_cells(source, config, {"search.k": 3}, seeds=2)
    assert [(cell.group, cell.config.seed) for cell in cells] == [
        ("searched", 0),
        ("searched", 1),
        ("transferred", 0),
        ("transferred", 1),
    ]
    assert cells[0].config.search.strategy == "spt_darts" and cells[0].config.search.k == 3
    assert cells[2].config.search.manual_layers == str(source / "architecture.json")
    assert transfer_cells(source / "architecture.json", config, {}, 1)[1].config.search.strategy == "manual"
    darts = transfer_cells(source, config, {"search.strategy": "darts"}, seeds=1)
    assert [cell.config.search.strategy for cell in darts] == ["darts", "manual"]


@pytest.mark.slow
def test_a_deeper_backbone_gets_the_layers_at_their_relative_depth(
    source: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        compare,
        "run_grid",
        lambda configs, folder, _workers, _on_done: {
            name: outcome_of(partial(run_config, config), folder / name) for name, config in configs.items()
        },
    )
    folder = tmp_path / "runs"
    keys = ["search.k=2", "training.patience=1"]
    arguments = ["transfer", str(source), str(config), *keys, "--seeds", "1", "--folder", str(folder)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["command"] == " ".join(["spt", "transfer", str(source), str(config), "--seeds 1", *keys])
    # one pair is not tested
    assert results["tests"] == []
    searched, transferred = results["records"]
    assert (transferred["group"], transferred["metrics"]["layers"]) == ("transferred", [2, 5])
    assert transferred["metrics"]["layers_total"] == 6
    assert len(searched["metrics"]["layers"]) == 2
    assert searched["metrics"]["total_flops"] > transferred["metrics"]["total_flops"]


def test_what_cannot_be_transferred_is_refused(source: Path, config: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"architecture\.json' cannot be read"):
        transfer_cells(tmp_path, config, {}, 1)
    with pytest.raises(InputError, match="leaves nothing to compare"):
        transfer_cells(source, config, {"search.strategy": "manual", "search.manual_layers": "all"}, 1)
    (source / "architecture.json").write_text('{"layers": [0, 1], "total": 2}', encoding="utf-8")
    layers = {"search.strategy": "manual", "search.manual_layers": str(source / "architecture.json")}
    assert load_config(config, layers)
