"""What a killed training goes on from, in its folder."""

from __future__ import annotations

from pathlib import Path


def checkpoint_path(folder: Path) -> Path:
    """Return where a training's last finished epoch is kept."""
    return folder / "last.ckpt"


def stage_path(folder: Path) -> Path:
    """Return where the weights of a finished contrastive stage are kept."""
    return folder / "contrast.safetensors"


def delete_unfinished(folder: Path) -> None:
    """Delete both, once what the training gave is written elsewhere."""
    for path in (checkpoint_path(folder), stage_path(folder)):
        path.unlink(missing_ok=True)
