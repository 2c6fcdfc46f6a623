"""docs/results.md and its summary in the README, from benchmarks/results: `python -m benchmarks tables`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.pages import markdown
from benchmarks.pages.answer_tables import answers
from benchmarks.pages.cost_table import costs
from benchmarks.pages.demo_table import demo, demo_sentence
from benchmarks.pages.equal_operations_tables import defaults_worth, methods_deep, methods_official
from benchmarks.pages.gpu_tables import gpu
from benchmarks.pages.http_tables import serving_http, serving_replicas
from benchmarks.pages.layer_tables import (
    layer_pairs,
    layers_worth,
    search_deep,
    search_deep_k2,
    single_layers,
)
from benchmarks.pages.method_tables import methods, short_summary
from benchmarks.pages.precision_tables import precision
from benchmarks.pages.recipe_tables import few_rows, placements, recipe, width
from benchmarks.pages.serving_tables import serving, sharing_worth
from benchmarks.record import load, path_of
from experiments.comparing.statistics import spread
from experiments.run.results import with_current_names

README, PAGE = CHECKOUT / "README.md", CHECKOUT / "docs" / "results.md"
HEAD = """# Results

Made by `python -m benchmarks tables` from the JSON files in `benchmarks/results`, which have every run, its
seed, versions and kind of machine. Each table has the command that measured it."""
SECTION = re.compile(
    r"(<!-- (?P<name>\w+): made by python -m benchmarks tables -->\n).*?(<!-- end of (?P=name) -->)", re.S
)
GROWTH = "Operations and saved bytes of a step as layers, tokens, prompt length and prompt layers grow"
# the strategies that score layers, measured after the others
OF_SCORES = "layer_scores"
NAMES = {
    "spt_darts": "SPT-DARTS",
    "peft_prompt_tuning": "peft PromptTuning training",
    "late_two": "two late layers",
}


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def strategies() -> str:
    """Show each strategy's and derivation's choice of layers, judged by the truth table."""
    result = load("strategies")
    parts = [result, *([load(OF_SCORES)] if path_of(OF_SCORES).exists() else [])]
    command = markdown.commands(parts)
    spread = result["spread"]
    by_variant = [with_current_names(row) for part in parts for row in part["summary"]]
    training = result["budget_flops"] / result["trainings"]
    days = " and ".join(dict.fromkeys(part["date"] for part in parts))
    title = (
        f"Every pair of layers of MiniLM-L6 trained on {result['train_size']:,} TREC questions with "
        f"{result['table_seeds']} seeds is the truth (`python -m benchmarks table`): the pairs' mean test "
        f"accuracies lie between {100 * spread['worst']:.1f} and {100 * spread['best']:.1f} %. The layers "
        f"alone account for a standard deviation of {100 * spread['choice']:.2f} points, the seed of a "
        f"single training for {100 * spread['seed']:.2f}. Judged by it over "
        f"{by_variant[0]['regret']['n']} seeds, "
        f"at no more than {result['trainings']:g} trainings' FLOPs for search and retraining together "
        f"({command}; of {days}). The best pair is chosen on one half of the seeds and scored on the other, "
        "so a regret can be negative; `benchmarks/layers/strategies.yml` says what each name changes:"
    )
    rows = [
        [
            f"`{row['variant']}`",
            row["derivation"] or "",
            markdown.percent(row["test_metric"]),
            markdown.points(row["regret"]),
            markdown.mean_and_sd(_taus(row, parts)),
            _decimal(row["stability"]),
            f"{row['total_flops']['mean'] / training:.2f}",
        ]
        for row in by_variant
    ]
    head = ["search", "derivation", "test %", "regret, points", "Kendall's tau", "stability"]
    return "\n".join([title, *markdown.table([*head, "FLOPs, trainings"], rows)])


def _taus(row: dict[str, Any], parts: Iterable[dict[str, Any]]) -> Iterator[float | None]:
    """Yield Kendall's tau of each seed of a variant and derivation."""
    for part in parts:
        for record in part["records"]:
            if (record["variant"], record.get("derivation")) == (row["variant"], row["derivation"]):
                yield record.get("kendall_tau")


