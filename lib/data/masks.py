"""Foreground masks for sets that come without: attach them to the images, or read them from a folder.

Letters: N images, h x w one image in pixels.

RIPR's foreground-focus loss (Mao et al., IJCAI 2019, Eq. 5) needs to know where the person is. The embedded people have
true masks; for photographs the paper ran DeeperCut. Here they come from a folder, whatever made them, or from a
segmentation network (:mod:`lib.experiments.segmented`).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.data.dataset import PersonDataset, pack_mask
from lib.data.errors import DataError, DataWarning, few

SUFFIXES = (".png", ".bmp", ".jpg")  # in this order: beside a picture.jpg, picture.png is the mask
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
ASPECT = 0.02  # a mask of another size may differ by this in height over width
NOTE = "masks: "


def with_masks(dataset: PersonDataset, masks: Iterable[np.ndarray], origin: str) -> PersonDataset:
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
    packed, empty = [], []
    for row, mask in enumerate(masks):
        if row < len(dataset):  # too many are counted below
            check_mask(dataset, row, np.asarray(mask))
            if not np.any(mask):
                empty.append(_name(dataset, row))
        packed.append(pack_mask(mask))
    if len(packed) != len(dataset):
        raise DataError(f"{dataset.name}: {len(packed)} masks for {len(dataset)} images; give one per image.")
    if empty:
        warnings.warn(
            f"{dataset.name}: {len(empty)} of {len(dataset)} masks are empty, nobody is in them: {few(empty)}.",
            DataWarning,
            stacklevel=2,
        )
    bits = np.concatenate(packed or [np.zeros(0, np.uint8)])
    notes = [*(note for note in dataset.notes if not note.startswith(NOTE)), NOTE + origin]
    return _attached(dataset, bits, notes, hashlib.sha256(bits).hexdigest())


def masks_from_folder(dataset: PersonDataset, folder: str | Path) -> PersonDataset:
    """The same set with the masks in ``folder``, one picture per image at the image's own relative path.

    The mask of ``query/0001_c1.jpg`` is ``folder/query/0001_c1`` with the first of :data:`SUFFIXES` that is there. A
    pixel belongs to the person where its grey value is at least 128, or where it is 1 in a mask of zeros and ones (see
    :func:`is_person`). A mask of another size but the same shape (height over width within 2 %) is brought to the
    image's size by nearest pixel.

    Raises
    ------
    DataError : the set does not know its files, masks are missing, or one cannot be read or has another shape.

    Warns
    -----
    DataWarning : how many masks have no person in them.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"The folder of masks {folder} does not exist. Correct the path.")
    files = [PurePosixPath(file) for file in dataset.table["file"]]
    odd = [str(file) for file in files if not file.name or file.is_absolute() or ".." in file.parts]
    if odd:
        raise DataError(
            f"{dataset.name}: {len(odd)} of {len(files)} images have no path that could be looked up in a folder of "
            f"masks (first: {odd[0]!r}). Attach the masks as arrays: with_masks(dataset, masks, origin)."
        )
    paths = [_find(folder, file) for file in files]
    missing = [file for file, path in zip(files, paths, strict=True) if path is None]
    if missing:
        raise DataError(
            f"{dataset.name}: {len(missing)} of {len(files)} images have no mask below {folder}: {few(missing)}. "
            f"Put one picture there per image, under the image's own path and name, as {', '.join(SUFFIXES)}."
        )
    sizes = dataset.table[["height", "width"]].to_numpy().tolist()
    masks = (read_mask(path, tuple(size)) for path, size in zip(paths, sizes, strict=True))
    return with_masks(dataset, masks, f"read from {folder}")


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool, True on the person, of ``size`` (h, w).

    Raises
    ------
    DataError : the file is no picture, is not in 8 bits, or has another shape than the image.
    """
    try:
        with Image.open(path) as picture:
            mode = picture.mode
            mask = is_person(ImageOps.exif_transpose(picture)) if mode in MODES else None
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f"The mask {path} is truncated or damaged: {error}. Make it again.") from error
    if mask is None:
        raise DataError(f"The mask {path} has pixels of kind {mode!r}. Save it as grey in 8 bits: 255 on the person.")
    if mask.shape == size:
        return mask
    shape = mask.shape
    if abs(shape[0] * size[1] / (shape[1] * size[0]) - 1) > ASPECT:
        raise DataError(
            f"The mask {path} has {shape[0]} x {shape[1]} pixels (h x w), its image {size[0]} x {size[1]}: not the "
            "same shape. Make the mask from this very image, without cropping or padding."
        )
    y, x = (((np.arange(n) + 0.5) * (own / n)).astype(int) for n, own in zip(size, shape, strict=True))
    return mask[y[:, None], x]


def is_person(picture: Image.Image) -> np.ndarray:
    """(h, w) bool of a picture in grey, colour, palette or one bit: 128 and brighter, or 1 where all values are 0 or 1.

    A palette counts by its colours; one without a bright colour in use (1 = dark red, as Pascal VOC's) by its numbers.
    Transparency is ignored.
    """
    values = np.asarray(picture.convert("L"))
    if picture.mode == "P" and values.max() < 128:
        values = np.asarray(picture)
    return values == 1 if values.max() <= 1 else values >= 128


def check_mask(dataset: PersonDataset, row: int, mask: np.ndarray) -> None:
    """Raises DataError where ``mask`` is not (h, w) bool of the image in ``row``."""
    size = dataset.image(row).shape[:2]
    if mask.dtype != bool or mask.shape != size:
        raise DataError(
            f"{dataset.name}, mask of {_name(dataset, row)}: expected {size} bool, got {mask.shape} {mask.dtype}."
        )


def open_with_masks(directory: Path, packed: np.ndarray, notes: Sequence[str], masks_from: str) -> PersonDataset:
    """A set from the cache with masks that are not in it, for unpickling; ``packed`` as ``PersonDataset`` takes it."""
    from lib.data.store import open_store

    return _attached(open_store(directory), packed, notes, masks_from)


def _attached(dataset: PersonDataset, packed: np.ndarray, notes: Sequence[str], masks_from: str) -> PersonDataset:
    return PersonDataset(
        dataset.name, dataset.table, dataset._pixels, packed, dataset.fingerprint, notes, dataset.directory, masks_from
    )


def _find(folder: Path, file: PurePosixPath) -> Path | None:
    candidates = (folder / file.with_suffix(suffix) for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _name(dataset: PersonDataset, row: int) -> str:
    return dataset.table["file"].iloc[row] or f"image {row}"
