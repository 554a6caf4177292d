"""First weights of a part of a method: another run's, a file's, ImageNet's, or those of the rendered pedestrians.

A part is a sub-module's name; the parts are called the same in all methods ("sr", "backbone", "head"), so that a run of
one can start another. Where a part is called otherwise in the source, that is said: {"teacher": (run, "backbone")}, or
"<source>::backbone". Without it, weights below the part's own name are taken, where there are some, and else all:
{"him": run} is a whole method's run for the method ``him`` inside another.

Nothing here trains or renders: what is not there yet is an error that says who makes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from torch import nn

from lib.methods.method import Method
from lib.models.devices import resolve_device
from lib.models.state import WeightsUnavailable, read_state
from lib.training import checkpoint, pedestrians
from lib.training.pedestrians import SOURCES as PEDESTRIANS
from lib.training.precision import resolve_precision

__all__ = ["WeightsUnavailable", "check", "fill", "fingerprint", "imagenet_weights", "load_first_weights"]


def imagenet_weights(name: str):
    """torchvision's weights of a backbone (the first version, which the five papers had).

    Raises WeightsUnavailable for a network that has none.
    """
    from torchvision.models import get_model_weights, list_models

    if name not in list_models():
        raise WeightsUnavailable(
            f"there are no ImageNet weights for {name!r}, a network of this course; use weights={{'backbone': "
            "'pedestrians'}, or backbone='resnet18', 'resnet34', 'resnet50' or 'resnet101'"
        )
    return get_model_weights(name).IMAGENET1K_V1


def check(method: Method) -> None:
    """Raise WeightsUnavailable for a part that the method, which has been set up, does not have, or that has no weights
    to be filled.
    """
    for part in method.first_weights():
        if not _module(method, part).state_dict():
            raise WeightsUnavailable(f"{part!r} of {_name(method)} learns nothing: it takes no first weights")


def fingerprint(method: Method, part: str, source: str, device: torch.device | None = None) -> str:
    """What identifies the first weights, without making or fetching them; ``device`` as for ``fit``."""
    where, there = _split(source)
    if where == "imagenet":
        found = f"torchvision {imagenet_weights(_network_name(method, part))}"
    elif where in PEDESTRIANS:
        found = pedestrians.fingerprint(*_pedestrians(method, part, where, device))
    else:
        path = _weights_file(where)
        record = _record(path)
        found = f"run {record['key']}" if record else f"file {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"{found} {there}" if there else found


def load_first_weights(
    method: Method,
    part: str,
    source: str,
    progress: bool = True,
    device: torch.device | None = None,
    runs: str | os.PathLike | None = None,
) -> None:
    """Fill the sub-module ``part`` from ``source``; ``device`` and ``runs`` as for ``fit``.

    Raises WeightsUnavailable where the weights are not there, are damaged, or do not fit.
    """
    module, (where, there) = _module(method, part), _split(source)
    if where == "imagenet":
        state = _fetch_imagenet(_network_name(method, part), progress)
    elif where in PEDESTRIANS:
        asked = _pedestrians(method, part, where, device)
        state = _read(pedestrians.weights_file(*asked, runs))
        there = there or pedestrians.kind_of(asked[0])
    else:
        state = _read(_weights_file(where))
    below = {name: value for name, value in state.items() if name.startswith(f"{there or part}.")}
    if there and not below:
        raise WeightsUnavailable(f"weights from {where!r} have no part {there!r}; their parts are {_parts(state)}")
    parts = _parts(state)
    state = {name.removeprefix(f"{there or part}."): value for name, value in below.items()} or state
    # weights under other names: one network's for a part with two streams, old files of a DenseNet
    if hasattr(module, "doubled") and missing_weights(module, state):
        state = module.doubled(state)
    fill(module, state, f"weights={{{part!r}: {source!r}}} (whose parts are {parts})")


def people_behind(method: Method, fingerprint: str) -> frozenset[str]:
    """The people of the data set with this fingerprint whom the runs were trained on that first weights are from."""
    found: set[str] = set()
    for source in method.first_weights().values():
        where, _ = _split(source)
        record = None if where in ("imagenet", *PEDESTRIANS) else _record(_weights_file(where))
        if record and record.get("identity", {}).get("data") == fingerprint:
            found |= set(record.get("provenance", {}).get("people", ()))
    return frozenset(found)


def _split(source: str) -> tuple[str, str]:
    """ "<where>::<part there>" -> both; the part is "" where it is not said."""
    where, _, there = source.partition("::")
    return where, there


def _parts(state: dict) -> str:
    return ", ".join(dict.fromkeys(name.partition(".")[0] for name in state))


def _read(path: Path) -> dict[str, torch.Tensor]:
    """All weights of a file by name; those of a run are the ones that it ended with, bit by bit."""
    if (record := _record(path)) is None:
        return read_state(path)
    try:
        return checkpoint.load(path, record["key"])["weights"]
    except checkpoint.CheckpointError as error:
        raise WeightsUnavailable(f"{error}: train that run again") from error


def fill(module: nn.Module, state: dict, origin: str) -> None:
    """Load weights by name; parts that the module lacks (a classifier) are left out, anything missing is an error."""
    own, missing = module.state_dict(), missing_weights(module, state)
    wrong = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or wrong:
        example = (missing or wrong)[0]
        what = (
            f"{len(missing)} of {len(own)} weights are missing" if missing else f"{len(wrong)} weights differ in shape"
        )
        raise WeightsUnavailable(f"{origin} does not fit {type(module).__name__}: {what}, for example {example!r}")
    module.load_state_dict({name: state.get(name, own[name]) for name in own})


def missing_weights(module: nn.Module, state: dict) -> list[str]:
    """Names of the module's weights that ``state`` lacks; counters of batches are no weights."""
    return [name for name in module.state_dict() if name not in state and not name.endswith("num_batches_tracked")]


