"""What the folder of a run holds, read for its report; older runs hold less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spt.answers.error_analysis import ErrorAnalysis
from spt.architecture import PromptLayers
from spt.metrics import TITLES
from spt.serving.neighbours import Reading
from spt.storage.json_files import checked, read_json, read_json_lines
from spt.storage.yaml_files import read_yaml
from spt.training.history import ADVICE

STAGES = ("search", "train")
ONLY_THE_REPORT = "Only the report needs it: delete it."


@dataclass(frozen=True)
class RunFiles:
    """Hold what is known of a finished run.

    Attributes:
        config: as resolved, and `versions` and `machine` beside it.
        architecture: the layers that have a prompt.
        metrics: as in metrics.json.
        baselines: title -> scores of what needs no prompt, as metrics.json has them.
        gates: lines of search/gates.jsonl.
        curves: stage -> lines of its history.jsonl.
        candidates: lines of search/candidates.jsonl.
        derivation: how layers were read off a hyper-network; None where there was none.
        kind_scores: layer -> kind -> what the derivation ranked it by, where it chose between kinds.
        charges: of ledger.json.
        analysis: of the answers to test; None of runs from before it was noted.
        readings: of a free prompt at the input.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, Any]
    machine: Mapping[str, Any]
    architecture: PromptLayers
    metrics: Mapping[str, Any]
    baselines: Mapping[str, Mapping[str, Any]]
    gates: Sequence[Mapping[str, Any]]
    curves: Mapping[str, Sequence[Mapping[str, Any]]]
    candidates: Sequence[Mapping[str, Any]]
    derivation: str | None
    kind_scores: Mapping[str, Mapping[str, float]]
    charges: Sequence[Mapping[str, Any]]
    analysis: ErrorAnalysis | None
    readings: Sequence[Reading]

    @classmethod
    def read(
        cls,
        folder: Path,
        metrics: Mapping[str, Any],
        baselines: Mapping[str, Mapping[str, Any]],
    ) -> RunFiles:
        """Read a folder with config.yml and architecture.json, and what else there is.

        Raises:
            InputError: for a file that is damaged.
        """
        config, search = read_yaml(folder / "config.yml", "config"), folder / "search"
        analysis = folder / "error_analysis.json"
        return cls(
            config=config["run"],
            versions=config["versions"],
            machine=config["machine"],
            architecture=PromptLayers.load(folder / "architecture.json"),
            metrics=metrics,
            baselines=baselines,
            gates=read_json_lines(search / "gates.jsonl", ADVICE),
            curves={stage: read_json_lines(folder / stage / "history.jsonl", ADVICE) for stage in STAGES},
            candidates=read_json_lines(search / "candidates.jsonl", ONLY_THE_REPORT),
            derivation=_optional(search / "search.json").get("derivation"),
            kind_scores=_optional(search / "search.json").get("kind_scores") or {},
            charges=_optional(folder / "ledger.json").get("entries", ()),
            analysis=ErrorAnalysis.read(analysis) if analysis.exists() else None,
            readings=_readings(folder / "nearest_words.json"),
        )

    @property
    def metric(self) -> str:
        """Return the title of the task's metric."""
        return TITLES[self.metrics["metric"]]

    @property
    def layers(self) -> tuple[int, ...]:
        """Return the layers that have a prompt."""
        return self.architecture.layers


@dataclass(frozen=True)
class _Readings:
    """What is read of nearest_words.json."""

    readings: tuple[Reading, ...]


def _readings(path: Path) -> tuple[Reading, ...]:
    """Read the nearest words of a free prompt at the input, of runs that have one."""
    return checked(_Readings, _optional(path), f"'{path}'", ONLY_THE_REPORT).readings if path.exists() else ()


def _optional(path: Path) -> Mapping[str, Any]:
    return read_json(path, ONLY_THE_REPORT) if path.exists() else {}
