"""Who is trained on, who chooses the settings, who is tested: identity splits and the two sides of a search.

Letters: N images in the data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError, few
from lib.data.manifest import pick, shuffled

TEST_SHARE = {"pedestrians": 1 / 3, "pedestrians-pretrain": 0.0}  # of the eligible people; half of them elsewhere
PEOPLE_MUST_BE_SEEN_TWICE = ("caviar",)  # sets whose protocol discards who was seen from one side only


@dataclass(frozen=True)
class Split:
    """Identities by subset, each sorted as text, and those that the protocol leaves out."""

    train: list[str]
    val: list[str]
    test: list[str]
    discarded: list[str]


def is_official(dataset: PersonDataset) -> bool:
    """Whether the set brings its own train, query and gallery images.

    Raises
    ------
    DataError : it brings some of them, so that nobody knows what the rest is for.
    """
    brought = set(dataset.table["subset"]) - {""}
    missing = {"train", "query", "gallery"} - brought
    if missing and brought & {"query", "gallery"}:
        raise DataError(
            f"{dataset.name} has {', '.join(sorted(brought))} images but no {', '.join(sorted(missing))} images: "
            "name all three subsets, or none to have the people split at random."
        )
    return not missing


def low_side(dataset: PersonDataset, lr_camera: object, seed: int, trial: int | None) -> tuple[np.ndarray, str]:
    """Which images are on the low-resolution side: (N,) bool, and the side in words for the manifest.

    ``trial`` is None when the side is drawn once for all trials.
    """
    table = dataset.table
    cams = sorted(table["cam"].unique())
    salt = (seed, -1 if trial is None else trial)
    if lr_camera is None or lr_camera == "one-of-each-pair":
        if "pair" in table:
            pairs = table.groupby("pair")["cam"].unique()
            chosen = [pick(sorted(pair), "side", *salt, name) for name, pair in pairs.items()]
            return table["cam"].isin(chosen).to_numpy(), f"one camera of each pair: {', '.join(sorted(chosen))}"
        if lr_camera is not None:
            raise DataError(f"{dataset.name} has no camera pairs; name the cameras.")
        lr_camera = cams[: len(cams) // 2]
    if lr_camera == "half-of-each-person":
        low = np.zeros(len(table), bool)
        for pid, rows in table.groupby("pid").groups.items():
            order = shuffled((int(row) for row in rows), "half", *salt, str(pid))
            low[order[: len(order) // 2]] = True
        return low, "half of the images of each person"
    if lr_camera == "per-identity":
        choice = {
            str(pid): pick(sorted(seen.unique()), "camera", *salt, str(pid))
            for pid, seen in table.groupby("pid")["cam"]
        }
        return (table["cam"] == table["pid"].map(choice)).to_numpy(), "one camera per person, drawn"
    if lr_camera == "smaller-side":
        area = (table["width"] * table["height"]).groupby([table["pid"], table["cam"]]).median()
        choice = area.groupby(level="pid").idxmin().map(lambda pair: pair[1])
        return (
            table["cam"] == table["pid"].map(choice)
        ).to_numpy(), "for each person the camera with the smaller images"
    if lr_camera == "random":
        lr_camera = pick(cams, "camera", *salt)
    if isinstance(lr_camera, (int, np.integer)):
        lr_camera = cams[min(int(lr_camera), len(cams) - 1)]
    chosen = [lr_camera] if isinstance(lr_camera, str) else [str(cam) for cam in lr_camera]
    unknown = sorted(set(chosen) - set(cams))
    if unknown or not chosen:
        raise DataError(
            f"{dataset.name} has no camera {few(unknown) or '(none named)'}; its cameras are {few(cams, 20)}."
        )
    return table["cam"].isin(chosen).to_numpy(), f"camera(s) {', '.join(sorted(chosen))}"


def draw_shots(table: pd.DataFrame, count: int | None, seed: int) -> np.ndarray:
    """(N,) bool: ``count`` images of each person and camera, drawn once (SYSU: three); all of them for None."""
    kept = np.ones(len(table), bool)
    if count is not None:
        kept[:] = False
        for (pid, cam), rows in table.groupby(["pid", "cam"]).groups.items():
            kept[shuffled((int(row) for row in rows), "shots", seed, str(pid), str(cam))[:count]] = True
    return kept


def split_identities(
    dataset: PersonDataset,
    low: np.ndarray,
    kept: np.ndarray,
    *,
    seed: int,
    trial: int,
    validation: float,
    test_identities: int | None,
) -> Split:
    """The identity split: the set's own where it brings one, drawn by seed and trial otherwise.

    Only people seen from both sides are tested; others are trained on (CAVIAR's protocol discards them). Validation is
    a share of the training people, disjoint from the rest of them.

    Raises
    ------
    DataError : too few people, or a trial that the set's official test sets do not have.
    """
    if not 0 <= validation < 1:
        raise DataError(f"validation={validation} must be a share in [0, 1).")
    table = dataset.table[kept]
    sides = pd.DataFrame({"pid": table["pid"], "low": low[kept]}).groupby("pid")["low"].nunique()
    both = set(sides.index[sides == 2])
    everybody = set(table["pid"])
    discarded: set[str] = set()
    if is_official(dataset):
        train = set(table.loc[table["subset"] == "train", "pid"])
        test = set(table.loc[table["subset"] == "query", "pid"])
        if train & test:
            raise DataError(f"{dataset.name}: people {few(sorted(train & test))} are both in train and in query.")
    elif "testsets" in table:
        numbers = table["testsets"].str.split()
        test = set(table.loc[[str(trial) in some for some in numbers], "pid"])
        if not test:
            count = 1 + max((int(number) for some in numbers for number in some), default=-1)
            raise DataError(f"{dataset.name} has {count} official test sets; there is no trial {trial}.")
        train = everybody - test
    else:
        if dataset.name in PEOPLE_MUST_BE_SEEN_TWICE:
            discarded = everybody - both
        share = TEST_SHARE.get(dataset.name, 0.5)
        count = int(len(both) * share + 1e-9) if test_identities is None else test_identities
        if count > len(both):
            raise DataError(
                f"{dataset.name}: {count} test people were asked for, {len(both)} were seen from both sides."
            )
        test = set(_drawn(dataset, both, "test", seed, trial)[:count])
        train = everybody - test - discarded
    able = train & both
    count = int(len(train) * validation + 0.5)
    count = min(count, max(0, len(train) - 1))
    val = set(_drawn(dataset, able, "validation", seed, trial)[:count])
    if not train - val or not (test or test_identities == 0 or TEST_SHARE.get(dataset.name) == 0):
        raise DataError(
            f"{dataset.name}: {len(everybody)} people, {len(both)} of them seen from both sides, are too few "
            "to train on some and to test others."
        )
    return Split(sorted(train - val), sorted(val), sorted(test), sorted(discarded))


def _drawn(dataset: PersonDataset, people: set[str], *salt: object) -> list[str]:
    """`people` in a drawn order, in which rendered twins follow each other: telling them apart is what is tested."""
    groups = {pid: [pid] for pid in people}
    if "twin" in dataset.table:
        for pid, twin in dataset.table.drop_duplicates("pid")[["pid", "twin"]].itertuples(index=False):
            if pid in people and twin in people and pid < twin:
                groups[pid] = [pid, twin]
                groups.pop(twin)
    return [pid for leader in shuffled(groups, *salt) for pid in groups[leader]]
