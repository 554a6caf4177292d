"""Miniatures of the public data sets: the layouts their owners distribute, with a handful of tiny pictures in them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from lib.data import PersonDataset


def picture(*about: int, height: int = 24, width: int = 10) -> np.ndarray:
    """(h, w, 3) uint8, another one for every ``about``."""
    return np.random.RandomState([7, *about]).randint(0, 256, (height, width, 3)).astype(np.uint8)


def store(path: Path, *about: int, height: int = 24, width: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(*about, height=height, width=width)).save(path)


def viper(root: Path, people: int = 6) -> Path:
    for p in range(people):
        store(root / "VIPeR" / "cam_a" / f"{p:03d}_{45 * (p % 3)}.bmp", p, 0)
        store(root / "VIPeR" / "cam_b" / f"{p:03d}_{90 + 45 * (p % 2)}.bmp", p, 1)
    return root / "VIPeR"


def caviar(root: Path) -> Path:
    """Six people in both cameras (the fifth larger in the far one, the sixth with 9 and 11), two in the near one."""
    for p in range(1, 9):
        for index in range(1, 11 if p > 6 else 21):
            near = index <= (9 if p == 6 else 10)
            height, width = (40, 16) if near != (p == 5) else (20, 8)
            store(root / "CAVIARa" / f"{p:04d}{index:03d}.jpg", p, index, height=height + index % 3, width=width)
    return root / "CAVIARa"


def market1501(root: Path) -> Path:
    """Four people to train on, three to test, in three cameras; junk, distractors, and the Thumbs.db of the archive."""
    folder = root / "Market-1501-v15.09.15"
    for p in (2, 7, 10, 11):
        for cam in (1, 2, 3):
            for frame in (1, 2):
                store(folder / "bounding_box_train" / f"{p:04d}_c{cam}s1_{frame:06d}_01.jpg", p, cam, frame)
    for p in (1, 3, 4):
        for cam in (1, 2, 3):
            store(folder / "query" / f"{p:04d}_c{cam}s1_000001_00.jpg", p, cam, 0)
            for frame in (2, 3):
                store(folder / "bounding_box_test" / f"{p:04d}_c{cam}s1_{frame:06d}_01.jpg", p, cam, frame)
    for cam in (1, 2, 3):
        store(folder / "bounding_box_test" / f"0000_c{cam}s1_000009_01.jpg", 0, cam)
        store(folder / "bounding_box_test" / f"-1_c{cam}s2_000009_01.jpg", 99, cam)
    for part in ("query", "bounding_box_train", "bounding_box_test"):
        (folder / part / "Thumbs.db").write_bytes(b"not a picture")
    return folder


def dukemtmc(root: Path) -> Path:
    folder = root / "DukeMTMC-reID"
    for part, people, frames in (
        ("bounding_box_train", (1, 5, 6), 2),
        ("query", (2, 3), 1),
        ("bounding_box_test", (2, 3), 2),
    ):
        for p in people:
            for cam in (2, 8):
                for frame in range(frames):
                    store(
                        folder / part / f"{p:04d}_c{cam}_f{len(part) * 1000 + frame:07d}.jpg", p, cam, frame, len(part)
                    )
    return folder


def msmt17(root: Path, version: int = 1) -> Path:
    """Three people to train on (one image each in the validation list) and two to test; both are numbered from 0."""
    folder = root / f"MSMT17_V{version}"
    train, test = ("train", "test") if version == 1 else ("mask_train_v2", "mask_test_v2")
    lists: dict[str, list[str]] = {"train": [], "val": [], "query": [], "gallery": []}
    for part, people in ((train, 3), (test, 2)):
        for p in range(people):
            for number, cam in enumerate((1, 1, 15, 15)):
                name = f"{p:04d}/{p:04d}_{number:03d}_{cam:02d}_0303morning_{number:04d}_0.jpg"
                store(folder / part / name, p, number, len(part))
                last = number == 3
                lists[("val" if last else "train") if part == train else ("query" if last else "gallery")].append(
                    f"{name} {p}"
                )
    for name, lines in lists.items():
        (folder / f"list_{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def sysu(root: Path, people: int = 5, images: int = 5) -> Path:
    for cam in (1, 2):
        for p in range(people):
            for number in range(images):
                store(root / "SYSU" / f"cam{cam}" / f"{p:04d}" / f"{number:02d}.jpg", p, cam, number)
    return root / "SYSU"


def own_folder(root: Path, people: int = 4, name: str = "mine") -> Path:
    for p in range(people):
        for cam in ("door", "hall"):
            for number in range(2):
                path = root / name / f"person {p}" / cam / f"{number}.png"
                store(path, p, len(cam), number, ord(cam[0]), width=10 + p)
    return root / name


def own_csv(root: Path, people: int = 4) -> Path:
    rows = []
    for p in range(people):
        for cam in ("1", "2"):
            store(root / "pictures" / f"{p}-{cam}.png", p, int(cam))
            rows.append(
                {"file": f"pictures/{p}-{cam}.png", "pid": f"{p:04d}", "cam": cam, "hat": "NA" if p else "red, round"}
            )
    pd.DataFrame(rows).to_csv(root / "people.csv", index=False)
    return root / "people.csv"


def cuhk03(root: Path, people: tuple[int, ...] = (6, 4, 3, 3, 2), testsets: int = 3) -> Path:
    """``cuhk-03.mat`` as MATLAB 7.3 writes it: HDF5 behind a header of 512 bytes, cells as references, columns first.

    The first person of every pair has an empty cell in each view; detected crops are a pixel wider.
    """
    path = root / "cuhk03_release" / "cuhk-03.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as mat:
        heap = mat.create_group("#refs#")

        def refer(value: np.ndarray, kind: str) -> h5py.Reference:
            node = heap.create_dataset(f"r{len(heap)}", data=value)
            node.attrs["MATLAB_class"] = np.bytes_(kind)
            return node.ref

        def refer_empty() -> h5py.Reference:
            node = heap.create_dataset(f"r{len(heap)}", data=np.zeros(2, np.uint64))
            node.attrs["MATLAB_class"] = np.bytes_("uint8")
            node.attrs["MATLAB_empty"] = np.uint8(1)
            return node.ref

        def cells(values: list[list[h5py.Reference]]) -> np.ndarray:
            """MATLAB's (rows, columns) cell array as HDF5 sees it: (columns, rows)."""
            array = np.empty((len(values), len(values[0])), dtype=h5py.ref_dtype)
            for i, row in enumerate(values):
                for j, value in enumerate(row):
                    array[i, j] = value
            return array.T

        for extra, crop in enumerate(("labeled", "detected")):
            pairs = []
            for pair, count in enumerate(people):
                rows = []
                for p in range(count):
                    row = []
                    for column in range(10):
                        empty = p == 0 and column in (4, 9)
                        image = picture(extra, pair, p, column, height=20 + column, width=8 + extra)
                        row.append(refer_empty() if empty else refer(image.transpose(2, 1, 0), "uint8"))
                    rows.append(row)
                pair_cells = heap.create_dataset(f"r{len(heap)}", data=cells(rows), dtype=h5py.ref_dtype)
                pair_cells.attrs["MATLAB_class"] = np.bytes_("cell")
                pairs.append(pair_cells.ref)
            node = mat.create_dataset(crop, data=cells([[ref] for ref in pairs]), dtype=h5py.ref_dtype)
            node.attrs["MATLAB_class"] = np.bytes_("cell")
        sets = []
        for number in range(testsets):
            # Two people of the first pair and one of the second, counted from 1 as MATLAB does.
            chosen = np.array([[1, 1 + number], [1, 2 + number], [2, 1 + number]], dtype=np.float64)
            sets.append([refer(chosen.T, "double")])
        mat.create_dataset("testsets", data=cells(sets), dtype=h5py.ref_dtype)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Tue Jan 14 12:00:00 2014 HDF5 schema 1.00 ."
    with open(path, "rb+") as file:
        file.write(header.ljust(116) + b"\0" * 8 + b"\x00\x02IM")
    return path


def tiny(people: int = 12, cameras: int = 2, images: int = 2, name: str = "tiny", width: int = 20) -> PersonDataset:
    """A set in memory, the same on every machine: pictures from arithmetic, no decoder and no generator."""
    pictures, rows = [], []
    for p in range(people):
        for cam in range(cameras):
            for number in range(images):
                height, wide = 40 + p % 3, width - cam
                y, x, c = np.mgrid[0:height, 0:wide, 0:3]
                pictures.append(((y * (p + 3) + x * 7 * (cam + 1) + c * 50 + number * 11) % 256).astype(np.uint8))
                rows.append({"pid": f"{p:04d}", "cam": f"c{cam + 1}"})
    return PersonDataset.from_arrays(name, pictures, pd.DataFrame(rows))
