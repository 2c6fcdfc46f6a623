"""What runs would be refused for by the size of their data: room in the cache, and a budget of operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from experiments.config import RunConfig
from experiments.run.search_budget import check_search
from experiments.run.training import load_workbench
from spt.problems import Problems
from spt.process.devices import process_kept, use_device
from spt.process.quiet import quiet_logger


def check_sizes(configs: Sequence[RunConfig]) -> None:
    """Refuse runs for search.budget_flops, or the room of cache=disk, by the functions of the runs.

    All rows are encoded, and operations are counted on the CPU with random weights, which change neither.

    Args:
        configs: of runs whose backbones are here; of those that differ in their seeds alone one is asked.

    Raises:
        InputError: with all problems.
    """
    problems = Problems("what the runs take")
    with process_kept(), quiet_logger("spt"), quiet_logger("experiments"):
        use_device("cpu")
        for alike in _by_workbench(configs):
            with problems.collecting():
                workbench = load_workbench(alike[0], weights=False)
                for config in alike:
                    with problems.collecting():
                        check_search(workbench, config)
    problems.refuse()


def _by_workbench(configs: Sequence[RunConfig]) -> Iterator[list[RunConfig]]:
    """Yield together the runs of one workbench, seeds aside, of which each searches something else."""
    together: dict[str, dict[str, RunConfig]] = {}
    for config in configs:
        parts = (config.task, config.data, config.backbone, config.head, config.prompt, config.training)
        key = repr((*parts, config.cache, config.cache_gb))
        together.setdefault(key, {}).setdefault(repr(config.search), config)
    return (list(searches.values()) for searches in together.values())
