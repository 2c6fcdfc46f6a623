"""The README's result tables, from the JSON files in benchmarks/results: `python -m benchmarks.tables`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.methods import COLUMNS
from benchmarks.record import RESULTS
from experiments.comparison import Comparison, Record
from experiments.comparison_table import Table
from experiments.statistics import spread

README = Path(__file__).parents[1] / "README.md"
SECTION = re.compile(
    r"(<!-- results: made by python -m benchmarks.tables -->\n).*?(<!-- end of results -->)", re.S
)
GROWTH = "Operations and saved bytes of a step as layers, tokens, prompt length and prompt layers grow"
NAMES = {
    "spt_darts": "SPT-DARTS",
    "peft_prompt_tuning": "peft PromptTuning training",
    "late_two": "two late layers",
}


def _load(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _percent(score: dict[str, float]) -> str:
    return f"{100 * score['mean']:.1f} ± {100 * score['sd']:.1f}"


def _points(score: dict[str, float]) -> str:
    return f"{100 * score['mean']:.2f} ± {100 * score['sd']:.2f}"


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _layers(layers: Iterable[int]) -> str:
    return "+".join(map(str, layers)) or "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown, with an empty one before them."""
    return ["", *(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))]


def strategies() -> str:
    """Each strategy's and derivation's choice of layers, judged by the truth table."""
    result = _load("strategies")
    spread, found = result["spread"], result["summary"]
    training = result["budget_flops"] / result["trainings"]
    title = (
        f"Every pair of layers of MiniLM-L6 trained on {result['train_size']:,} TREC questions with "
        f"{result['table_seeds']} seeds is the truth (`spt bench table`): the pairs' mean test accuracies "
        f"lie between {100 * spread['worst']:.1f} and {100 * spread['best']:.1f} %. The layers alone account "
        f"for a standard deviation of {100 * spread['choice']:.2f} points, the seed of a single training for "
        f"{100 * spread['seed']:.2f}. Judged by it over {found[0]['regret']['n']} seeds, at no more than "
        f"{result['trainings']:g} trainings' FLOPs for search and retraining together "
        f"(`{result['command']}`). The best pair is chosen on one half of the seeds and scored on the other, "
        "so a regret can be negative; `benchmarks/strategies.yml` says what each name changes:"
    )
    rows = [
        [
            f"`{row['variant']}`",
            row["derivation"] or "",
            _percent(row["test_accuracy"]),
            _points(row["regret"]),
            _decimal(row["kendall_tau"]),
            _decimal(row["stability"]),
            f"{row['train_flops']['mean'] / training:.2f}",
        ]
        for row in found
    ]
    head = ["search", "derivation", "test %", "regret, points", "Kendall's tau", "stability"]
    return "\n".join([title, *_table([*head, "FLOPs, trainings"], rows)])


def comparison() -> str:
    """Whole runs of every strategy on another task, as `spt compare` wrote them into its results.json."""
    result = _load("comparison")
    records, rows = result["records"], result["rows"]
    adjusted = {test["group"]: f"{test['adjusted']:.2f}" for test in result["tests"]}
    title = (
        f"Strategies on {rows[0]['condition']}, searched and retrained whole with {rows[0]['runs']} seeds "
        f"({records[0]['metrics']['train_size']:,} rows to train on; p: paired permutation tests against "
        f"`{result['reference']}`, by Holm), from the `results.json` of `{result['command']}`:"
    )
    cells = []
    for row in rows:
        numbers = row["numbers"]
        cells.append(
            [
                f"`{row['group']}`",
                _percent(numbers["dev_accuracy"]),
                _percent(numbers["test_accuracy"]),
                adjusted.get(row["group"], ""),
                ", ".join(map(_layers, row["layers"].values())),
                _decimal(row["stability"]),
                f"{numbers['total_flops']['mean'] / 1e12:.1f}",
                f"{numbers['seconds']['mean']:.0f}",
            ]
        )
    head = ["strategy", "dev %", "test %", "p", "layers by seed", "stability", "10^12 FLOPs", "seconds"]
    return "\n".join([title, *_table(head, cells)])


