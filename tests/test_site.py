"""The documentation builds without a warning, holds every page, and asks nothing of another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spt
from benchmarks.pages.browser import chromium
from experiments.config import RunConfig
from strategies.options import OPTIONS
from strategies.registry import STRATEGIES
from tests.support.browsing import in_a_browser, problems_of, served, silent_pages

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    expected = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert expected <= built
    assert {Path("SECURITY.md"), Path("CONTRIBUTING.md"), Path("reference/keys.md")} <= built


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\"\s>]+)", text)
        loaded += [
            re.search(r"href=\"?([^\"\s>]+)", link)[1]  # type: ignore[index]
            for link in re.findall(r"<link\b[^>]+>", text)
            if 'rel="stylesheet"' in link or "rel=stylesheet" in link or "preconnect" in link
        ]
        assert loaded
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == [], page.name


def test_the_reference_has_every_name_that_is_exported(site: Path) -> None:
    library = (site / "reference" / "python.html").read_text(encoding="utf-8")
    names = set(spt.__all__) - {"__version__"}
    assert [name for name in sorted(names) if not re.search(rf'id="[\w.]+\.{name}"', library)] == []
    strategies = (site / "reference" / "strategies.html").read_text(encoding="utf-8")
    classes = [kind.__name__ for kind in STRATEGIES.values()]
    assert [name for name in classes if not re.search(rf'id="[\w.]+\.{name}"', strategies)] == []


def test_the_page_of_keys_has_every_key(site: Path) -> None:
    page = (site / "reference" / "keys.html").read_text(encoding="utf-8")
    options = {name for model in OPTIONS.values() for name in model.model_fields}
    keys = {*options - {"engine"}, "seed", "phm_order", "max_length", "hub.train", "engine.retries"}
    assert [key for key in sorted(keys) if f"<code>{key}</code>" not in page] == []
    assert [name for name in RunConfig.model_fields if f">{name}</code>" not in page] == []
    assert "Read by evolution." in page


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_main_pages_can_be_read_in_a_browser(site: Path, scheme: str) -> None:
    with served(site) as host, chromium() as browser, silent_pages(browser, host) as pages:
        for name in ("index", "configuration", "results", "reference/keys", "reference/python"):
            for width in (390, 1280):
                page = pages.open(f"http://{host}/{name}.html", width, scheme)
                page.wait_for_load_state("networkidle")
                # the theme's tables scroll by themselves, without being in the order of the keyboard
                problems = [text for text in problems_of(page) if not text.startswith("the keyboard")]
                assert (name, width, problems) == (name, width, [])
