"""Runs that misbehave as planned, for trials in Ray workers; `python -m` drives a study to be killed."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from experiments import pipeline
from experiments.config import RunConfig
from experiments.run.training import OnStageEpoch
from experiments.tuning.config import TuneConfig
from experiments.tuning.session import tune
from spt.errors import TrialFailed

SPACE = {"search.consistency": {"_type": "uniform", "_value": [0.0, 1.0]}}
EPOCHS = 4


def study(name: str, **keys: Any) -> TuneConfig:
    """A study of fake runs, whose score is 1 - (consistency - 0.3)^2."""
    run = {"search": {"strategy": "spt_darts"}}
    defaults = {"name": name, "trials": 4, "asha": None, "searchSpace": SPACE, "run": run}
    return TuneConfig.model_validate({**defaults, **keys})


def score(config: RunConfig) -> float:
    return 1 - (config.search.consistency - 0.3) ** 2


def fake_run(
    config: RunConfig, folder: Path, on_epoch: OnStageEpoch, _assets: Any, plan: Path, seconds: float = 0.0
) -> dict[str, float]:
    """Epochs that are kept in history.jsonl as those of a run are, and a behaviour from the plan.

    Args:
        plan: folder with behaviours.json; every beginning of a run leaves a file in it.
        seconds: an epoch takes.
    """
    behaviour = _behaviour(plan, config)
    history = folder / "train" / "history.jsonl"
    history.parent.mkdir(exist_ok=True)
    done = len(history.read_text(encoding="utf-8").splitlines()) if history.exists() else 0
    first = not _note_beginning(plan, config)
    for epoch in range(max(0, done - 1), EPOCHS):
        time.sleep(seconds)
        if epoch >= done:
            with history.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": epoch}) + "\n")
        on_epoch("train", epoch, score(config) * (epoch + 1) / EPOCHS)
        if epoch == 2 and behaviour == "full" and (plan / "full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if epoch == 2 and behaviour == "fail":
            raise TrialFailed("the loss is nan")
        if epoch == 2 and behaviour == "kill" and first:
            os.kill(os.getpid(), signal.SIGKILL)
    metric = float("nan") if behaviour == "nan" else score(config)
    return {"dev_metric": metric, "tunable_parameters": int(1000 * config.search.consistency)}


def _key(config: RunConfig) -> str:
    return config.search.consistency.hex()


def _behaviour(plan: Path, config: RunConfig) -> str:
    """The one that this configuration has taken, or the next one of the plan."""
    for number, behaviour in enumerate(json.loads((plan / "behaviours.json").read_text(encoding="utf-8"))):
        claim = plan / f"claim_{number}"
        try:
            with claim.open("x", encoding="utf-8") as file:
                file.write(_key(config))
        except FileExistsError:
            pass
        if claim.read_text(encoding="utf-8") == _key(config):
            return str(behaviour)
    return "ok"


def _note_beginning(plan: Path, config: RunConfig) -> int:
    """Note that a run begins; returns how often it began before."""
    before = len(list(plan.glob(f"begun_{_key(config)}_*")))
    (plan / f"begun_{_key(config)}_{before}").touch()
    return before


def beginnings(plan: Path) -> dict[float, int]:
    """How often each configuration was begun."""
    found: dict[float, int] = {}
    for path in plan.glob("begun_*"):
        consistency = float.fromhex(path.name.split("_")[1])
        found[consistency] = found.get(consistency, 0) + 1
    return found


def make_plan(folder: Path, *behaviours: str) -> Path:
    folder.mkdir()
    (folder / "behaviours.json").write_text(json.dumps(behaviours), encoding="utf-8")
    return folder


def slow_spt_run(config: RunConfig, folder: Path, on_epoch: OnStageEpoch, _assets: Any) -> dict[str, Any]:
    """A whole SPT run that takes a second longer each epoch."""

    def slowly(stage: Any, epoch: int, dev: float) -> None:
        on_epoch(stage, epoch, dev)
        time.sleep(1)

    return pipeline.run(config, folder, slowly).as_json()


def report_threads(
    config: RunConfig, _folder: Path, _on_epoch: OnStageEpoch, _assets: Any
) -> dict[str, float]:
    """What a trial sees of its machine."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    return {"dev_metric": 0.5, "threads": config.threads, "visible": len(visible)}


def main(folder: str, plan: str, address: str) -> None:
    """Drive a study of slow trials."""
    run = partial(fake_run, plan=Path(plan), seconds=1.0)
    tune(driven_study(), Path(folder), address=address, run=run)


def driven_study() -> TuneConfig:
    return study("driven", trials=6, concurrency=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
