"""What an estimator keeps beside its saved prompt, and how it travels between processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from experiments.fitting.class_values import ClassValues
from spt.data.values import some
from spt.errors import InputError
from spt.saved_folders import ESTIMATOR_JSON
from spt.storage.files import write_bytes
from spt.storage.json_files import checked, read_json

if TYPE_CHECKING:
    # takes seconds to load, for which an estimator that is not fitted need not wait
    from spt.serving.classifier import PromptClassifier

ADVICE = "Delete it to load the prompt without the parameters and labels of its estimator, or save it again."


class SavedEstimator(BaseModel):
    """Hold what estimator.json holds.

    Attributes:
        format: of the file.
        parameters: that are not the defaults, as JSON has them.
        classes: what the user calls them.
        metrics: of the run, by the names of metrics.json.
        feature_names: of the columns of texts, where they had names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    parameters: Mapping[str, Any]
    classes: ClassValues
    metrics: Mapping[str, Any]
    feature_names: tuple[str, ...] | None = None

    @field_validator("metrics")
    @classmethod
    def _numbers_by_layer(cls, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in ("gates", "scores"):
            numbers = metrics.get(name) or {}
            if not isinstance(numbers, Mapping) or not all(map(_is_of_layer, numbers, numbers.values())):
                raise ValueError(f"{name} are no numbers by layer")
        return metrics

    @classmethod
    def read(cls, folder: Path) -> SavedEstimator | None:
        """Read the file beside a saved prompt; None where a run alone saved it.

        Raises:
            InputError: if it is damaged.
        """
        path = folder / ESTIMATOR_JSON
        return checked(cls, read_json(path, ADVICE), f"'{path}'", ADVICE) if path.exists() else None

    @property
    def text(self) -> str:
        """Return what the file holds."""
        return self.model_dump_json(indent=2) + "\n"

    def check_classes(self, names: Sequence[str], folder: Path) -> None:
        """Refuse classes that are not those of the prompt beside it, in order: answers would be other ones.

        Raises:
            InputError: naming both.
        """
        if self.classes.names != tuple(names):
            raise InputError(
                f"'{folder / ESTIMATOR_JSON}' is of the classes {some(self.classes.names)}, but the prompt "
                f"beside it of {some(names)}. {ADVICE}"
            )


def _is_of_layer(layer: str, number: Any) -> bool:
    return layer.isdecimal() and isinstance(number, int | float)


def packed(classifier: PromptClassifier) -> dict[str, bytes]:
    """Return the files of a saved prompt by name, as JSON and safetensors and no pickle."""
    with TemporaryDirectory() as folder:
        classifier.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def unpacked(files: Mapping[str, bytes]) -> PromptClassifier:
    """Return the classifier of packed files over its backbone, which is loaded by its name.

    Raises:
        InputError: as `PromptClassifier.from_pretrained`.
    """
    from spt.serving.classifier import PromptClassifier  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        for name, content in files.items():
            write_bytes(Path(folder) / name, content)
        return PromptClassifier.from_pretrained(folder)
