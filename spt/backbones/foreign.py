"""Files of backbones, which others made: those that no library should be given to read are refused."""

from __future__ import annotations

from pathlib import Path

from spt.audit.json_content import proportion_problems, read_json, size_problems
from spt.errors import InputError
from spt.storage.tensor_header import read_header

CONFIG, WEIGHTS = "config.json", "model*.safetensors"


def check_files(folder: Path) -> None:
    """Refuse a backbone's folder that holds devices or pipes, which have no end.

    Raises:
        InputError: naming them.
    """
    names = [
        path.name for path in folder.glob("*") if path.exists() and not (path.is_file() or path.is_dir())
    ]
    if names:
        raise InputError(
            f"The backbone in '{folder}' holds what is neither a file nor a folder: "
            f"{', '.join(sorted(names))}. Get the folder again from where it is from."
        )


def check_sizes(folder: Path) -> None:
    """Refuse a backbone's folder whose config.json speaks of sizes that its weights cannot have.

    Such a model would fill the memory before anybody compared it with its weights.

    Raises:
        InputError: naming the sizes.
        OSError: if a file cannot be read.
    """
    path = folder / CONFIG
    if not path.is_file():
        # said by what reads it
        return
    try:
        config = read_json(path)
        problems = list(size_problems(config))
        weights = list(folder.glob(WEIGHTS))
        if not problems and weights:
            numbers = sum(tensor.numbers for file in weights for tensor in read_header(file))
            problems = list(proportion_problems(config, numbers))
    except InputError as error:
        problems = [str(error)]
    if problems:
        raise InputError(
            f"The backbone in '{folder}' cannot be read: {CONFIG} or its weights {'; '.join(problems)}. "
            "`spt audit` says more; get the folder again from where it is from."
        )
