"""What the figures ask of the tables that they are given."""

from __future__ import annotations

import pandas as pd


def require(table: pd.DataFrame, *columns: str) -> None:
    """ValueError for a table without rows, or without one of these columns."""
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"the table lacks the column(s) {', '.join(missing)}")
    if table.empty:
        raise ValueError("the table has no rows")
