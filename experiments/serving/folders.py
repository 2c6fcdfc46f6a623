"""Which prompts are served, under which names: the folders that a user gives, looked at again and again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spt.errors import InputError
from spt.files import expanded
from spt.problems import Problems
from spt.serving.saved_prompt import PROMPT_JSON

NAME = re.compile(r"\w[\w.-]{0,99}")
# of a run, whose name says more
MODEL = "model"
# what saving keeps beside a prompt for a moment
TEMPORARY = (".partial", ".old")


@dataclass(frozen=True)
class PromptFolder:
    """A folder of a saved prompt, and the task's name in requests."""

    name: str
    path: Path


@dataclass(frozen=True)
class PromptFolders:
    """Hold what is served.

    Attributes:
        prompts: folders of a saved prompt each.
        shelves: folders whose folders are saved prompts, which may come and go.
    """

    prompts: tuple[PromptFolder, ...]
    shelves: tuple[Path, ...]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> PromptFolders:
        """Tell saved prompts, with or without a name, from folders of them.

        Args:
            arguments: FOLDER or NAME=FOLDER each.

        Raises:
            InputError: with every argument that is neither, and every name that two prompts have.
        """
        problems = Problems("the folders")
        prompts: list[PromptFolder] = []
        shelves: list[Path] = []
        for argument in arguments:
            with problems.collecting():
                name, path = _split(argument)
                if (path / PROMPT_JSON).is_file():
                    prompts.append(PromptFolder(_checked(name or _name_of(path), argument), path))
                elif name is None and any(_on_shelf(path)):
                    shelves.append(path)
                else:
                    raise InputError(
                        f"'{path}' is neither a saved prompt nor a folder of some: it has no {PROMPT_JSON}. "
                        "Give the folder of a prompt, as runs/NAME/model."
                    )
        folders = cls(tuple(prompts), tuple(shelves))
        for text in _twice(folders.current()):
            problems.add(text)
        problems.refuse()
        return folders

    def current(self) -> list[PromptFolder]:
        """List the prompts that are there now; what two folders name alike is there twice."""
        return [*self.prompts, *(prompt for shelf in self.shelves for prompt in _on_shelf(shelf))]


def _split(argument: str) -> tuple[str | None, Path]:
    name, equals, folder = argument.partition("=")
    if not equals or expanded(argument).exists():
        return None, expanded(argument).resolve()
    return name, expanded(folder).resolve()


def _checked(name: str, argument: str) -> str:
    if not NAME.fullmatch(name):
        raise InputError(
            f"The prompt '{argument}' would be called '{name}', but a name begins with a letter or digit and "
            "goes on with at most 99 of them, '_', '.' and '-'. Name it: NAME=FOLDER."
        )
    return name


def _name_of(path: Path) -> str:
    return path.parent.name if path.name == MODEL else path.name


def _on_shelf(shelf: Path) -> Iterator[PromptFolder]:
    if not shelf.is_dir():
        return
    for path in sorted(shelf.iterdir()):
        # a folder of another name cannot be asked for
        if path.suffix not in TEMPORARY and NAME.fullmatch(path.name) and (path / PROMPT_JSON).is_file():
            yield PromptFolder(_name_of(path), path)


def _twice(prompts: Sequence[PromptFolder]) -> Iterator[str]:
    by_name: dict[str, list[str]] = {}
    for prompt in prompts:
        by_name.setdefault(prompt.name, []).append(str(prompt.path))
    for name, paths in by_name.items():
        if len(paths) > 1:
            yield (
                f"The prompts {' and '.join(map(repr, paths))} would all be called '{name}'. Name them: "
                f"OTHER={paths[-1]}."
            )
