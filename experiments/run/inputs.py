"""What a run works on, by digests: data files, rows, classes and backbone must stay what they were."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from experiments.config import RunConfig
from experiments.paths import LAYERS
from experiments.run.folder import RunFolder
from search_spaces.named_layers import is_layers_file
from spt.assets import BACKBONES, local_backbone
from spt.audit.folder import KINDS
from spt.data.reading.source_files import SPLIT_NAMES, source_files
from spt.errors import InputError
from spt.storage.digests import SIZE, file_digest, short
from spt.storage.files import state_of, write_text
from spt.storage.json_files import checked, json_object, read_json
from strategies.options import ManualOptions

if TYPE_CHECKING:
    # takes seconds to load, for which a comparison that is done need not wait
    from spt.data.encoded.examples import Example
    from spt.workbench import Workbench

DAMAGED = "If data and backbone are still those of the run, delete it, and the same command writes it again."
RESTORE = "Restore it, or choose another folder."
# what transformers reads of a backbone's folder, as far as it is read here at all
READ_KINDS = ("tensors", "json", "vocabulary", "text")


class DataFile(BaseModel):
    """Hold where a data file is, its size in bytes and its SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    bytes: int
    sha256: str


class SplitRows(BaseModel):
    """Hold the number of a split's rows, and the digest of their tokens and labels in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    digest: str


class BackboneDigests(BaseModel):
    """Hold the digests of a `BackboneIdentity`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str
    config: str
    tokenizer: str


class RunInputs(BaseModel):
    """Hold what inputs.json holds.

    Attributes:
        format: of the file; 1 had no files of saved data sets and backbones.
        files: that the rows come from, as `source_files` names them, none for embedded and hub data; and the
            file that layers named by hand are read from.
        classes: names, in the order of their numbers.
        rows: of each split as they are used, cut and encoded.
        backbone: weights, config and tokenizer.
        backbone_files: of a local folder, by name; none for embedded and hub backbones.
        left_out: how many rows of each split's source had no text or no label.
        folds: the held-out rows of each fold, where texts may have several labels, which older versions dealt
            otherwise and did not note; folds of one label a text follow from the rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1, 2] = 2
    files: Mapping[str, DataFile]
    classes: tuple[str, ...]
    rows: Mapping[str, SplitRows]
    backbone: BackboneDigests
    backbone_files: Mapping[str, DataFile] = Field(default_factory=dict)
    left_out: Mapping[str, int] = Field(default_factory=dict)
    folds: tuple[SplitRows, ...] = ()

    @classmethod
    def of(cls, config: RunConfig, workbench: Workbench) -> RunInputs:
        """Take the digests of a loaded workbench and of the files that its rows and layers come from."""
        return cls(
            files={split: data_file(path) for split, path in _files(config).items() if path.is_file()},
            classes=workbench.spec.task.labels or (),
            rows={split: split_rows(examples) for split, examples in workbench.examples.items()},
            backbone=BackboneDigests.model_validate(workbench.backbone_identity.as_json()),
            backbone_files=backbone_files(config),
            left_out=workbench.left_out,
            folds=_folds(workbench),
        )

    @classmethod
    def read(cls, path: Path) -> RunInputs:
        """Read an inputs.json.

        Raises:
            InputError: if it is damaged.
        """
        return checked(cls, read_json(path, DAMAGED), f"'{path}'", DAMAGED)

    @classmethod
    def parse(cls, text: bytes, path: str) -> RunInputs:
        """Read the content of an inputs.json that lies in another storage.

        Args:
            text: all of the file.
            path: of the file there, for errors.

        Raises:
            InputError: if it is damaged.
        """
        return checked(cls, json_object(text, f"'{path}'", DAMAGED), f"'{path}'", DAMAGED)

    def write(self, path: Path) -> None:
        """Write inputs.json."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    def changes(self, now: RunInputs) -> list[str]:
        """Name classes, parts of the backbone, splits and folds that differ now, with both values.

        Files are not compared: of two that give the same rows one is as good as the other.
        """
        changes = []
        if self.classes != now.classes:
            changes.append(f"the classes ({', '.join(self.classes)} then, {', '.join(now.classes)} now)")
        for part, before in self.backbone:
            if before != (after := getattr(now.backbone, part)):
                changes.append(f"the backbone's {part} (digest {short(before)} then, {short(after)} now)")
        # another tokenizer changes all rows, which says nothing of the data
        if self.backbone.tokenizer == now.backbone.tokenizer:
            changes += [
                f"the rows of {split} ({_shown(rows)} then, {_shown(now.rows[split])} now)"
                for split, rows in self.rows.items()
                if rows != now.rows[split]
            ]
        # other rows are other folds too
        if not changes and self.folds != now.folds:
            changes.append(f"the folds ({_folds_shown(self.folds)} then, {_folds_shown(now.folds)} now)")
        return changes


def check_files(config: RunConfig, folder: RunFolder) -> None:
    """Refuse files of data or layers that are not those a run began with; a file that is gone is no change.

    Raises:
        InputError: naming the file and both digests.
    """
    # an older version wrote none
    if folder.inputs.exists():
        _refuse_other_files(config, _named(folder), RunInputs.read(folder.inputs))


