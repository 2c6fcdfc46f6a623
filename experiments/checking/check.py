"""Every problem of a file that a command takes, and of its data, with what was seen on the way."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from experiments.checking.asked_layers import asked_layers
from experiments.checking.backbone_files import read_backbone_files
from experiments.checking.range_ends import with_range_ends
from experiments.checking.right_part import RightPart, right_part
from experiments.config import RunConfig, load_config, run_tree
from experiments.config_kinds import COMMANDS, config_kind
from experiments.keys import read_tree
from experiments.run.data_report import DataReport, distinct_data, report_data
from experiments.run.unread import unread_notes
from spt.errors import InputError
from spt.problems import Problems
from spt.training.by_rows import options_by_rows

# of files that stand for several runs
OF_MANY_RUNS = {"trialCommand", "searchSpace", "methods", "conditions"}


@dataclass(frozen=True)
class CheckedData:
    """The data of some of the runs of a file.

    Attributes:
        config: of the first of these runs.
        data: what was seen of them.
        lengths: split -> tokens of each text, of many of a sample, as the run reads it; empty where the
            backbone is not here.
    """

    config: RunConfig
    data: DataReport
    lengths: Mapping[str, Sequence[int]]

    def cut(self, split: str) -> float | None:
        """Return the share of a split's texts that are longer than data.max_length; None if not known."""
        lengths = self.lengths.get(split)
        if not lengths:
            return None
        return sum(length > self.config.data.max_length for length in lengths) / len(lengths)

    def as_json(self) -> dict[str, Any]:
        """Return the keys and values that JSON has."""
        splits = {
            split: {"rows": report.rows, "classes": dict(report.classes), "cut": self.cut(split)}
            for split, report in self.data.splits.items()
        }
        return {"task": self.config.task.name, "backbone": self.config.backbone.name, "splits": splits}


@dataclass(frozen=True)
class Check:
    """What was found of a file.

    Attributes:
        problems: for which its command would be refused.
        notes: what is worth a look.
        runs: how many runs it stands for.
        data: of the runs, each once.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    runs: int
    data: tuple[CheckedData, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the keys and values that JSON has."""
        return {**asdict(self), "data": [each.as_json() for each in self.data]}


def check_file(path: Path, overrides: Mapping[str, Any]) -> Check:
    """Check the config of a run, an nnictl experiment or a study, the backbone's files, and all data.

    Of an experiment and a study every choice is checked, and of a range both ends.

    Args:
        path: of the file.
        overrides: dotted keys over it.
    """
    problems, notes = Problems(str(path)), Problems(str(path))
    configs: list[RunConfig] = []
    with problems.collecting():
        configs = _configs(path, overrides)
    readable = configs
    if problems.texts:
        part = _right_part(path, overrides)
        for problem in part.problems if part else ():
            problems.add(problem)
        configs = [part.config] if part and part.has_its_backbone else []
        readable = [part.config] if part and part.reads_its_data else []
    data = []
    for config in _distinct_models(configs):
        with problems.collecting():
            for problem in _layer_problems(config):
                problems.add(problem)
    for config in distinct_data(readable):
        each = _checked_data(config)
        data.append(each)
        for line in each.data.problems:
            problems.add(line)
        for line in (*each.data.notes, *_suiting_rows(each)):
            notes.add(line)
    if not problems.texts:
        with problems.collecting():
            _check_sizes(configs)
    # of a wrong config either may be empty
    for line in chain.from_iterable(map(unread_notes, configs or readable)):
        notes.add(line)
    return Check(tuple(problems.texts), tuple(notes.texts), len(configs or readable), tuple(data))


