"""Pictures of a page by `python -m benchmarks screenshots`."""

from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from benchmarks.cli import app
from tests.support.browsing import IN_A_BROWSER

pytestmark = list(IN_A_BROWSER)

PAGE = """<!doctype html><title>t</title><style>
body { margin: 0; height: 700px; background: white; }
@media (prefers-color-scheme: dark) { body { background: black; } }
</style>"""


def test_a_page_is_taken_narrow_and_wide_light_and_dark(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE, encoding="utf-8")
    for height, expected in ((0, 900), (300, 300)):
        command = ["screenshots", f"page={page}", "--folder", str(tmp_path / "out"), "--height", str(height)]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        for width in (390, 1280):
            for scheme, colour in (("light", (255, 255, 255)), ("dark", (0, 0, 0))):
                path = tmp_path / "out" / f"page-{width}-{scheme}.png"
                with Image.open(path) as image:
                    assert image.size == (width, expected)
                    assert image.convert("RGB").getpixel((5, 5)) == colour
                assert str(path) in done.output
    assert len(list((tmp_path / "out").iterdir())) == 4