def comparison() -> str:
    """Show whole runs of every strategy on another task, from the results.json of `spt compare`."""
    result = load("comparison")
    command = markdown.command(result["command"])
    records, rows = result["records"], result["rows"]
    adjusted = {test["group"]: f"{test['adjusted']:.2f}" for test in result["tests"]}
    title = (
        f"Strategies on {rows[0]['condition']}, searched and retrained whole with {rows[0]['runs']} seeds "
        f"({records[0]['metrics']['train_size']:,} rows to train on; p: paired permutation tests against "
        f"`{result['reference']}`, by Holm), from the `results.json` of {command}:"
    )
    cells = []
    for row in rows:
        numbers = with_current_names(row["numbers"])
        cells.append(
            [
                f"`{row['group']}`",
                markdown.percent(numbers["dev_metric"]),
                markdown.percent(numbers["test_metric"]),
                adjusted.get(row["group"], ""),
                ", ".join(map(markdown.layers, row["layers"].values())),
                _decimal(row["stability"]),
                f"{numbers['total_flops']['mean'] / 1e12:.1f}",
                f"{numbers['total_seconds']['mean']:.0f}",
            ]
        )
    head = ["strategy", "dev %", "test %", "p", "layers by seed", "stability", "10^12 FLOPs", "seconds"]
    return "\n".join([title, *markdown.table(head, cells)])


def tuning() -> str:
    """Show tuned against default regularisation, and what Tune takes beside its trials."""
    result = load("tuning")
    command = markdown.command(result["command"])
    title = (
        f"The best on dev of {result['trials']} trials of what `experiments/tune.yml` searched on "
        f"{result['date']} beside the defaults of that day, {result['shots']} training rows a class, a "
        f"sample, a study and a default run a seed ({command}). Tune's own wall time was "
        f"{result['overhead']['ratio']:.2f} times half of what its trials took on two slots."
    )
    rows = []
    for task, difference in result["difference"].items():
        records = [record for record in result["records"] if record["task"] == task]
        scores = [
            markdown.percent(asdict(spread([record[key] for record in records])))
            for key in ("default_dev", "tuned_dev", "default_test", "tuned_test")
        ]
        interval = f"{100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}"
        rows.append([f"`{task}`", *scores, f"{100 * difference['mean']:+.1f}", interval, str(len(records))])
    head = ["task", "default dev %", "tuned dev %", "default test %", "tuned test %"]
    return "\n".join([title, *markdown.table([*head, "difference on test", "95 % interval", "seeds"], rows)])


def neighbours() -> str:
    """Show the nearest words of Prompt Tuning's vectors, from each start, before training and after it."""
    result = load("neighbours")
    command = markdown.command(result["command"])
    title = (
        "The cosine of Prompt Tuning's vectors with the word nearest to each, their mean, and the share of "
        f"vectors whose nearest word training left the same, one seed ({command}; the words are "
        "in the JSON):"
    )
    rows = [
        [
            start,
            *(_decimal(of_start[f"cosine_{which}"]) for which in ("control", "before", "after")),
            f"{100 * of_start['same_word']:.0f}",
            f"{100 * of_start['test_accuracy']:.1f}",
        ]
        for start, of_start in result["summary"].items()
    ]
    head = ["`prompt.init`", "random vector", "before", "after", "same word %", "test %"]
    return "\n".join([title, *markdown.table(head, rows)])


def search_cost() -> str:
    """Show what search and retraining cost together, beside other whole runs."""
    result = load("search_cost")
    command = markdown.command(result["command"])
    ratios, records, settings = result["ratios"], result["records"], result["settings"]
    title = (
        f"Search and retraining together cost {ratios['flops']:.2f} times the FLOPs and "
        f"{ratios['seconds']:.2f} times the seconds of one {NAMES[records[0]['name']]} of the same epochs, "
        f"side by side in one process ({command}). MiniLM-L6, "
        f"{settings['data.train_size']:,} TREC questions, {settings['training.epochs']} epochs, one seed:"
    )
    rows = [
        [
            NAMES[run["name"]],
            _decimal(run["ratio_flops"]),
            _decimal(run["ratio_time"]),
            f"{100 * run['dev_metric']:.1f}",
            f"{100 * run['test_metric']:.1f}",
            markdown.layers(run["layers"]),
        ]
        for run in map(with_current_names, records)
    ]
    return "\n".join([title, *markdown.table(["run", "FLOPs", "time", "dev %", "test %", "layers"], rows)])


