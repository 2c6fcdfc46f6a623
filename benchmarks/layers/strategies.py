"""Every strategy against the truth about a small space, at an equal budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.choices import chosen
from benchmarks.layers.common_config import checked_of_table
from benchmarks.layers.derivations import every_derivation
from benchmarks.record import command_of, mean_and_spread, write_result
from experiments.comparing.grid import OnDone, RunOutcome, run_grid, run_jobs
from experiments.comparing.statistics import stability
from experiments.comparing.table_search import search_table
from experiments.comparing.truth import ADVICE, TREC, TruthTable
from experiments.config import RunConfig, stored_keys
from experiments.keys import override
from spt.architecture import Layers
from spt.errors import InputError, TrialFailed
from spt.process.cores import cores
from spt.storage.json_files import read_json
from spt.storage.yaml_files import read_yaml
from strategies.options import ManualOptions, MultiTrialOptions
from strategies.registry import new_strategy

# of a variant: whether every derivation reads its hyper-networks
EVERY_DERIVATION = "every_derivation"
VARIANTS = Path(__file__).parent / "strategies.yml"
# of the command line, when it is given none
SEEDS = 5
TRAININGS = 4.0
Record = dict[str, Any]


def measure_strategies(
    folder: Path,
    path: Path = TREC,
    variants: Path = VARIANTS,
    seeds: Sequence[int] = range(SEEDS),
    trainings: float = TRAININGS,
    workers: int = 0,
    on_done: OnDone | None = None,
    result: str = "strategies",
    only: Sequence[str] = (),
) -> int:
    """Run every variant with every seed and write benchmarks/results/<result>.json.

    Multi-trial strategies look candidates up in the table. The others score layers or train their
    hyper-networks below `folder`, where the same command goes on after a kill; the layers derived from one
    are a record (with `every_derivation: true` those of each derivation), and their retraining is looked up.

    Args:
        folder: of the searches.
        path: of the truth table.
        variants: YAML of name -> dotted keys and values, and every_derivation.
        seeds: of searches and of the trainings that are looked up; the table must have them.
        trainings: what search and retraining may take together, in mean trainings of the table.
        workers: searches at a time; 0 for one a core.
        on_done: told each search as it ends.
        result: name of the JSON.
        only: variants to run; all by default.

    Returns:
        How many searches failed.

    Raises:
        InputError: for a bad table, file, name or seed, layers that the table does not have, or a budget that
            does not pay one training.
    """
    table = TruthTable.load(path)
    missing = [seed for seed in seeds if seed not in table.seeds]
    if missing:
        raise InputError(f"The table has no seeds {missing}, only {list(table.seeds)}.")
    budget = trainings * fmean(e.flops for by_seed in table.entries.values() for e in by_seed.values())
    changes = chosen("variant", only, read_variants(variants))
    configs = _configs(path, variants, changes, seeds, budget, table)
    searched = {
        name: config
        for name, config in configs.items()
        if not isinstance(config.search, MultiTrialOptions | ManualOptions)
    }
    outcomes = run_grid(searched, folder, workers, on_done, search_only=True)
    derivations = _derivations(changes, searched, outcomes, folder, workers)
    records = [
        {"variant": _variant(name), **record}
        for name, config in configs.items()
        for record in _records(table, config, outcomes.get(name), derivations.get(name))
    ]
    named: list[object] = [f"--only={name}" for name in only]
    named += [] if variants == VARIANTS else ["--variants", variants]
    named += [] if len(seeds) == SEEDS else ["--seeds", len(seeds)]
    named += [] if trainings == TRAININGS else ["--trainings", f"{trainings:g}"]
    write_result(
        result,
        command_of("strategies", *named, result=result),
        records,
        trainings=trainings,
        budget_flops=budget,
        train_size=table.setting["train_size"],
        table_seeds=len(table.seeds),
        spread=table.spread(),
        variants=changes,
        summary=summary(records),
    )
    return sum(outcome.failure is not None for outcome in outcomes.values())


def read_variants(variants: Path) -> dict[str, dict[str, Any]]:
    """Read the dotted keys and values of each variant from their file.

    Raises:
        InputError: if it is no such file.
    """
    changes = read_yaml(variants, "file of variants")
    if not isinstance(changes, dict) or not all(isinstance(keys, dict) for keys in changes.values()):
        raise InputError(f"'{variants}' must map names to keys, as {VARIANTS.name} does.")
    return changes


def _configs(
    path: Path,
    variants: Path,
    changes: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    budget: float,
    table: TruthTable,
) -> dict[str, RunConfig]:
    """Return what to run as variant/seed<n>: the table's trainings, and a search as the variant sets it."""
    run = stored_keys(read_json(path, ADVICE)["run"])
    # a default that has changed since the table was made is today's
    run["search"] = {"k": table.budget.k, "budget_flops": budget}
    configs = {}
    for name, change in changes.items():
        overrides = {dotted: value for dotted, value in change.items() if dotted != EVERY_DERIVATION}
        for seed in seeds:
            tree = deepcopy(run)
            override(tree, {"seed": seed, **overrides})
            configs[f"{name}/seed{seed}"] = checked_of_table(tree, f"variant '{name}' of {variants}", table)
    return configs


