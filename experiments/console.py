"""What every command does: quiet libraries, one message an error, an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

GOES_ON = "Stopped. The same command goes on from the last finished epoch."

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Dotted keys over those of the file, as search.layers=3.",
        show_default=False,
    ),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes at a time; 0 for one a core.")]


def settle(quiet: bool) -> None:
    """Silence what other libraries advertise; with `quiet`, all but errors."""
    # loads nni, for which --help must not wait
    from experiments import logs

    logs.settle(quiet)


@contextmanager
def exit_codes(stopped: str) -> Iterator[None]:
    """2 for bad input, 1 for a failed training, 130 for Ctrl-C, each with one message and no traceback."""
    from spt.errors import InputError, TrialFailed

    try:
        yield
    except InputError as error:
        raise _exit(f"Error: {error}", 2) from error
    except TrialFailed as error:
        raise _exit(f"The training failed: {error}", 1) from error
    except (KeyboardInterrupt, SystemExit) as error:
        # Lightning turns Ctrl-C into an exit with code 1
        if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
            raise _exit(stopped, 130) from error
        raise


def _exit(message: str, code: int) -> typer.Exit:
    print(message, file=sys.stderr)
    return typer.Exit(code)
