"""The prefix cache: same numbers as without it, shared, bounded, and rebuilt when damaged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from spt import prefix_cache
from spt.architecture import PromptLayers
from spt.build import load_backbone
from spt.data.encoded.batches import make_loader
from spt.errors import InputError
from spt.model import PromptedModel
from spt.prefix_cache import PrefixCache, key
from spt.workbench import Workbench
from tests.support.killed import temporary_name
from tests.support.tiny import tiny_workbench


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("prefix")
    return tiny_workbench(folder, cache="off")


def model(run: Workbench, *layers: int) -> PromptedModel:
    return run.factory.model(PromptLayers.of(layers, run.backbone.num_layers))


def examples(run: Workbench, split: str = "train") -> Any:
    return run.examples[split]


def logits(run: Workbench, prompted: PromptedModel, rows: Any) -> Tensor:
    with torch.no_grad():
        batches = make_loader(rows, run.tokenizer, 16)
        return torch.cat([prompted(batch, batch.get("start")).logits for batch in batches])


def same_states(some: Any, others: Any) -> list[bool]:
    return [torch.equal(a["start"].hidden, b["start"].hidden) for a, b in zip(some, others, strict=True)]


@pytest.fixture
def counted(run: Workbench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that went through a prefix from the tokens on."""
    calls: list[int] = []
    embed = run.backbone.embed

    def watched(batch: Any) -> Tensor:
        calls.append(len(batch["input_ids"]))
        return embed(batch)

    monkeypatch.setattr(run.backbone, "embed", watched)
    return calls


@pytest.mark.parametrize("mode", ["disk", "auto"])
@pytest.mark.parametrize("layers", [(2,), (1, 3), ()])
def test_cached_logits_are_those_without_a_cache(
    run: Workbench, mode: Any, layers: tuple[int, ...], tmp_path: Path, counted: list[int]
) -> None:
    prompted, rows = model(run, *layers), examples(run)
    expected = logits(run, prompted, rows)
    extended = PrefixCache(mode, tmp_path).extend(rows, prompted, run.tokenizer, 16).examples
    counted.clear()
    assert torch.allclose(logits(run, prompted, extended), expected, atol=1e-5)
    assert counted == []


def test_a_prefix_of_a_lower_layer_is_carried_on_from_there(run: Workbench, tmp_path: Path) -> None:
    extended = PrefixCache("disk", tmp_path).extend(examples(run), model(run, 1), run.tokenizer, 16).examples
    higher = model(run, 3)
    assert torch.allclose(logits(run, higher, extended), logits(run, higher, examples(run)), atol=1e-5)


def test_a_prefix_of_a_higher_layer_is_refused(run: Workbench, tmp_path: Path) -> None:
    extended = PrefixCache("disk", tmp_path).extend(examples(run), model(run, 3), run.tokenizer, 16).examples
    with pytest.raises(ValueError, match="starts at layer 3, but the first prompt is at layer 1"):
        logits(run, model(run, 1), extended)


def test_nothing_is_kept_where_nothing_is_saved(run: Workbench, tmp_path: Path) -> None:
    rows = examples(run)
    assert PrefixCache("disk", tmp_path).extend(rows, model(run, 0), run.tokenizer, 16).examples is rows
    assert PrefixCache("off", tmp_path).extend(rows, model(run, 2), run.tokenizer, 16).examples is rows
    small = PrefixCache("auto", tmp_path, limit=100)
    assert small.extend(rows, model(run, 2), run.tokenizer, 16).examples is rows
    assert not list(tmp_path.iterdir())


def test_the_second_use_reads_the_file(run: Workbench, tmp_path: Path, counted: list[int]) -> None:
    cache = PrefixCache("disk", tmp_path)
    cache.extend(examples(run), model(run, 2), run.tokenizer, 16)
    assert sum(counted) == len(examples(run))
    counted.clear()
    cache.extend(examples(run), model(run, 2, 3), run.tokenizer, 16)
    assert counted == []


