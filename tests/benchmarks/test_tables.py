"""The README says what the committed results say."""

from benchmarks.tables import README, SECTION, tables


def test_the_readmes_results_are_those_of_the_json_files() -> None:
    section = SECTION.search(README.read_text(encoding="utf-8"))
    assert section is not None
    assert tables() in section.group(0)
