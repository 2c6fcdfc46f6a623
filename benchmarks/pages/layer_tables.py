"""What prompts give at each layer and each pair, from the truth tables, and what finds such layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.by_seed import by_seed, difference
from benchmarks.equal_operations.bench import tera
from benchmarks.equal_operations.summary import DEFAULT
from benchmarks.layers.search_deep import name_of, variants_of
from benchmarks.pages import markdown
from benchmarks.record import load, made_of, path_of
from experiments.comparing.statistics import spread
from experiments.comparing.truth import ADVICE, TruthTable
from spt.answers.score_intervals import share_interval
from spt.architecture import Layers
from spt.storage.json_files import read_json

TABLES = CHECKOUT / "experiments" / "comparing"
# (strategy, task) -> its means
Rows = Mapping[tuple[str, str], Mapping[str, Any]]


def single_layers() -> str:
    """Show dev, test and operations of one generated prompt at each layer, a table a task."""
    return "\n\n".join(single_layer_table(path) for path in sorted(TABLES.glob("truth_*_k1.json")))


def single_layer_table(path: Path) -> str:
    """Show the truth table of single layers in a file."""
    content = read_json(path, ADVICE)
    run, records = content["run"], content["records"]
    title = (
        f"One generated prompt at each layer of {run['backbone']['name']}, {run['data']['train_size']:,} "
        f"rows of {run['task']['name']}, {run['training']['epochs']} epochs, {len(records[0]['seeds'])} "
        f"seeds, on {device(content['machine'])} ({markdown.commands(made_of(content))}). "
        f"{_over_rows(run, max(fmean(record['test_metric']) for record in records))} Operations are "
        "of a training with the states below the prompt cached:"
    )
    rows = [
        [
            markdown.layers(record["layers"]),
            markdown.percent(asdict(spread(record["dev_metric"]))),
            markdown.percent(asdict(spread(record["test_metric"]))),
            f"{fmean(record['train_flops']) / 1e12:.1f}",
        ]
        for record in records
    ]
    return "\n".join([title, *markdown.table(["layer", "dev %", "test %", "10^12 FLOPs"], rows)])


def _over_rows(run: Mapping[str, Any], best: float) -> str:
    """Say how far the best score, a share of rows, may be off because these are some and not others."""
    rows = run["data"]["test_size"]
    low, high = share_interval(best, rows)
    return (
        f"Over other test rows, {rows:,} that all layers share, the best score of {100 * best:.1f} lies "
        f"between {100 * low:.1f} and {100 * high:.1f} (95 %)."
    )


def layer_pairs() -> str:
    """Show the test score of two prompts at every pair of layers, a table a task and backbone."""
    return "\n\n".join([layer_pair_table(path) for path in sorted(TABLES.glob("truth_*_k2.json"))])


def layer_pair_table(path: Path) -> str:
    """Show the truth table of pairs of layers in a file: a row a lower layer, a column an upper one."""
    truth, content = TruthTable.load(path), read_json(path, ADVICE)
    means = {layers: truth.test(layers) for layers in truth.entries}
    best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    spread, halves = truth.spread(), truth.reliability()
    agreed = "rank nothing" if halves is None else f"agree by a Kendall's tau of {halves:.2f}"
    title = (
        f"Test scores in % of two generated prompts at every pair of layers of {truth.setting['backbone']}, "
        f"{truth.setting['train_size']:,} rows of {truth.setting['task']}, "
        f"{content['run']['training']['epochs']} epochs, {len(truth.seeds)} seeds, on "
        f"{device(content['machine'])} ({markdown.commands(made_of(content))}): the best pair is "
        f"{markdown.layers(best)}, the worst {markdown.layers(worst)}. The layers alone account for a "
        f"standard deviation of {100 * spread['choice']:.2f} points, the seed of a single training for "
        f"{100 * spread['seed']:.2f}, and halves of the seeds {agreed}. Pairs of neighbours have "
        f"{_mean_of_pairs(means, True)} on average, others {_mean_of_pairs(means, False)}. "
        f"{_over_rows(content['run'], means[best])} Operations are of a training with the states below the "
        "lower layer cached:"
    )
    uppers = range(1, truth.total)
    rows = [_row_of_pairs(truth, means, lower, uppers) for lower in range(truth.total - 1)]
    return "\n".join([title, *markdown.table(["lower layer", *map(str, uppers), "10^12 FLOPs"], rows)])


def _mean_of_pairs(means: Mapping[Layers, float], neighbours: bool) -> str:
    """Write the mean score in % of the pairs of layers that are neighbours, or of those that are not."""
    scores = [score for (lower, upper), score in means.items() if (upper - lower == 1) == neighbours]
    return f"{100 * fmean(scores):.1f}"


def _row_of_pairs(
    truth: TruthTable, means: Mapping[Layers, float], lower: int, uppers: Iterable[int]
) -> list[str]:
    pairs = [list(by_seed.values()) for (below, _), by_seed in truth.entries.items() if below == lower]
    flops = fmean(training.flops for pair in pairs for training in pair)
    scores = [f"{100 * means[lower, upper]:.1f}" if upper > lower else "" for upper in uppers]
    return [str(lower), *scores, f"{flops / 1e12:.1f}"]


def search_deep() -> str:
    """Show what finds a layer of twelve, judged by the truth tables, what it costs, and the defaults."""
    result, beside = load("search_deep"), load("prompt_tuning")
    found = _searches(result, beside, "One generated prompt on e5-small, its layer")
    return "\n\n".join([found, *_defaults(result["tables"], beside["records"])])


def search_deep_k2() -> str:
    """Show what finds two layers of twelve, judged by the truth tables, and what it costs."""
    whose = "Two generated prompts on e5-small, their layers"
    return _searches(load("search_deep_k2"), load("prompt_tuning"), whose)


def _searches(result: dict[str, Any], beside: dict[str, Any], whose: str) -> str:
    """Show a bench of searches, with the gain beside Prompt Tuning."""
    tables, rows = result["tables"], result["summary"]
    ceilings = ", ".join(f"{table['ceiling']:.2f} on `{task}`" for task, table in tables.items())
    k, seeds = result["records"][0]["k"], next(iter(tables.values()))["seeds"]
    variants = variants_of(k).relative_to(CHECKOUT)
    title = (
        f"{whose} found by each search and judged by the tables above, "
        f"{seeds} seeds ({markdown.commands(made_of(result))}; `{variants}` says "
        f"what each name is). Regret is in points of test accuracy against the best layer{'s' * (k > 1)}, "
        "chosen on other seeds than score it, so that it can be negative; Kendall's tau is that of the "
        f"search's scores of layers with the table, whose halves agree with each other by {ceilings}; cost "
        "is search and training together, in trainings of the same epochs with the "
        f"{'prompt' if k == 1 else 'first prompt'} at the input; gain is in points "
        "beside Prompt Tuning, a free prompt at the input, where that was trained "
        f"({markdown.command(beside['command'])}): as many epochs, at the rate of {_rates(beside)} that dev "
        f"chose with another seed, on {device(beside['machine'])}, where the layers' trainings are those of "
        "the tables above; ± is the deviation over seeds:"
    )
    cells = [
        [
            f"`{row['strategy']}`",
            f"`{row['task']}`",
            ", ".join(map(markdown.layers, row["layers"])),
            markdown.percent(row["test_metric"]),
            _gain(row, result["records"], beside["records"]),
            markdown.points(row["regret"]),
            markdown.mean_and_sd(found["kendall_tau"] for found in _of_row(row, result["records"])),
            f"{row['cost']:.2f}",
        ]
        for row in rows
    ]
    head = [
        "search",
        "task",
        "layers by seed",
        "test %",
        "gain, points",
        "regret, points",
        "Kendall's tau",
        "cost",
    ]
    return "\n".join([title, *markdown.table(head, cells)])


def _defaults(truths: dict[str, Any], prompt_tuning: list[dict[str, Any]]) -> list[str]:
    """Say what the defaults reach beside Prompt Tuning within each budget, on the rows of both."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for record in load("methods_deep")["records"]:
        is_default = record["method"] == DEFAULT and record["shots"] is None and "test_accuracy" in record
        if is_default and record["backbone"] == truths.get(record["task"], {}).get("backbone"):
            groups.setdefault((record["task"], record["budget_flops"]), []).append(record)
    told = []
    for (task, budget), records in groups.items():
        others = [r for r in prompt_tuning if r["task"] == task]
        mine, theirs = by_seed(records, "test_accuracy"), by_seed(others, "test_metric")
        gain = difference(mine, theirs)
        if gain is None or mine.keys() != theirs.keys():
            continue
        cost = fmean(r["train_flops"] for r in records) / fmean(r["train_flops"] for r in others)
        told.append(
            f"on `{task}` within {tera(budget)} * 10^12 operations {markdown.points(asdict(gain))} points "
            f"beside Prompt Tuning for {cost:.2f} of its operations"
        )
    if not told:
        return []
    return [
        "The defaults, which search two layers and shift the tokens there too, on the same rows and seeds "
        f"(see [methods at equal operations](#methods-at-equal-operations)): {'; '.join(told)}."
    ]


