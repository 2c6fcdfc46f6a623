"""The notebook runs from top to bottom, and what is stored in it came from such a run."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from spt.assets import ASSETS, cache_folder

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.ipynb"
SMALL = 60_000


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_what_is_stored_is_small_and_of_one_run_from_the_top() -> None:
    code = [cell for cell in read().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds <= {"stream", "execute_result", "display_data"}
    assert NOTEBOOK.stat().st_size < SMALL


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path: Path) -> None:
    for name in ("minilm-l6", "trec"):
        if not (cache_folder() / f"{name}-{ASSETS[name].version}").is_dir():
            pytest.skip(f"'{name}' is not in the cache folder")
    notebook = read()
    # raises what a cell raises
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert list(tmp_path.iterdir()) == []
