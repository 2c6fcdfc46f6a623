"""Print the packages of this environment, each with its version and the hash of the file pip takes here."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PIP = [sys.executable, "-m", "pip"]
HEADER = "# Made by `make lock` with Python {version} on {platform}; `make locked` installs it."


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
    version = ".".join(map(str, sys.version_info[:2]))
    print(HEADER.format(version=version, platform=sys.platform))
    for line in sorted(map(locked, packages), key=str.lower):
        print(line)


def locked(package: dict[str, Any]) -> str:
    """Return a requirement that one file alone meets."""
    name, version = package["metadata"]["name"], package["metadata"]["version"]
    return f"{name}=={version} --hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}"


if __name__ == "__main__":
    main()
