"""Pictures of pages, narrow and wide, light and dark: `python -m benchmarks screenshots`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser

from benchmarks.pages.browser import WEB, address, chromium
from spt.problems import Problems

WIDTHS = (390, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# drawings and text need few, and each picture is in the repository for ever
COLOURS = 96


def named_pages(arguments: list[str]) -> dict[str, str]:
    """Read NAME=PAGE arguments.

    Raises:
        InputError: for all arguments that are not so, and files that do not exist.
    """
    pages: dict[str, str] = {}
    problems = Problems("the pages")
    for argument in arguments:
        name, _, page = argument.partition("=")
        if not name or not page or "/" in name:
            problems.add(f"'{argument}' must be NAME=PAGE")
        elif name in pages:
            problems.add(f"the name '{name}' is given twice")
        elif not page.startswith(WEB) and not Path(page).is_file():
            problems.add(f"'{page}' must be a file, or an address that begins with {' or '.join(WEB)}")
        pages[name] = page
    problems.refuse()
    return pages


def take_screenshots(pages: Mapping[str, str], folder: Path, height: int) -> Iterator[Path]:
    """Write FOLDER/NAME-WIDTH-SCHEME.png of each page, width and colour scheme.

    Args:
        pages: name -> file or address.
        folder: that gets the pictures.
        height: of the pictures in pixels; 0 for the whole of each page.

    Yields:
        The path of each picture, once it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name, page in pages.items():
            for width in WIDTHS:
                for scheme in SCHEMES:
                    path = folder / f"{name}-{width}-{scheme}.png"
                    path.write_bytes(_small(_picture(browser, address(page), width, scheme, height)))
                    yield path


def _picture(browser: Browser, url: str, width: int, scheme: Literal["light", "dark"], height: int) -> bytes:
    page = browser.new_page(viewport={"width": width, "height": height or 900}, color_scheme=scheme)
    try:
        page.goto(url, wait_until="networkidle")
        return page.screenshot(full_page=not height)
    finally:
        page.close()


def _small(picture: bytes) -> bytes:
    """Return a PNG with a palette."""
    smaller = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
    return smaller.getvalue()
