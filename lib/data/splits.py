"""Who is trained on, who chooses the settings, who is tested: identity splits and the two sides of a search.

Letters: N images in the data set.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError, DataWarning, few
from lib.data.manifest import pick, shuffled
from lib.data.values import natural

# Of the eligible people; half of them elsewhere. 400 of the 600 embedded people: a rank-1 is within 2 points.
TEST_SHARE = {"pedestrians": 2 / 3, "pedestrians-pretrain": 0.0}
PEOPLE_MUST_BE_SEEN_TWICE = ("caviar",)  # sets whose protocol discards who was seen from one side only
PAIRED = "cuhk03"  # the set whose columns "pair" and "testsets" say what they say here; elsewhere they are attributes
JUNK = re.compile(r"-0*1")  # Market-1501's number for boxes that show nobody
ZERO = re.compile(r"0+")  # and the one that all its distractors share
CROWD = (20, 0.1)  # so many times the images of a usual person, and such a share of all, are not one person's
SEEN_ONCE = ("train", "discard")


@dataclass(frozen=True)
class Split:
    """Identities by subset, each sorted as text; those that the protocol leaves out; and ``strangers``, who are in the
    test gallery and nowhere else."""

    train: list[str]
    val: list[str]
    test: list[str]
    discarded: list[str]
    strangers: list[str] = field(default_factory=list)


def is_official(dataset: PersonDataset) -> bool:
    """Whether the set brings its own train, query and gallery images.

    Raises
    ------
    DataError : it brings some of them, so that nobody knows what the rest is for.
    """
    subset = dataset.table["subset"]
    brought = set(subset) - {""}
    missing = {"train", "query", "gallery"} - brought
    if missing and brought & {"query", "gallery"}:
        raise DataError(
            f"{dataset.name} has {', '.join(sorted(brought))} images but no {', '.join(sorted(missing))} images: "
            "name all three subsets, only train (who is trained on; the others are tested), or none to have the "
            "people split at random."
        )
    if not missing and (subset == "").any():
        raise DataError(
            f"{dataset.name}: {int((subset == '').sum())} of {len(subset)} images have no subset, the others are "
            f"train, query and gallery ({first_files(dataset, subset == '')}). Name the subset of these, too, or leave "
            "them out of the list."
        )
    return not missing


def marked_for_training(dataset: PersonDataset) -> set[str]:
    """People marked ``train`` in a set that marks nothing else: the others are those to be tested. Empty without marks,
    and where everybody is marked (a part of a set, which is split like any other).

    Raises
    ------
    DataError : of one person some images are marked and some are not.
    """
    table = dataset.table
    marked, others = (table["subset"] == "train"), (table["subset"] == "")
    if not marked.any() or not others.any() or is_official(dataset):
        return set()
    people = set(table.loc[marked, "pid"])
    half = people & set(table.loc[others, "pid"])
    if half:
        raise DataError(
            f"{dataset.name}: people {few(sorted(half))} have images that are marked train and images that are not. "
            "Mark all images of a person, or none."
        )
    return people


def has_own_split(dataset: PersonDataset) -> bool:
    """Whether the set itself says who is trained on, so that trials differ by their low-resolution images only."""
    return is_official(dataset) or bool(marked_for_training(dataset))


def first_files(dataset: PersonDataset, which: pd.Series) -> str:
    """The files of these rows, or the rows themselves where there are none."""
    files = dataset.table.loc[which, "file"]
    return few(file or f"row {row}" for row, file in files.items()) if len(files) else "none"


def low_side(dataset: PersonDataset, lr_camera: object, seed: int, trial: int | None) -> tuple[np.ndarray, str]:
    """Which images are on the low-resolution side: (N,) bool, and the side in words for the manifest.

    lr_camera : a value of the option of make_protocol. Cameras are counted as people count: c2 before c10. ``trial`` is
    None when the side is drawn once for all trials.

    Raises
    ------
    DataError : no such camera or pair, or only one camera where one of several is meant.

    Warns
    -----
    DataWarning : a position beyond the last camera (the last is taken), or one that is another camera's name.
    """
    table = dataset.table
    cams = natural(table["cam"].unique())
    salt = (seed, -1 if trial is None else trial)
    if lr_camera is None and "pair" in table and dataset.name.startswith(PAIRED):
        lr_camera = "one-of-each-pair"
    if lr_camera in (None, "random") and len(cams) < 2:
        raise DataError(
            f"{dataset.name} has one camera ({cams[0]}), so that no camera can be the low-resolution side. "
            + remedies(dataset, np.ones(len(table), bool), set())
        )
    if lr_camera == "one-of-each-pair":
        chosen = [pick(pair, "side", *salt, name) for name, pair in camera_pairs(dataset).items()]
        return table["cam"].isin(chosen).to_numpy(), f"one camera of each pair: {', '.join(natural(chosen))}"
    if lr_camera is None:
        lr_camera = cams[: len(cams) // 2]
    if lr_camera == "half-of-each-person":
        low = np.zeros(len(table), bool)
        for pid, rows in table.groupby("pid").groups.items():
            order = shuffled((int(row) for row in rows), "half", *salt, str(pid))
            low[order[: len(order) // 2]] = True
        return low, "half of the images of each person"
    if lr_camera == "per-identity":
        choice = {
            str(pid): pick(natural(seen.unique()), "camera", *salt, str(pid))
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
    if isinstance(lr_camera, int):
        lr_camera = at_position(dataset, cams, lr_camera)
    chosen = natural({lr_camera} if isinstance(lr_camera, str) else set(lr_camera))
    unknown = natural(set(chosen) - set(cams))
    if unknown:
        raise DataError(f"{dataset.name} has no camera {few(unknown)}; its cameras are {few(cams, 20)}.")
    return table["cam"].isin(chosen).to_numpy(), f"camera(s) {', '.join(chosen)}"


def at_position(dataset: PersonDataset, cams: list[str], position: int) -> str:
    """The camera at a position, or the last where there are fewer; both said where they may surprise."""
    camera = cams[min(position, len(cams) - 1)]
    if position >= len(cams):
        warnings.warn(
            f"{dataset.name} has {len(cams)} cameras, none at position {position} (counted from 0): the last, "
            f"{camera}, is taken. Name the camera to have another.",
            DataWarning,
            stacklevel=4,
        )
    elif str(position) in cams and camera != str(position):
        warnings.warn(
            f"lr_camera={position} is the camera at position {position} of {dataset.name}, counted from 0: {camera}. "
            f'The camera of that name is lr_camera="{position}".',
            DataWarning,
            stacklevel=4,
        )
    return camera


def camera_pairs(dataset: PersonDataset) -> dict[str, list[str]]:
    """Cameras by the pair they belong to, from the column ``pair``, as CUHK03 has them.

    Raises
    ------
    DataError : there is no such column, or it is something else: a camera belongs to one pair, and a pair has two.
    """
    table = dataset.table
    if "pair" not in table:
        raise DataError(f"{dataset.name} has no camera pairs; name the cameras.")
    pairs = {name: natural(cams.unique()) for name, cams in table.groupby("pair")["cam"]}
    if any(len(cams) > 2 for cams in pairs.values()) or sum(map(len, pairs.values())) != table["cam"].nunique():
        raise DataError(
            f"The column pair of {dataset.name} does not say which two cameras belong together (each camera in one "
            "pair of two); name the cameras with lr_camera=…."
        )
    return pairs


def draw_shots(table: pd.DataFrame, count: int | None, seed: int) -> np.ndarray:
    """(N,) bool: ``count`` images of each person and camera, drawn once (SYSU: three); all of them for None."""
    kept = np.ones(len(table), bool)
    if count is not None:
        kept[:] = False
        for (pid, cam), rows in table.groupby(["pid", "cam"]).groups.items():
            kept[shuffled((int(row) for row in rows), "shots", seed, str(pid), str(cam))[:count]] = True
    return kept


def is_junk(dataset: PersonDataset) -> np.ndarray:
    """(N,) bool: images of person -1, which is what Market-1501 calls boxes that show nobody."""
    return np.array([JUNK.fullmatch(pid) is not None for pid in dataset.table["pid"]], dtype=bool)


def crowds(dataset: PersonDataset) -> tuple[set[str], set[str]]:
    """Ids that stand for many people: those known to (0000, where it has far more images than anybody, or where there
    is a -1 as well, which is Market-1501's way), and those that look like it.

    Where the set marks who is trained on, its marks are believed: such an id is only said to look like it.
    """
    counts = dataset.table.loc[~is_junk(dataset), "pid"].value_counts()
    if len(counts) < 2:
        return set(), set()
    usual, share = counts.median() * CROWD[0], counts.sum() * CROWD[1]
    many = {pid for pid, count in counts.items() if count > usual and count > share}
    zero = {pid for pid in counts.index if ZERO.fullmatch(pid)}
    known = zero if is_junk(dataset).any() else zero & many
    trained = set(dataset.table.loc[dataset.table["subset"] != "", "pid"])
    return known - trained, many - known


def split_identities(
    dataset: PersonDataset,
    low: np.ndarray,
    kept: np.ndarray,
    *,
    seed: int,
    trial: int,
    validation: float,
    test_identities: int | None,
    seen_once: str = "train",
    distractors: bool = False,
    crowd: Collection[str] = (),
    side: str = "",
) -> Split:
    """The identity split: the set's own where it brings one, drawn by seed and trial otherwise.

    Only people seen from both sides are tested. Those seen from one side only are trained on (``seen_once="train"``) or
    left out ("discard"; always so where the set's protocol discards them, as CAVIAR's does). With ``distractors`` those
    of them who were seen on the gallery side only join the test gallery instead, as ``strangers``. Validation is a
    share of the training people *seen from both sides*, disjoint from the rest of them: the others can be neither
    searched for nor found.

    Parameters
    ----------
    low, kept : (N,) bool, the images on the low-resolution side and those that are used at all.
    crowd : ids that stand for many people: never trained on, never asked for.
    side : the low-resolution side in words, for messages.

    Raises
    ------
    DataError : too few people, or a trial that the set's official test sets do not have.
    """
    if not 0 <= validation < 1:
        raise DataError(f"validation={validation} must be a share in [0, 1).")
    table = dataset.table[kept & ~dataset.table["pid"].isin(crowd).to_numpy()]
    sides = pd.DataFrame({"pid": table["pid"], "low": low[table.index]}).groupby("pid")["low"].agg(["nunique", "max"])
    both = set(sides.index[sides["nunique"] == 2])
    high_only = set(sides.index[~sides["max"].astype(bool)])
    everybody = set(table["pid"])
    marked = marked_for_training(dataset) & everybody
    discarded: set[str] = set()
    official = is_official(dataset)
    if official:
        train = set(table.loc[table["subset"] == "train", "pid"])
        test = set(table.loc[table["subset"] == "query", "pid"])
        if train & test:
            raise DataError(f"{dataset.name}: people {few(sorted(train & test))} are both in train and in query.")
    elif "testsets" in table and dataset.name.startswith(PAIRED):
        numbers = table["testsets"].str.split()
        test = set(table.loc[[str(trial) in some for some in numbers], "pid"])
        if not test:
            count = 1 + max((int(number) for some in numbers for number in some), default=-1)
            raise DataError(f"{dataset.name} has {count} official test sets; there is no trial {trial}.")
        train = everybody - test
    else:
        if dataset.name in PEOPLE_MUST_BE_SEEN_TWICE:
            discarded = everybody - both
        able = both - marked
        share = 1.0 if marked else TEST_SHARE.get(dataset.name, 0.5)
        count = int(len(able) * share + 1e-9) if test_identities is None else test_identities
        if count > len(able):
            raise DataError(
                f"{dataset.name}: {count} test people were asked for, {len(able)} were seen from both sides"
                f"{' and are not marked train' if marked else ''}."
            )
        test = set(_drawn(dataset, able, "test", seed, trial)[:count])
        train = marked or everybody - test - discarded
        discarded |= everybody - train - test
    strangers: set[str] = set()
    if distractors and not official:
        shown = set(dataset.table.loc[kept & ~low, "pid"])
        strangers = (high_only - test - (marked & train)) | (set(crowd) & shown)
        train, discarded = train - strangers, discarded - strangers
    discarded |= set(dataset.table["pid"]) - everybody - strangers  # those who are nobody
    if seen_once == "discard":
        discarded |= train - both
        train &= both
    able = train & both
    count = int(len(able) * validation + 0.5)
    count = min(count, max(0, len(able) - 1))
    val = set(_drawn(dataset, able, "validation", seed, trial)[:count])
    if not train - val or not (test or test_identities == 0 or TEST_SHARE.get(dataset.name) == 0):
        raise DataError(
            f"{dataset.name}: {len(everybody)} people, {len(both)} of them seen from both sides"
            f"{f' (low resolution: {side})' if side else ''}, are too few to train on some and to test others. "
            + remedies(dataset, kept, both)
        )
    return Split(*(sorted(people) for people in (train - val, val, test, discarded, strangers)))


def remedies(dataset: PersonDataset, kept: np.ndarray, both: set[str]) -> str:
    """What to write where too few people are seen from both sides: only what would help here."""
    found = other_sides(dataset, kept, both)
    if is_official(dataset):
        asking = natural(dataset.table.loc[dataset.table["subset"] == "query", "cam"].unique())
        found.append(f"lr_camera=… with cameras that query images come from ({few(asking)})")
    else:
        everybody = set(dataset.table.loc[kept, "pid"])
        if everybody <= both:
            fewer = ", or fewer of them tested (test_identities=…)" if len(everybody) > 3 else ""
            return f"What helps: more people{fewer}."
        found = found or ["more images of each person, or more people"]
        found.append("a CSV whose column subset marks train, query and gallery")
    return f"What helps: {'; '.join(found)}."


def other_sides(dataset: PersonDataset, kept: np.ndarray, both: set[str]) -> list[str]:
    """Low-resolution sides that more people are seen from than from these, with how many."""
    table = dataset.table[kept]
    twice = int((table.groupby("pid").size() > 1).sum())
    cameras = int((table.groupby("pid")["cam"].nunique() > 1).sum())
    found = []
    if cameras > max(1, len(both)):
        found.append(f'lr_camera="per-identity" (one camera of each person; {cameras} people have two or more)')
    if twice > max(1, len(both)):
        found.append(
            'the preset "mlr-half", or lr_camera="half-of-each-person" elsewhere (half of each person\'s images; '
            f"{twice} people have two or more)"
        )
    return found


def _drawn(dataset: PersonDataset, people: set[str], *salt: object) -> list[str]:
    """`people` in a drawn order, in which rendered twins follow each other: telling them apart is what is tested."""
    groups = {pid: [pid] for pid in people}
    if "twin" in dataset.table and dataset.name.startswith("pedestrians"):
        for pid, twin in dataset.table.drop_duplicates("pid")[["pid", "twin"]].itertuples(index=False):
            if pid in people and twin in people and pid < twin:
                groups[pid] = [pid, twin]
                groups.pop(twin)
    return [pid for leader in shuffled(groups, *salt) for pid in groups[leader]]