def _configs(path: Path, overrides: Mapping[str, Any]) -> list[RunConfig]:
    """Return the runs that a file stands for: one, those of a comparison, or the ends of a study's space."""
    tree = read_tree(path)
    kind = config_kind(tree)
    if kind == "comparison":
        # loads nni, which the config of a run does not need
        from experiments.comparing.experiment_file import Experiment  # noqa: PLC0415

        experiment = Experiment.load(path)
        _check_drawn(tree.get("tuner"), experiment.space)
        experiment = replace(experiment, space=with_range_ends(experiment.space))
        return [cell.config for cell in experiment.cells(overrides)]
    if kind == "study":
        from experiments.tuning.config import load_tune_config  # noqa: PLC0415

        return load_tune_config(path, overrides).runs_at_ends()
    if kind == "bench":
        command = f"{COMMANDS[kind]} {shlex.quote(str(path))}"
        raise InputError(f"'{path}' is a bench, which `{command}` checks itself.")
    return [load_config(path, overrides)]


def _check_drawn(tuner: Any, space: Mapping[str, Any]) -> None:
    """Refuse a search space that our tuner cannot draw from, which an experiment notices as it starts."""
    if isinstance(tuner, Mapping) and str(tuner.get("className")).endswith(".OptunaTuner"):
        # loads optuna, which other experiments do not need
        from experiments.tuning.space import distributions  # noqa: PLC0415

        distributions(space)


def _right_part(path: Path, overrides: Mapping[str, Any]) -> RightPart | None:
    """Return what is right of a wrong config of a run; None for another file, or where too much is wrong."""
    try:
        tree = run_tree(path, overrides)
    except InputError:
        # it is among the problems
        return None
    return None if tree.keys() & OF_MANY_RUNS else right_part(tree)


def _layer_problems(config: RunConfig) -> Iterator[str]:
    """Yield what the backbone's files show to be impossible: layers, longest input, head and prompt."""
    files = read_backbone_files(config.backbone.name)
    if files is None:
        return
    limit = files.limit
    if limit is not None and config.data.max_length > limit:
        yield (
            f"data.max_length is {config.data.max_length}, but this backbone reads at most {limit} tokens. "
            f"Set data.max_length to {limit} or less."
        )
    if files.layers is not None:
        try:
            asked_layers(config, files.layers)
        except InputError as error:
            yield str(error)
    if files.complete:
        # loads torch, which a backbone that is not here need not wait for
        from experiments.checking.model_problems import model_problems  # noqa: PLC0415

        yield from model_problems(config, limit)


def _check_sizes(configs: Sequence[RunConfig]) -> None:
    """Refuse what the tokens of all rows show to be impossible, of runs that limit what they take."""
    limited = [each for each in configs if each.cache == "disk" or each.search.budget_flops is not None]
    if here := [config for config in limited if _is_here(config.backbone.name)]:
        # loads torch, as above
        from experiments.checking.sizes import check_sizes  # noqa: PLC0415

        check_sizes(here)


def _is_here(backbone: str) -> bool:
    files = read_backbone_files(backbone)
    return files is not None and files.complete


def _distinct_models(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Return the first of the runs that make the same models and search the same layers."""
    first: dict[tuple[str, str], RunConfig] = {}
    for config in configs:
        first.setdefault((config.spec.model_dump_json(), repr(config.search)), config)
    return list(first.values())


def _checked_data(config: RunConfig) -> CheckedData:
    report = report_data(config)
    try:
        files = read_backbone_files(config.backbone.name)
    except InputError:
        # it is among the problems
        files = None
    if files is None:
        return CheckedData(config, report, {})
    # loads torch, as above
    from experiments.checking.model_problems import check_texts  # noqa: PLC0415

    texts = check_texts(config, report, files)
    report = replace(report, problems=(*report.problems, *texts.problems))
    return CheckedData(config, report, texts.lengths)


def _suiting_rows(checked: CheckedData) -> Iterator[str]:
    """Yield what `spt init` and the estimator would train with in place of the defaults."""
    config, train = checked.config, checked.data.splits.get("train")
    if train is None or not train.rows:
        return
    if options := options_by_rows(config.training, train.rows, config.head, config.task):
        named = ", ".join(f"training.{name}={value}" for name, value in options.items())
        yield f"train has {train.rows:,} rows, and the defaults suit many: {named} suits so few."
