"""What learned prompts say, beside what they said before training: `python -m benchmarks neighbours`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.record import command_of, write_result
from experiments.config import RunConfig, load_config
from experiments.keys import as_arguments
from experiments.pipeline import run
from spt.build import new_factory
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.neighbours import Neighbour, Reading, read_input
from strategies.options import ManualOptions

STARTS = ("random", "vocabulary", "labels")


def measure_neighbours(
    path: Path,
    overrides: Mapping[str, Any] | None = None,
    folder: Path = Path("runs/neighbours"),
    say: Callable[[str], None] = print,
    result: str = "neighbours",
) -> Path:
    """Train a free prompt from each start, read it, and write benchmarks/results/<result>.json.

    Args:
        path: configuration of a run with a free prompt at the input, as
            experiments/configs/methods/prompt_tuning.yml.
        overrides: dotted keys over it.
        folder: of the runs, one a start; what it holds is not repeated.
        say: told the summary of each.
        result: name of the JSON.

    Raises:
        InputError: for a bad configuration, or one without a free prompt at the input.

    Source: Prompt Tuning (arXiv 2104.08691, section 7); the reading before training and the random control
    are ours.
    """
    overrides = overrides or {}
    configs = {start: load_config(path, {**overrides, "prompt.init": start}) for start in STARTS}
    config = configs["random"]
    layers = config.search.manual_layers if isinstance(config.search, ManualOptions) else None
    if layers != "input":
        raise InputError(
            f"The value of search.manual_layers in {path} is {layers!r}, but must be "
            "'input': words are read off a prompt that stands among them."
        )
    records, summary = [], {}
    for start, config in configs.items():
        metrics = run(config, folder / start)
        pairs = readings(config, folder / start / "model")
        records += [_record(start, before, after) for before, after in pairs]
        summary[start] = {**_summary(pairs), "test_accuracy": metrics.test_accuracy}
        say(f"{start}: {summary[start]}")
    command = command_of("neighbours", path, result=result) + as_arguments(overrides)
    return write_result(result, command, records, seed=config.seed, summary=summary)


def readings(config: RunConfig, model: Path) -> list[tuple[Reading, Reading]]:
    """Read each vector of the prompt at the input, before training and after it."""
    learned = PromptClassifier.from_pretrained(model)
    factory = new_factory(learned.spec, learned.model.backbone, learned.tokenizer, config.seed)
    started = replace(learned, model=factory.model(learned.architecture))
    return list(zip(read_input(started), read_input(learned), strict=True))


def _record(start: str, before: Reading, after: Reading) -> dict[str, Any]:
    return {
        "init": start,
        "position": after.position,
        "before": _words(before.words),
        "after": _words(after.words),
        "control": _words(after.control),
    }


def _words(neighbours: Sequence[Neighbour]) -> dict[str, float]:
    return {neighbour.word: neighbour.cosine for neighbour in neighbours}


def _summary(pairs: Sequence[tuple[Reading, Reading]]) -> dict[str, float]:
    """Return mean cosines with the nearest word, and the share of vectors that training left at theirs."""
    return {
        "cosine_before": fmean(before.words[0].cosine for before, _ in pairs),
        "cosine_after": fmean(after.words[0].cosine for _, after in pairs),
        "cosine_control": fmean(after.control[0].cosine for _, after in pairs),
        "same_word": fmean(before.words[0].word == after.words[0].word for before, after in pairs),
    }
