"""PersonDataset: images of people with identity and camera.

Letters used below: N images, h and w the height and width of one image in pixels.

The pixels of all images lie one after the other in a single flat array of bytes, because person images have many sizes
(CAVIAR: 16 to 75 pixels wide) and must keep them: resolution is what this course is about. The array is usually
memory-mapped from the cache (see :mod:`lib.data.store`), so that opening Market-1501 takes no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.errors import DataError

SUBSETS = ("train", "query", "gallery", "")
TEXT = ("pid", "cam", "subset", "file")
COLUMNS = ("pid", "cam", "width", "height", "subset", "file")


class PersonDataset:
    """Images of people: one table row and one uint8 image each.

    Parameters
    ----------
    name : the set's name, for example ``"viper"``.
    table : one row per image with the columns of :data:`COLUMNS`; further columns are attributes and stay.
    pixels : (sum of h*w*3,) uint8, the RGB images row after row, one after the other.
    masks : (sum of ceil(h*w/8),) uint8, the foreground masks as packed bits, or None.
    fingerprint : given by the cache; computed from the pixels and the labels when None.
    notes : what the reader found worth saying about these files.
    directory : the cache folder the pixels are mapped from, or None for a set in memory.
    masks_from : SHA-256 hex of masks that were attached later (:mod:`lib.data.masks`); "" = the set's own, or none.

    Raises
    ------
    DataError : the table lacks a column, a subset is unknown, or the pixels do not fit the table.
    """

    def __init__(
        self,
        name: str,
        table: pd.DataFrame,
        pixels: np.ndarray,
        masks: np.ndarray | None = None,
        fingerprint: str | None = None,
        notes: Sequence[str] = (),
        directory: Path | None = None,
        masks_from: str = "",
    ):
        self.name = name
        self.table = tidy_table(table)
        self.notes = tuple(notes)
        self.directory = directory
        self.masks_from = masks_from
        self._pixels = pixels
        self._masks = masks
        self._fingerprint = fingerprint
        self._heights = self.table["height"].to_numpy(np.int64)
        self._widths = self.table["width"].to_numpy(np.int64)
        sizes = self._heights * self._widths
        self._starts = np.concatenate([[0], np.cumsum(3 * sizes)])
        self._mask_starts = np.concatenate([[0], np.cumsum((sizes + 7) // 8)])
        if len(pixels) != self._starts[-1]:
            raise DataError(f"{name}: the table describes {self._starts[-1]} bytes of pixels, there are {len(pixels)}.")
        if masks is not None and len(masks) != self._mask_starts[-1]:
            raise DataError(f"{name}: the table describes {self._mask_starts[-1]} bytes of masks, not {len(masks)}.")

    @classmethod
    def from_arrays(
        cls, name: str, images: Sequence[np.ndarray], table: pd.DataFrame, masks: Sequence[np.ndarray] | None = None
    ) -> PersonDataset:
        """A set in memory from N images (h, w, 3) uint8 of any sizes, a table with at least pid and cam, and masks (h,
        w) bool."""
        images = [check_image(image, f"{name}, image {i}") for i, image in enumerate(images)]
        if len(images) != len(table):
            raise DataError(f"{name}: {len(images)} images for {len(table)} rows of the table.")
        table = table.reset_index(drop=True).assign(
            height=[image.shape[0] for image in images], width=[image.shape[1] for image in images]
        )
        packed = None
        if masks is not None:
            packed = np.concatenate([pack_mask(mask) for mask in masks] or [np.zeros(0, np.uint8)])
        return cls(name, table, np.concatenate([image.ravel() for image in images] or [np.zeros(0, np.uint8)]), packed)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        people, cameras = self.table["pid"].nunique(), self.table["cam"].nunique()
        return f"PersonDataset({self.name!r}: {len(self)} images of {people} people in {cameras} cameras)"

    def __reduce__(self):
        # A worker process opens the cache itself instead of receiving gigabytes of pixels through a pipe.
        if self.directory is not None:
            from lib.data.store import open_store

            if self.masks_from:  # these are not in the cache: they travel, 1/24 of the pixels
                from lib.data.masks import open_with_masks

                return open_with_masks, (self.directory, self._masks, self.notes, self.masks_from)
            return open_store, (self.directory,)
        state = (
            self.name, self.table, self._pixels, self._masks, self._fingerprint, self.notes, None, self.masks_from
        )  # fmt: skip
        return PersonDataset, state

    @property
    def widths_max(self) -> int:
        """Width in pixels of the widest image: RIPR's width_max, which defines the resolution r of an image (section
        3)."""
        return int(self._widths.max()) if len(self) else 0

    @property
    def has_masks(self) -> bool:
        return self._masks is not None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the pixels and the columns pid, cam and subset.

        A rendered set has the hash of the renderer's version and options instead of the pixels (see
        :func:`lib.data.store.labels_digest`): two machines round some rendered pixels differently, and it is the same
        set.
        """
        if self._fingerprint is None:
            hasher = hashlib.sha256()
            for i in range(len(self)):
                hash_image(hasher, self.image(i))
            hash_labels(hasher, self.table)
            self._fingerprint = hasher.hexdigest()
        return self._fingerprint

    def image(self, i: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB of row ``i``; a read-only view."""
        i = self._row(i)
        view = self._pixels[self._starts[i] : self._starts[i + 1]].reshape(self._heights[i], self._widths[i], 3)
        view = view.view(np.ndarray)
        view.flags.writeable = False
        return view

    def mask(self, i: int) -> np.ndarray | None:
        """(h, w) bool, True on the person, or None where the set has no masks."""
        if self._masks is None:
            return None
        i = self._row(i)
        height, width = int(self._heights[i]), int(self._widths[i])
        bits = np.unpackbits(self._masks[self._mask_starts[i] : self._mask_starts[i + 1]], count=height * width)
        return bits.astype(bool).reshape(height, width)

    def take(self, rows: Iterable[int], name: str | None = None) -> PersonDataset:
        """The set of these rows only, in this order, copied to memory; its rows are numbered from 0 again."""
        rows = [self._row(row) for row in rows]
        pixels = [self.image(row).ravel() for row in rows]
        masks = None
        if self._masks is not None:
            masks = np.concatenate(
                [self._masks[self._mask_starts[i] : self._mask_starts[i + 1]] for i in rows] or [np.zeros(0, np.uint8)]
            )
        fingerprint = hashlib.sha256(f"{self.fingerprint} rows {rows}".encode()).hexdigest()
        table = self.table.iloc[rows].reset_index(drop=True)
        pixels = np.concatenate(pixels or [np.zeros(0, np.uint8)])
        return PersonDataset(
            name or self.name, table, pixels, masks, fingerprint, self.notes, masks_from=self.masks_from
        )

    def _row(self, i: int) -> int:
        i = int(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} images; there is no row {i}")
        return i % len(self)


def tidy_table(table: pd.DataFrame) -> pd.DataFrame:
    """Columns in a fixed order and of fixed types: pid, cam, subset and file as text, sizes as integers, index
    0..N-1."""
    missing = [column for column in ("pid", "cam", "width", "height") if column not in table]
    if missing:
        raise DataError(f"The table of a person data set lacks the column(s) {', '.join(missing)}.")
    table = table.reset_index(drop=True)
    for column in ("subset", "file"):
        if column not in table:
            table[column] = ""
    for column in TEXT:
        table[column] = table[column].astype(str)
    for column in ("width", "height"):
        table[column] = table[column].astype(np.int64)
    unknown = sorted(set(table["subset"]) - set(SUBSETS))
    if unknown:
        raise DataError(f"Unknown subset {few_quoted(unknown)}: use train, query, gallery or leave it empty.")
    return table[[*COLUMNS, *(column for column in table.columns if column not in COLUMNS)]]


def few_quoted(items: Sequence[str]) -> str:
    return ", ".join(repr(item) for item in items[:5])


def check_image(image: np.ndarray, where: str) -> np.ndarray:
    """The image itself if it is (h, w, 3) uint8 and not empty, otherwise a DataError that names it."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"{where}: expected (h, w, 3) uint8 RGB, got {image.shape} {image.dtype}.")
    return image


def pack_mask(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool -> (ceil(h*w/8),) uint8: eight pixels to a byte."""
    return np.packbits(np.asarray(mask, dtype=bool).ravel())


def hash_image(hasher, image: np.ndarray) -> None:
    """Add the size and the pixels of one image (h, w, 3) to a hash."""
    hasher.update(f"{image.shape[0]}x{image.shape[1]};".encode())
    hasher.update(np.ascontiguousarray(image))


def hash_labels(hasher, table: pd.DataFrame) -> None:
    """Add the columns pid, cam and subset to a hash; lengths keep neighbouring texts apart."""
    for column in ("pid", "cam", "subset"):
        for text in table[column]:
            encoded = text.encode()
            hasher.update(f"{len(encoded)}:".encode() + encoded)
