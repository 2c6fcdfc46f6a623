"""What finds a layer on a deep backbone, and for what: `python -m benchmarks search-deep`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import CHECKOUT
from benchmarks.choices import chosen
from benchmarks.layers.common_config import checked_of_table
from benchmarks.layers.searches import Record, Searches
from benchmarks.layers.strategies import read_variants
from benchmarks.record import arguments_of, command_of
from experiments.comparing.grid import OnDone, RunOutcome, run_grid
from experiments.comparing.table_search import search_table
from experiments.comparing.truth import ADVICE, TruthTable
from experiments.config import RunConfig, stored_keys
from experiments.keys import override
from search_spaces.named_layers import named_layers
from spt.architecture import Layers
from spt.errors import InputError
from spt.storage.json_files import read_json
from strategies.options import ManualOptions, MultiTrialOptions
from strategies.registry import new_strategy

TABLES = CHECKOUT / "experiments" / "comparing"


class Deep(NamedTuple):
    """Hold the truth of a task, and the configuration of its trainings as JSON has it."""

    table: TruthTable
    run: dict[str, Any]


class Cell(NamedTuple):
    """Name a search: what is compared, the task, and the seed."""

    strategy: str
    task: str
    seed: int

    @property
    def folder(self) -> str:
        """Return where it is kept, below the bench's folder."""
        return f"{self.task}/{self.strategy}/seed{self.seed}"


def measure_search_deep(
    folder: Path,
    overrides: Mapping[str, Any],
    tables: Mapping[str, Path],
    variants: Path,
    workers: int = 0,
    on_done: OnDone | None = None,
    result: str = "search_deep",
    only: Sequence[str] = (),
    add: bool = False,
) -> int:
    """Search with every variant, task and seed of the tables, and write benchmarks/results/<result>.json.

    What trains candidates or names layers is looked up in the table; what scores layers or trains a
    hyper-network runs below `folder`, where the same command goes on after a kill, and its retraining is
    looked up. The JSON is written again as the last seed of a variant and task ends.

    Args:
        folder: of the searches.
        overrides: dotted keys over the configurations of the tables, after the task's name.
        tables: task -> its truth table.
        variants: YAML of name -> dotted keys and values.
        workers: searches at a time; 0 for one a core.
        on_done: told each search as it ends.
        result: name of the JSON.
        only: variants to run; all by default.
        add: keep the JSON's searches by other variants and of other tasks.

    Returns:
        How many searches failed.

    Raises:
        InputError: for a bad table, file of variants, name or key, or a JSON to which none can be added,
            before anything runs.
    """
    deep, changes = load_tables(overrides, tables), read_variants(variants)
    configs = configs_of(deep, chosen("variant", only, changes), variants)
    searches = Searches(
        result,
        _command(deep, variants, result, only, add) + arguments_of(overrides),
        changes,
        {task: _table_facts(truth.table) for task, truth in deep.items()},
    )
    if add:
        searches.keep()
    records = {
        cell: _looked_up(cell, deep[cell.task].table, config)
        for cell, config in configs.items()
        if isinstance(config.search, MultiTrialOptions | ManualOptions)
    }
    searched = {cell.folder: cell for cell in configs if cell not in records}
    failed = 0

    def write() -> None:
        seeds = {task: truth.table.seeds for task, truth in deep.items()}
        searches.write(
            [
                record
                for cell, record in records.items()
                if all(Cell(cell.strategy, cell.task, seed) in records for seed in seeds[cell.task])
            ]
        )

    def record(name: str, outcome: RunOutcome) -> None:
        nonlocal failed
        cell = searched[name]
        if outcome.metrics is None:
            failed += 1
        else:
            records[cell] = _searched(cell, deep[cell.task].table, outcome.metrics)
            write()
        if on_done is not None:
            on_done(name, outcome)

    write()
    run_grid({name: configs[cell] for name, cell in searched.items()}, folder, workers, record, True)
    return failed


def load_tables(overrides: Mapping[str, Any], tables: Mapping[str, Path]) -> dict[str, Deep]:
    """Read the truth of each task, with dotted keys over its configuration.

    Raises:
        InputError: for a bad table, or a key that begins with no task of the tables.
    """
    others = [key for key in overrides if "." not in key or _of(key) not in tables]
    if others:
        raise InputError(
            f"{', '.join(others)}: a key begins with a task, {' or '.join(tables)}, as in "
            "sst2.data.train=FILE. Put it in front."
        )
    return {task: _load(path, overrides, task) for task, path in tables.items()}


def configs_of(
    deep: Mapping[str, Deep], changes: Mapping[str, Mapping[str, Any]], variants: Path
) -> dict[Cell, RunConfig]:
    """Return the configuration of every search: of each variant, task and seed of its table.

    Raises:
        InputError: for a key or value that is none, or layers that the table does not have.
    """
    cells = [Cell(name, task, seed) for name in changes for task in deep for seed in deep[task].table.seeds]
    return {cell: _config(deep[cell.task], changes[cell.strategy], cell, variants) for cell in cells}


