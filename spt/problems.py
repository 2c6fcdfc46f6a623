"""What is wrong with an input, collected so that it is refused all at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spt.errors import InputError


class Problems:
    """Collect the problems of an input.

    Args:
        what: is checked, as 'the data'; begins the error where there are several.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.texts: list[str] = []

    def add(self, problem: str) -> None:
        """Note a problem, once."""
        if problem not in self.texts:
            self.texts.append(problem)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Note the error that ends the body, if one does, or each of its problems."""
        try:
            yield
        except InputError as error:
            for problem in error.problems or [str(error)]:
                self.add(problem)

    def refuse(self) -> None:
        """Refuse the input if there is any problem.

        Raises:
            InputError: with the one problem, or all of them, a line each.
        """
        if len(self.texts) == 1:
            raise InputError(self.texts[0])
        if self.texts:
            lines = "\n".join(f"  {text}" for text in self.texts)
            error = InputError(f"{len(self.texts)} problems in {self.what}:\n{lines}")
            error.problems = tuple(self.texts)
            raise error
