"""A saved prompt's folder to the hub."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from spt.assets import BACKBONES, HUB_NAME
from spt.errors import InputError, foreign_files
from spt.saved_folders import PROMPT_FILES
from spt.storage.files import expanded

log = logging.getLogger(__name__)


def upload(
    folder: Path,
    name: str,
    private: bool | None = None,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Send the files of a saved prompt to a repository of the hub, in one commit.

    Those of a saved prompt that are there and not in the folder are removed, and no other file is.

    Args:
        folder: with the files; others in it stay here.
        name: owner/name; made where it is not there.
        private: whether a new repository is; None for what its owner set as the default.
        revision: branch, made where it is not there; None for the main one.
        message: of the commit.

    Returns:
        The commit, by which `PromptClassifier.from_pretrained(name, revision=...)` loads just this.

    Raises:
        InputError: for a name that no repository can have, or where the hub refuses or cannot be reached.
    """
    check_hub_name(name)
    # loads the network's libraries
    from huggingface_hub import HfApi  # noqa: PLC0415

    api = HfApi()
    with foreign_files(
        f"'{name}' on {api.endpoint} takes no upload",
        "Check the name and the network, and log in with `hf auth login` or set HF_TOKEN to a token that may "
        "write there.",
    ):
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=list(PROMPT_FILES),
            # what is not sent would be read as the new prompt's: the labels of another estimator
            delete_patterns=list(PROMPT_FILES),
            revision=revision,
            commit_message=message or "Upload a prompt of spt-nas",
        )
    return str(commit.oid)


def check_hub_name(name: Any) -> None:
    """Refuse what no repository can be called.

    Raises:
        InputError: for what is not owner/name.
    """
    if not isinstance(name, str) or name.count("/") != 1 or not HUB_NAME.fullmatch(name):
        raise InputError(f"{name!r:.200} is no name of the hub. Give it as a text, owner/name.")


def warn_of_local_backbone(name: str) -> None:
    """Say that a prompt over a backbone of this machine's can be loaded by nobody else."""
    if name not in BACKBONES and expanded(name).is_dir():
        log.warning(
            "The prompt's backbone is the folder %s, whose path goes to the hub and which nobody else has: "
            "they must give from_pretrained a backbone and a tokenizer of their own.",
            name,
        )