def speed() -> str:
    """Show a step of each method beside one of peft's PromptTuning."""
    result = load("speed")
    command = markdown.command(result["command"])
    shape, share = result["shape"], result["generation"]["share_of_time"]
    by_threads: dict[int, dict[str, dict[str, Any]]] = {}
    for record in result["records"]:
        by_threads.setdefault(record["threads"], {})[record["name"]] = record
    title = (
        f"One training step of a BERT of {shape['layers']} layers with B {shape['batch']}, "
        f"T {shape['tokens']} and P {shape['prompt']}, in units of one peft PromptTuning step; made by "
        f"{command}. Making the prompts takes {100 * share:.1f} % of a step."
    )
    rows = []
    for name, record in next(iter(by_threads.values())).items():
        ratios = [record.get(f"ratio_{key}") for key in ("flops", "saved_bytes", "peak_bytes")]
        ratios += [records[name]["ratio_time"] for records in by_threads.values()]
        rows.append([f"`{name}`", *map(_decimal, ratios)])
    times = [f"time, {threads} thread{'s' * (threads > 1)}" for threads in by_threads]
    head = ["method", "FLOPs", "saved activations", "peak memory", *times]
    latencies = ", ".join(
        f"{record['name'].replace('_', ' ')} {record['ratio_time']:.2f}"
        for record in result["latencies"]
        if record["threads"] == min(by_threads)
    )
    answers = f"Time to answer a batch, in units of the unprompted model: {latencies}."
    chart = f"![{GROWTH}](../benchmarks/results/speed.svg)"
    return "\n".join([title, *markdown.table(head, rows), "", answers, "", chart])


PARTS = {
    methods: "Methods",
    methods_deep: "Methods at equal operations",
    methods_official: "Methods on TREC's own test",
    demo: "The demo",
    neighbours: "Words of a prompt",
    single_layers: "One prompt, layer by layer",
    layer_pairs: "Two prompts, pair by pair",
    search_deep: "One layer of twelve, found",
    search_deep_k2: "Two layers of twelve, found",
    recipe: "What each part of a training is worth",
    few_rows: "A training of few rows",
    placements: "Lower layers than those found",
    width: "Narrower generators",
    strategies: "Search strategies, judged by the truth",
    comparison: "Search strategies, run whole",
    tuning: "Tuned regularisation",
    answers: "Long texts, sure answers and few rows",
    search_cost: "Cost of a search",
    speed: "Cost of a step",
    precision: "Trainings in bf16 on a CPU",
    gpu: "Cost of a step on a GPU",
    serving: "Answers of many tasks",
    serving_http: "The HTTP server under load",
    serving_replicas: "A replica that is killed under load",
}


def page() -> str:
    """Write all of what has been measured as one page."""
    parts = [f"## {title}\n\n{part()}" for part, title in PARTS.items() if is_measured(part)]
    return "\n\n".join([HEAD, *parts]) + "\n"


def readme_summary() -> str:
    """Write what README shows."""
    lines = {methods_deep: defaults_worth, search_deep: layers_worth, serving: sharing_worth}
    told = [line() for part, line in lines.items() if is_measured(part)]
    return "\n\n".join([short_summary(), *filter(None, told)])


# its places, by the name in their comments
README_PARTS = {"results": readme_summary, "demo": demo_sentence, "costs": costs}


def is_measured(part: Callable[[], str]) -> bool:
    """Say whether there is a result to show; truth tables are no results of this folder, and always there."""
    return part in (single_layers, layer_pairs) or path_of(part.__name__).exists()


def write_pages() -> None:
    """Write the page, and put its summary into the README."""
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(with_results(README.read_text(encoding="utf-8")), encoding="utf-8")


def with_results(readme: str) -> str:
    """Return the README with today's texts in their places."""
    return SECTION.sub(lambda match: f"{match[1]}{README_PARTS[match['name']]()}\n{match[3]}", readme)
