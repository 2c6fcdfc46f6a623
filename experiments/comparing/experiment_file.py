"""The grid of an experiment, an nnictl file or choices over one run: all its runs, as configurations."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from nni import NoMoreTrialError
from nni.algorithms.hpo.gridsearch_tuner import GridSearchTuner

from experiments.comparing.cell_names import (
    CONDITIONS,
    SEED,
    condition_names,
    group_names,
)
from experiments.config import RunConfig, load_config
from experiments.config_kinds import COMPARISON_KEYS, refuse_other_kind
from experiments.keys import is_value, leaves, search_option
from experiments.nested_choices import Parameters, flat, has_name, without
from experiments.paths import anchored
from spt.errors import InputError
from spt.storage.files import expanded
from spt.storage.yaml_files import read_yaml
from strategies.options import for_another_strategy, readers

# of an nnictl file, and of no run
NNI_KEYS = {"searchSpace", *COMPARISON_KEYS}
MOST_RUNS = 10_000
# of a folder's name, of which file systems take 255 with the endings of files beside it
MOST_BYTES = 100


@dataclass(frozen=True)
class GridCell:
    """One run of the grid.

    Args:
        group: what is compared, as 'darts' or 'k=4, strategy=darts'.
        condition: what it is compared on, as `condition_names` names it.
        values: the varied keys, conditions and seed aside, with their values.
        config: of the run; its name is that of its folder.
    """

    group: str
    condition: str
    values: Parameters
    config: RunConfig


@dataclass(frozen=True)
class Experiment:
    """What `spt compare` and `nnictl create` both read from one file, or a run that choices are put over.

    Args:
        path: of the file.
        name: of the experiment and of its folder.
        folder: in which NNI runs trials, from which relative paths in their command and choices start.
        config: the run's configuration that the trials start from.
        space: NNI's search space of choices, keys dotted.
    """

    path: Path
    name: str
    folder: Path
    config: Path
    space: Parameters

    @classmethod
    def load(cls, path: Path) -> Experiment:
        """Read an nnictl file, or a run's configuration, which has no choices of its own.

        Raises:
            InputError: if it cannot be read, has no --config in its trialCommand, or no search space.
        """
        content = read_yaml(path, "experiment")
        if isinstance(content, Mapping):
            refuse_other_kind(content, path, "comparison", "run")
        if isinstance(content, Mapping) and not NNI_KEYS & content.keys():
            # so that its report is not that of the run alone
            return cls(path, f"{load_config(path).name}-compare", path.parent, path, {})
        try:
            command = shlex.split(content["trialCommand"])
            folder = path.parent / expanded(content.get("trialCodeDirectory", "."))
            config = folder / expanded(command[command.index("--config") + 1])
            name, space = content.get("experimentName", path.stem), dict(content["searchSpace"])
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"'{path}' is not an experiment to compare. It must be an nnictl file with a searchSpace and "
                f"with 'python3 -m experiments.trial --config FILE' as its trialCommand (missing: {error})."
            ) from error
        return cls(path, name, folder, config, space)

    def cells(self, overrides: Mapping[str, Any] | None = None) -> list[GridCell]:
        """List every run of the grid, in the order in which NNI's grid search tries them.

        Args:
            overrides: dotted keys over those of the configuration. A varied key takes these values, a list
                or a single one, in place of the file's; a list for a key that takes none varies it.

        A value that a key is given in several ways, as 5, 5.0 and "5", is one choice.

        Raises:
            InputError: for a space that is not of choices, too many runs, values that do not make a
                configuration, other keys that make the same one, or runs that are ranked together but have
                different metrics.
        """
        _check(self.space)
        changes = dict(overrides or {})
        space = {
            key: _narrowed(key, spec, changes.pop(key)) if key in changes else spec
            for key, spec in self.space.items()
        }
        varied = [key for key, value in changes.items() if _varies(key, value)]
        space |= {key: _choice(changes.pop(key)) for key in varied}
        if not space:
            raise InputError(
                f"'{self.config}' is one run, and nothing of it is compared. Give a key several values, as "
                "'search.strategy=[spt_darts, random]' and 'seed=[0, 1, 2]'."
            )
        rows = list(islice(grid(space), MOST_RUNS + 1))
        if len(rows) > MOST_RUNS:
            raise InputError(
                f"The grid has more than {MOST_RUNS:,} runs, too many to compare. Give fewer choices, on the "
                "command line as key=value too."
            )
        replaced = (overrides or {}).keys()
        configs = [load_config(self.config, changes, self._values(row, replaced)) for row in rows]
        _check_read(changes, configs)
        cells = compared_cells(*_distinct_runs(rows, configs))
        _check_different(cells)
        check_metrics(cells)
        return _named(cells)

    def _values(self, row: Parameters, replaced: Collection[str]) -> Parameters:
        """Return a run's dotted keys; paths of the file start from the trials' folder."""
        return {
            key: value if key in replaced else anchored(value, self.folder, key)
            for key, value in flat(row).items()
        }


def grid(space: Mapping[str, Any]) -> Iterator[Parameters]:
    """Yield all parameters of a search space of choices, as NNI's GridSearch hands them out.

    Raises:
        InputError: for another type than choice, at any depth, or no values.
    """
    _check(space)
    tuner = GridSearchTuner()
    tuner.update_search_space(space)
    while True:
        try:
            yield tuner.generate_parameters()
        except NoMoreTrialError:
            return


def compared_cells(rows: Sequence[Parameters], configs: Sequence[RunConfig]) -> list[GridCell]:
    """Name what is compared by some runs, and on what, by the parameters that NNI gave each.

    Args:
        rows: of each run, choices nested.
        configs: of the same runs.

    Raises:
        InputError: if two runs that differ would have the same names and seed.
    """
    cells = [
        GridCell(
            group or config.search.strategy,
            condition,
            flat(without(row, (*CONDITIONS, SEED))),
            config,
        )
        for row, config, group, condition in zip(
            rows, configs, group_names(rows), condition_names(rows, configs), strict=True
        )
    ]
    _check_apart(cells)
    return cells


def _distinct_runs(
    rows: Sequence[Parameters], configs: Sequence[RunConfig]
) -> tuple[list[Parameters], list[RunConfig]]:
    """Return the runs but those that give an earlier one's keys the same values, written in another way."""
    first: dict[tuple[frozenset[str], str], tuple[Parameters, RunConfig]] = {}
    for row, config in zip(rows, configs, strict=True):
        first.setdefault((frozenset(flat(row)), _without_name(config)), (row, config))
    return [row for row, _ in first.values()], [config for _, config in first.values()]


