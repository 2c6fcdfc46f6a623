"""What is fuzzed: a case is a few files, a target is what reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hypothesis.strategies import SearchStrategy

Expected = Literal["accepted", "refused", "either"]
WHOLE = "nothing"


@dataclass(frozen=True)
class Case:
    """Hold the files of a case, and what was damaged in them.

    Attributes:
        files: content by name.
        damage: what was done, in a few words; `WHOLE` where all is valid.
        expected: how it must end.
        links: target by the name of a link.
    """

    files: Mapping[str, bytes]
    damage: str = WHOLE
    expected: Expected = "either"
    links: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the files and links into an empty folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name, target in self.links.items():
            (folder / name).symlink_to(target)


@dataclass(frozen=True)
class Target:
    """Name what reads the files of a case.

    Attributes:
        name: of the target.
        cases: makes the strategy of its cases; what it must load is loaded then.
        first_check: raises where the files are not even of their kind, as YAML that is none.
        use: reads the files as a command would; raises an InputError to refuse them.
        share: of all cases, by which targets with quick cases get more of them.
    """

    name: str
    cases: Callable[[], SearchStrategy[Case]]
    first_check: Callable[[Path], object]
    use: Callable[[Path], object]
    share: float = 1.0
