from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from benchmarks.pages.browser import chromium
from tests.support.browsing import SilentPages, silent_pages


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # of a module, as its event loop would be in the way of other tests of the process
    with chromium() as running:
        yield running


@pytest.fixture
def silent(browser: Browser) -> Iterator[SilentPages]:
    """Opens files, which must say nothing on the console and load nothing but themselves."""
    with silent_pages(browser) as pages:
        yield pages
