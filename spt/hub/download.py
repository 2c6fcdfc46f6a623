"""From the name of a saved prompt to its folder: one of this machine, or one that the hub sends."""

from __future__ import annotations

from pathlib import Path

from spt.assets import is_local_path
from spt.errors import InputError, foreign_files
from spt.saved_folders import PROMPT_FILES, PROMPT_JSON
from spt.storage.files import expanded, restore_folder


def prompt_folder(name: str | Path, revision: str | None = None) -> Path:
    """Return the folder of a saved prompt; one of the hub is downloaded, as far as it is not in the cache.

    One that was being replaced when its writer was killed is put back.

    Args:
        name: a folder, which wins, or owner/name of the hub as text.
        revision: commit, tag or branch of the hub; None for its main branch.

    Raises:
        InputError: for a revision of a folder, or a name that the hub does not know, does not hand out, or
            cannot be asked about.
    """
    restore_folder(expanded(name))
    if not is_hub_name(name):
        if revision is not None:
            raise InputError(
                f"revision is {revision!r}, but '{name}' is read as a folder of this machine, which has "
                "none. Remove revision, or give owner/name of the hub."
            )
        return expanded(name)
    folder = _downloaded(str(name), revision)
    if not (folder / PROMPT_JSON).is_file():
        raise InputError(
            f"The hub's '{name}' is not a saved prompt: it has no {PROMPT_JSON}. Check the name and the "
            "revision."
        )
    return folder


def is_hub_name(name: str | Path) -> bool:
    """Say whether a name is owner/name of the hub, and no path of this machine."""
    return isinstance(name, str) and name.count("/") == 1 and not is_local_path(name, expanded(name))


def _downloaded(name: str, revision: str | None) -> Path:
    # loads the network's libraries, for which a folder need not wait
    from huggingface_hub import constants, is_offline_mode, snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import (  # noqa: PLC0415
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"'{name}' on {constants.ENDPOINT}"
    offline = "; HF_HUB_OFFLINE is set, so only its cache is read" if is_offline_mode() else ""
    with foreign_files(
        f"There is no folder '{name}', and {where} cannot be read now{offline}",
        "Check the name, the revision and the network, or download it elsewhere and give its folder.",
    ):
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=list(PROMPT_FILES)))
        except GatedRepoError as error:
            raise InputError(
                f"{where} is gated. Accept its terms on its page, and log in with `hf auth login` or set "
                "HF_TOKEN."
            ) from error
        except RepositoryNotFoundError as error:
            raise InputError(
                f"There is no {where}, or it is private, and there is no folder of that name. Check the "
                "name, and log in with `hf auth login` or set HF_TOKEN if it is private."
            ) from error
        except RevisionNotFoundError as error:
            raise InputError(f"{where} has no revision {revision!r}. Check it on its page.") from error
