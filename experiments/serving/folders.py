"""Which prompts are served, under which names: the folders that a user gives, looked at again and again."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spt.errors import InputError
from spt.problems import Problems
from spt.saved_folders import PROMPT_JSON, PROMPT_WEIGHTS
from spt.storage.files import expanded, restore_folder, restore_folders, state_of

NAME = re.compile(r"\w[\w.-]{0,99}")
# of a run, whose name says more
MODEL = "model"

# of the files of a prompt; None for those that are not there
State = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True)
class PromptFolder:
    """A folder of a saved prompt, and the task's name in requests."""

    name: str
    path: Path

    def state(self) -> State:
        """Return numbers that are others once the prompt was saved anew."""
        return tuple(state_of(self.path / name) for name in (PROMPT_JSON, PROMPT_WEIGHTS))


@dataclass(frozen=True)
class UnreadableFolder:
    """A folder that may hold a prompt, or several, and the system's reason why nobody can tell."""

    name: str
    path: Path
    reason: str

    def problem(self) -> InputError:
        """Return the error of who cannot go on without the folder."""
        return InputError(f"'{self.path}' cannot be read: {self.reason}. Mend its mode, or leave it out.")


@dataclass
class FolderListing:
    """Hold what there is to serve now.

    Attributes:
        prompts: what is there, in the order in which folders were given, those of a shelf by name; what two
            folders name alike is there twice.
        unreadable: folders of which it cannot be told what they hold.
    """

    prompts: list[PromptFolder] = field(default_factory=list)
    unreadable: list[UnreadableFolder] = field(default_factory=list)

    def is_closed(self, folder: PromptFolder) -> bool:
        """Say whether a folder, or the shelf that it is on, cannot be read, so that it may be there."""
        return any(each.path in (folder.path, folder.path.parent) for each in self.unreadable)


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
            InputError: with every argument that is neither, every folder that cannot be read, or put back
                where its writer was killed, and every name that two prompts have.
        """
        problems = Problems("the folders")
        prompts: list[PromptFolder] = []
        shelves: list[Path] = []
        for argument in arguments:
            with problems.collecting():
                name, path = _split(argument)
                # of one prompt, of a shelf
                restore_folder(path)
                restore_folders(path)
                if _holds_prompt(path):
                    prompts.append(PromptFolder(_checked(name or _name_of(path), argument), path))
                    continue
                shelf = _shelf_listing(path) if name is None else FolderListing()
                for folder in shelf.unreadable:
                    problems.add(str(folder.problem()))
                if shelf.prompts:
                    shelves.append(path)
                elif not shelf.unreadable:
                    raise InputError(
                        f"'{path}' is neither a saved prompt nor a folder of some: it has no {PROMPT_JSON}. "
                        "Give the folder of a prompt, as runs/NAME/model."
                    )
        folders = cls(tuple(prompts), tuple(shelves))
        for text in _twice(folders.current().prompts):
            problems.add(text)
        problems.refuse()
        return folders

    def current(self) -> FolderListing:
        """List what is there now; prompts that were named are, whether or not their folders are."""
        listing = FolderListing()
        for prompt in self.prompts:
            try:
                _stat_prompt(prompt.path)
            except OSError as error:
                listing.unreadable.append(_unreadable(prompt.name, prompt.path, error))
            else:
                listing.prompts.append(prompt)
        for shelf in map(_shelf_listing, self.shelves):
            listing.prompts += shelf.prompts
            listing.unreadable += shelf.unreadable
        return listing


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


def _shelf_listing(shelf: Path) -> FolderListing:
    """List the prompts on a shelf; one that is not there has none."""
    listing = FolderListing()
    try:
        paths = sorted(shelf.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return listing
    except OSError as error:
        return FolderListing(unreadable=[_unreadable(shelf.name, shelf, error)])
    for path in paths:
        # a folder of another name cannot be asked for
        if not NAME.fullmatch(path.name):
            continue
        try:
            if _stat_prompt(path):
                listing.prompts.append(PromptFolder(_name_of(path), path))
        except OSError as error:
            listing.unreadable.append(_unreadable(_name_of(path), path, error))
    return listing


def _holds_prompt(folder: Path) -> bool:
    """Say whether a folder is that of a prompt.

    Raises:
        InputError: if the folder is closed.
    """
    try:
        return _stat_prompt(folder)
    except OSError as error:
        raise _unreadable(folder.name, folder, error).problem() from error


def _stat_prompt(folder: Path) -> bool:
    """Say whether a folder is that of a prompt; a folder that is not there is none.

    Raises:
        OSError: if the folder is closed, or its disk fails.
    """
    try:
        return stat.S_ISREG((folder / PROMPT_JSON).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _unreadable(name: str, path: Path, error: OSError) -> UnreadableFolder:
    return UnreadableFolder(name, path, error.strerror or str(error))


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
