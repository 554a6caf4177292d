"""PersonDataset: images of people with identity and camera.

Letters used below: N images, h and w the height and width of one image in pixels.

The pixels of all images lie one after the other in a single flat array of bytes, because person images have many sizes
(CAVIAR: 16 to 75 pixels wide) and must keep them: resolution is what this course is about. The array is usually
memory-mapped from the cache (see :mod:`lib.data.store`), so that opening Market-1501 takes no memory.

Pixels cannot be written to. Labels can be corrected: ``people.with_table(corrected)`` is the set with other labels.
What is written into ``people.table`` itself counts as well: the fingerprint is that of the labels as they are now.
"""

from __future__ import annotations

import hashlib
import operator
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.data.errors import DataError, DataWarning, few
from lib.data.labels import clean_labels, spelling_warnings

SUBSETS = ("train", "query", "gallery", "")
LABELS = ("pid", "cam", "subset")
TEXT = (*LABELS, "file")
COLUMNS = ("pid", "cam", "width", "height", "subset", "file")
MASKS_NOTE = "masks: "


class PersonDataset:
    """Images of people: one table row and one uint8 image each.

    Parameters
    ----------
    name : the set's name, for example ``"viper"``.
    table : one row per image with the columns of :data:`COLUMNS`; further columns are attributes and stay.
    pixels : (sum of h*w*3,) uint8, the RGB images row after row, one after the other.
    masks : (sum of ceil(h*w/8),) uint8, the foreground masks as packed bits, or None.
    fingerprint : of these pixels with this table's labels; computed from them when None.
    notes : what the reader found worth saying about these files.
    masks_from : SHA-256 hex of masks that were given as arrays or attached later; "" = a cached set's own, or none.

    Raises
    ------
    DataError : the set has no name; the table lacks a column, has one twice or a label that is missing; a subset is
        unknown; or the pixels do not fit the table.
    """

    directory: Path | None = None  # the cache folder of a set that is mapped from there

    def __init__(
        self,
        name: str,
        table: pd.DataFrame,
        pixels: np.ndarray,
        masks: np.ndarray | None = None,
        fingerprint: str | None = None,
        notes: Sequence[str] = (),
        masks_from: str = "",
    ):
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"A data set's name is a text of at least one letter, not {name!r}.")
        self.name = name
        self.notes = tuple(notes)
        self.masks_from = masks_from
        self._table = tidy_table(table, name)
        self._as_hashed = self._table.copy()  # what `fingerprint` was given for
        self._fingerprint = fingerprint
        self._pixels_hash: Any = None
        self._pixels = locked(pixels)
        self._masks = None if masks is None else locked(masks)
        self._heights = self._table["height"].to_numpy(np.int64, copy=True)
        self._widths = self._table["width"].to_numpy(np.int64, copy=True)
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
        """A set in memory from N images (h, w, 3) uint8 of any sizes, a table with at least pid and cam, and N masks
        (h, w) bool.

        Whole numbers are taken as names (1 and 1.0 are "1"), blanks at a name's ends do not count.

        Raises
        ------
        DataError : an image, a mask or a label is missing or of another kind; says which.

        Warns
        -----
        DataWarning : names that are almost the same.
        """
        images = [check_image(image, f"{name}, image {i}") for i, image in enumerate(images)]
        if len(images) != len(table):
            raise DataError(f"{name}: {len(images)} images for {len(table)} rows of the table.")
        given = pd.DataFrame(table).reset_index(drop=True)
        sizes = {
            "height": [image.shape[0] for image in images],
            "width": [image.shape[1] for image in images],
        }
        made = cls(name, given.assign(**sizes), joined([image.ravel() for image in images]))
        found = []
        for column in ("pid", "cam"):
            found += spelling_warnings(given[column].tolist(), made.table[column].tolist(), column)
        for text in found:
            warnings.warn(f"{name}: {text}", DataWarning, stacklevel=2)
        if masks is None:
            return made
        bits = made._packed(masks)
        return made.with_packed_masks(bits, (), hashlib.sha256(bits).hexdigest())

    def __len__(self) -> int:
        return len(self._heights)

    def __repr__(self) -> str:
        people, cameras = self.table["pid"].nunique(), self.table["cam"].nunique()
        return f"PersonDataset({self.name!r}: {len(self)} images of {people} people in {cameras} cameras)"

    def __reduce__(self):
        fingerprint = None if self._fingerprint is None else self.fingerprint
        return PersonDataset, (
            self.name, self.table, self._pixels, self._masks, fingerprint, self.notes, self.masks_from
        )  # fmt: skip

    @property
    def table(self) -> pd.DataFrame:
        """One row per image. Correct labels in a copy and take :meth:`with_table`."""
        return self._table

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
        """SHA-256 over the pixels and the columns pid, cam and subset, as they are now.

        A rendered set has the hash of the renderer and its options instead of the pixels (see
        :func:`lib.data.store.write`): two machines round some rendered pixels differently, and it is the same set.

        Raises
        ------
        DataError : the table was changed so that it no longer describes these images, or a label is no text.
        """
        self._check_table(self._table)
        if self._fingerprint is None:
            if self._pixels_hash is None:
                self._pixels_hash = hashlib.sha256()
                for i in range(len(self)):
                    hash_image(self._pixels_hash, self.image(i))
            hasher = self._pixels_hash.copy()
            hash_labels(hasher, self._table)
            return hasher.hexdigest()
        if all(self._table[column].tolist() == self._as_hashed[column].tolist() for column in LABELS):
            return self._fingerprint
        hasher = hashlib.sha256(f"{self._fingerprint} with the labels ".encode())
        hash_labels(hasher, self._table)
        return hasher.hexdigest()

    def _check_table(self, table: pd.DataFrame) -> None:
        """Raises DataError where ``table`` is not one row per image, in order, with labels as text."""
        remedy = (
            f"Take copy = people.table.copy(), correct the columns {', '.join(LABELS)} there, and go on with "
            "people.with_table(copy); people.take(rows) leaves images out."
        )
        lost = [column for column in COLUMNS if column not in table]
        if lost:
            raise DataError(f"{self.name}: the table has lost the column(s) {', '.join(lost)}. {remedy}")
        if not table.index.equals(pd.RangeIndex(len(self))):
            raise DataError(f"{self.name}: the table's rows are no longer 0 to {len(self) - 1} in order. {remedy}")
        for column, own in (("height", self._heights), ("width", self._widths)):
            if not np.array_equal(table[column].to_numpy(), own):
                raise DataError(f"{self.name}: the column {column} is not that of the images any more. {remedy}")
        for column in LABELS:
            odd = [value for value in table[column].tolist() if not isinstance(value, str)]
            if odd:
                raise DataError(f"{self.name}: {column} holds {odd[0]!r}, which is no text. {remedy}")

    def image(self, i: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB of row ``i``; a read-only view."""
        i = self._row(i)
        view = self._pixels[self._starts[i] : self._starts[i + 1]].reshape(self._heights[i], self._widths[i], 3)
        return view.view(np.ndarray)

    def mask(self, i: int) -> np.ndarray | None:
        """(h, w) bool, True on the person, or None where the set has no masks."""
        i = self._row(i)
        if self._masks is None:
            return None
        height, width = int(self._heights[i]), int(self._widths[i])
        bits = np.unpackbits(self._masks[self._mask_starts[i] : self._mask_starts[i + 1]], count=height * width)
        return bits.astype(bool).reshape(height, width)

    def take(self, rows: Iterable[int] | Iterable[bool], name: str | None = None) -> PersonDataset:
        """The set of some rows only, copied to memory; its rows are numbered from 0 again.

        Parameters
        ----------
        rows : the numbers of rows (negative ones count from the end), taken in this order; or N truth values, such as
            ``people.table["cam"] == "c1"``, which take the rows that are true.

        Raises
        ------
        DataError : neither whole numbers nor truth values, or truth values that are not one per row.
        IndexError : a row that is not there.
        """
        rows = self._chosen(rows)
        pixels = joined([self.image(row).ravel() for row in rows])
        masks = None
        if self._masks is not None:
            masks = joined([self._masks[self._mask_starts[i] : self._mask_starts[i + 1]] for i in rows])
        fingerprint = hashlib.sha256(f"{self.fingerprint} rows {rows}".encode()).hexdigest()
        table = self.table.iloc[rows].reset_index(drop=True)
        return PersonDataset(
            self.name if name is None else name, table, pixels, masks, fingerprint, self.notes, self.masks_from
        )

    def with_table(self, table: pd.DataFrame) -> PersonDataset:
        """The same images with other labels: the set's own table with corrected pid, cam or subset, or with further
        columns.

        The new set's fingerprint is another one where a label differs, and the same where none does. Pixels are not
        copied; masks stay.

        Raises
        ------
        DataError : the table has other rows, sizes or columns than this set's, or a label is missing.
        """
        table = pd.DataFrame(table)
        if not table.index.equals(pd.RangeIndex(len(self))):
            raise DataError(
                f"{self.name}: the table needs the rows 0 to {len(self) - 1} in order, as people.table has them; "
                "people.take(rows) leaves images out."
            )
        tidy = tidy_table(table, self.name)
        self._check_table(tidy)
        return self._changed(_table=tidy)

    def with_masks(self, masks: Iterable[np.ndarray], origin: str) -> PersonDataset:
        """The same set with these foreground masks: same name, images, labels and fingerprint; pixels are not copied.

        Parameters
        ----------
        masks : N arrays (h, w) bool, True on the person, in the order of the table; replace masks that the set has.
        origin : where they are from, in words, for the set's ``notes``.

        The new set's ``masks_from`` is the SHA-256 of the masks, which becomes part of the key of a run on them.

        Raises
        ------
        DataError : too few or too many masks, or one is not (h, w) bool.

        Warns
        -----
        DataWarning : how many masks have no person in them.
        """
        bits = self._packed(masks)
        empty = [self.describe(row) for row in range(len(self)) if not self._mask_bits(bits, row).any()]
        if empty:
            warnings.warn(
                f"{self.name}: {len(empty)} of {len(self)} masks are empty, nobody is in them: {few(empty)}.",
                DataWarning,
                stacklevel=2,
            )
        notes = (*(note for note in self.notes if not note.startswith(MASKS_NOTE)), MASKS_NOTE + origin)
        return self.with_packed_masks(bits, notes, hashlib.sha256(bits).hexdigest())

    def with_packed_masks(self, bits: np.ndarray, notes: Sequence[str], masks_from: str) -> PersonDataset:
        """The same set with masks that were packed and hashed before (see :class:`PersonDataset`)."""
        return self._changed(_table=self.table.copy(), _masks=locked(bits), notes=tuple(notes), masks_from=masks_from)

    def describe(self, i: int) -> str:
        """The file of row ``i``, or its number where it has none: how messages call an image."""
        return str(self.table["file"].iloc[self._row(i)]) or f"image {i}"

    def _changed(self, **attributes: Any) -> PersonDataset:
        """This set, of the same class and on the same pixels, with other attributes."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), **attributes)
        return other

    def _packed(self, masks: Iterable[np.ndarray]) -> np.ndarray:
        """N masks (h, w) bool as one array of bits; raises DataError where they do not fit the images."""
        packed = []
        for row, mask in enumerate(masks):
            if row < len(self):  # too many are counted below
                mask = np.asarray(mask)
                size = (int(self._heights[row]), int(self._widths[row]))
                if mask.dtype != bool or mask.shape != size:
                    raise DataError(
                        f"{self.name}, mask of {self.describe(row)}: expected {size} bool, got {mask.shape} "
                        f"{mask.dtype}."
                    )
            packed.append(pack_mask(mask))
        if len(packed) != len(self):
            raise DataError(f"{self.name}: {len(packed)} masks for {len(self)} images; give one per image.")
        return joined(packed)

    def _mask_bits(self, bits: np.ndarray, row: int) -> np.ndarray:
        return bits[self._mask_starts[row] : self._mask_starts[row + 1]]

    def _chosen(self, rows: Iterable[Any]) -> list[int]:
        """Numbers of rows, from 0, for numbers or for one truth value per row."""
        if isinstance(rows, (str, bytes)) or not isinstance(rows, Iterable):
            raise DataError(f"{self.name}: take wants a list of rows or one truth value per row, not {rows!r}.")
        if isinstance(rows, pd.Series) and rows.dtype == bool and not rows.index.equals(self.table.index):
            raise DataError(
                f"{self.name}: the truth values belong to other rows than people.table's {len(self)} in order; compare "
                "columns of people.table itself."
            )
        chosen = list(rows)
        truths = [isinstance(value, (bool, np.bool_)) for value in chosen]
        if any(truths) or (hasattr(rows, "dtype") and pd.api.types.is_bool_dtype(rows)):
            if not all(truths) or len(chosen) != len(self):
                raise DataError(
                    f"{self.name}: {sum(truths)} truth values and {len(chosen) - sum(truths)} others for {len(self)} "
                    "rows; give one truth value per row, or the numbers of rows."
                )
            return [row for row, value in enumerate(chosen) if value]
        return [self._row(value) for value in chosen]

    def _row(self, i: int) -> int:
        try:
            if isinstance(i, (bool, np.bool_)):
                raise TypeError
            i = operator.index(i)
        except TypeError as error:
            raise DataError(f"{self.name}: {i!r} is no number of a row; rows are whole numbers.") from error
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} images; there is no row {i}")
        return i % len(self)


