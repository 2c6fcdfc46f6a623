"""Selective prompt tuning of frozen transformers: what is imported from here is loaded when it is used."""

from importlib import import_module
from typing import TYPE_CHECKING

from spt.process.telemetry import switch_off_telemetry

if TYPE_CHECKING:
    from experiments.estimator import SPTClassifier
    from spt.architecture import PromptLayers
    from spt.errors import InputError
    from spt.serving.classifier import PromptClassifier
    from spt.serving.ensemble import PromptEnsemble
    from spt.serving.request import Request
    from spt.serving.server import PromptServer
    from spt.workbench import Workbench

    __version__: str

# before Hugging Face's libraries, which read this when they are imported
switch_off_telemetry()

# torch takes seconds to load, for which `import spt` need not wait; the estimator searches, so it lives on
# the top floor, and this is the one way up
_MODULES = {
    "InputError": "spt.errors",
    "PromptClassifier": "spt.serving.classifier",
    "PromptEnsemble": "spt.serving.ensemble",
    "PromptLayers": "spt.architecture",
    "PromptServer": "spt.serving.server",
    "Request": "spt.serving.request",
    "SPTClassifier": "experiments.estimator",
    "Workbench": "spt.workbench",
}

__all__ = [
    "InputError",
    "PromptClassifier",
    "PromptEnsemble",
    "PromptLayers",
    "PromptServer",
    "Request",
    "SPTClassifier",
    "Workbench",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("spt-nas")
    if name not in _MODULES:
        raise AttributeError(f"module 'spt' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
