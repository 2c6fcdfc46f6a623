"""What the machine gives: devices, cores and threads, folders that can be written, ports, the hub."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from experiments.doctor.finding import Finding
from spt.assets import cache_folder
from spt.process.cores import cores, omp_threads

GIB = 2**30
# of free disk: a backbone, its cached states and a few runs
LEAST_FREE = 2 * GIB
PORTS = {8080: "NNI's web UI", 6379: "a Ray cluster's head", 8265: "Ray's dashboard"}
HUB_SECONDS = 5.0
# of matrix products, from which on whole steps gain by bf16
LEAST_SPEEDUP = 1.5


def look_at_devices() -> Iterator[Finding]:
    """Yield the devices on which torch computes, each after a small computation on it."""
    try:
        # loads torch, whose absence is to be told
        import torch  # noqa: PLC0415

        from spt.process.devices import best_device  # noqa: PLC0415
        from spt.process.precision import bf16_speedup  # noqa: PLC0415

        best = best_device()
        names = ["cpu"]
        if best.type != "cpu":
            names += [f"{best.type}:{index}" for index in range(torch.accelerator.device_count())]
        for name in names:
            torch.ones(8, 8, device=name).matmul(torch.ones(8, 8, device=name)).sum().item()
            title = torch.cuda.get_device_name(name) if name.startswith("cuda") else ""
            yield Finding("device", f"{name} {title}".strip())
        yield Finding("bf16", _bf16(bf16_speedup(best)))
        yield Finding("threads", _threads(torch.get_num_threads()), *_oversubscribed())
    except Exception as error:
        advice = "Install torch for this machine: https://pytorch.org/get-started/locally"
        yield Finding("device", f"torch does not compute: {error}", "broken", advice)


def look_at_folders() -> Iterator[Finding]:
    """Yield the folders that are written to: how large they are, and whether there is room."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    yield _folder("cache", cache_folder(), "Set SPT_CACHE to a folder that you can write.")
    yield _folder("hub's cache", home, "Set HF_HOME to a folder that you can write.")
    yield _folder("runs", Path("runs").absolute(), "Go to a folder that you can write, or use --folder.")


def look_at_ports() -> Iterator[Finding]:
    """Yield the ports that NNI and Ray take by default, and whether they are free."""
    for port, what in PORTS.items():
        with socket.socket() as probe:
            taken = probe.connect_ex(("localhost", port)) == 0
        if taken:
            advice = f"If that is not {what} of yours, give another port, as `nnictl create --port`."
            yield Finding(f"port {port}", f"in use ({what})", "note", advice)
        else:
            yield Finding(f"port {port}", f"free ({what})")


def look_at_the_hub() -> Iterator[Finding]:
    """Yield whether the Hugging Face hub is asked, and answers; embedded backbones and data need it not."""
    embedded = "Embedded backbones and data, local folders and what is in the cache work without it."
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        yield Finding("hub", "not asked, by HF_HUB_OFFLINE", "note", embedded)
        return
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        if not address.startswith(("http://", "https://")):
            raise ValueError("HF_ENDPOINT is no http address")
        # its scheme was looked at
        urllib.request.urlopen(address, timeout=HUB_SECONDS).close()  # noqa: S310
        yield Finding("hub", f"{address} answers")
    except urllib.error.HTTPError as error:
        yield Finding("hub", f"{address} answers with {error.code}")
    except (OSError, ValueError) as error:
        yield Finding("hub", f"{address} does not answer: {error}", "note", embedded)


def _bf16(speedup: float) -> str:
    precision = (
        "set training.precision to bf16" if speedup >= LEAST_SPEEDUP else "leave training.precision at 32"
    )
    return f"matrix products are {speedup:.1f} times as fast as in 32 bits: {precision}"


def _threads(torch_threads: int) -> str:
    omp = os.environ.get("OMP_NUM_THREADS")
    setting = f"OMP_NUM_THREADS is {omp}" if omp else "OMP_NUM_THREADS is not set"
    return f"{torch_threads} for torch, of {cores()} cores ({setting})"


def _oversubscribed() -> tuple[()] | tuple[str, str]:
    threads = omp_threads()
    if threads is None or threads <= cores():
        return ()
    return "note", f"More threads than cores are slow: set OMP_NUM_THREADS to {cores()} or less."


def _folder(what: str, path: Path, advice: str) -> Finding:
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    used = _size(path) if path.is_dir() else 0
    free = shutil.disk_usage(there).free
    value = f"{path}, {used / GIB:.1f} GB, {free / GIB:.0f} GB free"
    if not _is_writable(there):
        return Finding(what, f"{path} cannot be written", "broken", advice)
    if free < LEAST_FREE:
        return Finding(what, value, "note", f"There is little room. {advice}")
    return Finding(what, value)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
