"""What tests share is in tests/support, and is imported under one name."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# of a helper: from another test, or by a name that depends on where Python looks first
IMPORTS = re.compile(r"^\s*(?:from|import) ((?:tests|support|\.)\S*)", re.MULTILINE)


def test_helpers_are_imported_from_support_alone() -> None:
    for path in TESTS.rglob("*.py"):
        helpers = IMPORTS.findall(path.read_text(encoding="utf-8"))
        assert [name for name in helpers if not name.startswith("tests.support.")] == [], path


def test_the_tests_of_a_file_share_a_process(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("for `pytest -n 3 --dist loadgroup`, which `make test` calls")
    assert request.node.nodeid.endswith(f"@{Path(__file__)}"), "pytest-xdist would split files"
