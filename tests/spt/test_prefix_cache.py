"""The prefix cache: same numbers as without it, shared, bounded, and rebuilt when damaged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.pipeline import Run
from experiments.pipeline import run as pipeline_run
from spt.architecture import PromptLayers
from spt.data.batches import make_loader
from spt.data.encoding import encode
from spt.errors import InputError
from spt.model import PromptedModel
from spt.prefix_cache import PrefixCache, key
from tests.support.tiny import tiny_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("prefix")
    return Run(tiny_config(folder, cache="off"), folder / "run")


def model(run: Run, *layers: int) -> PromptedModel:
    return run.factory.model(PromptLayers.of(layers, run.backbone.num_layers))


def examples(run: Run, split: str = "train") -> Any:
    return encode(run.splits[split], run.tokenizer, run.spec.task, run.spec.max_length, template=False)


def logits(run: Run, prompted: PromptedModel, rows: Any) -> Tensor:
    with torch.no_grad():
        return torch.cat([prompted(batch).logits for batch in make_loader(rows, run.tokenizer, 16)])


@pytest.fixture
def counted(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that went through a prefix from the tokens on."""
    calls: list[int] = []
    embed = run.backbone.embed

    def watched(batch: Any) -> Tensor:
        calls.append(len(batch["input_ids"]))
        return embed(batch)

    monkeypatch.setattr(run.backbone, "embed", watched)
    return calls


@pytest.mark.parametrize("mode", ["memory", "disk", "auto"])
@pytest.mark.parametrize("layers", [(2,), (1, 3), ()])
def test_cached_logits_are_those_without_a_cache(
    run: Run, mode: Any, layers: tuple[int, ...], tmp_path: Path, counted: list[int]
) -> None:
    prompted, rows = model(run, *layers), examples(run)
    expected = logits(run, prompted, rows)
    extended = PrefixCache(mode, tmp_path).extend(rows, prompted, run.tokenizer, 16).examples
    counted.clear()
    assert torch.allclose(logits(run, prompted, extended), expected, atol=1e-5)
    assert counted == []


def test_a_prefix_of_a_lower_layer_is_carried_on_from_there(run: Run, tmp_path: Path) -> None:
    extended = PrefixCache("disk", tmp_path).extend(examples(run), model(run, 1), run.tokenizer, 16).examples
    higher = model(run, 3)
    assert torch.allclose(logits(run, higher, extended), logits(run, higher, examples(run)), atol=1e-5)


def test_a_prefix_of_a_higher_layer_is_refused(run: Run) -> None:
    extended = PrefixCache("memory").extend(examples(run), model(run, 3), run.tokenizer, 16).examples
    with pytest.raises(ValueError, match="starts at layer 3, but the first prompt is at layer 1"):
        logits(run, model(run, 1), extended)


def test_nothing_is_kept_where_nothing_is_saved(run: Run, tmp_path: Path) -> None:
    rows = examples(run)
    assert PrefixCache("disk", tmp_path).extend(rows, model(run, 0), run.tokenizer, 16).examples == rows
    assert PrefixCache("off", tmp_path).extend(rows, model(run, 2), run.tokenizer, 16).examples == rows
    assert (
        PrefixCache("auto", tmp_path, limit=100).extend(rows, model(run, 2), run.tokenizer, 16).examples
        == rows
    )
    assert not list(tmp_path.iterdir())


def test_the_second_use_reads_the_file(run: Run, tmp_path: Path, counted: list[int]) -> None:
    cache = PrefixCache("disk", tmp_path)
    cache.extend(examples(run), model(run, 2), run.tokenizer, 16)
    assert sum(counted) == len(examples(run))
    counted.clear()
    cache.extend(examples(run), model(run, 2, 3), run.tokenizer, 16)
    assert counted == []


def test_the_key_changes_with_layer_tokens_and_weights(run: Run, tmp_path: Path) -> None:
    rows = examples(run)
    other = Run(tiny_config(tmp_path, backbone={"attention": "eager"}), tmp_path / "run")
    with torch.no_grad():
        next(other.backbone.parameters()).mul_(1.01)
    keys = [
        key(rows, model(run, 1)),
        key(rows, model(run, 2)),
        key(rows[1:], model(run, 1)),
        key(rows[::-1], model(run, 1)),
        key(rows, model(other, 1)),
    ]
    assert len(set(keys)) == len(keys)
    again = Run(run.config, tmp_path / "again")
    assert key(rows, model(again, 1)) == keys[0]
    assert key(examples(run), model(run, 1, 3)) == keys[0]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign"])
