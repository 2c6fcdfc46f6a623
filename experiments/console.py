"""What commands share: one message an error, and an exit code."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from spt.errors import AGAIN, InputError, MachineFault, TrialFailed

GOES_ON = "Stopped. The same command goes on from the last finished epoch."
# whether this process was asked to end, until `terminable` ends
_asked = threading.Event()


class Terminated(KeyboardInterrupt):
    """Report that this process was asked to end by SIGTERM."""


def say_on_stderr(message: str) -> None:
    """Print a message where programs look for errors."""
    print(message, file=sys.stderr)


@contextmanager
def exit_codes(stopped: str, say: Callable[[str], None] = say_on_stderr) -> Iterator[None]:
    """Exit with one message, no traceback, and a code that says whose failure it is.

    2 is for bad input, 1 for a failed training or a fault of the machine, 130 for Ctrl-C, 143 for SIGTERM.

    Args:
        stopped: what is said after Ctrl-C and SIGTERM.
        say: shows the message.

    Raises:
        typer.Exit: with the code.
    """
    try:
        with terminable():
            yield
    except InputError as error:
        raise _exit(say, f"Error: {error}", 2) from error
    except TrialFailed as error:
        raise _exit(say, f"The training failed: {error}", 1) from error
    except BrokenPipeError:
        # whoever read the output has enough
        raise
    except (OSError, MemoryError, MachineFault) as error:
        reason = str(error) or "it is out of memory"
        again = error.again if isinstance(error, MachineFault) else AGAIN
        message = f"The machine failed: {reason}. Nothing of that was recorded: {again}."
        raise _exit(say, message, 1) from error
    except (KeyboardInterrupt, SystemExit) as error:
        if (code := _stop_code(error)) is None:
            raise
        raise _exit(say, stopped, code) from error


def exit_code(command: Callable[[], int], stopped: str, say: Callable[[str], None] = say_on_stderr) -> int:
    """Return the exit code of a command that is none of typer's: its own, or that of `exit_codes`."""
    try:
        with exit_codes(stopped, say):
            return command()
    except typer.Exit as end:
        return end.exit_code


def tell_watchers(line: str) -> None:
    """Say on a terminal what is about to take seconds; a program that reads errors gets those alone."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated on SIGTERM, so that a scheduler's word ends all as Ctrl-C does.

    Libraries that it interrupts may make another error of it: whatever ends the block then is Terminated.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(*_: Any) -> None:
        # the second one would interrupt the end of children
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _asked.set()
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        asked = _asked.is_set()
        _asked.clear()
        if asked and sys.exc_info()[1] is not None:
            raise Terminated


def end_if_asked() -> None:
    """End a loop of a library's that has taken the error of SIGTERM for nothing.

    Raises:
        Terminated: if this process was asked to end inside `terminable`.
    """
    if _asked.is_set():
        raise Terminated


def _stop_code(error: BaseException) -> int | None:
    """Return the exit code of a person's stop; None for another exit."""
    # Lightning turns an interruption into an exit with code 1
    for cause in (error, error.__context__):
        if isinstance(cause, KeyboardInterrupt):
            return 128 + (signal.SIGTERM if isinstance(cause, Terminated) else signal.SIGINT)
    return None


def _exit(say: Callable[[str], None], message: str, code: int) -> typer.Exit:
    say(message)
    return typer.Exit(code)