def test_the_key_changes_with_all_that_states_depend_on(
    run: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = examples(run)
    other = tiny_workbench(tmp_path, backbone={"attention": "eager"})
    with torch.no_grad():
        next(other.backbone.parameters()).mul_(1.01)
    eager = load_backbone(run.spec)
    eager.model.config._attn_implementation = "eager"
    keys = [
        key(rows, model(run, 1), 16),
        key(rows, model(run, 2), 16),
        key(rows[1:], model(run, 1), 16),
        key(rows[::-1], model(run, 1), 16),
        key(replace(rows, token_type_ids=0 * rows.input_ids), model(run, 1), 16),
        key(replace(rows, token_type_ids=0 * rows.input_ids + 1), model(run, 1), 16),
        key(rows, model(run, 1), 8),
        key(rows, model(run, 1), 16, "bf16"),
        key(rows, model(replace(run, backbone=eager), 1), 16),
        key(rows, model(other, 1), 16),
    ]
    assert len(set(keys)) == len(keys)
    again = replace(run, backbone=load_backbone(run.spec))
    assert key(rows, model(again, 1), 16) == keys[0]
    assert key(examples(run), model(run, 1, 3), 16) == keys[0]
    monkeypatch.setattr(prefix_cache, "FORMULAS", {torch.ops.aten.mm: None})
    assert key(examples(run), model(run, 1, 3), 16) not in keys


@pytest.mark.parametrize("library", [torch, transformers])
def test_another_version_of_a_library_has_another_key(
    run: Workbench, library: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(examples(run), model(run, 1), 16)
    monkeypatch.setattr(library, "__version__", "0.0")
    assert key(examples(run), model(run, 1), 16) != before


def test_states_are_charged_by_their_own_batches_whatever_is_kept(run: Workbench, tmp_path: Path) -> None:
    def charged(folder: str, batch_size: int) -> int:
        cache = PrefixCache("disk", tmp_path / folder)
        return cache.extend(examples(run), model(run, 2), run.tokenizer, batch_size).flops

    small, large = charged("small", 2), charged("large", 16)
    assert small != large == charged("small", 16) == charged("large", 16)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign"])
def test_a_damaged_file_is_made_again(
    run: Workbench, tmp_path: Path, damage: str, counted: list[int]
) -> None:
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


def test_the_files_unused_longest_go_when_the_limit_is_reached(run: Workbench, tmp_path: Path) -> None:
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
    assert kept == {key(rows, model(run, 1), 16), key(rows, model(run, 3), 16)}


def test_several_writers_at_once_leave_one_whole_file(
    run: Workbench, tmp_path: Path, counted: list[int]
) -> None:
    prompted, rows = model(run, 2), examples(run)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(PrefixCache("disk", tmp_path).extend, rows, prompted, run.tokenizer, 16)
            for _ in range(4)
        ]
        extended = [job.result().examples for job in jobs]
    assert sum(counted) == len(rows)
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".lock"] == [".safetensors"]
    assert all(same_states(extended[0], extended[3]))


@pytest.mark.parametrize("step", ["_write", "_read"])
def test_a_file_that_another_process_removes_at_once_is_not_missed(
    run: Workbench,
    tmp_path: Path,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, prompted, made = examples(run), model(run, 2), getattr(prefix_cache, step)
    whole = PrefixCache("disk", tmp_path / "whole").extend(rows, prompted, run.tokenizer, 16)

    def then_removed(path: Path, *content: Any) -> Any:
        result = made(path, *content)
        path.unlink(missing_ok=True)
        return result

    monkeypatch.setattr(prefix_cache, step, then_removed)
    extended = PrefixCache("disk", tmp_path).extend(rows, prompted, run.tokenizer, 16)
    assert all(same_states(extended.examples, whole.examples))
    assert extended.flops == whole.flops
    assert caplog.text == ""


def test_disk_refuses_what_does_not_fit_and_auto_goes_without(run: Workbench, tmp_path: Path) -> None:
    rows, prompted = examples(run), model(run, 2)
    with pytest.raises(InputError, match=r"rows take .* GB, but cache_gb is .* Raise cache_gb, or set cache"):
        PrefixCache("disk", tmp_path, limit=100).extend(rows, prompted, run.tokenizer, 16)
    assert PrefixCache("auto", tmp_path, limit=100).extend(rows, prompted, run.tokenizer, 16).examples is rows
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_said_once_and_the_run_goes_on(
    run: Workbench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompted, rows = model(run, 2), examples(run)
    (tmp_path / "file").write_bytes(b"")
    extended = PrefixCache("auto", tmp_path / "file" / "cache").extend(rows, prompted, run.tokenizer, 16)
    whole = PrefixCache("disk", tmp_path / "cache").extend(rows, prompted, run.tokenizer, 16)
    assert same_states(extended.examples, whole.examples)
    assert extended.flops == whole.flops
    assert "cannot be used" in caplog.text and "this run computes its own" in caplog.text


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_counts(
    run: Workbench, tmp_path: Path
) -> None:
    rows = examples(run)
    room = PrefixCache("disk", tmp_path)
    room.extend(rows, model(run, 1), run.tokenizer, 16)
    size = next(tmp_path.glob("*.safetensors")).stat().st_size
    (tmp_path / temporary_name("x", 2**22 + 1)).write_bytes(b"0" * size)
    cache = PrefixCache("disk", tmp_path, limit=2 * size + 100)
    cache.extend(rows, model(run, 2), run.tokenizer, 16)
    assert not list(tmp_path.glob("*.partial"))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    (tmp_path / temporary_name("x", os.getppid())).write_bytes(b"0" * size)
    cache.extend(rows, model(run, 2), run.tokenizer, 16)
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {key(rows, model(run, 2), 16)}


def test_bf16_passes_start_from_bf16_states(run: Workbench, tmp_path: Path) -> None:
    prompted, rows, cache = model(run, 2), examples(run), PrefixCache("disk", tmp_path)
    exact = cache.extend(rows, prompted, run.tokenizer, 16).examples
    rounded = cache.extend(rows, prompted, run.tokenizer, 16, "bf16").examples
    with torch.autocast("cpu", torch.bfloat16):
        expected = logits(run, prompted, rows)
        assert torch.allclose(logits(run, prompted, rounded), expected, atol=1e-5)
    assert torch.allclose(logits(run, prompted, exact), logits(run, prompted, rows), atol=1e-5)
    assert not any(same_states(exact, rounded))
