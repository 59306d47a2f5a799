"""Every row of the fail-safe table of DOCS.md."""

import pytest

from tests.charging.fail_safe import ROWS, Row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.event)
def test_it_is_so(row: Row) -> None:
    assert row.holds()
