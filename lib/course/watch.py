"""Stop when whoever started this process is gone.

A killed ``make course`` (SIGKILL cannot be caught) must not leave notebooks running that write into the folders of the
next start. The launcher names itself in COURSE_OWNER as ``host:pid``; on another host (SLURM, Kubernetes) the name
means nothing, and the scheduler ends its jobs itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

OWNER = "COURSE_OWNER"
SECONDS = 1.0  # between two looks
GRACE = 15.0  # for an orderly end before the hard one


def own_name() -> str:
    """This process as others see it in COURSE_OWNER."""
    return f"{socket.gethostname()}:{os.getpid()}"


def follow_owner() -> threading.Thread | None:
    """Watch the process that COURSE_OWNER names, in a daemon thread; None where there is nothing to watch."""
    host, _, pid = os.environ.get(OWNER, "").rpartition(":")
    if host != socket.gethostname() or not pid.isdigit() or int(pid) == os.getpid():
        return None
    return _start(lambda: alive(int(pid)))


def follow_parent() -> threading.Thread:
    """Watch the parent process: when it dies this one is handed to another parent."""
    parent = os.getppid()
    return _start(lambda: os.getppid() == parent)


def alive(pid: int) -> bool:
    """Whether a process with this number runs; one that has ended and was not collected yet does not."""
    with contextlib.suppress(OSError):  # no /proc on macOS, and none for a process that is gone
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, and belongs to someone else
        return True
    return True


def _start(still_there) -> threading.Thread:
    def look() -> None:
        while still_there():
            time.sleep(SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(128 + signal.SIGTERM)

    thread = threading.Thread(target=look, daemon=True, name="watch")
    thread.start()
    return thread
