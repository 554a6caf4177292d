"""One line that says what is being done, how far it is and how long it still takes; nothing stays of it.

A leaf: every room may use it, and it uses none. In a notebook the line is an output of its own that is written anew and
emptied at the end: what is stored with the notebook is nothing that a reader sees (a widget would be "model not found"
when the page is loaded again, a line on stderr an empty pink bar). In a terminal it is a line that is wiped. Elsewhere
(a log, a tool that runs notebooks: COURSE_BATCH=1) there is none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar

EVERY = 0.5  # seconds between two drawings
KNOWN = 0.02  # the share that must be done before it says how long the rest takes: the first pieces are slower

_WORK: ContextVar[str] = ContextVar("work", default="")


@contextlib.contextmanager
def work(name: str, unless_named: bool = False) -> Iterator[None]:
    """What is done in this block is called so by the bars in it: "SING at 1/2, model 3 of 11". A name inside of another
    is added to it; with ``unless_named`` it gives way to it.
    """
    outer = _WORK.get()
    token = _WORK.set(name if not outer else outer if unless_named else f"{outer} · {name}")
    try:
        yield
    finally:
        _WORK.reset(token)


class Bar:
    """A line for ``total`` pieces of work, used in a ``with`` block.

    what : what is done, where no surrounding :func:`work` says it. unit : what the pieces are called, in the plural.
    done : pieces that were done before; they do not count as speed. show : False draws nothing.
    """

    def __init__(self, what: str, total: int, unit: str = "images", done: int = 0, show: bool = True):
        self.what = _WORK.get() or what
        self.total, self.unit, self.done, self.before = total, unit, done, done
        self.note = ""
        self.line = _line() if show and os.environ.get("COURSE_BATCH") != "1" else None
        self.start = self.drawn = 0.0 if self.line is None else time.monotonic()

    def step(self, pieces: int = 1) -> None:
        """So many more are done."""
        self.done += pieces
        if self.line is not None and time.monotonic() - self.drawn >= EVERY:
            self.line.write(str(self))
            self.drawn = time.monotonic()

    def __str__(self) -> str:
        seconds, fresh = time.monotonic() - self.start, self.done - self.before
        share = min(1.0, self.done / self.total) if self.total else 1.0
        parts = [self.what, f"{share:.0%}"]
        if seconds > 0 and fresh >= KNOWN * self.total:
            rate = fresh / seconds
            parts.append(f"{rate:.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s")
            parts.append(f"{said(max(0, self.total - self.done) / rate)} left")
        return " · ".join([*parts, *([self.note] if self.note else [])])

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.line is not None:
            self.line.clear()


def said(seconds: float) -> str:
    """ "12 s", "3 min", "1 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _line() -> Terminal | Notebook | None:
    """Where a line can be written anew, if anywhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):
        return Notebook()
    return Terminal() if sys.stderr.isatty() else None


class Terminal:
    """The last line of a terminal."""

    def write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\x1b[K" + (text if len(text) <= width else text[: width - 1] + "…"))
        sys.stderr.flush()

    def clear(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class Notebook:
    """An output of the running cell. It appears with the first text: quick work leaves not even an empty one."""

    def __init__(self):
        self.shown = None

    def write(self, text: str) -> None:
        from IPython.display import display

        if self.shown is None:
            self.shown = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self.shown.update({"text/plain": text}, raw=True)

    def clear(self) -> None:
        if self.shown is not None:  # empty HTML takes no room; empty text would be an empty line
            self.shown.update({"text/html": "", "text/plain": ""}, raw=True)