def methods() -> str:
    """A table of the methods for each condition."""
    return _methods("methods", "Methods side by side on MiniLM-L6")


def methods_sst2() -> str:
    """The same on 2,000 sentences of SST-2, measured by a command of its own."""
    return _methods("methods_sst2", "The same on 2,000 sentences of SST-2, for the methods measured so far")


def _methods(name: str, what: str) -> str:
    result = _load(name)
    title = (
        f"{what}, each at the learning rate that dev chose with seed "
        f"{result['sweep'][0]['seed']} (`experiments/methods.yml`). Seconds and FLOPs are of search and "
        f"training together, the rank is the mean over seeds (`{result['command']}`)."
    )
    conditions: dict[str, list[dict[str, Any]]] = {}
    for line in result["records"]:
        conditions.setdefault(line["condition"], []).append(line)
    return "\n\n".join([title, *(_condition(name, lines) for name, lines in conditions.items())])


def _condition(name: str, lines: Sequence[dict[str, Any]]) -> str:
    records = []
    for line in lines:
        failure = line.get("failure")
        metrics = None if failure else {key: value for key, value in line.items() if key != "layers"}
        records.append(Record(line["method"], name, line["seed"], {}, metrics, failure))
    compared = Comparison(records, [column.metric for column in COLUMNS])
    table, title, mean = Table(compared, COLUMNS), f"On `{name}`:", {}
    if compared.ranks is not None:
        groups, ranks = compared.ranks
        mean = dict(zip(groups, ranks.mean, strict=True))
        title = (
            f"On `{name}`, where mean ranks that are {ranks.critical_difference:.1f} apart differ at 5 % "
            f"(Nemenyi; Friedman's test of all being alike: p = {ranks.p:.2g}):"
        )
    rows = []
    for row in compared.rows:
        method, *cells = table.cells(row)
        rows.append([f"`{method}`", f"{mean[method]:.1f}" if method in mean else "", *cells])
    first, *head = table.head()
    return "\n".join([title, *_table([first, "rank", *head], rows), *_searched(lines)])


def _searched(lines: Sequence[dict[str, Any]]) -> list[str]:
    """The layers of the methods whose layers are not the same with every seed."""
    layers: dict[str, list[str]] = {}
    for line in lines:
        layers.setdefault(line["method"], []).append(_layers(line.get("layers", ())))
    found = [f"`{method}`: {', '.join(sets)}" for method, sets in layers.items() if len(set(sets)) > 1]
    return ["", f"Layers by seed: {'; '.join(found)}."] if found else []


def tuning() -> str:
    """Tuned against default regularisation, and what Tune takes beside its trials."""
    result = _load("tuning")
    title = (
        f"The best on dev of {result['trials']} trials of `experiments/tune.yml`'s search space beside the "
        f"default values, {result['shots']} training rows a class, a sample, a study and a default run a "
        f"seed (`{result['command']}`). Tune's own wall time was {result['overhead']['ratio']:.2f} times "
        "half of what its trials took on two slots."
    )
    rows = []
    for task, difference in result["difference"].items():
        records = [record for record in result["records"] if record["task"] == task]
        scores = [
            _percent(asdict(spread([record[key] for record in records])))
            for key in ("default_dev", "tuned_dev", "default_test", "tuned_test")
        ]
        interval = f"{100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}"
        rows.append([f"`{task}`", *scores, f"{100 * difference['mean']:+.1f}", interval, str(len(records))])
    head = ["task", "default dev %", "tuned dev %", "default test %", "tuned test %"]
    return "\n".join([title, *_table([*head, "difference on test", "95 % interval", "seeds"], rows)])


