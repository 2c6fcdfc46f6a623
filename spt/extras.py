"""Packages that only some users need, and the extra of this project that brings each."""

from importlib.util import find_spec

from spt.errors import InputError

EXTRAS = {
    "accelerate": "backbones",
    "gguf": "backbones",
    "sentencepiece": "backbones",
    "tensorboard": "tensorboard",
    "peft": "bench",
}


def need(*packages: str) -> None:
    """Check that optional packages are installed, before what needs them begins.

    Raises:
        InputError: naming the first missing one and the extra that brings it.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing_package(package)


def missing_package(package: str) -> InputError:
    """Return the error for a package of EXTRAS that is not installed."""
    return InputError(
        f"This needs the package {package}, which is not installed. "
        f'Install it with: pip install "spt-nas[{EXTRAS[package]}]"'
    )
