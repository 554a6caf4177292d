"""The cache: every image is decoded once, and mapped from disk ever after.

A store is a folder with ``pixels.bin`` (all images, flat), ``masks.bin`` (packed bits, where the set has masks),
``table.csv`` and ``meta.json``. It is written under a temporary name and renamed when complete, so that a folder with
the right name is always whole, whenever its writer was killed; a file lock lets the second of two processes wait for
the first one's work. Images stream through one at a time: decoding MSMT17 needs its pixels on disk but not in memory.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from lib.data.dataset import COLUMNS, TEXT, PersonDataset, check_image, hash_image, hash_labels, pack_mask, tidy_table
from lib.data.errors import DataError, DataWarning, few

FORMAT = 1
PROGRESS_AFTER = 2.0  # seconds; what is quicker needs no bar
FROM_TEXT = {
    "bool": lambda text: text == "True",
    "int64": int,
    "float64": lambda text: float(text or "nan"),
    "json": json.loads,
}
DTYPES = {"bool": "bool", "int64": "int64", "float64": "float64"}
PATIENCE = 5.0  # seconds of waiting for another process before saying so


class Item(NamedTuple):
    """One image on its way into the store."""

    record: dict[str, Any]  # pid, cam, subset, file and attributes
    image: np.ndarray  # (h, w, 3) uint8
    mask: np.ndarray | None = None  # (h, w) bool
    digest: bytes | None = None  # of the file's bytes, to find duplicates


def as_read(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    return table, []


@dataclass
class Source:
    """What a reader hands over: how to recognise its content without decoding, and how to decode it.

    ``key`` identifies the content (file names, sizes and times, or a renderer's version and options). ``finish`` may
    complete the table when all sizes are known and returns further warnings. ``identity`` replaces the pixels in the
    fingerprint of rendered sets.
    """

    name: str
    key: Mapping[str, Any]
    items: Callable[[], Iterator[Item]]
    total: int | None = None
    finish: Callable[[pd.DataFrame], tuple[pd.DataFrame, list[str]]] = as_read
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    identity: Mapping[str, Any] | None = None


def load(source: Source, cache: Path) -> PersonDataset:
    """The set of ``source`` from the cache, decoded into it first where it is not there.

    Raises
    ------
    DataError : an image cannot be read, the set is empty, or the cache cannot be written.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, source.name, source.key], sort_keys=True).encode()).hexdigest()[:16]
    directory = Path(cache) / f"{source.name}-{digest}"
    if not is_whole(directory):
        try:
            Path(cache).mkdir(parents=True, exist_ok=True)
            with waiting(FileLock(f"{directory}.lock"), directory):
                if not is_whole(directory):
                    build(source, directory)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                reason = "the disk is full: free some space"
            elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                reason = "it cannot be written"
            else:
                raise
            message = (
                f"The cache {cache} of decoded images: {reason}, or name another folder with cache=… or REID_CACHE."
            )
            raise DataError(message) from error
    dataset = open_store(directory)
    for text in read_meta(directory)["warnings"]:
        warnings.warn(f"{source.name}: {text}", DataWarning, stacklevel=3)
    return dataset


def open_store(directory: Path) -> PersonDataset:
    """Map a complete store; nothing but the table is read."""
    meta = read_meta(directory)
    kinds = meta["kinds"]
    # Everything is read as text, and nothing as missing: "NA" may be somebody's identity. Python's float is exact.
    table = pd.read_csv(directory / "table.csv", dtype=str, keep_default_na=False)
    for name, kind in kinds.items():
        if kind != "str":
            table[name] = pd.Series([FROM_TEXT[kind](text) for text in table[name]], dtype=DTYPES.get(kind, object))
    pixels = np.memmap(directory / "pixels.bin", dtype=np.uint8, mode="r")
    masks = np.memmap(directory / "masks.bin", dtype=np.uint8, mode="r") if meta["masks"] else None
    return PersonDataset(
        meta["name"], table, pixels, masks, meta["fingerprint"], meta["warnings"] + meta["notes"], directory
    )


def read_meta(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "meta.json").read_text(encoding="utf-8"))


