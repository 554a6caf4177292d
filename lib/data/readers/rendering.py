"""Rendering by several processes: nobody's picture depends on another person's, and a core draws four people a second.

The processes are new interpreters that are told what to draw on their command line: no forks, which inherit torch's
threads, and not ``multiprocessing``'s, which would run a reader's script once more in each of them.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lib.data.store import Item
from lib.paths import ROOT

ENOUGH = 320  # people; fewer are there before another process has imported torch
AT_ONCE = 160  # people that a process draws: 40 MB
STEP = 40  # parts begin at multiples of it, as ``lib.data.readers.rendered.people`` draws
DRAW = """
import importlib, json, pathlib, pickle, sys
module, name, options, path = sys.argv[1:]
draw = getattr(importlib.import_module(module), name)
pathlib.Path(path).write_bytes(pickle.dumps(list(draw(json.loads(options), "cpu"))))
"""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(
    draw: Callable[[dict[str, Any], str], Iterator[Item]],
    options: dict[str, Any],
    device: str,
    processes: int | None = None,
) -> Iterator[Item]:
    """What ``draw(options, device)`` yields, people after people, by as many processes as there are cores.

    draw : a function of this package, whose ``options`` have identities and first_identity. It draws here where there
    is one core, on a GPU, and where the people are too few. processes : another number. RuntimeError, with what it
    said, where one of them fails.
    """
    processes, total = cores() if processes is None else processes, options["identities"]
    if processes < 2 or device != "cpu" or total < ENOUGH:
        yield from draw(options, device)
        return
    size = min(AT_ONCE, STEP * math.ceil(total / processes / STEP))
    start = options.get("first_identity", 0)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        parts = [
            pool.submit(
                _drawn,
                draw,
                options | {"first_identity": start + first, "identities": min(size, total - first)},
                Path(folder, f"{first}.pickle"),
            )
            for first in range(0, total, size)
        ]
        try:
            for part in parts:
                path = part.result()
                yield from pickle.loads(path.read_bytes())  # our own, of this moment
                path.unlink()
        finally:
            for part in parts:  # who stops reading waits for what is being drawn and for no more
                part.cancel()


def _drawn(draw: Callable, options: dict[str, Any], path: Path) -> Path:
    """Some of the people, drawn by a process of their own."""
    command = [sys.executable, "-c", DRAW, draw.__module__, draw.__name__, json.dumps(options), str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"a process that renders people failed:\n{done.stderr}")
    return path
