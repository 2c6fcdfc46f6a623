"""What a comparison left on disk, read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from experiments.comparing.groups import RunRecord
from experiments.run.results import with_current_names
from spt.storage.json_files import checked, read_json


@dataclass(frozen=True)
class _Records:
    """What is read of a results.json."""

    records: tuple[RunRecord, ...]


def read_records(path: Path) -> list[RunRecord]:
    """Read the runs of a results.json of this version or an older one, to be compared anew or with others."""
    advice = "The command that it notes writes it again."
    records = checked(_Records, read_json(path, advice), f"'{path}'", advice).records
    return [
        record if record.metrics is None else replace(record, metrics=with_current_names(record.metrics))
        for record in records
    ]
