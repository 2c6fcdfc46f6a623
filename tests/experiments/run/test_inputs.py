"""A run knows its inputs: what changed since it began is refused by name, and nothing else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from safetensors.torch import load_file, save_file

from experiments import pipeline
from experiments.comparing.grid import is_finished
from experiments.config import RunConfig, load_config
from experiments.pipeline import claimed, run
from experiments.run import folder, inputs
from experiments.run.folder import RunFolder
from experiments.run.inputs import RunInputs, check_files, check_finished, split_rows
from experiments.run.training import load_workbench
from spt.data.encoded.examples import Example
from spt.errors import InputError
from spt.storage.files import write_text
from spt.training.unfinished import checkpoint_path
from tests.support.runs import tiny_config
from tests.support.tiny import make_label_sets

pytestmark = pytest.mark.usefixtures("no_report")

MANUAL = {"strategy": "manual", "manual_layers": [1]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the backbone and the data of one finished run in `run`."""
    home = tmp_path_factory.mktemp("inputs")
    run(config(home), home / "run")
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of all that, whose run began with the copied data and backbone."""
    home = tmp_path / "home"
    shutil.copytree(finished, home)
    path = home / "run" / "config.yml"
    path.write_text(path.read_text(encoding="utf-8").replace(str(finished), str(home)), encoding="utf-8")
    return home


def config(home: Path, **sections: Any) -> RunConfig:
    return tiny_config(home, search=MANUAL, training={"epochs": 1}, **sections)


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def exchange_words(text: str) -> str:
    content = json.loads(text)
    words = content["model"]["vocab"]
    words["great"], words["awful"] = words["awful"], words["great"]
    return json.dumps(content)


def change_weight(path: Path) -> None:
    weights = {name: weight.clone() for name, weight in load_file(path).items()}
    weights["bert.encoder.layer.0.output.dense.bias"][0] += 1
    save_file(weights, path, metadata={"format": "pt"})


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("the workbench was loaded")


DATA_CHANGES: dict[str, Callable[[str], str]] = {
    "a label renamed": lambda text: text.replace(",good", ",fine"),
    "labels flipped": lambda text: text.replace(",good", ",x").replace(",bad", ",good").replace(",x", ",bad"),
    "a class added": lambda text: text + "so so,middling\n",
    "a text changed": lambda text: text.replace("film", "plot", 1),
}


@pytest.mark.parametrize("kind", DATA_CHANGES)
def test_a_finished_run_refuses_a_changed_data_file_without_loading_it(
    kind: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(home / "data.csv", DATA_CHANGES[kind])
    monkeypatch.setattr(pipeline, "load_workbench", never)
    message = (
        rf"The data file '{home / 'data.csv'}' has changed since the run in '{home / 'run'}' began "
        r"\(SHA-256 \w{12} then, \w{12} now\)\. Restore it, or choose another folder\."
    )
    for stage in (run, pipeline.search, pipeline.train):
        with pytest.raises(InputError, match=message):
            stage(config(home), home / "run")
    with pytest.raises(InputError, match=message):
        is_finished(config(home), home / "run")


def test_another_content_of_the_file_of_layers_is_refused(tmp_path: Path) -> None:
    layers, place = tmp_path / "architecture.json", RunFolder(tmp_path)
    layers.write_text('{"layers": [1], "total": 4}', encoding="utf-8")
    of_file = tiny_config(tmp_path, search={"strategy": "manual", "manual_layers": str(layers)})
    began_with = RunInputs.of(of_file, load_workbench(of_file))
    began_with.write(place.inputs)
    check_finished(of_file, place)
    edit(layers, lambda text: text.replace("1", "3"))
    for check in (check_files, check_finished):
        with pytest.raises(InputError, match=rf"The file of layers '{layers}' has changed since the run in"):
            check(of_file, place)
    # an older version noted the data alone
    began_with.model_copy(update={"files": {"train": began_with.files["train"]}}).write(place.inputs)
    check_finished(of_file, place)


def test_a_file_that_is_gone_or_was_moved_is_no_change(home: Path) -> None:
    metrics = run(config(home), home / "run")
    (home / "elsewhere").mkdir()
    moved = (home / "data.csv").rename(home / "elsewhere" / "data.csv")
    assert run(config(home), home / "run") == metrics
    assert is_finished(config(home), home / "run")
    there = config(home, data={"train": str(moved)})
    assert run(there, home / "run") == metrics
    edit(moved, DATA_CHANGES["labels flipped"])
    with pytest.raises(InputError, match=rf"The data file '{moved}' has changed"):
        run(there, home / "run")


def test_a_file_that_joins_the_source_is_refused(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(home / "data.csv", source / "train.csv")
    of_folder = config(home, data={"train": None, "source": str(source)})
    run(of_folder, tmp_path / "run")
    assert RunInputs.read(tmp_path / "run" / "inputs.json").files.keys() == {"train"}
    shutil.copy(home / "data.csv", source / "dev.csv")
    with pytest.raises(InputError, match=r"dev\.csv' was not there when the run in .* began\. Move it away"):
        run(of_folder, tmp_path / "run")


BACKBONE_CHANGES: dict[str, Callable[[Path], None]] = {
    "weights": lambda folder: change_weight(folder / "model.safetensors"),
    "config": lambda folder: edit(folder / "config.json", lambda text: text.replace('"gelu"', '"relu"')),
    "tokenizer": lambda folder: edit(folder / "tokenizer.json", exchange_words),
}


@pytest.mark.parametrize("part", BACKBONE_CHANGES)
def test_a_run_that_goes_on_refuses_a_changed_backbone(part: str, home: Path) -> None:
    (home / "run" / "metrics.json").unlink()
    shutil.rmtree(home / "run" / "model")
    shutil.rmtree(home / "run" / "train")
    BACKBONE_CHANGES[part](home / "backbone")
    message = (
        rf"The run in '{home / 'run'}' began with other data or another backbone\. Different: the backbone's "
        rf"{part} \(digest \w{{12}} then, \w{{12}} now\)\. Restore it"
    )
    with pytest.raises(InputError, match=message):
        run(config(home), home / "run")
    assert not (home / "run" / "train").exists()


@pytest.mark.parametrize("part", BACKBONE_CHANGES)
def test_a_finished_run_of_another_backbone_is_not_read_back(
    part: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BACKBONE_CHANGES[part](home / "backbone")
    monkeypatch.setattr(pipeline, "load_workbench", never)
    message = rf"Different: the backbone's {part} \(digest \w{{12}} then, \w{{12}} now\)\. Restore it"
    for read_back in (run, pipeline.search, is_finished):
        with pytest.raises(InputError, match=message):
            read_back(config(home), home / "run")


def test_the_same_backbone_saved_anew_or_gone_is_no_change(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = run(config(home), home / "run")
    edit(home / "backbone" / "config.json", lambda text: text + "\n")
    (home / "backbone" / "README.md").write_text("Of words about films.", encoding="utf-8")
    assert run(config(home), home / "run") == metrics
    shutil.rmtree(home / "backbone")
    monkeypatch.setattr(inputs, "_backbone_now", never)
    assert run(config(home), home / "run") == metrics


def test_a_finished_run_of_an_older_version_knows_its_backbone_by_its_digests(home: Path) -> None:
    path = home / "run" / "inputs.json"
    older = {**json.loads(path.read_text(encoding="utf-8")), "format": 1}
    del older["backbone_files"]
    path.write_text(json.dumps(older), encoding="utf-8")
    metrics = run(config(home), home / "run")
    assert metrics.layers == (1,)
    change_weight(home / "backbone" / "model.safetensors")
    with pytest.raises(InputError, match="Different: the backbone's weights"):
        run(config(home), home / "run")


def test_the_files_of_a_saved_data_set_are_known(home: Path, tmp_path: Path) -> None:
    rows = Dataset.from_csv(str(home / "data.csv"), cache_dir=str(tmp_path / "cache"))
    saved = tmp_path / "saved"
    DatasetDict({"train": rows}).save_to_disk(saved)
    of_saved = config(home, data={"train": None, "source": str(saved)})
    metrics = run(of_saved, tmp_path / "run")
    assert run(of_saved, tmp_path / "run") == metrics
    (file,) = saved.glob("train/*.arrow")
    assert f"train/{file.name}" in RunInputs.read(tmp_path / "run" / "inputs.json").files
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InputError, match=rf"The data file '{file}' has changed since the run"):
        run(of_saved, tmp_path / "run")


def test_rows_and_classes_that_differ_are_named_with_both_values(home: Path) -> None:
    path = home / "run" / "inputs.json"
    inputs = RunInputs.read(path)
    dev = inputs.rows["dev"].model_copy(update={"rows": 19, "digest": "0" * 32})
    other = inputs.model_copy(update={"classes": ("bad", "great"), "rows": {**inputs.rows, "dev": dev}})
    other.write(path)
    (home / "run" / "metrics.json").unlink()
    message = (
        r"Different: the classes \(bad, great then, bad, good now\); "
        r"the rows of dev \(19 with digest 000000000000 then, 20 with digest \w{12} now\)\."
    )
    with pytest.raises(InputError, match=message):
        run(config(home), home / "run")


def test_a_run_of_an_older_version_goes_on_and_notes_its_inputs(home: Path) -> None:
    path = home / "run" / "inputs.json"
    written = path.read_bytes()
    path.unlink()
    metrics = run(config(home), home / "run")
    assert not path.exists()
    (home / "run" / "metrics.json").unlink()
    assert run(config(home), home / "run").dev_metric == metrics.dev_metric
    noted, before = json.loads(path.read_bytes()), json.loads(written)
    for files in ("files", "backbone_files"):
        after, first = noted.pop(files), before.pop(files)
        assert {name: file["sha256"] for name, file in after.items()} == {
            name: file["sha256"] for name, file in first.items()
        }
    assert noted == before


def test_a_prompt_of_an_older_run_is_not_scored_on_other_classes(home: Path) -> None:
    (home / "run" / "inputs.json").unlink()
    (home / "run" / "metrics.json").unlink()
    edit(home / "data.csv", DATA_CHANGES["a label renamed"])
    message = r"was trained with the classes bad, good, but the data have bad, fine\. Restore the data"
    with pytest.raises(InputError, match=message):
        run(config(home), home / "run")
    assert not (home / "run" / "metrics.json").exists()


@pytest.mark.parametrize("content", ["", "[1]", '{"format": 2}', "{"], ids=repr)
def test_damaged_inputs_are_refused_by_name(content: str, home: Path) -> None:
    (home / "run" / "inputs.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"inputs\.json' [\s\S]*delete it, and the same command"):
        run(config(home), home / "run")


def test_rows_are_known_by_tokens_types_labels_and_order() -> None:
    rows = [Example(input_ids=[1, 2], label=0, row=0), Example(input_ids=[3], label=1, row=1)]
    digest = split_rows(rows)
    assert split_rows([Example(**row) for row in rows]) == digest
    others: list[list[Example]] = [
        rows[::-1],
        rows[:1],
        [rows[0], {**rows[1], "label": 0}],
        [rows[0], {**rows[1], "input_ids": [4]}],
        [rows[0], {**rows[1], "token_type_ids": [0]}],
        [Example(input_ids=[1], label=0, row=0), Example(input_ids=[2, 3], label=1, row=1)],
    ]
    assert len({split_rows(other).digest for other in others} | {digest.digest}) == len(others) + 1


def test_the_same_workbench_gives_the_same_inputs(home: Path) -> None:
    first, second = (RunInputs.of(config(home), load_workbench(config(home))) for _ in range(2))
    assert first == second


def test_folds_that_an_older_version_dealt_otherwise_are_refused(tmp_path: Path) -> None:
    folder, data = RunFolder(tmp_path / "run"), make_label_sets(tmp_path / "sets.jsonl")
    task = {"multi_label": True, "label_words": None}
    of_sets = config(tmp_path, task=task, data={"train": str(data), "folds": 2})
    with claimed(of_sets, folder):
        noted = RunInputs.read(folder.inputs)
    assert [fold.rows for fold in noted.folds] == [70, 70]
    with claimed(of_sets, folder):
        noted.model_copy(update={"folds": ()}).write(folder.inputs)
    with (
        pytest.raises(InputError, match=r"Different: the folds \(dealt by an older version .* then, 70 with"),
        claimed(of_sets, folder),
    ):
        pass


def test_folds_of_one_label_a_text_are_not_noted(tmp_path: Path) -> None:
    in_folds = config(tmp_path, data={"folds": 2})
    assert RunInputs.of(in_folds, load_workbench(in_folds)).folds == ()


def test_a_damaged_checkpoint_is_refused_and_the_advice_gives_the_same_numbers(
    home: Path, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill(_stage: str, epoch: int, _dev: float) -> None:
        if epoch == 1:
            raise Killed

    folder = RunFolder(tmp_path / "run")
    two_epochs = tiny_config(home, search=MANUAL, training={"epochs": 2})
    undisturbed = run(two_epochs, tmp_path / "undisturbed")
    with pytest.raises(Killed):
        run(two_epochs, folder.path, kill)
    path = checkpoint_path(folder.train)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=rf"'{path}' is damaged: .* Delete the folder '{folder.train}'"):
        run(two_epochs, folder.path)
    shutil.rmtree(folder.train)
    again = run(two_epochs, folder.path)
    assert (again.dev_metric, again.test_metric) == (undisturbed.dev_metric, undisturbed.test_metric)
    assert again.total_flops == undisturbed.total_flops
    name = Path("model", "prompt.safetensors")
    assert (folder.path / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


@pytest.mark.parametrize("steps", [0, 2])
def test_a_run_that_ended_has_nothing_to_go_on_from(tmp_path: Path, steps: int) -> None:
    folder = RunFolder(tmp_path / "run")
    run(tiny_config(tmp_path, search=MANUAL, training={"contrastive_steps": steps}), folder.path)
    assert not [path for path in folder.train.iterdir() if path.name in ("last.ckpt", "contrast.safetensors")]


def test_a_run_hashes_its_data_and_reads_its_configuration_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, read = [], []
    (home / "run" / "metrics.json").unlink()
    # as in another process
    inputs._digest.cache_clear()
    folder._read_stored.cache_clear()
    file_digest, read_yaml = inputs.file_digest, folder.read_yaml
    monkeypatch.setattr(inputs, "file_digest", lambda path: hashed.append(path) or file_digest(path))
    monkeypatch.setattr(folder, "read_yaml", lambda path, kind: read.append(path) or read_yaml(path, kind))
    run(config(home), home / "run")
    assert hashed[0] == home / "data.csv"
    assert len(hashed) == len(set(hashed))
    assert {path.parent for path in hashed[1:]} == {home / "backbone"}
    assert read == [home / "run" / "config.yml"]


def test_a_configuration_that_changes_within_a_process_is_read_anew(tmp_path: Path) -> None:
    stored = tmp_path / "run" / "config.yml"
    stored.parent.mkdir()
    # of the same size each time
    for seed in (1, 2):
        write_text(stored, f"run: {{seed: {seed}}}\n")
        # what earlier versions left to their defaults is read as they meant it
        run_config = folder.stored_config(stored.parent)
        assert run_config is not None and run_config.seed == seed
        write_text(tmp_path / "config.yml", f"seed: {seed}\n")
        assert load_config(tmp_path / "config.yml").seed == seed
    stored.unlink()
    assert folder.stored_config(stored.parent) is None