def _variant(name: str) -> str:
    """Return the variant of variant/seed<n>."""
    return name.rsplit("/", 1)[0]


def _derivations(
    changes: Mapping[str, Mapping[str, Any]],
    configs: Mapping[str, RunConfig],
    outcomes: Mapping[str, RunOutcome],
    folder: Path,
    workers: int,
) -> dict[str, Mapping[str, Any] | None]:
    """Return what every derivation finds in the searches that are done and of which a variant asks for it."""
    jobs = {
        name: partial(every_derivation, config)
        for name, config in configs.items()
        if changes[_variant(name)].get(EVERY_DERIVATION) and outcomes[name].failure is None
    }
    return {name: done.metrics for name, done in run_jobs(jobs, folder, workers or cores()).items()}


def _records(
    table: TruthTable,
    config: RunConfig,
    outcome: RunOutcome | None,
    derivations: Mapping[str, Any] | None,
) -> Iterator[Record]:
    """Give a record of each choice of layers that one search gives."""
    if outcome is None:
        yield _looked_up(table, config)
    elif outcome.metrics is None:
        yield {"strategy": config.search.strategy, "seed": config.seed, "failure": outcome.failure}
    else:
        yield from _derived(table, config, outcome.metrics, derivations)


def _looked_up(table: TruthTable, config: RunConfig) -> Record:
    """Record a multi-trial strategy's choice: the dev accuracies that it sees are the table's."""
    search, seed = config.search, config.seed
    evaluations = search.evaluations if isinstance(search, MultiTrialOptions) else 1
    candidates = search_table(table, new_strategy(search, seed), seed, evaluations, search.budget_flops)
    try:
        layers = candidates.best(table.budget).layers
    except TrialFailed as error:
        return {"strategy": search.strategy, "seed": seed, "failure": str(error)}
    record = _record(table, config, layers, candidates.ledger.flops)
    return {
        **record,
        "derivation": None,
        "kendall_tau": None,
        "evaluations": len(candidates.tried),
    }


def _derived(
    table: TruthTable,
    config: RunConfig,
    search: Mapping[str, Any],
    derivations: Mapping[str, Any] | None,
) -> Iterator[Record]:
    """Record the choice of each derivation from one hyper-network, or that of the search's own alone."""
    training = search["search_flops"] - search["derivation_flops"]
    alone = {search["derivation"]: {**search, "flops": search["derivation_flops"]}}
    for rule, derived in (derivations or alone).items():
        layers = tuple(derived["layers"])
        retraining = table.entries[layers][config.seed].flops
        yield {
            **_record(table, config, layers, training + derived["flops"] + retraining),
            "derivation": rule,
            "kendall_tau": table.kendall_of({**derived, "gates": search["gates"]}),
            "evaluations": derived["evaluations"],
            "scores": derived["scores"],
            "search_seconds": search["search_seconds"],
        }


def _record(table: TruthTable, config: RunConfig, layers: Layers, flops: int) -> Record:
    training = table.entries[layers][config.seed]
    return {
        "strategy": config.search.strategy,
        "seed": config.seed,
        "layers": layers,
        "metric": table.setting["metric"],
        "dev_metric": training.dev,
        "test_metric": training.test,
        "regret": table.regret(layers),
        "total_flops": flops,
    }


def summary(records: Sequence[Record]) -> list[Record]:
    """Summarise a variant and derivation over seeds: metric, regret, stability, Kendall's tau, operations."""
    groups: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        if "failure" not in record:
            groups.setdefault((record["variant"], record["derivation"]), []).append(record)
    return [
        {
            "variant": variant,
            "derivation": derivation,
            "metric": group[0]["metric"],
            "test_metric": mean_and_spread([record["test_metric"] for record in group]),
            "regret": mean_and_spread([record["regret"] for record in group]),
            "stability": stability([record["layers"] for record in group]),
            "kendall_tau": _mean([record["kendall_tau"] for record in group]),
            "total_flops": mean_and_spread([record["total_flops"] for record in group]),
        }
        for (variant, derivation), group in groups.items()
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that there are."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
