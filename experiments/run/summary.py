"""What a run folder has to show so far, in a few lines."""

from collections.abc import Callable, Mapping
from pathlib import Path

from rich.table import Table
from rich.text import Text

from experiments.run.answers import answer_lines
from experiments.run.folder import RunFolder
from experiments.run.results import RunMetrics, SearchResult, read_training
from experiments.run.simple_baselines.scores import baseline_lines
from spt.architecture import PromptLayers, layers_text
from spt.metrics import TITLES, scores_beside
from spt.reports.wording import percent, score_text
from strategies.costs import ScoredSubset


def summary(folder: Path) -> dict[str, str]:
    """Return name -> value of what the finished stages of a run found.

    Raises:
        InputError: for a result that no run wrote.
    """
    place = RunFolder(folder)
    architecture = PromptLayers.load(place.architecture)
    search = SearchResult.read(place.search_result)
    training = read_training(place.training_result) if place.training_result.exists() else None
    lines = {"layers": f"{architecture.text} of 0 to {architecture.total - 1}"}
    if search.gates:
        lines["gates"] = _by_layer(search.gates, "{:.2f}".format)
    if search.scores and search.scores != search.gates:
        lines[f"{search.derivation or 'layer'} scores"] = _by_layer(search.scores, score_text)
    if len(search.front) > 1:
        lines["score by cost"] = "  ".join(map(_score_by_cost, search.front))
    if place.metrics.exists():
        lines |= _scores(RunMetrics.read(place.metrics))
    elif training:
        lines["best dev score"] = percent(training.dev)
    seconds = {"search": search.search_seconds, "training": training.seconds if training else 0}
    lines["seconds"] = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items() if value)
    lines["folder"] = str(folder)
    return {name: value for name, value in lines.items() if value}


def _by_layer(values: Mapping[int, float], write: Callable[[float], str]) -> str:
    return "  ".join(f"{layer}: {write(value)}" for layer, value in values.items())


def _score_by_cost(subset: ScoredSubset) -> str:
    """Write layers as '8+9: 0.912 for 0.33': of the operations of a prompt at the input."""
    return (
        f"{layers_text(subset.layers, subset.kinds, '+')}: {score_text(subset.score)} for {subset.cost:.2f}"
    )


def table(folder: Path) -> Table:
    """Make a rich table of the summary."""
    shown = Table(show_header=False)
    for name, value in summary(folder).items():
        shown.add_row(name, Text(value))
    return shown


def _scores(metrics: RunMetrics) -> dict[str, str]:
    """Write the task's metric first; accuracy and F1 follow where they are not it."""
    title = TITLES[metrics.metric]
    prompt, head = metrics.prompt_parameters, metrics.head_parameters
    lines = {
        f"dev {title}": percent(metrics.dev_metric),
        f"test {title}": percent(metrics.test_metric),
        "dev accuracy": percent(metrics.dev_accuracy),
        "test accuracy": percent(metrics.test_accuracy),
        **{f"test {name}": percent(value) for name, value in scores_beside(metrics.as_json()).items()},
        "tunable parameters": f"{prompt + head:,} (prompt {prompt:,} + head {head:,})",
    }
    if metrics.fold_metrics is not None:
        folds = metrics.fold_metrics
        spread = f"{percent(min(folds))} to {percent(max(folds))}"
        lines[f"dev {title}"] += f", the mean of {len(folds)} folds ({spread})"
    if metrics.baselines:
        lines |= baseline_lines(metrics.baselines, metrics.test_metric)
    if metrics.answers is not None:
        lines |= answer_lines(metrics.answers)
    return {**lines, "warnings": "\n".join(metrics.warnings)} if metrics.warnings else lines
