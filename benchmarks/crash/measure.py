"""Kill each command again and again, repeat it, and compare its end with the undisturbed one's."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.choices import chosen
from benchmarks.crash import hook
from benchmarks.crash.deeds import DEEDS, Deed, write_inputs
from benchmarks.crash.ends import End, differences
from benchmarks.crash.processes import Attempt, Place
from benchmarks.record import command_of, write_result
from experiments.config import load_config
from spt.assets import ASSETS, fetch
from spt.errors import InputError, MachineFault
from spt.storage.json_files import read_json_lines

# one kill in so many is at a moment, the others are at a change of the disk
MOMENT_EVERY = 3
# a command may take so many times its undisturbed seconds, and these on top
TIMES_SLOWER, MORE_SECONDS = 10, 120.0
TRIES = 10
RECORD = "kills.jsonl"


@dataclass(frozen=True)
class Kill:
    """One kill, and what became of the command.

    Attributes:
        deed: name of what was killed.
        number: of the kill, from 0.
        at: before which change of the disk, or after how many seconds.
        victim: `command`, or `worker` for a process that it had started.
        lost: why the repeated command did not end as the undisturbed one; None if it did.
        seconds: of the killed and the repeated command together.
    """

    deed: str
    number: int
    at: str
    victim: str
    lost: str | None
    seconds: float


@dataclass(frozen=True)
class Undisturbed:
    """How a command ends that nobody kills: what it leaves, the changes it makes, and its seconds."""

    end: End
    changes: int
    seconds: float

    @property
    def limit(self) -> float:
        """Return the seconds after which a command hangs."""
        return TIMES_SLOWER * self.seconds + MORE_SECONDS


OnKill = Callable[[Kill], None]


def measure_crash(
    config: Path,
    folder: Path,
    kills: int,
    seed: int = 0,
    deeds: Sequence[str] = (),
    on_kill: OnKill | None = None,
    result: str | None = None,
) -> list[Kill]:
    """Kill commands and repeat them; kills that the folder has already are not repeated.

    Args:
        config: of the runs.
        folder: of everything; what was lost stays there to look at.
        kills: of all deeds together, shared out by their weights.
        seed: of where they are killed.
        deeds: names of `DEEDS`; all by default.
        on_kill: told each kill.
        result: name of a JSON in benchmarks/results that is written; None for none.

    Raises:
        InputError: for an unknown deed, or a folder whose kills were others.
        MachineFault: if a command does not end well even undisturbed.
    """
    asked = chosen("deed", deeds, DEEDS)
    inputs = folder.resolve() / "inputs"
    run = load_config(config)
    write_inputs(run.model_dump(mode="json", exclude_unset=True), inputs)
    done: list[Kill] = []
    with commands_environment(inputs, [run.backbone.name, run.task.name]) as environment:
        for name, number in shares(asked, kills).items():
            suite = Suite(name, asked[name], folder.resolve() / name.replace(" ", "-"), environment, seed)
            for kill in suite.kills(number):
                done.append(kill)
                if on_kill is not None:
                    on_kill(kill)
    if result is not None:
        words = [config, *(f"--deed={name}" for name in deeds), f"--kills={kills}", f"--seed={seed}"]
        command = command_of("crash", *words, result=result)
        write_result(result, command, summary(done), losses=[asdict(kill) for kill in done if kill.lost])
    return done


def shares(deeds: Mapping[str, Deed], kills: int) -> dict[str, int]:
    """Share kills out by the deeds' weights, at least one each."""
    total = sum(deed.weight for deed in deeds.values())
    return {name: max(1, round(kills * deed.weight / total)) for name, deed in deeds.items()}


def summary(kills: Sequence[Kill]) -> list[dict[str, Any]]:
    """Return a record for each deed: how often it was killed, and how often it survived."""
    records = []
    for name in dict.fromkeys(kill.deed for kill in kills):
        of_deed = [kill for kill in kills if kill.deed == name]
        victims = Counter(kill.victim for kill in of_deed)
        lost = sum(kill.lost is not None for kill in of_deed)
        records.append(
            {
                "deed": name,
                "shell": DEEDS[name].command,
                "kills": len(of_deed),
                "at_changes": sum(not kill.at.startswith("after") for kill in of_deed),
                "at_moments": sum(kill.at.startswith("after") for kill in of_deed),
                "of_workers": victims["worker"],
                "survived": len(of_deed) - lost,
                "lost": lost,
                "seconds": round(sum(kill.seconds for kill in of_deed), 1),
            }
        )
    return records