def locked(array: np.ndarray) -> np.ndarray:
    """The array itself where nobody can write to it, else a copy that nobody can write to."""
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One flat uint8 array of all parts, which cannot be written to."""
    array = np.concatenate(parts) if len(parts) else np.zeros(0, np.uint8)
    array.flags.writeable = False
    return array


def tidy_table(table: pd.DataFrame, name: str = "") -> pd.DataFrame:
    """Columns in a fixed order and of fixed types: pid, cam, subset and file as text, sizes as integers, index
    0..N-1.

    Raises
    ------
    DataError : a column is missing or there twice, a label is missing or no name, a subset is unknown.
    """
    where = name or "The table of a person data set"
    missing = [column for column in ("pid", "cam", "width", "height") if column not in table]
    if missing:
        raise DataError(f"{where} lacks the column(s) {', '.join(missing)}.")
    twice = sorted({str(column) for column in table.columns[table.columns.duplicated()]})
    if twice:
        raise DataError(f"{where} has the column(s) {', '.join(twice)} twice. Rename or drop one of each.")
    table = table.reset_index(drop=True)
    for column in ("pid", "cam"):
        table[column] = pd.Series(clean_labels(table[column].tolist(), column, name), dtype=str)
    for column in ("subset", "file"):
        given = table[column].tolist() if column in table else [""] * len(table)
        table[column] = pd.Series(["" if is_missing(value) else str(value) for value in given], dtype=str)
    for column in ("width", "height"):
        sizes = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        if not (np.isfinite(sizes) & (sizes >= 1)).all() or (sizes % 1).any():
            raise DataError(f"{where}: the column {column} must hold whole numbers of pixels from 1.")
        table[column] = sizes.astype(np.int64)
    unknown = sorted(set(table["subset"]) - set(SUBSETS))
    if unknown:
        raise DataError(f"Unknown subset {few(map(repr, unknown))}: use train, query, gallery or leave it empty.")
    return table[[*COLUMNS, *(column for column in table.columns if column not in COLUMNS)]]


def is_missing(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


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
    for column in LABELS:
        for text in table[column]:
            encoded = text.encode()
            hasher.update(f"{len(encoded)}:".encode() + encoded)
