"""A hook of MkDocs: pages that each build makes anew."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

# MkDocs loads a hook by its path, so its neighbours are not to be found otherwise
sys.path.insert(0, str(Path(__file__).parent))

from keys_page import keys_page

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of all keys, and the notebook with its pictures."""
    notebook, resources = MarkdownExporter().from_filename(str(NOTEBOOK))
    # the theme styles tables that have no look of their own
    notebook = notebook.replace('<table border="1" class="dataframe">', "<table>")
    files.append(File.generated(config, "reference/keys.md", content=keys_page()))
    files.append(File.generated(config, "notebook.md", content=notebook))
    for name, picture in resources["outputs"].items():
        files.append(File.generated(config, name, content=picture))
    return files
