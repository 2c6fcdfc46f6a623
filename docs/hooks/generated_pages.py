"""A hook of MkDocs: pages that each build makes anew."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# MkDocs loads a hook by its path, so its neighbours are not to be found otherwise
sys.path.insert(0, str(Path(__file__).parent))

from keys_page import keys_page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    files.append(File.generated(config, "reference/keys.md", content=keys_page()))
    return files
