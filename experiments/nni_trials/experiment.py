"""An nnictl experiment driven from Python: create it, watch it, export it, and always stop it.

A guard beside it stops it where this process cannot, because it was killed.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from experiments.nni_trials.guard import start_guard
from experiments.nni_trials.processes import command_of, end_all, is_alive, manager_of, with_children
from spt.errors import InputError
from spt.storage.files import write_text

# of the best trial, in the folder of the trials' runs
BEST = "best.yml"
ENDED = ("DONE", "TUNER_NO_MORE_TRIAL", "STOPPED")
FAILED_TRIALS = ("FAILED", "SYS_CANCELED", "USER_CANCELED", "EARLY_STOPPED")
OPEN_TRIALS = ("WAITING", "RUNNING", "UNKNOWN")
# NNI gives up on a tuner that takes more than ten seconds to start, which happens on a busy machine
STARTS = 3
START_SECONDS = 30.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 20.0


class ExperimentError(RuntimeError):
    """The experiment cannot give results: its tuner or manager ended, or its time is over."""


@dataclass(frozen=True)
class Trial:
    """One trial as NNI sees it.

    Args:
        id: NNI's id.
        number: from 0, in the order of submission.
        status: WAITING, RUNNING, SUCCEEDED, FAILED, ...
        parameters: what the tuner chose.
        curve: intermediate results so far.
        result: the final result; None where there is none.
        log: folder of its output, trial.log and trial.stderr.
    """

    id: str
    number: int
    status: str
    parameters: Mapping[str, Any]
    curve: tuple[float, ...]
    result: float | None
    log: Path

    @property
    def failed(self) -> bool:
        """Tell whether it ended without success."""
        return self.status in FAILED_TRIALS


class NniExperiment:
    """Creates an experiment on entering and stops it, with all its processes, on leaving.

    Args:
        config: the experiment's YAML.
        port: of the REST API and web UI; a free one by default.
        environment: variables on top of this process's own.
        resume: id of a stopped experiment to go on with, instead of a new one.

    Raises:
        InputError: nnictl is missing, the port is in use, or nnictl refuses the config.
        ExperimentError: the experiment does not start.
    """

    def __init__(
        self,
        config: Path,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        resume: str | None = None,
    ) -> None:
        self.config = config
        self.port = port
        self.id = ""
        self._wanted_port = port
        self._start = ["resume", resume] if resume else ["create", "--config", str(config)]
        self.folder = Path()
        self._environment = {**os.environ, **(environment or {})}
        # trials run `python3`: let it be the Python that runs this
        self._environment["PATH"] = os.pathsep.join(
            [str(Path(sys.executable).parent), self._environment.get("PATH", os.defpath)]
        )
        self._manager: psutil.Process | None = None
        self._processes: set[psutil.Process] = set()
        self._tuner: psutil.Process | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the address of the web UI."""
        return f"http://localhost:{self.port}"

    def __enter__(self) -> "NniExperiment":
        nnictl = shutil.which("nnictl", path=self._environment["PATH"])
        if nnictl is None:
            raise InputError("There is no nnictl. Install NNI beside this Python: `pip install nni==3.0`.")
        for _ in range(STARTS):
            self.port = _usable_port(self._wanted_port)
            try:
                self._guard = start_guard(self.port)
                self._create(nnictl)
                if self._tuner_connects():
                    return self
            except BaseException:
                self.stop()
                raise
            self.stop()
        raise ExperimentError(f"NNI's tuner took over ten seconds to start, {STARTS} times: a busy machine?")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _create(self, nnictl: str) -> None:
        done = subprocess.run(
            [nnictl, *self._start, "--port", str(self.port)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise InputError(f"nnictl cannot run {self.config}: {lines[-1] if lines else 'no reason given'}")
        profile = self._get("experiment")
        self.id, self.folder = profile["id"], Path(profile["logDir"])
        self._note_processes()

    def _tuner_connects(self) -> bool:
        """Tell whether NNI did not give up on a tuner that is alive; a dead one is for `watch` to explain."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            self._note_processes()
            if self.status() == "ERROR":
                return self._tuner_died()
            if self._tuner_died() or (self._tuner is not None and _connected(self._tuner, self.port)):
                return True
            time.sleep(0.5)
        return True

    def status(self) -> str:
        """Return NNI's status of the experiment, for example RUNNING.

        Raises:
            ExperimentError: the manager does not answer.
        """
        return str(self._get("check-status")["status"])

    def trials(self) -> list[Trial]:
        """List all trials so far, in order.

        Raises:
            ExperimentError: the manager does not answer.
        """
        curves: dict[str, list[tuple[int, float]]] = {}
        for metric in self._get("metric-data"):
            if metric["type"] == "PERIODICAL" and (value := _number(metric["data"])) is not None:
                curves.setdefault(metric["trialJobId"], []).append((metric["sequence"], value))
        jobs = sorted(self._get("trial-jobs"), key=lambda job: job["sequenceId"])
        return [_trial(job, curves.get(job["trialJobId"], [])) for job in jobs]

    def watch(self, seconds: float, interval: float = 1.0) -> Iterator[list[Trial]]:
        """Yield the trials every `interval` seconds, and once more when the experiment is done.

        Args:
            seconds: time the experiment may take from now.
            interval: between looks.

        Raises:
            ExperimentError: the tuner died, NNI reports an error, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._note_processes()
            status, trials = self.status(), self.trials()
            yield trials
            if status == "ERROR" or self._tuner_died():
                raise ExperimentError(f"Experiment {self.id} ended with an error. {self._reason()}")
            if status in ENDED and not any(trial.status in OPEN_TRIALS for trial in trials):
                return
            if time.monotonic() > deadline:
                raise ExperimentError(
                    f"Experiment {self.id} was not done after {seconds:.0f} s (status {status})."
                )
            time.sleep(interval)

    def export(self, file: Path) -> None:
        """Write parameters and results of the finished trials as JSON, like `nnictl experiment export`."""
        write_text(file, json.dumps(self._get("export-data"), indent=2) + "\n")

    def stop(self) -> None:
        """End the manager as `nnictl stop` does, wait until every process is gone, and kill what stays."""
        self._note_processes()
        end_all(self._manager, self._processes, STOP_SECONDS)
        self._processes.clear()
        self._manager = self._tuner = None
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None

    def _note_processes(self) -> None:
        """Remember the manager, the tuner and the trials, so that none can be left behind."""
        self._manager = self._manager or manager_of(self.port)
        if self._manager is None:
            return
        living = with_children(self._manager)
        self._processes |= living
        tuners = [process for process in living if "--exp_params" in command_of(process)]
        self._tuner = tuners[0] if tuners else self._tuner

    def _tuner_died(self) -> bool:
        return self._tuner is not None and not is_alive(self._tuner)

    def _reason(self) -> str:
        """Return the last error that the tuner or the manager wrote."""
        log = self.folder / "log" / "nnictl_stderr.log"
        if not log.is_file():
            return f"Look into {self.folder}."
        text = log.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if "Error" in line]
        return f"{(errors or lines or ['No reason given.'])[-1]} (from {log})"

    def _get(self, what: str) -> Any:
        try:
            address = f"{self.url}/api/v1/nni/{what}"
            # its scheme is http, as `url` says
            with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise ExperimentError(
                f"NNI's manager of experiment {self.id} does not answer at {self.url}: {error}"
            ) from error


def _usable_port(wanted: int | None) -> int:
    with socket.socket() as probe:
        if wanted is None:
            probe.bind(("", 0))
            return int(probe.getsockname()[1])
        if probe.connect_ex(("localhost", wanted)) == 0:
            raise InputError(f"Port {wanted} is in use. Choose another, or let a free one be found.")
        return wanted


def _connected(process: psutil.Process, port: int | None) -> bool:
    with suppress(psutil.Error):
        connections = process.net_connections(kind="tcp")
        return any(connection.raddr and connection.raddr.port == port for connection in connections)
    return False


def _trial(job: Mapping[str, Any], curve: list[tuple[int, float]]) -> Trial:
    final = job.get("finalMetricData") or [{}]
    return Trial(
        id=job["trialJobId"],
        number=job["sequenceId"],
        status=job["status"],
        parameters=json.loads(job["hyperParameters"][0])["parameters"] if job.get("hyperParameters") else {},
        curve=tuple(value for _, value in sorted(curve)),
        result=_number(final[0].get("data")),
        log=Path(job.get("logPath", "")),
    )


def _number(data: str | None) -> float | None:
    """Read a metric as NNI stores it, JSON in JSON: a number, or a dict with 'default'."""
    value = data
    for _ in range(2):
        if isinstance(value, str):
            value = json.loads(value)
    if isinstance(value, Mapping):
        value = value.get("default")
    return float(value) if isinstance(value, int | float) else None
