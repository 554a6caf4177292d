"""Training throughput: our loop beside torchreid's engine, on the same network, batch and images.

    python -m benchmarks.training                     # CPU, and the GPU where there is one: a few minutes
    python -m benchmarks.training --cases cpu-narrow  # one case
    python -m benchmarks.training --no-peer           # ours alone: a minute
    python -m benchmarks.training --compile           # ours through torch.compile as well (GPU)

Every case writes people as JPEG files, as the public sets come, and trains the baseline on them with flips, shifts,
erased boxes, label smoothing and batch-hard triplets. Both read the files by their own means: torchreid through its
loader in every epoch, we once into canvases on the device (the column "once" says how long that took; it is not part
of the rate). The rate is the best of the epochs after the first, in images per second.

The peer is torchreid 0.2.5 from PyPI: ``pip install --no-deps torchreid==0.2.5``. It imports packages for downloading
and drawing that its training does not touch; those that are missing are replaced by empty ones. It trains in fp32
(it has no other); we train in fp32, for the comparison of the loops, and in the precision that ``fit`` would choose.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import sys
import tempfile
import time
import types
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from lib.data.dataset import PersonDataset
from lib.methods import create_method
from lib.training.loop import Trainer
from lib.training.precision import resolve_precision
from lib.training.pretrain import whole_set
from lib.training.randomness import seeded

INSTALL = "pip install --no-deps torchreid==0.2.5"


@dataclass(frozen=True)
class Case:
    """One network on one canvas; ``identities`` x 8 images are an epoch."""

    device: str
    backbone: str
    canvas: tuple[int, int]
    batch: tuple[int, int]
    identities: int
    epochs: int
    workers: int  # of torchreid's loader: what is fastest there


CASES = {
    "cpu-narrow": Case("cpu", "bottleneck-16-2", (96, 48), (16, 4), 120, 4, 0),
    "cpu-resnet50": Case("cpu", "resnet50", (128, 64), (8, 4), 24, 3, 0),
    "gpu-resnet50": Case("cuda", "resnet50", (256, 128), (16, 4), 1000, 4, 8),
    "gpu-resnet50-large-batch": Case("cuda", "resnet50", (256, 128), (64, 4), 2000, 4, 8),
}


def write_people(folder: Path, identities: int, images: int = 8, size: tuple[int, int] = (128, 64)) -> pd.DataFrame:
    """JPEG files of smooth noise, one pattern per identity; the table of files, pid and cam."""
    rng, rows = np.random.default_rng(0), []
    for person in range(identities):
        pattern = Image.fromarray(rng.integers(0, 256, (8, 4, 3), dtype=np.uint8)).resize(size[::-1], Image.BICUBIC)
        for image in range(images):
            noisy = np.asarray(pattern, dtype=np.int16) + rng.integers(-10, 11, (*size, 3), dtype=np.int16)
            path = folder / f"{person:04d}_{image}.jpg"
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
            rows.append((str(path), f"{person:04d}", f"c{image % 4}"))
    return pd.DataFrame(rows, columns=["file", "pid", "cam"])


def method_of(case: Case):
    method = create_method("baseline", backbone=case.backbone, canvas=case.canvas, epochs=case.epochs, batch=case.batch)
    with seeded(0):
        method.setup("course", case.identities)
    return method


def ours(case: Case, files: pd.DataFrame, precision: str, compile: bool = False) -> tuple[float, float]:
    """(images per second, seconds spent once)."""
    start = time.perf_counter()
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files["file"]]
    people = PersonDataset.from_arrays("files", images, files[["pid", "cam"]])
    with seeded(0):
        trainer = Trainer(
            method_of(case), whole_set(people), 0, torch.device(case.device), precision, compile=compile
        )  # fmt: skip
        trainer.canvases.slots(range(len(people)), [1.0] * len(people))
        once = time.perf_counter() - start
        place = trainer.run()
    return max(row["images_per_second"] for row in place.history[1:]), once


class Peers(nn.Module):
    """Our network as torchreid's triplet engine calls one: (logits, descriptors) while training."""

    def __init__(self, method: nn.Module):
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.method.pool(self.method.backbone(images))
        return self.method.head(features)[1], features


