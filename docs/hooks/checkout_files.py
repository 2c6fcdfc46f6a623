"""A hook of MkDocs: files outside of docs/ that pages link to come along, under their path in the checkout.

So the same links lead somewhere on GitHub and on the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

CHECKOUT = Path(__file__).parents[2]
DOCS = "docs/"
# pages of the site that stand at the top of the checkout
PAGES = tuple(
    name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md") if (CHECKOUT / name).exists()
)
LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top of the checkout, and what else outside of docs/ a page links to."""
    texts = {name: (CHECKOUT / name).read_text(encoding="utf-8") for name in PAGES}
    texts |= {DOCS + file.src_uri: file.content_string for file in files.documentation_pages()}
    linked = {target(name, link) for name, text in texts.items() for link in LINK.findall(text)}
    for name in sorted(linked | set(PAGES)):
        if not name.startswith(DOCS) and (CHECKOUT / name).is_file():
            files.append(File.generated(config, name, abs_src_path=str(CHECKOUT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Write the links of a page as they are on the site."""
    uri = page.file.src_uri
    name = uri if uri in PAGES else DOCS + uri
    return LINK.sub(lambda match: f"]({site_link(name, match[1])}", markdown)


def target(name: str, link: str) -> str:
    """Return the path in the checkout that a link of a file leads to."""
    return normpath(join(dirname(name), link))


def site_link(name: str, link: str) -> str:
    """Return a link of a file of the checkout as one of the site, where docs/ is the top."""
    return relpath(target(name, link).removeprefix(DOCS), dirname(name.removeprefix(DOCS)) or ".")