def _load(path: Path, overrides: Mapping[str, Any], task: str) -> Deep:
    table, run = TruthTable.load(path), deepcopy(stored_keys(read_json(path, ADVICE)["run"]))
    # a default that has changed since the table was made is today's
    run["search"] = {"k": table.budget.k}
    override(run, {key.split(".", 1)[1]: value for key, value in overrides.items() if _of(key) == task})
    return Deep(table, run)


def _of(key: str) -> str:
    return key.split(".", 1)[0]


def _config(deep: Deep, change: Mapping[str, Any], cell: Cell, variants: Path) -> RunConfig:
    tree = deepcopy(deep.run)
    if change.get("search.strategy") == "manual":
        # it has no K
        tree["search"] = {}
    override(tree, {"seed": cell.seed, **change})
    return checked_of_table(tree, f"variant '{cell.strategy}' of {variants}", deep.table)


def _looked_up(cell: Cell, table: TruthTable, config: RunConfig) -> Record:
    """Record what a strategy of trained candidates finds, or layers by hand."""
    search = config.search
    if isinstance(search, ManualOptions):
        layers = named_layers(search.manual_layers, table.total).layers
        return _record(cell, table, layers, 0, None)
    assert isinstance(search, MultiTrialOptions)
    strategy = new_strategy(search, cell.seed)
    candidates = search_table(table, strategy, cell.seed, search.evaluations, search.budget_flops)
    layers = candidates.best(table.budget).layers
    search_flops = candidates.ledger.flops - table.entries[layers][cell.seed].flops
    return _record(cell, table, layers, search_flops, None)


def _searched(cell: Cell, table: TruthTable, search: Mapping[str, Any]) -> Record:
    """Record what a search found that ran."""
    scores = {int(layer): score for layer, score in search["scores"].items()}
    record = _record(cell, table, tuple(search["layers"]), search["search_flops"], table.kendall_of(search))
    return {**record, "scores": scores, "search_seconds": search["search_seconds"]}


def _record(
    cell: Cell, table: TruthTable, layers: Layers, search_flops: int, kendall_tau: float | None
) -> Record:
    training = table.entries[layers][cell.seed]
    return {
        **cell._asdict(),
        "k": len(layers),
        "layers": list(layers),
        "regret": table.regret(layers),
        "kendall_tau": kendall_tau,
        "ceiling": table.reliability(),
        "dev_metric": training.dev,
        "test_metric": training.test,
        "search_flops": search_flops,
        "total_flops": search_flops + training.flops,
        "prompt_tuning_flops": _input_flops(table, cell.seed),
    }


def _input_flops(table: TruthTable, seed: int) -> int:
    """Return the FLOPs of a training of the same epochs with its prompt at the input."""
    return table.entries[tuple(range(table.budget.k))][seed].flops


def _table_facts(table: TruthTable) -> dict[str, Any]:
    return {**table.setting, "seeds": len(table.seeds), "ceiling": table.reliability(), **table.spread()}


def name_of(k: int) -> str:
    """Name the bench of searches for K layers: its variants, the folder of its searches, and its JSON."""
    return "search_deep" if k == 1 else f"search_deep_k{k}"


def variants_of(k: int) -> Path:
    """Return the file of what is compared for K layers."""
    return Path(__file__).with_name(f"{name_of(k)}.yml")


def tables_of(tasks: Sequence[str], k: int = 1) -> dict[str, Path]:
    """Return the committed tables of every K layers of e5-small, by their tasks.

    Raises:
        InputError: for a task without one, or where no task has one.
    """
    known = _known_tables(k)
    missing = [task for task in tasks if task not in known]
    if missing or not known:
        raise InputError(
            f"There is no truth table of K {k} and {', '.join(missing) or 'any task'}, "
            f"only of {', '.join(known) or 'other K'}. {ADVICE}"
        )
    return {task: known[task] for task in tasks or known}


def _known_tables(k: int) -> dict[str, Path]:
    return {path.stem.split("_")[1]: path for path in sorted(TABLES.glob(f"truth_*_e5_k{k}.json"))}


def _command(deep: Mapping[str, Deep], variants: Path, result: str, only: Sequence[str], add: bool) -> str:
    """Return the command of a bench, with the options that are not its defaults."""
    k = next(iter(deep.values())).table.budget.k
    named: list[object] = [] if k == 1 else ["--k", k]
    named += [] if len(deep) == len(_known_tables(k)) else [f"--on={task}" for task in deep]
    named += [f"--only={name}" for name in only]
    named += [] if variants == variants_of(k) else ["--variants", variants]
    named += [] if result == name_of(k) else ["--result", result]
    named += ["--add"] * add
    return command_of("search-deep", *named)
