"""What a label in a row may say of its class: the name, or the position where no name is a number."""

import re
from collections.abc import Sequence

# of a position among the classes
MAX_DIGITS = 9


def class_numbers(names: Sequence[str], positions: bool = True) -> dict[str, int]:
    """Return the number of the class, in [0, C), that each label stands for.

    Args:
        names: of the classes, in order.
        positions: whether a number may stand for the class at that position; where a name has a number of its
            own it never does.
    """
    numbers = {name: position for position, name in enumerate(names)}
    if not positions or any(map(_has_own_number, names, range(len(names)))):
        return numbers
    return {str(position): position for position in range(len(names))} | numbers


def _has_own_number(name: str, position: int) -> bool:
    """Say whether a number may mean this class by its name, which is not that of its position."""
    return _is_number(name) or any(
        len(number) > MAX_DIGITS or int(number) != position for number in re.findall(r"\d+", name)
    )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return any(map(str.isnumeric, name)) and not any(map(str.isalpha, name))
    return True