def _refuse_other_files(config: RunConfig, owner: str, began_with: RunInputs) -> None:
    for name, path in _files(config).items():
        before = began_with.files.get(name)
        # not noted by older versions
        unnoted = name == LAYERS or (began_with.format == 1 and name not in SPLIT_NAMES)
        if not path.is_file() or (before is None and unnoted):
            continue
        if before is None:
            raise InputError(
                f"The data file '{path}' was not there when the {owner} began. Move it "
                "away, or choose another folder."
            )
        now = data_file(path)
        if (now.bytes, now.sha256) != (before.bytes, before.sha256):
            what = "file of layers" if name == LAYERS else "data file"
            raise InputError(
                f"The {what} '{path}' has changed since the {owner} began (SHA-256 "
                f"{short(before.sha256)} then, {short(now.sha256)} now). {RESTORE}"
            )


def check_finished(config: RunConfig, folder: RunFolder) -> None:
    """Refuse to read back a finished run whose files of data or layers, or local backbone are others now.

    Raises:
        InputError: naming what differs, with both values.
    """
    if folder.inputs.exists():
        check_unchanged(config, RunInputs.read(folder.inputs), _named(folder))


def check_unchanged(config: RunConfig, began_with: RunInputs, owner: str) -> None:
    """Refuse files of data or layers, or a local backbone, that are not those that a result was made of.

    A backbone is loaded only where its files are not those that were noted; files may be saved anew.

    Args:
        config: of the run that gave the result.
        began_with: what it was run on.
        owner: of the result, for errors: `run in 'runs/a'`.

    Raises:
        InputError: naming what differs, with both values.
    """
    _refuse_other_files(config, owner, began_with)
    now = backbone_files(config)
    if not now or _contents(began_with.backbone_files) == _contents(now):
        return
    _refuse_changes(owner, began_with, began_with.model_copy(update={"backbone": _backbone_now(config)}))


def check_inputs(folder: RunFolder, now: RunInputs) -> None:
    """Refuse inputs that are not those the run in a claimed folder began with; writes inputs.json if need be.

    Raises:
        InputError: naming what differs, with both values.
    """
    if not folder.inputs.exists():
        now.write(folder.inputs)
    else:
        _refuse_changes(_named(folder), RunInputs.read(folder.inputs), now)


def _refuse_changes(owner: str, began_with: RunInputs, now: RunInputs) -> None:
    if changes := began_with.changes(now):
        raise InputError(
            f"The {owner} began with other data or another backbone. Different: "
            f"{'; '.join(changes)}. {RESTORE}"
        )


def _named(folder: RunFolder) -> str:
    return f"run in '{folder.path}'"


def data_file(path: Path) -> DataFile:
    """Take the digest of a data file."""
    return DataFile(path=str(path), bytes=path.stat().st_size, sha256=_digest(path, state_of(path)))


def backbone_files(config: RunConfig) -> dict[str, DataFile]:
    """Take the digests of a local backbone's files by name; none where it is embedded or of the hub."""
    folder = Path(local_backbone(config.backbone.name))
    # an embedded one is fetched by its pinned digests, and a folder that is gone is no change
    if config.backbone.name in BACKBONES or not folder.is_dir():
        return {}
    read = (path for path in sorted(folder.iterdir()) if KINDS.get(path.suffix.lower()) in READ_KINDS)
    return {path.name: data_file(path) for path in read if path.is_file()}


def _backbone_now(config: RunConfig) -> BackboneDigests:
    """Load a backbone and its tokenizer for their digests."""
    # takes seconds to load, for which a comparison that is done need not wait
    from spt.backbones.identity import BackboneIdentity  # noqa: PLC0415
    from spt.build import load_backbone, load_tokenizer  # noqa: PLC0415

    spec = config.spec
    identity = BackboneIdentity.of(load_backbone(spec), load_tokenizer(spec))
    return BackboneDigests.model_validate(identity.as_json())


def _contents(files: Mapping[str, DataFile]) -> dict[str, str]:
    """Return the digest of each file, wherever it is."""
    return {name: file.sha256 for name, file in files.items()}


@lru_cache(maxsize=64)
def _digest(path: Path, state: tuple[int, ...] | None) -> str:  # noqa: ARG001
    """Return the SHA-256 of a file, taken once in each of its states: runs of a comparison share files."""
    return file_digest(path)


def split_rows(examples: Sequence[Example]) -> SplitRows:
    """Take the digest of a split's tokens and labels in order."""
    digest = hashlib.blake2b(digest_size=SIZE)
    for example in examples:
        label = example["label"]
        classes = [label] if isinstance(label, int) else map(int, label)
        numbers = [*classes, *example["input_ids"], -1, *example.get("token_type_ids", [])]
        digest.update(array("q", numbers).tobytes() + b";")
    return SplitRows(rows=len({example["row"] for example in examples}), digest=digest.hexdigest())


def _files(config: RunConfig) -> dict[str, Path]:
    """Find the files that the rows come from, and that of layers named by hand."""
    files = source_files(config.task, config.data, config.seed)
    layers = config.search.manual_layers if isinstance(config.search, ManualOptions) else None
    return {**files, LAYERS: Path(layers)} if is_layers_file(layers) else files


def _folds(workbench: Workbench) -> tuple[SplitRows, ...]:
    """Take the digests of the rows that each fold holds out, where texts may have several labels."""
    if not workbench.spec.task.multi_label:
        return ()
    return tuple(split_rows(bench.examples["dev"]) for bench in workbench.fold_workbenches)


def _folds_shown(folds: Sequence[SplitRows]) -> str:
    return "; ".join(map(_shown, folds)) or "dealt by an older version of the program"


def _shown(rows: SplitRows) -> str:
    return f"{rows.rows} with digest {short(rows.digest)}"
