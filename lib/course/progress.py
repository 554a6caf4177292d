"""One line for each lesson of ``make course``: which one, how many are left, how many minutes.

The workflow engine's own log goes to a file. The processes that run the lessons say what happens by ``tell``: a line
of JSON in the file that COURSE_EVENTS names (nothing without it: a lesson run by hand, or on another machine). The
launcher reads the file with ``Board``.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

EVENTS = "COURSE_EVENTS"
TRUST = 5.0  # minutes: so much must have been measured before it counts as much as what the lessons declare


def tell(event: str, **values: Any) -> None:
    """Add {"event": event, ...values} to the file that COURSE_EVENTS names, if it names one."""
    if path := os.environ.get(EVENTS):
        with open(path, "a", encoding="utf-8") as lines:  # short lines, appended: those of two processes do not mix
            lines.write(json.dumps({"event": event, **values}, ensure_ascii=False) + "\n")


@dataclass
class _Lesson:
    number: int  # 1 for the first that began
    start: float
    cell: str = ""


class Board:
    """What is known about a running course, and its lines.

    titles, minutes : what each lesson is called, and what it declares
    jobs : how many lessons run side by side
    live : whether `stream` is a terminal: the last line is then rewritten while a lesson runs

    What happens is read from `events`: ``plan`` (names), ``began`` (name), ``cell`` (name, index from 1, count),
    ``done`` (name, seconds) and ``failed`` (name, seconds, error).
    """

    def __init__(
        self,
        events: Path,
        titles: Mapping[str, str],
        minutes: Mapping[str, float],
        jobs: int,
        stream: TextIO,
        live: bool | None = None,
    ):
        self.events, self.titles, self.minutes, self.jobs, self.stream = events, titles, minutes, jobs, stream
        self.live = stream.isatty() if live is None else live
        self.position = 0  # bytes of the file that were read
        self.open = False  # whether the last line waits for its end
        self.waiting: list[str] = []
        self.running: dict[str, _Lesson] = {}
        self.count = self.total = 0  # lessons that began, and all that are to run
        self.measured = self.declared = 0.0  # minutes of the lessons that are done

    def read(self) -> None:
        """Take in what has happened since the last time."""
        if not self.events.exists():
            return
        with open(self.events, "rb") as lines:
            lines.seek(self.position)
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # half written: the next time
                self.position += len(line)
                values = json.loads(line)
                getattr(self, values.pop("event"))(**values)
        if self.live and self.running:
            self._write(self._now())

    def left(self) -> float:
        """Minutes that are left: what the waiting and running lessons declare, longer or shorter in the proportion that
        was measured so far.
        """
        scale = (TRUST + self.measured) / (TRUST + self.declared)
        rest = [scale * self.minutes[name] for name in self.waiting]
        for name, lesson in self.running.items():
            rest.append(max(0.0, scale * self.minutes[name] - (time.monotonic() - lesson.start) / 60))
        return max(sum(rest) / self.jobs, max(rest, default=0.0))

    # ------------------------------------------------ events

    def plan(self, names: list[str]) -> None:
        self.waiting, self.total = list(names), len(names)
        what = "nothing to do" if not names else f"{len(names)} notebook{'s' * (len(names) != 1)} to run"
        self._write(f"{what}, about {self._minutes(self.left())}" if names else what, end=True)

    def began(self, name: str) -> None:
        self.waiting = [other for other in self.waiting if other != name]
        self.count += 1
        self.running[name] = _Lesson(self.count, time.monotonic())
        if not self.live and self.jobs == 1:
            self._write(self._head(name, self.count))

    def cell(self, name: str, index: int, count: int) -> None:
        if name in self.running:
            self.running[name].cell = f"cell {index} of {count}"

    def done(self, name: str, seconds: float) -> None:
        number = self._end(name)
        self.measured += seconds / 60
        self.declared += self.minutes[name]
        rest = f"; about {self._minutes(self.left())} left" if self.waiting or self.running else ""
        self._finish(name, number, f"done in {self._minutes(seconds / 60)}{rest}")

    def failed(self, name: str, seconds: float, error: str) -> None:
        number = self._end(name)
        self._finish(name, number, f"failed after {self._minutes(seconds / 60)}: {error}")

    # ------------------------------------------------ lines

    def close(self) -> None:
        """End a line that waits for its end."""
        if self.open:
            self.stream.write("\n")
            self.stream.flush()
            self.open = False

    def _end(self, name: str) -> int:
        """Take the lesson from the running ones (one that failed before its first cell never began)."""
        if name not in self.running:
            self.began(name)
        return self.running.pop(name).number

    def _head(self, name: str, number: int) -> str:
        return f"[{number}/{max(self.total, number)}] {self.titles[name]} … "

    def _now(self) -> str:
        what = [f"{self._head(name, lesson.number)}{lesson.cell}" for name, lesson in self.running.items()]
        return f"{'   '.join(what)}; about {self._minutes(self.left())} left"

    def _finish(self, name: str, number: int, text: str) -> None:
        if self.open and not self.live:
            self.stream.write(text)
            self.close()
        else:
            self._write(self._head(name, number) + text, end=True)

    def _write(self, text: str, end: bool = False) -> None:
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            text = "\r\x1b[K" + (text if end or len(text) <= width else text[: width - 1] + "…")
        self.stream.write(text + "\n" * end)
        self.stream.flush()
        self.open = not end

    @staticmethod
    def _minutes(minutes: float) -> str:
        return (
            f"{minutes * 60:.0f} s" if minutes < 1 else f"{minutes:.1f} min" if minutes < 10 else f"{minutes:.0f} min"
        )
