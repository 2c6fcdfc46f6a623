"""The summary of a run whose search is done."""

from pathlib import Path

from experiments.run.results import SearchResult
from experiments.run.summary import summary
from spt.architecture import PromptLayers
from strategies.costs import ScoredSubset


def test_scores_of_layers_and_what_cheaper_ones_score_are_shown(tmp_path: Path) -> None:
    PromptLayers.of([2], 4).save(tmp_path / "architecture.json")
    (tmp_path / "search").mkdir()
    SearchResult(
        layers=(2,),
        evaluations=0,
        search_seconds=1.0,
        search_steps=0,
        search_flops=5,
        scores={2: 0.8, 3: 0.7},
        front=(ScoredSubset((3,), 0.7, 0.25), ScoredSubset((2,), 0.8, 0.5)),
    ).write(tmp_path / "search" / "search.json")
    lines = summary(tmp_path)
    assert lines["layer scores"] == "2: 0.800  3: 0.700"
    assert lines["score by cost"] == "3: 0.700 for 0.25  2: 0.800 for 0.50"