def neighbours() -> str:
    """Nearest words of Prompt Tuning's vectors, from each start, before training and after it."""
    result = _load("neighbours")
    title = (
        "The cosine of Prompt Tuning's vectors with the word nearest to each, their mean, and the share of "
        f"vectors whose nearest word training left the same, one seed (`{result['command']}`; the words are "
        "in the JSON):"
    )
    rows = [
        [
            start,
            *(_decimal(found[f"cosine_{which}"]) for which in ("control", "before", "after")),
            f"{100 * found['same_word']:.0f}",
            f"{100 * found['test_accuracy']:.1f}",
        ]
        for start, found in result["summary"].items()
    ]
    head = ["`prompt.init`", "random vector", "before", "after", "same word %", "test %"]
    return "\n".join([title, *_table(head, rows)])


def search_cost() -> str:
    """What search and retraining cost together, and the whole runs where they are recorded."""
    result = _load("search_cost")
    ratios, records, settings = result["ratios"], result["records"], result["settings"]
    title = (
        f"Search and retraining together cost {ratios['flops']:.2f} times the FLOPs and "
        f"{ratios['seconds']:.2f} times the seconds of one {NAMES[records[0]['name']]} of the same epochs, "
        f"side by side in one process (`{result['command']}`). MiniLM-L6, "
        f"{settings['data.train_size']:,} TREC questions, {settings['training.epochs']} epochs, one seed:"
    )
    rows = [
        [
            NAMES[run["name"]],
            _decimal(run["ratio_flops"]),
            _decimal(run["ratio_time"]),
            f"{100 * run['dev_accuracy']:.1f}",
            f"{100 * run['test_accuracy']:.1f}",
            _layers(run["layers"]),
        ]
        for run in records
    ]
    return "\n".join([title, *_table(["run", "FLOPs", "time", "dev %", "test %", "layers"], rows)])


def speed() -> str:
    """A step of each method beside one of peft's PromptTuning."""
    result = _load("speed")
    shape, share = result["shape"], result["generation"]["share_of_time"]
    by_threads: dict[int, dict[str, dict[str, Any]]] = {}
    for record in result["records"]:
        by_threads.setdefault(record["threads"], {})[record["name"]] = record
    title = (
        f"One training step of a BERT of {shape['layers']} layers with B {shape['batch']}, "
        f"T {shape['tokens']} and P {shape['prompt']}, in units of one peft PromptTuning step; made by "
        f"`{result['command']}`. Making the prompts takes {100 * share:.1f} % of a step."
    )
    rows = []
    for name, record in next(iter(by_threads.values())).items():
        ratios = [record.get(f"ratio_{key}") for key in ("flops", "saved_bytes", "peak_bytes")]
        ratios += [found[name]["ratio_time"] for found in by_threads.values()]
        rows.append([f"`{name}`", *map(_decimal, ratios)])
    times = [f"time, {threads} thread{'s' * (threads > 1)}" for threads in by_threads]
    head = ["method", "FLOPs", "saved activations", "peak memory", *times]
    latencies = ", ".join(
        f"{record['name'].replace('_', ' ')} {record['ratio_time']:.2f}"
        for record in result["latencies"]
        if record["threads"] == min(by_threads)
    )
    answers = f"Time to answer a batch, in units of the unprompted model: {latencies}."
    chart = f"![{GROWTH}](benchmarks/results/speed.svg)"
    return "\n".join([title, *_table(head, rows), "", answers, "", chart])


def tables() -> str:
    """The README's results section, of what has been measured."""
    parts = (methods, methods_sst2, neighbours, strategies, comparison, tuning, search_cost, speed)
    measured = [part() for part in parts if (RESULTS / f"{part.__name__}.json").exists()]
    return "\n\n".join(measured) + "\n"


def main() -> None:
    """Put the tables into the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(SECTION.sub(lambda match: f"{match[1]}{tables()}{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