def _check_different(cells: Iterable[GridCell]) -> None:
    """Refuse a run that is another one again: its group would be compared with itself."""
    first: dict[str, GridCell] = {}
    for cell in cells:
        before = first.setdefault(_without_name(cell.config), cell)
        if before is not cell:
            raise InputError(
                f"'{before.group}' on '{before.condition}' and '{cell.group}' on '{cell.condition}' are the "
                f"same configuration with seed {cell.config.seed}, so the comparison would tell nothing of "
                "them. Leave one of them out, or change what it is given."
            )


def _without_name(config: RunConfig) -> str:
    return config.model_dump_json(exclude={"name"})


def _check_apart(cells: Iterable[GridCell]) -> None:
    """Refuse runs that differ where a table would show them as one."""
    first: dict[tuple[str, str, int], RunConfig] = {}
    for cell in cells:
        before = first.setdefault((cell.group, cell.condition, cell.config.seed), cell.config)
        differing = [] if before is cell.config else _differences(before, cell.config)
        if differing:
            raise InputError(
                f"Two runs of the comparison would both be '{cell.group}' on '{cell.condition}' with seed "
                f"{cell.config.seed}, but differ in {', '.join(differing)}. Give these keys choices of their "
                "own, not within those of the seed, and values that do not look alike."
            )


