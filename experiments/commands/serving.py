"""A saved prompt behind HTTP: serve."""

from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.commands.options import Device
from experiments.console import exit_codes
from experiments.logs import quiet_libraries
from experiments.serving.options import ServingOptions, checked_options

DEFAULTS = ServingOptions()


def _option(name: str, **options: Any) -> Any:
    """Return the option of a field, which is described where it is checked."""
    return typer.Option(help=ServingOptions.model_fields[name].description, **options)


def serve(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FOLDER...",
            help="Saved prompts over one backbone, as runs/NAME/model, or folders that hold some.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen at; other than loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    batch_size: Annotated[int, _option("batch_size")] = DEFAULTS.batch_size,
    batch_ms: Annotated[float, _option("batch_ms")] = DEFAULTS.batch_ms,
    queue: Annotated[int, _option("queue")] = DEFAULTS.queue,
    timeout: Annotated[float, _option("timeout")] = DEFAULTS.timeout,
    max_texts: Annotated[int, _option("max_texts")] = DEFAULTS.max_texts,
    max_characters: Annotated[int, _option("max_characters")] = DEFAULTS.max_characters,
    max_bytes: Annotated[int, _option("max_bytes")] = DEFAULTS.max_bytes,
    cache_mb: Annotated[int, _option("cache_mb")] = DEFAULTS.cache_mb,
    reload_seconds: Annotated[float, _option("reload_seconds")] = DEFAULTS.reload_seconds,
    token_file: Annotated[Path | None, _option("token_file", show_default=False)] = None,
    device: Device = None,
) -> None:
    """Answer texts over HTTP by saved prompts of one backbone: POST /v1/label.

    A prompt is called as its folder, or as its run where the folder is called model. Prompts that are saved
    anew are reloaded, and those that come into a folder of prompts, or leave it, are added and removed.

    It listens on this machine alone unless --host says otherwise. SIGTERM and Ctrl-C end it after what was
    asked before has been answered.
    """
    quiet_libraries(quiet=False)
    with exit_codes("Stopped. What was asked before has been answered."):
        from spt.process.devices import use_device
        from spt.process.extras import need
        from spt.process.modes import AUTO

        need("fastapi", "uvicorn", "prometheus_client")
        from experiments.serving.process import serve as serve_forever

        options = {
            "batch_size": batch_size,
            "batch_ms": batch_ms,
            "queue": queue,
            "timeout": timeout,
            "max_texts": max_texts,
            "max_characters": max_characters,
            "max_bytes": max_bytes,
            "cache_mb": cache_mb,
            "reload_seconds": reload_seconds,
            "token_file": token_file,
        }
        use_device(device or AUTO)
        serve_forever(folders, host, port, checked_options(ServingOptions, options))
