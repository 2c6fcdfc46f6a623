"""Where a run is, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from experiments.live.run_progress import RunProgress
from experiments.live.time_left import duration
from spt.architecture import layers_text
from spt.reports.wording import percent

STAGES = {"beginning": "reading data and backbone", "scores": "scoring dev and test"}


def run_line(progress: RunProgress) -> str:
    """Write where a run is: stage, epoch, loss, dev score, layers with their gates, and the time left."""
    if progress.state == "running":
        parts = [where(progress), *measures(progress), *_left(progress)]
    elif progress.state == "finished":
        parts = ["finished", *measures(progress), *_took(progress)]
    else:
        reason = f"{progress.state}: {progress.failure}" if progress.failure else progress.state
        at = [f"in {where(progress)}"] if progress.state in ("stopped", "failed") else []
        parts = [reason, *at, *measures(progress)]
    return "  ".join(parts)


def begun_line(progress: RunProgress) -> str:
    """Write that a stage or a candidate has begun, and what is known of the run by then."""
    layers = [layers_so_far(progress)] if progress.layers else []
    return "  ".join([where(replace(progress, share=None)), *layers])


def epoch_line(progress: RunProgress) -> str:
    """Write the epoch that ended before the one under way."""
    ended = replace(progress, epoch=(progress.epoch or 1) - 1, share=None, loss=progress.ended_loss)
    return "  ".join([where(ended), *measures(ended), *_left(progress)])


def where(progress: RunProgress) -> str:
    """Write a run's stage, its candidate and its epoch, as far as it has them."""
    if progress.stage in STAGES:
        return STAGES[progress.stage]
    parts: list[str] = [progress.stage]
    if progress.candidate is not None:
        number = min(progress.candidate, progress.candidates or progress.candidate)
        parts.append(f"candidate {number} of at most {progress.candidates},")
    if progress.epoch is not None:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
    if progress.share is not None:
        parts.append(f"({progress.share:.0%})")
    return " ".join(parts)


def measures(progress: RunProgress) -> Iterator[str]:
    """Yield loss, scores and layers, as far as a run has them."""
    if progress.loss is not None:
        yield f"loss {progress.loss:.3f}"
    if progress.dev is not None:
        best = progress.best_dev
        better = f" (best {percent(best)})" if best is not None and best > progress.dev else ""
        yield f"dev {percent(progress.dev)}{better}"
    if progress.test is not None:
        yield f"test {percent(progress.test)}"
    if progress.layers:
        yield layers_so_far(progress)


def layers_so_far(progress: RunProgress) -> str:
    """Write the layers that were chosen, or would be now, and their gates where the search learns some."""
    if progress.gates:
        gates = ", ".join(f"{layer} ({gate:.2f})" for layer, gate in progress.gates.items())
        if progress.stage == "search":
            return f"top gates: {gates}"
        if not progress.kinds:
            return f"layers {gates}"
    return f"layers {layers_text(progress.layers, progress.kinds)}"


def _left(progress: RunProgress) -> Iterator[str]:
    if progress.seconds_left is not None:
        yield f"about {duration(progress.seconds_left)} left"


def _took(progress: RunProgress) -> Iterator[str]:
    if progress.seconds is not None:
        yield f"{duration(progress.seconds)} of search and training"
