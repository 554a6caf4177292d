"""Foreground masks for sets that come without: read from a folder.

Letters: N images, h x w one image in pixels.

RIPR's foreground-focus loss (Mao et al., IJCAI 2019, Eq. 5) needs to know where the person is. The embedded people have
true masks; for photographs the paper ran DeeperCut. Here they come from a folder, whatever made them, or from a
segmentation network (:mod:`lib.experiments.segmented`); arrays are attached with
:meth:`lib.data.dataset.PersonDataset.with_masks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError, few
from lib.data.labels import readable
from lib.data.pictures import upright

SUFFIXES = (".png", ".bmp", ".jpg")  # in this order: beside a picture.jpg, picture.png is the mask
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
ASPECT = 0.02  # a mask of another size may differ by this in height over width
EXTREME = 32  # a mask that was stored as JPEG stays this near to 0 and 255, nearly everywhere
LEVELS = 32  # of grey: so many differ in a photograph


def masks_from_folder(dataset: PersonDataset, folder: str | Path) -> PersonDataset:
    """The same set with the masks in ``folder``, one picture per image at the image's own relative path.

    The mask of ``query/0001_c1.jpg`` is ``folder/query/0001_c1`` with the first of :data:`SUFFIXES` that is there. A
    pixel belongs to the person where its grey value is at least 128, or where it is 1 in a mask of zeros and ones (see
    :func:`is_person`). A mask of another size but the same shape (height over width within 2 %) is brought to the
    image's size by nearest pixel.

    Raises
    ------
    DataError : the set does not know its files, masks are missing, one cannot be read or has another shape, or the
        folder holds photographs: the images themselves, for example.

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
            f"masks (first: {odd[0]!r}). Attach the masks as arrays: people.with_masks(masks, origin)."
        )
    paths = [_find(folder, file) for file in files]
    missing = [file for file, path in zip(files, paths, strict=True) if path is None]
    if missing:
        raise DataError(
            f"{dataset.name}: {len(missing)} of {len(files)} images have no mask below {folder}: {few(missing)}. "
            f"Put one picture there per image, under the image's own path and name, as {', '.join(SUFFIXES)}."
        )
    counts = Counter(paths)
    shared = [readable(path) for path, count in counts.items() if count > 1]
    if shared:
        raise DataError(
            f"{dataset.name}: images that differ in their ending only would share a mask: {few(shared)}. "
            "Rename one of each, or attach the masks as arrays: people.with_masks(masks, origin)."
        )
    photographs: list[PurePosixPath] = []

    def read() -> Iterator[np.ndarray]:
        for row, (file, path) in enumerate(zip(files, paths, strict=True)):
            picture, image = open_mask(path), dataset.image(row)
            if shows(picture, image):
                raise DataError(
                    f"{readable(path)} is the image {file} itself: {readable(folder)} holds the pictures, not their "
                    "masks. Name the folder in which the person is white and everything else black."
                )
            if is_photograph(picture):
                photographs.append(file)
            yield fitted(is_person(picture), image.shape[:2], path)

    masked = dataset.with_masks(read(), f"read from {folder}")
    if 2 * len(photographs) > len(files):
        raise DataError(
            f"{len(photographs)} of {len(files)} masks in {readable(folder)} are full of greys, as photographs are: "
            f"{few(photographs)}. A mask is white (or 1) on the person and black (0) everywhere else."
        )
    return masked


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool, True on the person, of ``size`` (h, w).

    Raises
    ------
    DataError : the file is no picture, is not in 8 bits, or has another shape than the image.
    """
    return fitted(is_person(open_mask(path)), size, path)


def open_mask(path: Path) -> Image.Image:
    """The picture in a file, upright, in one of :data:`MODES`; raises DataError where it is none."""
    try:
        with Image.open(path) as picture:
            picture.load()
            turned, _ = upright(picture)
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
        raise DataError(
            f"The mask {readable(path)} is truncated or damaged: {error or type(error).__name__}. Make it again."
        ) from error
    if turned.mode not in MODES:
        raise DataError(
            f"The mask {readable(path)} has pixels of kind {turned.mode!r}. Save it as grey in 8 bits: 255 on the "
            "person."
        )
    return turned


def fitted(mask: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    """The mask brought to ``size`` (h, w) by nearest pixel; raises DataError where it has another shape."""
    if mask.shape == size:
        return mask
    shape = mask.shape
    if abs(shape[0] * size[1] / (shape[1] * size[0]) - 1) > ASPECT:
        raise DataError(
            f"The mask {readable(path)} has {shape[0]} x {shape[1]} pixels (h x w), its image {size[0]} x {size[1]}: "
            "not the same shape. Make the mask from this very image, without cropping or padding."
        )
    y, x = (((np.arange(n) + 0.5) * (own / n)).astype(int) for n, own in zip(size, shape, strict=True))
    return mask[y[:, None], x]


def shows(picture: Image.Image, image: np.ndarray) -> bool:
    """Whether a picture's colours are exactly those of ``image`` (h, w, 3), which is not black and white itself."""
    if (picture.height, picture.width) != image.shape[:2] or not np.array_equal(picture.convert("RGB"), image):
        return False
    return len(np.unique(image)) > 2


def is_photograph(picture: Image.Image) -> bool:
    """Whether most of a picture is neither nearly black nor nearly white, in many greys."""
    values = np.asarray(picture.convert("L"))
    middle = (values >= EXTREME) & (values < 256 - EXTREME)
    return bool(middle.mean() > 0.5) and len(np.unique(values)) > LEVELS


def is_person(picture: Image.Image) -> np.ndarray:
    """(h, w) bool of a picture in grey, colour, palette or one bit: 128 and brighter, or 1 where all values are 0 or 1.

    A palette counts by its colours; one without a bright colour in use (1 = dark red, as Pascal VOC's) by its numbers.
    Transparency is ignored.
    """
    values = np.asarray(picture.convert("L"))
    if picture.mode == "P" and values.max() < 128:
        values = np.asarray(picture)
    return values == 1 if values.max() <= 1 else values >= 128


def _find(folder: Path, file: PurePosixPath) -> Path | None:
    candidates = (folder / file.with_suffix(suffix) for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)
