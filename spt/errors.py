"""Whose failure it is: InputError is the input's, TrialFailed the training's, MachineFault the machine's.

What is the machine's, an OSError and a MemoryError among it, is recorded nowhere and repeated by the same
command. What is none of them is a bug, and nothing here catches it.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Report bad input of a user. Its message is shown without a traceback; the command exits with code 2."""


class TrialFailed(RuntimeError):
    """Report a training that cannot give a number, for example after a loss that is not finite.

    Attributes:
        flops: what the training took until then.
    """

    flops = 0


class MachineFault(RuntimeError):
    """Report what a machine failed at, as in the death of a worker, and no training can help."""


def unknown(what: str, value: str, allowed: Iterable[str], advice: str = "") -> InputError:
    """Make an error for a name that is not among the allowed ones, with the closest match first."""
    names = sorted(allowed)
    close = get_close_matches(value, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    rest = f" {advice}" if advice else ""
    return InputError(f"Unknown {what} '{value}'.{hint} Allowed: {', '.join(names)}.{rest}")
