"""Packages that only some users need, and the extra of this project that brings each."""

from importlib.util import find_spec

from spt.errors import InputError

EXTRAS = {
    "accelerate": "backbones",
    "gguf": "backbones",
    "sentencepiece": "backbones",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "trackio": "trackio",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "peft": "bench",
    "hypothesis": "test",
    "httpx": "test",
    "playwright": "test",
}


def need(*packages: str) -> None:
    """Check that optional packages are installed, before what needs them begins.

    Raises:
        InputError: naming the first missing one and the extra that brings it.
    """
    for package in packages:
        if not is_installed(package):
            raise InputError(
                f"This needs the package {package}, which is not installed. "
                f"Install it with: {install_command(package)}"
            )


def is_installed(package: str) -> bool:
    """Say whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def install_command(package: str) -> str:
    """Return the command that installs a package of EXTRAS."""
    return f'pip install "spt-nas[{EXTRAS[package]}]"'
