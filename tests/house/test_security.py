"""docs/security.md is held to the code: each line of its table names tests that exist."""

import re

import pytest

from tests.house.test_wings_compatibility import ROOT, there

PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| [A-Z]{2,4}-\d", line)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_test_that_a_line_names_exists(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)(…?)`", row)
    assert named or "argued away" in row
    assert not [f"{file}::{name}{rest}" for file, name, rest in named if not there(file, name, rest)]


def test_the_table_is_there() -> None:
    assert len(ROWS) >= 15
