"""What only trained methods can say on the explorer's page, kept in ``data/explore``: so a fresh clone shows them all.

``moves.json`` has whom each method finds at every move, and how often; ``<method>.webp`` what its super-resolution
makes of every probe, as the page shows it; ``provenance.json`` which trainings these are, of which people, by which
code. Probes, shrunk pictures and the gallery are not kept: they are rendered when the page is made.

    python -m lib.course.explore_page --store            # make the files again from the runs that are there
    python -m lib.course.explore_page --train --store    # train what is missing before: half an hour on a core
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lib.data.readers.rendered import renderer_code
from lib.definitions import UnknownDefinition, differences, few, total
from lib.experiments.explore import KERNELS, RATIOS, SHOWN, Explorer
from lib.experiments.measured import commit
from lib.paths import ROOT, write_atomically
from lib.training import Run
from lib.training.runs import machine
from lib.training.sources import code_again

FOLDER = ROOT / "data" / "explore"
MOVES, ABOUT = "moves.json", "provenance.json"
LARGEST = 1_000_000  # bytes of a file
HASH = 8  # digits of a definition's hash
URI = "data:image/webp;base64,"
# what searches, beside the methods themselves
SEARCHING = ("lib.experiments.explore.Explorer.looks", "lib.experiments.explore.Explorer.curve")
SEARCHING += tuple(f"lib.methods.ensemble.AdaptiveEnsemble.{name}" for name in ("embed", "distance"))


class Stale(LookupError):
    """What is kept cannot be shown: it is missing, damaged, or of other people or code; the message says which."""


def keep(
    explorer: Explorer,
    methods: Sequence[Mapping[str, Any]],
    runs: Mapping[str, Mapping[float | None, Run]],
    profile: str,
    top: int,
    folder: Path | None = None,
) -> list[Path]:
    """Write the files; returns their paths. What was kept before is replaced.

    methods : as ``lib.course.explore_page.searched`` gives them, ``top`` places a move. runs : {method: {anchor: run}}
    of all of them. folder : None for ``FOLDER``. ValueError for a method without a run, and for a file of more than
    1 MB; nothing is written then.
    """
    folder = folder or FOLDER
    if strangers := [method["name"] for method in methods if not runs.get(method["name"])]:
        raise ValueError(f"{', '.join(strangers)} has no run: only what was trained is kept")
    files, lines = {}, []
    for method in methods:
        seen = method["seen"]
        if seen:
            name = re.sub(r"[^a-z0-9]+", "-", method["name"].lower()).strip("-") + ".webp"
            files[name] = base64.b64decode(seen["uri"].removeprefix(URI))
            seen = {key: value for key, value in seen.items() if key != "uri"} | {"file": name}
        lines.append(json.dumps({**method, "seen": seen}, separators=(",", ":")))
    files[MOVES] = ("[\n" + ",\n".join(lines) + "\n]\n").encode()
    if large := [name for name, content in files.items() if len(content) > LARGEST]:
        raise ValueError(f"{large[0]} would have {len(files[large[0]]):,} bytes, at most {LARGEST:,}")
    about = {
        "of": shown(explorer, profile, top),
        "renderer": total(renderer_code()),
        "left_out": [name for rows in SHOWN.values() for name in rows if name not in runs],
        "runs": {
            name: {run.directory.name: run.key for run in runs[name].values()}
            for name in (method["name"] for method in methods)
        },
        "code": code_behind(run for some in runs.values() for run in some.values()),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "made": {**machine(torch.device("cpu")), "commit": commit()},
    }
    files[ABOUT] = (json.dumps(about, indent=1, sort_keys=True) + "\n").encode()  # the last: it vouches for the others
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.webp"):
        path.unlink()
    for name, content in files.items():
        write_atomically(folder / name, lambda path, content=content: path.write_bytes(content))
    return [folder / name for name in files]


def read(explorer: Explorer, profile: str, top: int, folder: Path | None = None) -> tuple[list[dict[str, Any]], dict]:
    """The methods as they were given to ``keep``, and the provenance.

    Raises Stale where they are not those of the explorer's people at ``top`` places, or not of today's code.
    """
    folder = folder or FOLDER
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        files = {name: (folder / name).read_bytes() for name in about["files"]}
        wrong = [name for name, content in files.items() if hashlib.sha256(content).hexdigest() != about["files"][name]]
        kept, definitions = about["of"], about["code"]["definitions"]
        methods = json.loads(files[MOVES])
    except FileNotFoundError as error:
        raise Stale(f"{Path(error.filename).name} is not there") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Stale(f"it is damaged ({error!r})") from error
    if wrong:
        raise Stale(f"{wrong[0]} is not the file that {ABOUT} describes")
    now = json.loads(json.dumps(shown(explorer, profile, top)))
    if other := [name for name in now if now[name] != kept.get(name)]:
        raise Stale("it is of other people, or of another question: " + _compared(other[0], kept, now))
    try:
        code = code_again(about["code"]["starts"], about["code"]["entries"])
    except UnknownDefinition as error:
        raise Stale(f"it is of other code: {error}") from error
    if changed := differences(definitions, _short(code)):
        raise Stale(f"it is of other code: {few(changed)} changed")
    for method in methods:
        if seen := method["seen"]:
            seen["uri"] = URI + base64.b64encode(files[seen.pop("file")]).decode()
    return methods, about


def shown(explorer: Explorer, profile: str, top: int) -> dict[str, Any]:
    """What decides whether moves are of this explorer, JSON-able: its people and what is asked of them."""
    protocol = explorer.protocol
    return {
        "data": protocol.dataset.fingerprint,
        "protocol": protocol.sha256,
        "people": len(explorer.probes),
        "gallery": len(explorer.gallery),
        "ratios": list(RATIOS),
        "kernels": list(KERNELS),
        "top": top,
        "profile": profile,
    }


def code_behind(runs: Iterable[Run]) -> dict[str, Any]:
    """The code that the moves depend on: where it begins, and {definition: hash}."""
    runs = list(runs)
    starts = sorted({start for run in runs for start in run.code.starts}.union(SEARCHING))
    entries = sorted({entry for run in runs for entry in run.code.entries})
    found = code_again(starts, entries)
    return {"starts": starts, "entries": entries, "sha256": total(found), "definitions": _short(found)}


def _short(found: Mapping[str, str]) -> dict[str, str]:
    return {name: digest[:HASH] for name, digest in sorted(found.items())}


def _compared(name: str, kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return f"{name} {str(kept.get(name))[:12]}, here {str(now[name])[:12]}"