def _rates(beside: dict[str, Any]) -> str:
    *others, last = (f"{rate:g}" for rate in beside["rates"])
    return f"{', '.join(others)} and {last}"


def _gain(row: dict[str, Any], found: list[dict[str, Any]], prompt_tuning: list[dict[str, Any]]) -> str:
    """Write the mean difference to Prompt Tuning by seed, where that was trained on the task."""
    theirs = by_seed((r for r in prompt_tuning if r["task"] == row["task"]), "test_metric")
    mine = by_seed(_of_row(row, found), "test_metric")
    gain = difference(mine, theirs)
    return markdown.points(asdict(gain)) if gain and theirs.keys() >= mine.keys() else ""


def _of_row(row: dict[str, Any], records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the records of each seed of what a row is a summary of."""
    return (r for r in records if (r["strategy"], r["task"]) == (row["strategy"], row["task"]))


def layers_worth() -> str:
    """Say how much choosing layers is worth, of one prompt and of two, from the benches of searches."""
    names = (name_of(k) for k in (1, 2))
    return " ".join(_worth(load(name)) for name in names if path_of(name).exists())


def _worth(result: dict[str, Any]) -> str:
    rows = {(row["strategy"], row["task"]): row for row in result["summary"]}
    single = result["records"][0]["k"] == 1
    prompts, layers = ("one prompt", "layer") if single else ("two prompts", "pair")
    ends = "; ".join(
        f"on `{task}` {100 * table['worst']:.1f} % at the worst {layers}, {100 * table['best']:.1f} % at the "
        f"best (a deviation of {100 * table['choice']:.2f} points without that of seeds), "
        f"{_by_hand(rows, task)}and `gradient` finds {_test(rows, 'gradient', task)} for "
        f"{rows['gradient', task]['cost']:.2f} of a training with its {'' if single else 'first '}prompt at "
        "the input"
        for task, table in result["tables"].items()
        if ("gradient", task) in rows
    )
    seeds = next(iter(result["tables"].values()))["seeds"]
    picked = "worst and best are" if single else "worst, best and the distance that `gradient` keeps are"
    return (
        f"What choosing layers is worth for {prompts} on the twelve of e5-small (2,000 rows, "
        f"{seeds} seeds; {picked} picked on the test that they are scored on): {ends}."
    )


def _by_hand(rows: Rows, task: str) -> str:
    """Write what layers give that nothing searched, where that was measured."""
    named = {"middle": "in the middle", "thirds": "a third and two thirds up", "random_one": "at random"}
    told = [f"{_test(rows, name, task)} {where}, " for name, where in named.items() if (name, task) in rows]
    return "".join(told)


def _test(rows: Rows, strategy: str, task: str) -> str:
    return f"{100 * rows[strategy, task]['test_metric']['mean']:.1f} %"


def device(machine: dict[str, Any]) -> str:
    """Name what computed: the GPU, or the processor."""
    gpu: str = machine["gpu"]
    return f"{machine['cores']} cores of {machine['processor']}" if gpu == "none" else f"an {gpu}"
