"""Pages in Chromium, which must stay silent: on its console, and on the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.pages.browser import ADVICE, address, find_chromium

T = TypeVar("T")
PROBLEMS = (Path(__file__).with_name("page_problems.js")).read_text(encoding="utf-8")
# a browser that is not there is no failure, but pytest says what was left out
IN_A_BROWSER = (
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason=f"there is no Chromium. {ADVICE}"),
)


def in_a_browser(test: T) -> T:
    """Mark one test of a file as the files of tests/browser are marked."""
    for mark in IN_A_BROWSER:
        test = mark(test)
    return test


class SilentPages:
    """Open pages, each in a profile of its own, and note what they say and whom they ask.

    Args:
        browser: that runs.
        host: that pages may ask, as 'localhost:8000'; files may ask nobody, and load nothing but themselves.
    """

    def __init__(self, browser: Browser, host: str | None = None) -> None:
        self._browser, self._host = browser, host
        self._contexts: list[BrowserContext] = []
        self.problems: list[str] = []

    def open(self, page: Path | str, width: int = 1280, scheme: str = "light", **options: Any) -> Page:
        """Open a page in a window of a width in pixels, light or dark."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            **options,
        )
        self._contexts.append(context)
        opened, url = context.new_page(), address(page)
        opened.on("console", lambda message: self.problems.append(f"{message.type}: {message.text}"))
        opened.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        opened.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url[:200]}"))
        opened.on("request", lambda request: self._judge(request.url, url))
        opened.goto(url)
        return opened

    def _judge(self, asked: str, own: str) -> None:
        parts = urlsplit(asked)
        allowed = parts.scheme in ("data", "blob") or asked == own
        if not allowed and (self._host is None or parts.netloc != self._host):
            self.problems.append(f"asked: {asked}")

    def close(self) -> None:
        """Close the pages."""
        for context in self._contexts:
            context.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; gives 'localhost:PORT'."""
    server = ThreadingHTTPServer(("localhost", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent_pages(browser: Browser, host: str | None = None) -> Iterator[SilentPages]:
    """Give what opens pages; assert at the end that they said nothing and asked nobody."""
    pages = SilentPages(browser, host)
    try:
        yield pages
    finally:
        pages.close()
    assert pages.problems == []


def unfold(page: Page) -> None:
    """Open what is folded away, so that it is looked at too."""
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")


def problems_of(page: Page) -> list[str]:
    """Return what is wrong with a page as it is shown, in a sentence each."""
    return list(page.evaluate(PROBLEMS))
