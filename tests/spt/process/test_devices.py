"""Which device is taken, which are refused, and how many cores a worker gets."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from spt.errors import InputError
from spt.process import cores
from spt.process.cores import omp_threads, share_of_cores
from spt.process.devices import (
    best_device,
    chosen_device,
    device_of_machine,
    lightning_device,
    process_kept,
    use_device,
    use_threads,
)


@pytest.fixture(autouse=True)
def on_auto() -> Iterator[None]:
    """Begin as a process does, whatever a run before chose in this one, and leave it so."""
    use_device("auto")
    yield
    use_device("auto")


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    gpu = torch.device("cuda") if count else None
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: gpu)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


def test_auto_is_the_gpu_and_any_other_name_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 2)
    assert chosen_device() == best_device() == torch.device("cuda")
    for name in ("cpu", "cuda", "cuda:1"):
        use_device(name)
        assert chosen_device() == torch.device(name)
    use_device("auto")
    assert chosen_device() == torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "gpus", "said"),
    [
        ("cuda", 0, "has no GPU that torch can use"),
        ("cuda:2", 2, "has 2 of the kind cuda"),
        ("mps", 1, "has 1 of the kind cuda"),
        ("gpu", 1, "must be auto, cpu, cuda"),
        ("cuda:-1", 1, "must be auto, cpu, cuda"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, said: str
) -> None:
    with_gpus(monkeypatch, gpus)
    for refused in (use_device, device_of_machine):
        with pytest.raises(InputError, match=said):
            refused(name)


def test_a_device_of_the_machine_is_named_or_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 2)
    assert device_of_machine("auto") == torch.device("cuda")
    for name in ("cpu", "cuda", "cuda:1"):
        assert device_of_machine(name) == device_of_machine(torch.device(name)) == torch.device(name)
    with pytest.raises(InputError, match="The device is 'cuda:2', but this machine has 2"):
        device_of_machine(torch.device("cuda", 2))


def test_a_trainer_takes_the_same_device() -> None:
    assert lightning_device(torch.device("cpu")) == {"accelerator": "cpu", "devices": 1}
    assert lightning_device(torch.device("cuda:1")) == {"accelerator": "cuda", "devices": [1]}


@pytest.mark.parametrize("tokenizers", [None, "3"])
def test_a_process_is_kept_as_it_was_after_an_error_too(
    monkeypatch: pytest.MonkeyPatch, tokenizers: str | None
) -> None:
    with_gpus(monkeypatch, 2)
    # undone at the end, whatever the test does
    monkeypatch.setenv("RAYON_NUM_THREADS", tokenizers or "")
    if tokenizers is None:
        monkeypatch.delenv("RAYON_NUM_THREADS")

    def state() -> bytes:
        of_torch, threads = torch.get_rng_state().tolist(), torch.get_num_threads()
        seen = (random.getstate(), np.random.get_state(), of_torch, threads, chosen_device())
        return pickle.dumps((*seen, os.environ.get("RAYON_NUM_THREADS")))

    use_device("cuda:1")
    before = state()
    with pytest.raises(InputError), process_kept():
        use_threads(torch.get_num_threads() + 1)
        use_device("cpu")
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        raise InputError("It is wrong.")
    assert state() == before


@pytest.mark.parametrize(
    ("machine", "omp", "workers", "threads"),
    [(8, "", 1, 8), (8, "", 3, 2), (2, "", 8, 1), (8, "1", 2, 1), (8, "16,2", 2, 4), (8, "many", 2, 4)],
)
def test_a_worker_gets_its_part_of_the_cores_and_no_more_than_omp_says(
    monkeypatch: pytest.MonkeyPatch, machine: int, omp: str, workers: int, threads: int
) -> None:
    monkeypatch.setattr(cores, "cores", lambda: machine)
    monkeypatch.setenv("OMP_NUM_THREADS", omp)
    assert share_of_cores(workers) == threads


def test_omp_threads_are_none_where_it_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert omp_threads() is None


@pytest.mark.parametrize(
    ("quota", "expected"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 4)]
)
def test_a_container_has_the_cores_of_its_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, expected: int
) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(quota, encoding="ascii")
    monkeypatch.setattr(cores, "_QUOTA", path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cores.cores() == expected