def is_whole(directory: Path) -> bool:
    """Whether a store is there and its files have the sizes that were written."""
    try:
        return all((directory / name).stat().st_size == size for name, size in read_meta(directory)["sizes"].items())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, KeyError):
        return False


@contextmanager
def waiting(lock: FileLock, directory: Path) -> Iterator[None]:
    """Hold a lock; say after a while that another process is at work, and wait on."""
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        print(f"waiting for another process that is preparing {directory.name} …", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def build(source: Source, directory: Path) -> None:
    """Write the store of ``source``; the caller holds the lock of ``directory``."""
    for leftover in [*directory.parent.glob(f"{directory.name}.part*"), directory]:
        if leftover.exists():  # of a process that was killed, or damaged: the lock says that nobody writes it now
            shutil.rmtree(leftover)
    part = directory.with_name(f"{directory.name}.part{os.getpid()}")
    part.mkdir()
    try:
        meta = write(source, part)
        (part / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True), encoding="utf-8")
        for file in part.iterdir():
            flush(file)
        os.replace(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write(source: Source, part: Path) -> dict[str, Any]:
    """Stream all images into ``part`` and return what ``meta.json`` will say."""
    records, sizes, seen, twins = [], [], {}, []
    hasher = hashlib.sha256()
    some_masks = None
    bar = tqdm(total=source.total, desc=f"preparing {source.name}", unit="image", delay=PROGRESS_AFTER, leave=False)
    with open(part / "pixels.bin", "wb") as pixels, open(part / "masks.bin", "wb") as masks, bar:
        for item in source.items():
            check_image(item.image, item.record.get("file") or f"{source.name}, image {len(records)}")
            pixels.write(np.ascontiguousarray(item.image))
            hash_image(hasher, item.image)
            if some_masks is None:
                some_masks = item.mask is not None
            if some_masks:
                masks.write(pack_mask(item.mask))
            if item.digest is not None:
                first = seen.setdefault(item.digest, item.record["file"])
                if first != item.record["file"]:
                    twins.append(f"{first} = {item.record['file']}")
            records.append(item.record)
            sizes.append(item.image.shape[:2])
            bar.update()
    if not records:
        raise DataError(f"{source.name}: no images were found.")
    table = pd.DataFrame(records).assign(height=[size[0] for size in sizes], width=[size[1] for size in sizes])
    table, more = source.finish(tidy_table(table))
    if twins:
        more = [*more, f"files with the same bytes: {few(twins)}. Remove one of each if they were copied by mistake."]
    pixels_sha256 = hasher.hexdigest()
    if source.identity is not None:
        hasher = hashlib.sha256(json.dumps(source.identity, sort_keys=True).encode())
    hash_labels(hasher, table)
    return {
        "format": FORMAT,
        "name": source.name,
        "fingerprint": hasher.hexdigest(),
        "pixels_sha256": pixels_sha256,
        "masks": bool(some_masks),
        "kinds": write_table(table, part / "table.csv"),
        "warnings": [*source.warnings, *more],
        "notes": source.notes,
        "sizes": {name: (part / name).stat().st_size for name in ("pixels.bin", "masks.bin", "table.csv")},
    }


def write_table(table: pd.DataFrame, path: Path) -> dict[str, str]:
    """Write the table as CSV; returns each column's kind, because "0002" must not come back as 2."""
    table, kinds = table.copy(), {}
    for name in table.columns:
        values = table[name]
        if name in TEXT:
            kinds[name] = "str"
        elif pd.api.types.is_bool_dtype(values):
            kinds[name] = "bool"
        elif pd.api.types.is_integer_dtype(values):
            kinds[name] = "int64"
        elif pd.api.types.is_float_dtype(values):
            kinds[name] = "float64"
            table[name] = values.astype(np.float64)
        elif all(isinstance(value, str) for value in values):
            kinds[name] = "str"
        else:
            kinds[name] = "json"
            table[name] = [json.dumps(plain(value)) for value in values]
    table.to_csv(path, index=False)
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    return kinds


def plain(value: Any) -> Any:
    """NumPy values as JSON knows them."""
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(element) for element in value]
    return value.item() if isinstance(value, np.generic) else value