class Suite:
    """The kills of one deed in a folder.

    Args:
        name: of the deed.
        deed: that is killed.
        folder: of this deed alone.
        environment: of the command.
        seed: of where it is killed.
    """

    def __init__(
        self, name: str, deed: Deed, folder: Path, environment: Mapping[str, str], seed: int
    ) -> None:
        self.name = name
        self.deed = deed
        self.folder = folder
        self.environment = environment
        self.seed = seed

    def kills(self, wanted: int) -> Iterator[Kill]:
        """Yield as many kills, those of an earlier call first."""
        record = self.folder / RECORD
        earlier = [Kill(**line) for line in read_json_lines(record, "Delete the folder.")]
        yield from earlier[:wanted]
        if len(earlier) >= wanted:
            return
        undisturbed = self._undisturbed()
        for number in range(len(earlier), wanted):
            kill = self._killed_once(number, undisturbed)
            with record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(kill)) + "\n")
            yield kill

    def _undisturbed(self) -> Undisturbed:
        place = self._place("undisturbed")
        attempt = Attempt(self.deed.begin, place)
        code = attempt.wait(MORE_SECONDS * TIMES_SLOWER)
        seconds = time.monotonic() - attempt.began
        if code != 0:
            attempt.kill()
            raise MachineFault(f"'{self.name}' ended with code {code} undisturbed; see {attempt.output}")
        return Undisturbed(self.deed.end(place.home), len(hook.changes(attempt.count)), seconds)

    def _place(self, name: str) -> Place:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        home = folder / "home"
        home.mkdir(parents=True)
        cache = {"SPT_CACHE": str(home / "cache"), "HOME": str(home)}
        shutil.copytree(self.environment["SPT_CACHE"], home / "cache", symlinks=True)
        return Place(home, self.folder.parent / "inputs", {**self.environment, **cache}, self.deed.watched)

    def _killed_once(self, number: int, undisturbed: Undisturbed) -> Kill:
        random = Random(f"{self.seed} {self.name} {number}")  # noqa: S311
        for _ in range(TRIES):
            place = self._place(f"kill-{number}")
            began = time.monotonic()
            if number % MOMENT_EVERY == MOMENT_EVERY - 1:
                struck = self._at_a_moment(place, random.uniform(0, undisturbed.seconds), random, undisturbed)
            else:
                struck = self._at_a_change(place, self._change(number, undisturbed), random, undisturbed)
            if struck is None:
                continue
            attempt, at, victim = struck
            lost = self._lost(attempt, place, undisturbed)
            if lost is None:
                shutil.rmtree(place.home.parent)
            return Kill(self.name, number, at, victim, lost, round(time.monotonic() - began, 2))
        raise MachineFault(f"'{self.name}' ended {TRIES} times before it could be killed")

    def _change(self, number: int, undisturbed: Undisturbed) -> int:
        """Return before which change a kill is: none twice before each had its turn."""
        changes = list(range(1, undisturbed.changes + 1))
        Random(f"{self.seed} {self.name}").shuffle(changes)  # noqa: S311
        turn = number - number // MOMENT_EVERY
        return changes[turn % len(changes)]

    def _at_a_change(
        self, place: Place, change: int, random: Random, undisturbed: Undisturbed
    ) -> tuple[Attempt, str, str] | None:
        victim: hook.Victim = "command" if not self.deed.workers or random.random() < 0.5 else "writer"
        attempt = Attempt(self.deed.begin, place, change, victim)
        code = attempt.wait(undisturbed.limit)
        changes = hook.changes(attempt.count)
        if len(changes) < change:
            attempt.left(self.deed.grace)
            return None
        at = f"{change}: {changes[change - 1]}"
        return attempt, at, "command" if code is not None and code < 0 else "worker"

    def _at_a_moment(
        self, place: Place, moment: float, random: Random, undisturbed: Undisturbed
    ) -> tuple[Attempt, str, str] | None:
        attempt = Attempt(self.deed.begin, place)
        if attempt.wait(moment) is not None:
            return None
        victims = [psutil.Process(attempt.pid)]
        if self.deed.workers and random.random() < 0.5:
            victims = attempt.processes() or victims
        victim = random.choice(victims)
        is_command = victim.pid == attempt.pid
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        attempt.wait(undisturbed.limit)
        return attempt, f"after {moment:.2f} s", "command" if is_command else "worker"

    def _lost(self, attempt: Attempt, place: Place, undisturbed: Undisturbed) -> str | None:
        """Repeat the command, and say what is not as it would be undisturbed; None if all is."""
        if attempt.wait(0) is None:
            attempt.kill()
            attempt.left(self.deed.grace)
            return "a worker was killed, and the command waited for ever"
        if left := attempt.left(self.deed.grace):
            return f"left running: {'; '.join(left)}"
        again = Attempt(self.deed.begin, place)
        code = again.wait(undisturbed.limit)
        if code != 0:
            again.kill()
            again.left(self.deed.grace)
            return f"the same command ended with code {code}: {_last_line(again.output)}"
        if left := again.left(self.deed.grace):
            return f"left running by the repeated command: {'; '.join(left)}"
        partial = [path.name for path in place.home.rglob("*.partial")]
        try:
            problems = differences(undisturbed.end, self.deed.end(place.home))
        except (OSError, InputError, ValueError) as error:
            problems = [str(error)]
        return "; ".join([*(f"{name} is left" for name in partial), *problems]) or None


@contextmanager
def commands_environment(inputs: Path, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the environment of commands: a cache with the assets alone, and Ray's own short folder."""
    cache = inputs / "cache"
    cache.mkdir(exist_ok=True)
    for name in names:
        if name in ASSETS and not (link := cache / fetch(name).name).exists():
            link.symlink_to(fetch(name))
    # sockets have short names
    with TemporaryDirectory(prefix="spt", dir="/tmp", ignore_cleanup_errors=True) as short:
        yield {"SPT_CACHE": str(cache), "RAY_TMPDIR": short, "RAY_AUTH_MODE": "disabled"}


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
