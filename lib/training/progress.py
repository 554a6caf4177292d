"""The line of a training: which one, images done of all stages, images per second, time left, the last epoch's loss."""

from __future__ import annotations

from lib.bars import Bar


class Progress(Bar):
    """A line for the images of a whole training, or nothing when ``show`` is False.

    total, done : images of all stages together, and those that were given before.
    """

    def __init__(self, show: bool, total: int, done: int = 0):
        super().__init__("training", total, done=done, show=show)

    def epoch(self, row: dict) -> None:
        """An epoch is over; ``row`` is its line in the history."""
        self.note = f"{row['stage']} {row['epoch']}: loss {row['total']:.3f}"
