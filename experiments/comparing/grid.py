"""Many runs: in parallel over local processes, resumable, and a failed one is reported as failed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from experiments.config import RunConfig
from experiments.live.grid_progress import grid_noted
from experiments.logs import quiet_libraries
from experiments.run.folder import RunFolder, same_numbers, stored_config
from experiments.run.inputs import check_finished
from experiments.run.results import RunMetrics, SearchResult
from spt.errors import TrialFailed
from spt.process.cores import cores, share_of_cores

ATTEMPTS = 2


@dataclass(frozen=True)
class RunOutcome:
    """What a run of a grid ended with: its metrics as JSON has them, or why it failed."""

    metrics: dict[str, Any] | None = None
    failure: str | None = None


OnDone = Callable[[str, RunOutcome], None]
Job = Callable[[Path], dict[str, Any]]


def run_grid(
    configs: Mapping[str, RunConfig],
    folder: Path,
    workers: int = 0,
    on_done: OnDone | None = None,
    search_only: bool = False,
) -> dict[str, RunOutcome]:
    """Run every config in folder/<name>; what is there already is read back, what failed is tried again.

    Args:
        configs: name -> config; a name is a path below `folder`.
        folder: of the runs.
        workers: processes at a time; 0 for one a core. A config that leaves `threads` open gets its share
            of the cores.
        on_done: told each run's name and outcome as it ends.
        search_only: stop after the search; an outcome's metrics are then what search.json holds.

    Returns:
        name -> outcome, in the order of `configs`. A run whose process died twice has failed.

    Raises:
        InputError: for a run whose folder holds another config, for what is wrong with the data of any run
            that is not done, before the first begins, or for a backbone that does not fit.
    """
    outcomes: dict[str, RunOutcome] = {}
    for name, config in configs.items():
        if is_finished(config, folder / name, search_only):
            outcomes[name] = RunOutcome(read_result(folder / name, search_only))
            if on_done is not None:
                on_done(name, outcomes[name])
    workers = workers or cores()
    threads = share_of_cores(workers)
    jobs = {
        name: partial(run_config, _with_threads(config, threads), search_only=search_only)
        for name, config in configs.items()
        if name not in outcomes
    }
    if jobs:
        _check_data([configs[name] for name in jobs])
        with grid_noted(folder, list(configs)):
            outcomes |= run_jobs(jobs, folder, workers, on_done)
    return {name: outcomes[name] for name in configs}


def run_jobs(
    jobs: Mapping[str, Job], folder: Path, workers: int, on_done: OnDone | None = None, fresh: bool = False
) -> dict[str, RunOutcome]:
    """Call every job with folder/<name> in a pool of processes.

    Args:
        jobs: name -> what is called with its folder and returns metrics; it must be importable.
        folder: of the jobs' folders.
        workers: processes at a time, at least 1.
        on_done: told each job's name and outcome as it ends.
        fresh: give each job a process of its own, as a measurement of memory needs.

    Returns:
        name -> outcome. A job whose process died twice has failed.

    Raises:
        InputError: if a job raises it.
    """
    outcomes: dict[str, RunOutcome] = {}

    def record(name: str, outcome: RunOutcome) -> None:
        outcomes[name] = outcome
        if on_done is not None:
            on_done(name, outcome)

    for _ in range(ATTEMPTS):
        missing = {name: job for name, job in jobs.items() if name not in outcomes}
        for name, outcome in _in_processes(missing, folder, workers, fresh):
            record(name, outcome)
    for name in jobs.keys() - outcomes.keys():
        record(name, RunOutcome(failure=f"its process died {ATTEMPTS} times"))
    return outcomes


def _check_data(configs: Sequence[RunConfig]) -> None:
    """Refuse data that some of the runs cannot use, before the first of them begins."""
    # loads datasets, for which a grid that is done need not wait
    from experiments.run.data_report import check_data  # noqa: PLC0415

    check_data(configs)


def is_finished(config: RunConfig, folder: Path, search_only: bool = False) -> bool:
    """Tell whether the run of a configuration, or its search, is done in a folder, without loading its data.

    Raises:
        InputError: if its data files, or a local backbone, have changed since.
    """
    place = RunFolder(folder)
    stored = (
        stored_config(folder) if (place.search_result if search_only else place.metrics).exists() else None
    )
    if stored is None or not same_numbers(stored, config):
        return False
    check_finished(config, place)
    return True


def read_result(folder: Path, search_only: bool = False) -> dict[str, Any]:
    """Read the metrics of a run that is done in a folder, or what its search found, as JSON has them.

    Raises:
        InputError: for a file that no run wrote.
    """
    place = RunFolder(folder)
    result = SearchResult.read(place.search_result) if search_only else RunMetrics.read(place.metrics)
    return result.as_json()


def _with_threads(config: RunConfig, threads: int) -> RunConfig:
    return config if config.threads else config.model_copy(update={"threads": threads})


def _in_processes(
    jobs: Mapping[str, Job], folder: Path, workers: int, fresh: bool
) -> Iterator[tuple[str, RunOutcome]]:
    """Yield the outcomes as they come, without those whose process died."""
    if not jobs:
        return
    with ProcessPool(
        workers,
        max_tasks=int(fresh),
        initializer=_begin_worker,
        initargs=[share_of_cores(workers)],
        context=get_context("spawn"),
    ) as pool:
        names: dict[Future[RunOutcome], str] = {
            pool.schedule(outcome_of, (job, folder / name)): name for name, job in jobs.items()
        }
        try:
            for future in as_completed(names):
                with suppress(ProcessExpired):
                    yield names[future], future.result()
        except BaseException:
            pool.stop()
            raise


def _begin_worker(threads: int) -> None:
    """Prepare a worker, which ends when its parent does, however that ends: a run's folder is free then.

    Args:
        threads: its share of the cores, for torch and other libraries that are loaded later.
    """
    os.environ |= {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    quiet_libraries(quiet=True)
    # of its own it would make a semaphore, of which Python warns where a worker is ended
    tqdm.set_lock(threading.RLock())
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()


def outcome_of(job: Job, folder: Path) -> RunOutcome:
    """Do a job in this process; a training that failed is an outcome, and all else is raised."""
    try:
        return RunOutcome(job(folder))
    except TrialFailed as error:
        return RunOutcome(failure=str(error))


def run_config(config: RunConfig, folder: Path, search_only: bool = False) -> dict[str, Any]:
    """Do a run, or its search alone, and return what its JSON file holds."""
    # loads torch, which a grid that is done need not wait for
    from experiments.pipeline import run, search  # noqa: PLC0415

    return (search(config, folder) if search_only else run(config, folder)).as_json()
