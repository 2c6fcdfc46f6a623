"""Print the packages of this environment, each with its version and the hash of the file pip takes here.

With `--fits`, say instead by the exit code whether requirements.lock was made for a machine like this one.
"""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PIP = [sys.executable, "-m", "pip"]
LOCK = Path(__file__).parent.parent / "requirements.lock"
HEADER = "# Made by `make lock` with Python {}.{} on {} {} without a GPU; `make test` installs it there."


def main() -> None:
    """Ask pip what it has installed, and what it would download for that."""
    # without --all, setuptools would be left out
    listed = [*PIP, "freeze", "--all", "--exclude", "pip", "--exclude-editable"]
    frozen = subprocess.run(listed, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as scratch:
        wanted, report = Path(scratch) / "wanted.txt", Path(scratch) / "report.json"
        wanted.write_bytes(frozen)
        options = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
        command = [*PIP, "install", *options, "--report", str(report), "--requirement", str(wanted)]
        subprocess.run(command, check=True)
        packages = json.loads(report.read_text(encoding="utf-8"))["install"]
    print(header())
    for line in sorted(map(locked, packages), key=str.lower):
        print(line)


def header() -> str:
    """Return the first line of a lock that is made here."""
    return HEADER.format(*sys.version_info[:2], sys.platform, platform.machine())


def fits() -> bool:
    """Say whether the lock is of this Python and platform; what it pins computes on no GPU."""
    with LOCK.open(encoding="utf-8") as lock:
        return lock.readline().strip() == header() and shutil.which("nvidia-smi") is None


def locked(package: dict[str, Any]) -> str:
    """Return a requirement that one file alone meets."""
    name, version = package["metadata"]["name"], package["metadata"]["version"]
    return f"{name}=={version} --hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--fits"]:
        sys.exit(not fits())
    main()