def _differences(first: RunConfig, second: RunConfig) -> list[str]:
    """Return the keys, name aside, in which two runs differ."""
    before, after = (leaves(config.model_dump(mode="json")) for config in (first, second))
    keys = (before.keys() | after.keys()) - {"name"}
    return sorted(key for key in keys if before.get(key) != after.get(key))


def _check(space: Mapping[str, Any]) -> None:
    for key, spec in space.items():
        if key == "_name":
            continue
        options = spec.get("_value") if isinstance(spec, Mapping) and spec.get("_type") == "choice" else None
        if not isinstance(options, list) or not options:
            raise InputError(
                f"'{key}' in the search space is {spec}, but a comparison needs "
                "{_type: choice, _value: [...]} with at least one value."
            )
        nested = [option for option in options if has_name(option)]
        if nested and len(nested) < len(options):
            raise InputError(f"'{key}' in the search space: either all choices have a _name, or none has.")
        for option in nested:
            _check(option)


def check_metrics(cells: Sequence[GridCell]) -> None:
    """Refuse to rank runs of one condition by different metrics."""
    for condition in {cell.condition for cell in cells}:
        metrics = sorted({cell.config.task.metric for cell in cells if cell.condition == condition})
        if len(metrics) > 1:
            raise InputError(
                f"The runs on '{condition}' have the metrics {', '.join(metrics)}, which cannot be ranked "
                "together. Give task.metric one value."
            )


def _check_read(changes: Mapping[str, Any], configs: Iterable[RunConfig]) -> None:
    """Refuse a search option over the file's that none of the compared strategies reads."""
    strategies = {config.search.strategy for config in configs}
    for key in changes:
        option = search_option(key)
        if option is not None and all(for_another_strategy(option, name) for name in strategies):
            raise InputError(
                f"'{key}' is read by {', '.join(readers(option))}, but the comparison has only "
                f"{', '.join(sorted(strategies))}. Leave it out."
            )


def _varies(key: str, value: Any) -> bool:
    """Say whether the value of an override is a list of choices: a list that is not itself a value."""
    return isinstance(value, list) and not is_value(RunConfig, key, value)


def _choice(values: list[Any]) -> Parameters:
    return {"_type": "choice", "_value": values}


def _narrowed(key: str, spec: Any, wanted: Any) -> Any:
    """Cut the choices of a key down to those whose names are wanted, or replace them where they have none."""
    values = wanted if isinstance(wanted, list) else [wanted]
    options = spec["_value"]
    if not has_name(options[0]):
        return _choice(values)
    names = [option["_name"] for option in options]
    if missing := [value for value in values if value not in names]:
        raise InputError(f"'{key}' is {missing}, but the experiment has {', '.join(map(repr, names))}.")
    return _choice([options[names.index(value)] for value in values])


def _named(cells: list[GridCell]) -> list[GridCell]:
    """Give the cells names for their folders: readable, and each its own."""
    names = [_slug(f"{cell.group}-{cell.condition}-seed{cell.config.seed}") for cell in cells]
    times = Counter(names)
    return [
        replace(cell, config=cell.config.model_copy(update={"name": _distinct(name, cell, times[name])}))
        for cell, name in zip(cells, names, strict=True)
    ]


def _slug(text: str) -> str:
    # 1e+38 must not look like 1e-38
    return re.sub(r"[^\w.]+", "-", text.replace("e+", "e")).strip("-.")


def _distinct(name: str, cell: GridCell, times: int) -> str:
    """Add a digest of its own to a name that others have too, or that was cut."""
    short = name.encode()[:MOST_BYTES].decode(errors="ignore")
    if times == 1 and short == name:
        return name
    return f"{short}-{sha256(repr(cell).encode()).hexdigest()[:8]}"
