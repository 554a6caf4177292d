"""What can be wrong with data, said once: every message names the file and what to do about it."""

from __future__ import annotations


class DataError(ValueError):
    """The data cannot be used as they are."""


class NotHere(DataError):
    """A public set is not on this machine, or not where it was looked for; nothing is wrong with it."""


class DataWarning(UserWarning):
    """The data can be used, but something in them is not as their owner describes it."""


def few(items, limit: int = 5) -> str:
    """Name the first ``limit`` items and count the rest, so that a message about 3,000 files stays readable."""
    items = [str(item) for item in items]
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")
