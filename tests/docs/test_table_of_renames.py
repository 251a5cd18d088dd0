"""The table of renamed keys in the changelog is that of the code that reads the old ones."""

from pathlib import Path

from finecomb.config.renamed import RENAMED, VALUES

ROWS = [line.split(" | ") for line in (Path(__file__).parents[2] / "CHANGELOG.md").read_text().splitlines() if line.startswith("| `")]


def test_every_renamed_key_is_in_the_table_with_its_new_name() -> None:
    missing = [(old, new) for old, new in RENAMED.items() if not any(f"`{old}" in row[0] and f"`{new}" in row[1] for row in ROWS)]
    assert not missing


def test_every_renamed_value_is_in_the_table_with_its_new_name() -> None:
    for key, values in VALUES.items():
        (row,) = (row for row in ROWS if f"`{key}`" in "".join(row[:2]) and ": " in row[0])
        assert not [old for old, new in values.items() if f"`{old}`" not in row[0] or f"`{new}`" not in row[1]]
