"""A pytest plugin (``-p lib.course.nbval_plugin``) that answers nbval's pitfalls while it runs the notebooks.

nbval waits five seconds for each message of the kernel, which a loaded machine misses now and then, and waits for the
whole cell timeout when the kernel has died. Here the wait is a minute, and a dead kernel fails its cell at once.
"""

from __future__ import annotations

import os
import time
from queue import Empty

import pytest

OUTPUT_TIMEOUT = 60  # seconds between two messages of a living kernel
LOOK = 2.0  # seconds between two looks at whether it lives


def pytest_configure(config: pytest.Config) -> None:
    """What the kernels inherit: the quick profile, no progress bars, and one thread each (xdist runs several
    kernels).
    """
    os.environ["COURSE_PROFILE"] = "quick"
    os.environ["COURSE_BATCH"] = "1"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if hasattr(item, "output_timeout"):  # nbval's cells; the class cannot be imported before nbval has registered
            item.output_timeout = OUTPUT_TIMEOUT


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Make the wait for this notebook's kernel end when the kernel does."""
    kernel = getattr(item.parent, "kernel", None)
    if kernel is None or not hasattr(item, "output_timeout") or hasattr(kernel, "_patient_reply"):
        return
    kernel._patient_reply = kernel.await_reply

    def await_reply(msg_id: str, timeout: float | None = None):
        end = time.monotonic() + timeout if timeout else None
        while True:
            try:
                return kernel._patient_reply(msg_id, timeout=LOOK)
            except Empty:
                if not kernel.is_alive():
                    raise RuntimeError("the kernel died (killed, out of memory, or a crash in compiled code)") from None
                if end is not None and time.monotonic() >= end:
                    raise

    kernel.await_reply = await_reply
