"""Settings of every test: no network, one thread, and which tests go to the same process."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and those that start NNI or Ray in one, so that they take turns."""
    for item in items:
        services = {"nni", "ray"} & {mark.name for mark in item.iter_markers()}
        item.add_marker(pytest.mark.xdist_group("services" if services else str(item.path)))
