"""Errors a user can mend: what was wrong, the value, what is allowed, what to do."""

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


def unknown(what: str, value: str, allowed: Iterable[str], advice: str = "") -> InputError:
    """Make an error for a name that is not among the allowed ones, with the closest match first."""
    names = sorted(allowed)
    close = get_close_matches(value, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    rest = f" {advice}" if advice else ""
    return InputError(f"Unknown {what} '{value}'.{hint} Allowed: {', '.join(names)}.{rest}")
