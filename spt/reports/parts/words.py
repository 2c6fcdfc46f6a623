"""The words that a free prompt at the input is nearest to."""

from __future__ import annotations

from collections.abc import Sequence

from spt.reports.page import Section, Table
from spt.reports.run_files import RunFiles
from spt.serving.neighbours import Neighbour

TEXT = (
    "Words whose vectors point most nearly the way of the prompt's vectors at the input, with the cosine. "
    "What a random vector is near to shows how much of that is chance."
)


def words_section(run: RunFiles) -> Section | None:
    """List the nearest words of each vector, if the prompt is one that words can be read off."""
    if not run.readings:
        return None
    rows = [[str(one.position), _listed(one.words), _listed(one.control)] for one in run.readings]
    return Section("Nearest words", [TEXT], tables=[Table(["position", "prompt", "random vector"], rows)])


def _listed(words: Sequence[Neighbour]) -> str:
    return ", ".join(f"{near.word} {near.cosine:.2f}" for near in words)
