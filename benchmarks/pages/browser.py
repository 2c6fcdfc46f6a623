"""Headless Chromium, driven by Playwright and without a network: for tests and screenshots of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from spt.errors import InputError

WEB = ("http://", "https://")
VARIABLE = "SPT_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ADVICE = f"Install it (on Debian: apt-get install chromium), or set {VARIABLE} to the path of one."
# a browser asks its makers for updates and settings unless it is told not to
OFFLINE = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Return the path of Chromium: what SPT_CHROMIUM names, or the first of its usual names on the PATH.

    Raises:
        InputError: if SPT_CHROMIUM names no program.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = shutil.which(named)
        if path is None:
            raise InputError(
                f"{VARIABLE} is '{named}', but must be the path of a program. Correct or unset it."
            )
        return path
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium, and end it with the block.

    Raises:
        InputError: if there is none.
    """
    path = find_chromium()
    if path is None:
        raise InputError(f"There is no Chromium: none of {', '.join(NAMES)} is on the PATH. {ADVICE}")
    # Chromium refuses to sandbox pages for root
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*OFFLINE, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


def address(page: Path | str) -> str:
    """Return the URL of a page: of a file's path, or an http address as it is."""
    text = str(page)
    return text if text.startswith(WEB) else Path(page).absolute().as_uri()