def test_a_damaged_file_is_made_again(run: Run, tmp_path: Path, damage: str, counted: list[int]) -> None:
    cache, prompted = PrefixCache("disk", tmp_path), model(run, 2)
    cache.extend(examples(run), prompted, run.tokenizer, 16)
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[-1] ^= 0x40
    path.write_bytes(b"not a tensor file" if damage == "foreign" else bytes(content))
    counted.clear()
    extended = cache.extend(examples(run), prompted, run.tokenizer, 16).examples
    assert sum(counted) == len(examples(run))
    assert torch.allclose(logits(run, prompted, extended), logits(run, prompted, examples(run)), atol=1e-5)


def test_the_files_unused_longest_go_when_the_limit_is_reached(run: Run, tmp_path: Path) -> None:
    rows = examples(run, "dev")
    PrefixCache("disk", tmp_path).extend(rows, model(run, 1), run.tokenizer, 16)
    (first,) = tmp_path.glob("*.safetensors")
    size = first.stat().st_size
    cache = PrefixCache("disk", tmp_path, limit=2 * size + 10)
    for age, layer in ((300, 1), (200, 2)):
        cache.extend(rows, model(run, layer), run.tokenizer, 16)
        newest = max(tmp_path.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (newest.stat().st_mtime - age,) * 2)
    cache.extend(rows, model(run, 1), run.tokenizer, 16)
    cache.extend(rows, model(run, 3), run.tokenizer, 16)
    kept = {path.name.removesuffix(".safetensors") for path in tmp_path.glob("*.safetensors")}
    assert kept == {key(rows, model(run, 1)), key(rows, model(run, 3))}


def test_several_writers_at_once_leave_one_whole_file(run: Run, tmp_path: Path, counted: list[int]) -> None:
    prompted, rows = model(run, 2), examples(run)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(PrefixCache("disk", tmp_path).extend, rows, prompted, run.tokenizer, 16)
            for _ in range(4)
        ]
        extended = [job.result().examples for job in jobs]
    assert sum(counted) == len(rows)
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".lock"] == [".safetensors"]
    assert all(torch.equal(a["prefix"], b["prefix"]) for a, b in zip(extended[0], extended[3], strict=True))


def test_disk_refuses_what_does_not_fit_and_auto_goes_without(run: Run, tmp_path: Path) -> None:
    rows, prompted = examples(run), model(run, 2)
    with pytest.raises(InputError, match=r"rows take .* GB, but cache_gb is .* Raise cache_gb, or set cache"):
        PrefixCache("disk", tmp_path, limit=100).extend(rows, prompted, run.tokenizer, 16)
    assert PrefixCache("auto", tmp_path, limit=100).extend(rows, prompted, run.tokenizer, 16).examples == rows
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_too_small_is_met_before_a_run_begins(tmp_path: Path) -> None:
    for mode in ("disk", "auto"):
        run = Run(tiny_config(tmp_path, cache=mode, cache_gb=1e-6), tmp_path / "run")
        if mode == "auto":
            run.check()
            continue
        with pytest.raises(InputError, match="cache_gb"), run.claimed():
            pass
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_bf16_passes_start_from_bf16_states(run: Run, mode: Any, tmp_path: Path) -> None:
    prompted, rows, cache = model(run, 2), examples(run), PrefixCache(mode, tmp_path)
    exact = cache.extend(rows, prompted, run.tokenizer, 16).examples
    rounded = cache.extend(rows, prompted, run.tokenizer, 16, "bf16").examples
    with torch.autocast("cpu", torch.bfloat16):
        expected = logits(run, prompted, rows)
        assert torch.allclose(logits(run, prompted, rounded), expected, atol=1e-5)
    assert torch.allclose(logits(run, prompted, exact), logits(run, prompted, rows), atol=1e-5)
    assert not any(torch.equal(a["prefix"], b["prefix"]) for a, b in zip(exact, rounded, strict=True))


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_cached_run_ends_with_the_accuracy_of_an_uncached_one(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    found = {}
    for mode in ("off", "memory", "disk"):
        config = tiny_config(
            tmp_path,
            cache=mode,
            search={"strategy": "manual", "manual_layers": [2]},
            training={"precision": precision},
        )
        found[mode] = pipeline_run(config, tmp_path / mode)
    for mode in ("memory", "disk"):
        assert found[mode]["dev_accuracy"] == found["off"]["dev_accuracy"]
        assert found[mode]["test_accuracy"] == found["off"]["test_accuracy"]
    assert (tmp_path / "cache" / "prefixes").is_dir()
