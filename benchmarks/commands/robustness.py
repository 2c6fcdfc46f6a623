"""Commands that are killed, and inputs that are damaged."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import CHECKOUT
from benchmarks.commands.options import Result, end, measuring

if TYPE_CHECKING:
    from benchmarks.crash.measure import Kill


def crash(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file of a small run of TREC or of data in files.",
            show_default="benchmarks/crash/crash.yml",
        ),
    ] = CHECKOUT / "benchmarks" / "crash" / "crash.yml",
    kills: Annotated[int, typer.Option(min=1, help="Of all commands together.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of where commands are killed.")] = 0,
    deed: Annotated[
        list[str] | None,
        typer.Option(help="A command of benchmarks/crash/deeds.py; repeat it.", show_default=False),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where commands run.")] = Path("runs/crash"),
    result: Result = "crash",
) -> None:
    """Kill every command at its changes of the disk and at random moments, and repeat it.

    Each must end as the undisturbed one, bit for bit, and leave no process and no temporary file. Resumable.
    """
    with measuring():
        from benchmarks.crash.measure import measure_crash

        done = measure_crash(config, folder, kills, seed, deed or (), say_kill, result)
    if lost := sum(kill.lost is not None for kill in done):
        print(f"{lost} of {len(done)} kills lost something; {folder} has what was left.")
        raise typer.Exit(1)


def say_kill(kill: "Kill") -> None:
    """Print one line as a killed command has been repeated."""
    end = "survived" if kill.lost is None else f"LOST: {kill.lost}"
    print(f"{kill.deed} {kill.number}, {kill.victim} killed at {kill.at}: {end}", flush=True)


def fuzz(
    cases: Annotated[
        int, typer.Option(min=10, help="Of all targets together; 20,000 take a quarter of an hour.")
    ] = 20_000,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the first cases; the same seed draws the same ones.")
    ] = 0,
    result: Result = "fuzz",
) -> None:
    """Damage valid configurations, data, prompts and backbones: each is accepted, or refused with one error.

    Each case runs in a process with limits of memory and time. Fails if one crashes, hangs or ends otherwise.
    """
    with measuring("Stopped; nothing is kept.", ("hypothesis",)):
        from benchmarks.fuzz.measure import measure_fuzz

        failed = measure_fuzz(cases, seed, result)
    end(failed, "cases")
