"""The JSON of `python -m benchmarks search-deep`, which may hold what several commands measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from benchmarks.record import load_to_add, made_before, mean_and_spread, refuse_changed, write_result

Record = dict[str, Any]


@dataclass
class Searches:
    """Records of searches, with those of earlier commands, and what they are judged by.

    Attributes:
        name: of the JSON in benchmarks/results.
        command: that measures now.
        variants: name -> dotted keys, of all that may be compared, in their order.
        tables: task -> facts of its truth table.
        kept: records of earlier commands.
        earlier: what those commands were made with.
    """

    name: str
    command: str
    variants: Mapping[str, Mapping[str, Any]]
    tables: dict[str, Record]
    kept: list[Record] = field(default_factory=list)
    earlier: list[Record] = field(default_factory=list)

    def keep(self) -> None:
        """Keep what the JSON has, beside what is measured now; nothing where there is no such file.

        Raises:
            InputError: if it is of another bench, of variants that have other keys now, or judged by tables
                that are others now.
        """
        content = load_to_add(self.name, "search-deep", ("variants", "tables"))
        if content is None:
            return
        changed = [name for name, keys in content["variants"].items() if self.variants.get(name) != keys]
        changed += [
            f"the table of {task}"
            for task, facts in content["tables"].items()
            if _rounded(self.tables.get(task, facts)) != _rounded(facts)
        ]
        refuse_changed(self.name, "searches", changed)
        self.kept, self.tables = content["records"], {**content["tables"], **self.tables}
        self.earlier = made_before(content, self.command)

    def write(self, records: Sequence[Record]) -> None:
        """Write records of now in the place of kept ones of the same variant and task."""
        measured = {_group(record) for record in records}
        order = list(self.variants)
        whole = [*(record for record in self.kept if _group(record) not in measured), *records]
        whole.sort(key=lambda record: (order.index(record["strategy"]), record["task"], record["seed"]))
        used = dict.fromkeys(record["strategy"] for record in whole)
        write_result(
            self.name,
            self.command,
            whole,
            self.earlier,
            variants={name: self.variants[name] for name in used},
            tables=self.tables,
            summary=summary(whole),
        )


def summary(records: Sequence[Record]) -> list[Record]:
    """Summarise a strategy on a task over seeds: test metric, regret, tau, and operations."""
    return list(_summaries(records))


def _summaries(records: Sequence[Record]) -> Iterator[Record]:
    for strategy, task in dict.fromkeys(map(_group, records)):
        group = [record for record in records if _group(record) == (strategy, task)]
        taus = [record["kendall_tau"] for record in group if record["kendall_tau"] is not None]
        yield {
            "strategy": strategy,
            "task": task,
            "layers": [record["layers"] for record in group],
            "test_metric": mean_and_spread([record["test_metric"] for record in group]),
            "regret": mean_and_spread([record["regret"] for record in group]),
            "kendall_tau": fmean(taus) if taus else None,
            "total_flops": fmean(record["total_flops"] for record in group),
            "cost": fmean(record["total_flops"] / record["prompt_tuning_flops"] for record in group),
        }


def _rounded(facts: Mapping[str, Any]) -> Record:
    """Return a table's facts without the last bits, which another machine may compute otherwise."""
    return {key: round(value, 9) if isinstance(value, float) else value for key, value in facts.items()}


def _group(record: Mapping[str, Any]) -> tuple[str, str]:
    return record["strategy"], record["task"]
