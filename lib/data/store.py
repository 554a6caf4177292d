"""The cache: every image is decoded once, and mapped from disk ever after.

A store is a folder with ``pixels.bin`` (all images, flat), ``masks.bin`` (packed bits, where the set has masks),
``table.json`` and ``meta.json``. It is written under a temporary name and renamed when complete, so that a folder with
the right name is always whole, whenever its writer was killed; a file lock lets the second of two processes wait for
the first one's work. Images stream through one at a time: decoding MSMT17 needs its pixels on disk but not in memory.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from lib.bars import Bar
from lib.data.dataset import PersonDataset, check_image, hash_image, hash_labels, pack_mask, tidy_table
from lib.data.errors import DataError, DataWarning, few
from lib.data.labels import readable

FORMAT = 2
PATIENCE = 5.0  # seconds of waiting for another process before saying so
LONGEST = 80  # bytes of a set's name in its folder's name; file systems allow 255 with everything that is appended
REASONS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your quota on this disk is used up: free some space",
    errno.EACCES: "it cannot be written",
    errno.EPERM: "it cannot be written",
    errno.EROFS: "it cannot be written",
    errno.ENAMETOOLONG: "its path is too long",
    errno.EEXIST: "there is a file in its place",
    errno.ENOTDIR: "there is a file in its place",
    errno.ENOLCK: "its disk cannot lock files",
    errno.ENOSYS: "its disk cannot lock files",
}


class Item(NamedTuple):
    """One image on its way into the store."""

    record: dict[str, Any]  # pid, cam, subset, file and attributes
    image: np.ndarray  # (h, w, 3) uint8
    mask: np.ndarray | None = None  # (h, w) bool
    digest: bytes | None = None  # of the file's bytes, to find duplicates
    remarks: Sequence[str] = ()  # what was done to the picture, to be said once for all of them ("have …")


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
    directory = Path(cache).absolute() / folder_name(source)  # a worker process may stand in another folder
    dataset = opened(directory)
    if dataset is None:
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            with waiting(FileLock(f"{directory}.lock"), directory):
                dataset = opened(directory)
                if dataset is None:
                    build(source, directory)
                    dataset = open_store(directory)
        except OSError as error:
            reason = REASONS.get(error.errno or 0) or f"it cannot be used ({error})"
            raise DataError(
                f"The cache {readable(directory.parent)} of decoded images: {reason}, or name another folder with "
                "cache=… or REID_CACHE."
            ) from error
    for text in dataset.warnings:
        warnings.warn(f"{source.name}: {text}", DataWarning, stacklevel=3)
    return dataset


def folder_name(source: Source) -> str:
    """The store's folder in the cache: the set's name, as much of it as file systems take, and a hash of its key."""
    digest = hashlib.sha256(json.dumps([FORMAT, source.name, source.key], sort_keys=True).encode()).hexdigest()[:16]
    name = "".join(letter if letter.isprintable() and letter not in '<>:"/\\|?*' else "_" for letter in source.name)
    return f"{name.encode()[:LONGEST].decode(errors='ignore')}-{digest}"


class StoredDataset(PersonDataset):
    """A set that is mapped from the cache. A worker process opens the cache itself instead of receiving gigabytes of
    pixels through a pipe; what was changed after loading (labels, attached masks) travels with it.

    Parameters
    ----------
    directory : the store's folder; keywords are those of :class:`lib.data.dataset.PersonDataset`.
    warnings : what is said each time the set is loaded.
    """

    def __init__(self, directory: Path, warnings: Sequence[str], **keywords: Any):
        super().__init__(**keywords)
        self.directory = directory
        self.warnings = tuple(warnings)

    def __reduce__(self):
        if self.table.equals(self._as_hashed) and not self.masks_from:
            return open_store, (self.directory,)
        masks = self._masks if self.masks_from else None  # else they are in the cache
        return reopen, (self.directory, self.table, masks, self.notes, self.masks_from)


def reopen(
    directory: Path, table: pd.DataFrame, masks: np.ndarray | None, notes: Sequence[str], masks_from: str
) -> PersonDataset:
    """A set from the cache with labels or packed masks that are not in it, for unpickling."""
    stored = open_store(directory).with_table(table)
    return stored if masks is None else stored.with_packed_masks(masks, notes, masks_from)


def open_store(directory: Path) -> StoredDataset:
    """Map a complete store; nothing but the table is read.

    Raises
    ------
    DataError : the store is not there any more, or its files are not those that were written.
    """
    try:
        meta = json.loads((directory / "meta.json").read_text(encoding="utf-8"))
        sizes = {name: (directory / name).stat().st_size for name in meta["sizes"]}
        if sizes != meta["sizes"]:
            raise ValueError(f"files of {sizes} bytes where {meta['sizes']} were written")
        return StoredDataset(
            directory,
            meta["warnings"],
            name=meta["name"],
            table=read_table(directory / "table.json", meta["table"]),
            pixels=np.memmap(directory / "pixels.bin", dtype=np.uint8, mode="r"),
            masks=np.memmap(directory / "masks.bin", dtype=np.uint8, mode="r") if meta["masks"] else None,
            fingerprint=meta["fingerprint"],
            notes=[*meta["warnings"], *meta["notes"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"The cache of decoded images {readable(directory)} is gone or damaged ({error}): it was removed or "
            "changed while it was in use. Call load_dataset again, which makes it anew."
        ) from error


def opened(directory: Path) -> StoredDataset | None:
    """The store where it is whole, whoever wrote it and whenever its writer was killed, else None."""
    try:
        return open_store(directory)
    except DataError:
        return None


@contextmanager
def waiting(lock: FileLock, directory: Path) -> Iterator[None]:
    """Hold a lock; say after a while that another process is at work, and wait on."""
    try:
        lock.acquire(timeout=PATIENCE)
    except NotImplementedError as error:  # how filelock says that a disk knows no locks
        raise OSError(errno.ENOLCK, str(error)) from error
    except Timeout:
        print(f"waiting for another process that is preparing {directory.name} …", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def build(source: Source, directory: Path) -> None:
    """Write the store of ``source``; the caller holds the lock of ``directory``."""
    for leftover in [*directory.parent.glob(f"{glob.escape(directory.name)}.part*"), directory]:
        # Of a process that was killed, or damaged: the lock says that nobody writes it now.
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
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
    remarks: dict[str, list[str]] = {}
    hasher = hashlib.sha256()
    some_masks = None
    bar = Bar(f"preparing {source.name}", source.total)
    with open(part / "pixels.bin", "wb") as pixels, open(part / "masks.bin", "wb") as masks, bar:
        for item in source.items():
            where = item.record.get("file") or f"{source.name}, image {len(records)}"
            check_image(item.image, where)
            pixels.write(np.ascontiguousarray(item.image))
            hash_image(hasher, item.image)
            if some_masks is None:
                some_masks = item.mask is not None
            if (item.mask is not None) != some_masks or (some_masks and item.mask.shape != item.image.shape[:2]):
                raise DataError(f"{where}: either every image has a mask of its own size, or none has one.")
            if some_masks:
                masks.write(pack_mask(item.mask))
            for remark in item.remarks:
                remarks.setdefault(remark, []).append(where)
            if item.digest is not None:
                first = seen.setdefault(item.digest, item.record["file"])
                if first != item.record["file"]:
                    twins.append(f"{first} = {item.record['file']}")
            records.append(item.record)
            sizes.append(item.image.shape[:2])
            bar.step()
    if not records:
        raise DataError(f"{source.name}: no images were found.")
    table = pd.DataFrame(records).assign(height=[size[0] for size in sizes], width=[size[1] for size in sizes])
    table, more = source.finish(tidy_table(table, source.name))
    more = [*more, *(f"{len(files)} picture(s) {remark}: {few(files)}." for remark, files in remarks.items())]
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
        "table": write_table(table, part / "table.json"),
        "warnings": [*source.warnings, *more],
        "notes": source.notes,
        "sizes": {name: (part / name).stat().st_size for name in ("pixels.bin", "masks.bin", "table.json")},
    }


def write_table(table: pd.DataFrame, path: Path) -> str:
    """Write the table as JSON, column by column, because "0002" must not come back as 2; returns the file's SHA-256."""
    columns = {name: [plain(value) for value in table[name].tolist()] for name in table.columns}
    content = json.dumps(columns).encode("ascii")
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_table(path: Path, digest: str) -> pd.DataFrame:
    """The table as :func:`write_table` was given it; raises ValueError where the file is another one."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path.name} is not the table that was written")
    return pd.DataFrame(json.loads(content))


def plain(value: Any) -> Any:
    """NumPy values as JSON knows them."""
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(element) for element in value]
    return value.item() if isinstance(value, np.generic) else value