def torchreid_without_extras() -> types.ModuleType:
    """The package, with empty modules for what it imports to download, draw and log."""

    class Empty(types.ModuleType):
        def __getattr__(self, name: str):
            if name.startswith("__"):
                raise AttributeError(name)
            return object

    unused = {"cv2": [], "gdown": [], "imageio": [], "six": ["six.moves"], "tensorboard": ["torch.utils.tensorboard"]}
    for name, inside in unused.items():
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules |= {full: Empty(full) for full in (name, *inside)}
    import torchreid

    return torchreid


def torchreids(case: Case, files: pd.DataFrame) -> float:
    """Images per second of torchreid's ``ImageTripletEngine`` with its own loader, sampler and transforms."""
    package = torchreid_without_extras()
    pids = {pid: i for i, pid in enumerate(sorted(files["pid"].unique()))}
    rows = [(file, pids[pid], int(cam[1:])) for file, pid, cam in files.itertuples(index=False)]

    class Files(package.reid.data.ImageDataset):
        def __init__(self, root: str = "", **options):
            super().__init__(rows, rows[:1], [(rows[0][0], rows[0][1], 9)], **options)

    name = f"files{time.perf_counter_ns()}"
    package.reid.data.register_image_dataset(name, Files)
    gpu = case.device == "cuda"
    manager = package.reid.data.ImageDataManager(
        root="", sources=name, height=case.canvas[0], width=case.canvas[1], use_gpu=gpu,
        transforms=["random_flip", "random_crop", "random_erase"], train_sampler="RandomIdentitySampler",
        batch_size_train=case.batch[0] * case.batch[1], num_instances=case.batch[1], workers=case.workers,
    )  # fmt: skip
    model = Peers(method_of(case)).to(case.device)
    optimizer = package.reid.optim.build_optimizer(model, optim="adam", lr=1e-3)
    engine = package.reid.engine.ImageTripletEngine(manager, model, optimizer, use_gpu=gpu)
    engine.max_epoch, rates = case.epochs, []
    for engine.epoch in range(case.epochs):
        start = time.perf_counter()
        engine.train(print_freq=10**9)
        if gpu:
            torch.cuda.synchronize()
        batches = len(manager.train_loader)
        rates.append(batches * case.batch[0] * case.batch[1] / (time.perf_counter() - start))
    return max(rates[1:])


def compare(name: str, case: Case, peer: bool, compile: bool) -> None:
    """Print one table."""
    if case.device == "cuda" and not torch.cuda.is_available():
        print(f"\n{name} skipped: no GPU here")
        return
    where = torch.cuda.get_device_name() if case.device == "cuda" else f"{torch.get_num_threads()} CPU thread(s)"
    canvas, batch = " x ".join(map(str, case.canvas)), " x ".join(map(str, case.batch))
    print(f"\n{name}: {case.backbone}, {canvas} pixels, batch {batch}, {where}")
    print(f"  {'':34}{'images/s':>10}{'x torchreid':>13}{'once, s':>9}")
    with tempfile.TemporaryDirectory() as folder:
        files = write_people(Path(folder), case.identities)
        theirs, note = None, ""
        if peer and importlib.util.find_spec("torchreid") is None:
            note = f"torchreid skipped: not installed ({INSTALL})"
        elif peer:
            try:
                with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    theirs = torchreids(case, files)
            except (ImportError, AttributeError, TypeError) as error:
                note = f"torchreid skipped: it does not run with this Python and torch ({error})"
        if theirs:
            print(f"  {'torchreid 0.2.5, fp32':34}{theirs:10.0f}{1:13.2f}")
        best = resolve_precision("auto", torch.device(case.device))
        for precision, compiled in [("fp32", False), (best, False), *([(best, True)] if compile else [])]:
            rate, once = ours(case, files, precision, compiled)
            label = f"ours, {precision}{', compiled' if compiled else ''}"
            print(f"  {label:34}{rate:10.0f}{rate / theirs if theirs else float('nan'):13.2f}{once:9.1f}", flush=True)
        if note:
            print(f"  {note}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--epochs", type=int, help="instead of the case's own number")
    arguments = parser.parse_args()
    for name in arguments.cases:
        case = CASES[name]
        case = replace(case, epochs=arguments.epochs) if arguments.epochs else case
        compare(name, case, not arguments.no_peer, arguments.compile)


if __name__ == "__main__":
    main()
