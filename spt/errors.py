"""Whose failure it is: InputError is the input's, TrialFailed the training's, MachineFault the machine's.

What is the machine's, an OSError and a MemoryError among it, is recorded nowhere and repeated by the same
command. What is none of them is a bug, and nothing here catches it but `foreign_files`, which takes whatever
a library raises about files of others for the files' own.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

# no space, no quota, a disk that fails or may not be written, no more open files, no memory
_MACHINE = {
    getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE", "ENOMEM")
} - {None}


class InputError(ValueError):
    """Report bad input of a user. Its message is shown without a traceback; the command exits with code 2.

    Attributes:
        problems: each by itself, where the message lists several.
    """

    problems: tuple[str, ...] = ()


class TrialFailed(RuntimeError):
    """Report a training that cannot give a number, for example after a loss that is not finite.

    Attributes:
        flops: what the training took until then.
        may_pass: whether the same training may end well another time, as on a device that others have left.
    """

    flops = 0
    may_pass = False


AGAIN = "the same command repeats it"


class MachineFault(RuntimeError):
    """Report what a machine failed at, as in the death of a worker, and no training can help.

    Args:
        reason: what it failed at.
        again: how the user goes on.
    """

    def __init__(self, reason: str = "", again: str = AGAIN) -> None:
        super().__init__(reason)
        self.again = again


def machine_fault(error: BaseException) -> Exception | None:
    """Return the machine's fault that an error is or comes of, as libraries have names of their own for it.

    Returns:
        The fault, or None where neither the error nor one of its causes is the machine's.
    """
    for cause in causes(error):
        if isinstance(cause, MemoryError | MachineFault):
            return cause
        if isinstance(cause, OSError) and cause.errno in _MACHINE:
            return cause
    return None


@contextmanager
def foreign_files(problem: str, advice: str) -> Iterator[None]:
    """Raise an InputError for all that a library raises about files that others made.

    Args:
        problem: what is wrong, before the first line of what the library said.
        advice: what to do, after it.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if (fault := machine_fault(error)) is not None:
            raise fault from error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{problem} ({lines[0]}). {advice}") from error


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it comes of, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def unknown(what: str, value: str, allowed: Iterable[str], advice: str = "") -> InputError:
    """Make an error for a name that is not among the allowed ones, with the closest match first.

    Args:
        what: the names are of.
        value: that was given.
        allowed: names.
        advice: a sentence on what to do, after the allowed names.
    """
    names = sorted(allowed)
    close = get_close_matches(value, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    rest = f" {advice}" if advice else ""
    return InputError(f"Unknown {what} '{value}'.{hint} Allowed: {', '.join(names)}.{rest}")