def _pedestrians(
    method: Method, part: str, source: str, device: torch.device | None
) -> tuple[str, tuple[int, int], str, str, str]:
    """Network, canvas, plan, precision and source, as ``pedestrians`` wants to know them."""
    precision = resolve_precision("auto", resolve_device(device))
    return _network_name(method, part), tuple(method.canvas), method.profile, precision, source


def _module(method: nn.Module, part: str) -> nn.Module:
    try:
        if part:
            return method.get_submodule(part)
    except AttributeError:
        part = str(part)
    known = ", ".join(name for name, _ in method.named_children())
    raise WeightsUnavailable(f"{_name(method)} has no part {part!r} for first weights; its parts are {known}")


def _name(method: nn.Module) -> str:
    return getattr(method, "name", type(method).__name__)


def _network_name(method: Method, part: str) -> str:
    name = getattr(_module(method, part), "name", None)
    if name is None:
        raise WeightsUnavailable(
            f"{part!r} of {_name(method)} is not a network with a name; give a file with its weights"
        )
    return name


def _record(path: Path) -> dict | None:
    """The record of the run that a weights file belongs to, or None for anybody else's file."""
    record = path.with_name("run.json")
    if path.name != "weights.pt" or not record.is_file():
        return None
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return found | {"key": str(found["key"])}
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsUnavailable(f"{record} is damaged ({error!r}): train that run again") from error


def _weights_file(source: str) -> Path:
    path = Path(source).expanduser()
    path = path / "weights.pt" if path.is_dir() else path
    if not path.is_file():
        known = ", ".join(map(repr, ("imagenet", *PEDESTRIANS)))
        raise WeightsUnavailable(f"weights from {source!r}: neither {known} nor an existing file or run directory")
    return path


def _fetch_imagenet(name: str, progress: bool) -> dict[str, torch.Tensor]:
    weights = imagenet_weights(name)
    try:
        return weights.get_state_dict(progress=progress, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network, no room, or a damaged download
        file = weights.url.rsplit("/", 1)[-1]
        raise WeightsUnavailable(
            f"the ImageNet weights of {name} are not on this machine and could not be downloaded ({error}). Put the "
            f"file {file} into the folder 'hub/checkpoints' of $TORCH_HOME, or pass its path as "
            f"weights={{'backbone': '…/{file}'}}, or use 'pedestrians'"
        ) from error
