"""What commands share: arguments, one message an error, an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from spt.errors import InputError, TrialFailed

GOES_ON = "Stopped. The same command goes on from the last finished epoch."

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Dotted keys over those of the file, as search.k=3.",
        show_default=False,
    ),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes at a time; 0 for one a core.")]


@contextmanager
def exit_codes(stopped: str) -> Iterator[None]:
    """Exit with 2 for bad input, 1 for a failed training, 130 for Ctrl-C: one message each, no traceback."""
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
