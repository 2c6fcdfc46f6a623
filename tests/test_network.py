"""Nothing is asked of a network besides assets and the hub, and nothing is told to anyone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spt.process.telemetry import SETTINGS
from tests.support.tiny import tiny_tree

# sees what Python's sockets do in C, too
BLOCKED = """
import sys
HERE = ("127.0.0.1", "::1", "localhost", None, "")
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and address[0] not in HERE:
            leave(event, address)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and arguments[0] not in HERE:
        leave(event, arguments[0])
def leave(event, address):
    import os, traceback
    traceback.print_stack()
    print("NETWORK", event, address, file=sys.stderr, flush=True)
    os._exit(99)
sys.addaudithook(watch)
"""
COMMANDS = """
from experiments.cli import app
app(["run", "config.yml", "--folder", "run", "--quiet"], standalone_mode=False)
app(["predict", "run/model", "texts.txt"], standalone_mode=False)
"""
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
LIBRARIES = ("nni", "ray.tune", "optuna", "datasets", "transformers", "pytorch_lightning", "spt.workbench")

pytestmark = pytest.mark.slow


def ended(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that ends where it would leave this machine; the hub's libraries are not told."""
    kept = {name: value for name, value in os.environ.items() if name not in (*SETTINGS, *OFFLINE)}
    root = str(Path(__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code],
        cwd=folder,
        env={**kept, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_watch_sees_a_call(tmp_path: Path) -> None:
    done = ended("import urllib.request; urllib.request.urlopen('http://example.invalid')", tmp_path)
    assert done.returncode == 99 and "NETWORK socket.getaddrinfo example.invalid" in done.stderr
    done = ended("import socket; socket.socket().connect(('192.0.2.1', 80))", tmp_path)
    assert done.returncode == 99 and "192.0.2.1" in done.stderr


def test_a_run_and_a_prediction_from_local_files_call_nobody(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(yaml.safe_dump(tiny_tree(tmp_path)), encoding="utf-8")
    (tmp_path / "texts.txt").write_text("it was fine\n", encoding="utf-8")
    done = ended(COMMANDS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"label"' in done.stdout


def test_importing_what_a_command_may_import_calls_nobody(tmp_path: Path) -> None:
    done = ended(f"import {', '.join(LIBRARIES)}", tmp_path)
    assert done.returncode == 0, done.stderr


def test_telemetry_is_off_where_the_libraries_look(tmp_path: Path) -> None:
    code = (
        "import spt, datasets.config as data, huggingface_hub.constants as hub;"
        "from ray._common.usage import usage_lib;"
        "print(hub.HF_HUB_DISABLE_TELEMETRY, data.HF_UPDATE_DOWNLOAD_COUNTS, usage_lib.usage_stats_enabled())"
    )
    assert ended(code, tmp_path, HOME=str(tmp_path)).stdout.split() == ["True", "False", "False"]


def test_the_user_may_switch_telemetry_on(tmp_path: Path) -> None:
    code = "import os, spt; print(os.environ['RAY_USAGE_STATS_ENABLED'])"
    assert ended(code, tmp_path, RAY_USAGE_STATS_ENABLED="1").stdout.strip() == "1"
