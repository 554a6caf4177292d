"""``fit``: a method and a protocol in, a trained and recorded run out; computed once."""

from __future__ import annotations

import copy
import operator
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from lib.bars import work
from lib.data.protocol import WIDE, Protocol, check_manifest
from lib.methods.method import Method, check_profile
from lib.models.devices import resolve_device
from lib.training import runs as records
from lib.training.checkpoint import CheckpointError, Checkpoints, write_atomically
from lib.training.distributed import World, world
from lib.training.loop import Trainer
from lib.training.precision import resolve_precision
from lib.training.processes import in_processes
from lib.training.randomness import seeded
from lib.training.runs import Run
from lib.training.sources import Code, code_of
from lib.training.watch import score
from lib.training.weights import check, fingerprint, load_first_weights, people_behind

NO_EPOCHS = ["stage", "epoch", "steps", "lr", "total", "images_per_second", "seconds"]


def fit(
    method: Method,
    protocol: Protocol,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device | None = None,
    runs: str | os.PathLike | None = None,
    progress: bool = True,
    *,
    precision: str = "auto",
    processes: int = 1,
    accumulate: int = 1,
    compile: bool = False,
    checkpoint_seconds: float = 60.0,
    checkpoint_steps: int | None = None,
    watch: Callable[[Method], float] | None = None,
    watch_every: int = 1,
) -> Run:
    """Train ``method`` on a protocol's training images, or find the run again.

    A finished run with the same inputs (method, settings, profile, protocol, data, seed, precision, code) is loaded, an
    unfinished one goes on from its last checkpoint, and one that another process is computing is waited for.

    Parameters
    ----------
    method : from ``create_method``. A copy of it is set up, trained, and owned by the run; the object itself stays as
        it is and may be fitted again, with another seed or on another protocol.
    seed : a whole number, 0 or larger.
    profile : "quick", "course" or "paper".
    device : default: the GPU where there is one.
    runs : directory of runs; default $REID_RUNS (relative to the repository), else data/runs of the repository.
    precision : "auto", "fp32", "bf16" or "fp16".
    processes : start so many processes on this machine, one per GPU (or on the CPU, for tests).
    accumulate : give each batch in so many pieces; less memory, batch statistics and triplets within a piece.
    compile : ``torch.compile`` the method's parts; minutes at the start, worth it on a GPU only.
    checkpoint_seconds, checkpoint_steps : write a checkpoint after so much time, or so many steps.
    watch : called with the method after every ``watch_every``-th epoch and the last one of a stage; the number that it
        returns (a rank-1 of validation people, say) is the column "score" of the run's history, NaN elsewhere. It
        changes nothing that is trained, and is no part of what identifies a run: a finished run is found as it is, with
        the scores that it was trained with or without any.

    Raises
    ------
    NonFiniteLoss : a loss term became infinite or NaN.
    WeightsUnavailable : first weights are not there, or do not fit.
    CodeChanged : a file of this package, or of the method's own, was changed after it was imported.
    DiskFull : there is no room for a checkpoint or the weights.
    RuntimeError : ``watch`` changed a weight.
    TypeError, ValueError : an argument is not what it should be.
    """
    _check_arguments(method, protocol)
    check_profile(profile)
    seed, processes = whole("seed", seed, 0), whole("processes", processes, 1)
    accumulate, watch_every = whole("accumulate", accumulate, 1), whole("watch_every", watch_every, 1)
    checkpoint_steps = None if checkpoint_steps is None else whole("checkpoint_steps", checkpoint_steps, 1)
    method = copy.deepcopy(method)
    options = {
        "device": device, "runs": runs, "progress": progress, "precision": precision, "accumulate": accumulate,
        "compile": compile, "checkpoint_seconds": checkpoint_seconds, "checkpoint_steps": checkpoint_steps,
        "watch": watch, "watch_every": watch_every,
    }  # fmt: skip
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        in_processes(processes, fit, method, protocol, profile=profile, seed=seed, **options)
        options["checkpoint_seconds"] = float("inf")  # what follows only finds the run that was just made
    with world(resolve_device(device)) as (our_world, own_device):
        options |= {"device": own_device, "precision": resolve_precision(precision, own_device)}
        with work(method.name, unless_named=True):
            return _fit(method, protocol, profile, seed, our_world, max(processes, our_world.size), **options)


