"""Every kind of page in a real browser: what it says there, whom it asks, and whether it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browsing import IN_A_BROWSER, SilentPages, problems_of, unfold
from tests.support.result_pages import make_pages

pytestmark = list(IN_A_BROWSER)

KINDS = ("run", "comparison", "experiment", "bench", "tuning")
SCHEMES = ("light", "dark")
WIDTHS = (390, 1280)
LARGEST = 300_000
# A4 in CSS pixels, without the margins that browsers leave
PAPER = 718
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_pages(tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_read(
    kind: str, width: int, scheme: str, pages: dict[str, Path], silent: SilentPages
) -> None:
    page = silent.open(pages[kind], width, scheme)
    assert problems_of(page) == []
    unfold(page)
    assert problems_of(page) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_small_and_is_read_without_its_scripts(
    kind: str, pages: dict[str, Path], silent: SilentPages
) -> None:
    assert pages[kind].stat().st_size < LARGEST
    page = silent.open(pages[kind])
    bare = silent.open(pages[kind], java_script_enabled=False)
    assert bare.inner_text("h1") == page.inner_text("h1")
    assert bare.locator("table").count() == page.locator("table").count()


@pytest.mark.parametrize("kind", KINDS)
def test_dark_is_dark_and_print_is_light(kind: str, pages: dict[str, Path], silent: SilentPages) -> None:
    light = silent.open(pages[kind]).evaluate(BACKGROUND)
    page = silent.open(pages[kind], PAPER, "dark")
    assert page.evaluate(BACKGROUND) != light
    page.emulate_media(media="print")
    assert page.evaluate(BACKGROUND) in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    assert problems_of(page) == []
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("kind", KINDS)
def test_every_button_does_no_harm(kind: str, pages: dict[str, Path], silent: SilentPages) -> None:
    page = silent.open(pages[kind])
    unfold(page)
    for button in page.get_by_role("button").all():
        button.click()
        button.press("Enter")
    assert problems_of(page) == []
