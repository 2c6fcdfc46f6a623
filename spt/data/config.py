"""The options of the data: where rows come from and how many of them are used."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from spt.sections import ConfigSection

Count = Annotated[int, Field(gt=0, le=10**9)]
Format = Literal["csv", "tsv", "json", "parquet", "lines"]
Delimiter = Literal[",", ";", "tab", "|"]
ENDINGS: Mapping[str, Format] = MappingProxyType(
    {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
)

# codecs of domain names and of Python's own escapes
NOT_OF_FILES = ("idna", "punycode", "unicode-escape", "raw-unicode-escape")


class DataConfig(ConfigSection):
    """Say where the rows of a task come from, and how many of them are used."""

    source: str | None = Field(
        default=None,
        description="an embedded data set, a folder with train.*, dev.* and test.* (or test.* beside the "
        "folder, as LM-BFF keeps it), or a hub name; {seed} in it is the run's seed; None: the task's own",
    )
    train: Path | None = Field(default=None, description="file to train on, in place of source")
    dev: Path | None = Field(default=None, description="file that selects; None: held out of train")
    test: Path | None = Field(default=None, description="file that is reported; None: held out of train")
    format: Format | None = Field(
        default=None,
        description="format of files; None: by their ending; 'lines' has a label, a space and a text a line",
    )
    encoding: str = Field(default="utf-8", description="encoding of files, for example latin-1")
    columns: tuple[str, ...] | None = Field(
        default=None, description="column names of CSV and TSV files without a header, in order"
    )
    delimiter: Delimiter | None = Field(
        default=None,
        description="what stands between the fields of CSV and TSV files; None: a tab in TSV; in CSV a "
        "comma, or else what separates the task's columns in the first line",
    )
    quoting: bool | None = Field(
        default=None, description="whether fields may stand in double quotes; None: in CSV yes, in TSV no"
    )
    incomplete: Literal["refuse", "drop"] = Field(
        default="refuse", description="what to do with rows without a text or a label"
    )
    shots_per_class: Count | None = Field(
        default=None, description="rows a class for training, and as many for dev (few-shot as in LM-BFF)"
    )
    shots_total: Count | None = Field(
        default=None,
        description="rows in all for training, stratified, with a dev split of 1,000 (as in LPT)",
    )
    train_size: Count | None = Field(default=None, description="stratified sample of train; None: all rows")
    dev_size: Count | None = Field(
        default=None, description="rows of dev; None: all, or 500 (at most a tenth of train) where held out"
    )
    test_size: Annotated[int, Field(ge=0, le=10**9)] | None = Field(
        default=None,
        description="rows of test; None: all, or 500 (at most a tenth of train) where held out; 0: no test, "
        "for a search or a training that is not scored",
    )
    folds: Annotated[int, Field(ge=2, le=100)] | None = Field(
        default=None,
        description="judge layers by the mean over this many folds of train and dev together, and train the "
        "chosen ones on all rows; None: by dev",
    )
    max_length: Count = Field(
        default=128, description="tokens of the longest input; longer texts are cut, or read in windows"
    )
    windows: bool | Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="read texts longer than max_length in windows, whose probabilities are averaged: the "
        "tokens that neighbours share, or true for a quarter of max_length",
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        examples = "examples: utf-8, latin-1, cp1252, utf-16"
        try:
            name = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            raise ValueError(f"unknown encoding {encoding[:40]!r}; {examples}") from None
        if name in NOT_OF_FILES or not _encodes_text(encoding):
            raise ValueError(f"'{encoding}' is not an encoding of text files; {examples}")
        return encoding

    @field_validator("windows")
    @classmethod
    def _overlap(cls, windows: bool | int | None, info: ValidationInfo) -> int | None:
        max_length = info.data.get("max_length")
        if isinstance(windows, bool) and max_length is not None:
            return max_length // 4 if windows else None
        if windows is not None and max_length is not None and windows > max_length // 2:
            raise ValueError(
                f"windows of max_length = {max_length} tokens cannot share {windows}; set windows to "
                f"{max_length // 2} or less, or to true for {max_length // 4}"
            )
        return windows

    @model_validator(mode="after")
    def _consistent(self) -> "DataConfig":
        if self.source is not None and self.train is not None:
            raise ValueError(f"source is '{self.source}' and train is '{self.train}'; set only one of them")
        if self.train is None and (self.dev or self.test):
            raise ValueError(
                f"dev or test is a file ({self.dev or self.test}), but train is not set; set train"
            )
        sizes = ("shots_per_class", "shots_total", "train_size")
        given = [f"{name} = {getattr(self, name)}" for name in sizes if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"{' and '.join(given)} each say how many rows to train on; set only one of them"
            )
        if self.test_size == 0 and self.test is not None:
            raise ValueError(f"test_size is 0, but test is a file ({self.test}); remove one of them")
        if self.shots_per_class and self.dev_size:
            raise ValueError(
                f"dev_size is {self.dev_size}, but shots_per_class = {self.shots_per_class} takes as many "
                "rows a class for dev as for training; remove dev_size"
            )
        return self

    def with_seed(self, seed: int) -> "DataConfig":
        """Return the options with a run's seed in the place of `{seed}` in the source."""
        if self.source is None:
            return self
        return self.model_copy(update={"source": self.source.replace("{seed}", str(seed))})


def _encodes_text(encoding: str) -> bool:
    """Say whether a codec makes bytes of text, which rot13 or base64 do not."""
    try:
        "a".encode(encoding)
    except (LookupError, UnicodeError):
        return False
    return True
