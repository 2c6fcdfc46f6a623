"""A device without memory and nothing to train are a training's failures; the machine's memory is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spt.architecture import PromptLayers
from spt.errors import TrialFailed
from spt.training.failures import device_memory
from spt.training.fit import fit
from tests.support.tiny import tiny_workbench


def test_only_the_devices_memory_is_the_trainings_own_failure() -> None:
    with (
        pytest.raises(
            TrialFailed, match=r"out of memory \(CUDA out of memory\. Tried\)\. Lower training.batch"
        ),
        device_memory(),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")
    with pytest.raises(MemoryError), device_memory():
        raise MemoryError
    with pytest.raises(MemoryError, match="you tried to allocate"), device_memory():
        torch.empty(10**15)
    with pytest.raises(RuntimeError, match="no allocator"), device_memory():
        raise RuntimeError("no allocator's")


def test_a_device_without_memory_may_pass() -> None:
    with pytest.raises(TrialFailed) as failed, device_memory():
        raise torch.OutOfMemoryError("CUDA out of memory.")
    assert failed.value.may_pass and not TrialFailed("the loss is nan").may_pass


def test_a_training_whose_loss_depends_on_nothing_that_trains_has_failed(tmp_path: Path) -> None:
    workbench = tiny_workbench(tmp_path)
    model = workbench.factory.model(PromptLayers.of([1], workbench.num_layers))
    model.head.register_forward_hook(
        lambda _head, _inputs, output: output._replace(logits=output.logits.detach())
    )
    train, dev = workbench.batches("train", model), workbench.batches("dev", model)
    with pytest.raises(TrialFailed, match="The loss depends on nothing that trains"):
        fit(
            model,
            train.loader,
            dev.loader,
            workbench.spec.task,
            workbench.training,
            workbench.seed,
            tmp_path / "run",
        )