def finished(
    method: Method,
    protocol: Protocol,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device | None = None,
    runs: str | os.PathLike | None = None,
) -> bool:
    """Whether ``fit`` with the same arguments would find its run; nothing is trained. Errors as ``fit``.

    False, with a warning, where its files are damaged: ``fit`` would compute it again.
    """
    _check_arguments(method, protocol)
    method, device = copy.deepcopy(method), resolve_device(device)
    with seeded(whole("seed", seed, 0)):
        method.setup(check_profile(profile), protocol.rows("train")["pid"].nunique())
    key, _ = run_key(method, protocol, profile, seed, resolve_precision("auto", device), device=device)
    directory = records.directory_of(records.runs_directory(runs), method, protocol, key)
    if not records.is_finished(directory):
        return False
    try:
        records.read(directory, key)
    except CheckpointError as error:
        warnings.warn(f"{error}: not there, until it is computed again", RuntimeWarning, stacklevel=2)
        return False
    return True


def _check_arguments(method: object, protocol: object) -> None:
    if isinstance(method, Protocol) and isinstance(protocol, Method):
        raise TypeError("fit(method, protocol): the two are the wrong way round")
    if not isinstance(method, Method):
        known = "create_method('baseline'), for example" if isinstance(method, str) else "a Method"
        raise TypeError(f"fit(method, protocol): the method is {method!r}; give {known}")
    if not isinstance(protocol, Protocol):
        raise TypeError(
            f"fit(method, protocol): the protocol is a {type(protocol).__name__}; make one with make_protocol(dataset, "
            "'mlr')"
        )
    check_manifest(protocol.manifest, protocol.dataset)  # labels may have been corrected since it was made


def whole(what: str, value: object, least: int) -> int:
    """A whole number from ``least`` to 2^63 - 1, whatever counts as one (``np.int64(2)``); True, 1.5 and "1" do not."""
    try:
        number = operator.index(value) if type(value).__name__ not in ("bool", "bool_") else None
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{what} is a whole number, such as {least}, not {value!r}")
    if not least <= number < 2**63:
        raise ValueError(f"{what} is at least {least} and below 2^63, not {number}")
    return number


def run_key(
    method: Method,
    protocol: Protocol,
    profile: str,
    seed: int,
    precision: str,
    accumulate: int = 1,
    device: torch.device | None = None,
    processes: int = 1,
) -> tuple[str, dict]:
    """(key, what it is made of) of a run whose method has been set up."""
    check(method)
    first = {part: fingerprint(method, part, source, device) for part, source in method.first_weights().items()}
    what = records.identity(method, protocol, profile, seed, precision, accumulate, first, processes)
    return records.key_of(what), what


