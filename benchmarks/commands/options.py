"""Options that several commands take, and what each is run in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.options import keys_over
from experiments.console import GOES_ON, exit_codes
from experiments.logs import quiet_libraries
from spt.process.extras import need

if TYPE_CHECKING:
    from experiments.comparing.grid import RunOutcome

Result = Annotated[str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")]
OnConditions = Annotated[
    list[str] | None, typer.Option("--on", help="A condition of the bench; repeat it.", show_default=False)
]
OnlyVariants = Annotated[
    list[str] | None, typer.Option("--only", help="A variant of the file; repeat it.", show_default=False)
]
Add = Annotated[
    bool, typer.Option("--add", help="Keep what the JSON has of the bench beside what this command reports.")
]
OfATask = Annotated[list[str] | None, keys_over("those of a task's trainings: sst2.data.train=FILE")]


@contextmanager
def measuring(stopped: str = GOES_ON, packages: tuple[str, ...] = ()) -> Iterator[None]:
    """Run a command's body with quiet libraries, exit codes, and the optional packages that it needs.

    Args:
        stopped: what Ctrl-C answers.
        packages: keys of `spt.process.extras.EXTRAS`.
    """
    with exit_codes(stopped):
        need(*packages)
        quiet_libraries(quiet=False)
        yield


def end(failed: int, what: str) -> None:
    """Exit with code 1 if anything failed."""
    if failed:
        print(f"{failed} {what} failed; the same command tries them again.")
        raise typer.Exit(1)


def say_dev(name: str, outcome: "RunOutcome") -> None:
    """Print one line as a training of given layers ends."""
    metrics = outcome.metrics
    outcome_text = f"failed: {outcome.failure}" if metrics is None else f"dev {metrics['dev_metric']:.3f}"
    print(f"{name}: {outcome_text}", flush=True)