def _fit(
    method: Method,
    protocol: Protocol,
    profile: str,
    seed: int,
    our_world: World,
    processes: int,
    *,
    device: torch.device,
    runs: str | os.PathLike | None,
    progress: bool,
    precision: str,
    accumulate: int,
    watch: Callable[[Method], float] | None,
    watch_every: int,
    **how,
) -> Run:
    """``fit`` in one process of ``our_world``; ``how`` are the trainer's own options."""
    identities = protocol.rows("train")["pid"].nunique()
    with seeded(seed):
        method.setup(profile, identities)
        # quick's canvas is as wide as a third of the embedded probes, by choice: its numbers are no evidence
        protocol.check_canvas(method.canvas[1], least=0.5 if profile == "quick" else WIDE, stacklevel=4)
        key, what = run_key(method, protocol, profile, seed, precision, accumulate, device, processes)
        code = code_of(method, protocol)
        directory = records.directory_of(records.runs_directory(runs), method, protocol, key)
        if found := _find(method, protocol, key, directory, our_world, device, code, seed):
            return found
        lock = records.lock(directory, progress) if our_world.first else None
        try:
            if found := _find(method, protocol, key, directory, our_world, device, code, seed):  # made while we waited
                return found
            checkpoints = Checkpoints(directory / "checkpoints", key)

            def log(rows: list[dict]) -> None:
                if watch is not None:
                    score(trainer, watch, watch_every)
                _write_metrics(directory, rows)

            trainer = Trainer(
                method, protocol, seed, device, precision, our_world, accumulate,
                save=checkpoints.save, log=log, progress=progress, **how,
            )  # fmt: skip
            content = our_world.agree(checkpoints.newest() if our_world.first else None)
            if content is not None:
                trainer.resume(content)
            else:
                for part, source in method.first_weights().items():
                    load_first_weights(method, part, source, progress=progress, device=device, runs=runs)
            place = trainer.run()
            if our_world.first:
                provenance = records.machine(device)
                provenance |= {"seconds": place.seconds, "processes": our_world.size, "steps": place.total_steps}
                provenance |= {"people": sorted(people_of(method, protocol)[1])}
                weights = {name: tensor.cpu() for name, tensor in method.state_dict().items()}
                _write_metrics(directory, place.history)
                records.finish(directory, key, what, weights, provenance, code)
                checkpoints.clear()
            our_world.agree(None)  # the others read what process 0 has written
        finally:
            if lock is not None:
                lock.release()
    _, provenance, history = records.read(directory, key)
    _remember(method, protocol, seed)
    _place(method, device)
    return Run(method.eval(), protocol, key, directory, history, provenance["seconds"], False, provenance, code, seed)


def _find(
    method: Method,
    protocol: Protocol,
    key: str,
    directory: Path,
    our_world: World,
    device: torch.device,
    code: Code,
    seed: int,
) -> Run | None:
    """The finished run, its weights loaded into the method; None, with a warning, where its files are damaged.

    Process 0 looks, so that all processes see the same although another notebook may finish the run at this moment.
    """
    if not our_world.agree(records.is_finished(directory)):
        return None
    try:
        weights, provenance, history = records.read(directory, key)
    except CheckpointError as error:
        warnings.warn(f"{error}; the run is computed again", RuntimeWarning, stacklevel=4)
        return None
    method.load_state_dict(weights)
    _remember(method, protocol, seed)
    _place(method, device)
    return Run(method.eval(), protocol, key, directory, history, provenance["seconds"], True, provenance, code, seed)


def _place(method: Method, device: torch.device) -> None:
    """Where ``evaluate`` will describe images, which asks the parameters: a method without any, such as LOMO and a
    metric in closed form, works on the CPU. In memory as the loop left it: faster, and the same numbers again.
    """
    learns = any(True for _ in method.parameters())
    method.to(device if learns else "cpu", memory_format=torch.channels_last)


def _remember(method: Method, protocol: Protocol, seed: int) -> None:
    """What ``evaluate`` asks of a method: whom and with which seed it was trained."""
    method.trained_on = people_of(method, protocol)
    method.trained_seed = seed if any(True for _ in method.parameters()) else None


def people_of(method: Method, protocol: Protocol) -> tuple[str, frozenset[str]]:
    """The data set's fingerprint and its people that the weights have seen, the first weights' included:
    ``Method.trained_on``.
    """
    fingerprint = protocol.dataset.fingerprint
    return fingerprint, frozenset(protocol.rows("train")["pid"]) | people_behind(method, fingerprint)


def _write_metrics(directory: Path, rows: list[dict]) -> None:
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=NO_EPOCHS)
    write_atomically(directory / "metrics.csv", lambda path: table.to_csv(path, index=False))
