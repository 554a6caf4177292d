"""Protocols: who is trained on, who is searched for where, and at which resolution. A protocol is data, with a hash.

What the papers call "multiple low resolution" is a family. The presets follow their text; where public code differs
there is an option.

==================  ==================================================  ===============================  ==========
preset              low-resolution side (the probes)                    ratios                           evaluation
==================  ==================================================  ===============================  ==========
``mlr``             one of two cameras; one of each pair (CUHK03); the  each image 1/2, 1/3 or 1/4       sing
                    first half of the cameras where there are more
``mlr-thirds``      the same                                            exact thirds (SING's code)       sing
``mlr-half``        half of each person's images (JBIM's MLR-Market)    each image 1/2, 1/3 or 1/4       sing
``mlr-one-camera``  one drawn camera (CAD-Net, PS-HRNet, FTWA)          one for the camera               sing
``vr``              every image, training and gallery too (RIPR)        width 12..32, equally often      market1501
``caviar``          the far camera                                      none: real resolutions           sing
``plain``           people and images of ``mlr`` at full resolution;    none                             the set's
                    the set's own query and gallery where it has them
==================  ==================================================  ===============================  ==========

The identity split is drawn by seed and trial and does not depend on the preset, so that presets can be compared on the
same people. Low-resolution sides and ratios are drawn once, by the seed, as the papers build their set once and then
split it ten times; where the split is the set's own they are drawn for each trial (option ``redraw``).

Sets that nobody prepared:

- Who is tested was seen from both sides, and so was who validates: a share of those who can be trained on *and* were
  seen from both sides.
- People seen from one side only are trained on (option ``seen_once``), or join the test gallery where distractors are
  asked for and the side is the gallery's: PRID 2011's usual gallery is ``distractors=True``. A warning says so where
  they are more than the pairs.
- A CSV may mark ``train`` alone: those people are trained on, and the others are tested.
- Person -1 is nobody (Market-1501's junk) and is left out. Person 0000 with far more images than anybody, or beside a
  -1, stands for all distractors: it is never trained on and never asked for, and in the gallery each of its images
  counts as another person. Both are said.
- What cannot be measured is refused: one person in the gallery is found by whatever one does. Where the pictures' own
  sizes undo what is asked for (probes larger than the gallery, pictures smaller than ``widths``), a warning says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError, DataWarning
from lib.data.manifest import draw, pick, shuffled
from lib.data.options import MARKET_VARIANTS, OPTIONS, PRESETS, resolve
from lib.data.protocol import FORMAT, Protocol, degraded_or_asking, load_protocol
from lib.data.splits import (
    PEOPLE_MUST_BE_SEEN_TWICE,
    ZERO,
    Split,
    crowds,
    draw_shots,
    has_own_split,
    is_junk,
    is_official,
    low_side,
    other_sides,
    remedies,
    split_identities,
)
from lib.data.values import whole

__all__ = ["MARKET_VARIANTS", "OPTIONS", "PRESETS", "Protocol", "load_protocol", "make_protocol"]


def make_protocol(dataset: PersonDataset, preset: str, trial: int = 0, seed: int = 0, **options: Any) -> Protocol:
    """The protocol ``preset`` on ``dataset``.

    Parameters
    ----------
    preset : one of :data:`PRESETS`.
    trial : number of the random split, from 0; CUHK03: of the official test set, 0..19.
    seed : of everything that is drawn. The same preset, seed and data give the same manifest on every machine.
    options : those of :data:`OPTIONS`; each has the preset's value unless given.

    Raises
    ------
    DataError : an unknown preset, option or value (no text is taken for a number, nor a number for True), an option
        that has no meaning here, or a data set that the preset does not fit; it says what to write instead.

    Warns
    -----
    DataWarning : what was done with people of whom a protocol cannot make pairs (see the module's text).
    """
    trial, seed = whole(trial, "trial", 0), whole(seed, "seed", 0)
    chosen = resolve(dataset, preset, options)
    once = None if not chosen["redraw"] else trial
    low, side = low_side(dataset, chosen["lr_camera"], seed, once)
    kept = draw_shots(dataset.table, chosen["images_per_camera"], seed) & ~is_junk(dataset)
    names = ("validation", "test_identities", "seen_once")
    crowd, suspects = crowds(dataset)
    asked = options.get("distractors") is not None or dataset.name not in PEOPLE_MUST_BE_SEEN_TWICE
    try:
        split = split_identities(
            dataset,
            low,
            kept,
            seed=seed,
            trial=trial,
            distractors=chosen["distractors"] and asked,
            crowd=crowd,
            side=side,
            **{name: chosen[name] for name in names},
        )
        rows = assign_roles(dataset, low, kept, split, chosen, seed)
        check_search(dataset, rows, low, kept, split, chosen)
    except DataError as error:
        nobody = [*sorted(set(dataset.table.loc[is_junk(dataset), "pid"])), *sorted(crowd)]
        if not nobody:
            raise
        raise DataError(
            f"{error} Not counted: {' and '.join(nobody)} (-1 is nobody, 0000 stands for all distractors; people have "
            "other ids)."
        ) from None
    ratio = assign_ratios(dataset, rows, low & kept, chosen, (seed, -1 if once is None else trial))
    said = remarks(dataset, rows, low, kept, split, chosen, crowd, suspects)
    for sentence in (*said, *size_remarks(dataset, rows, ratio, chosen)):
        warnings.warn(f"{dataset.name}: {sentence}", DataWarning, stacklevel=2)
    manifest = {
        "format": FORMAT,
        "set": dataset.name,
        "fingerprint": dataset.fingerprint,
        "preset": preset,
        "trial": trial,
        "seed": seed,
        "trials": chosen["trials"],
        "convention": chosen["convention"],
        "identities": {
            name: getattr(split, name)
            for name in ("train", "val", "test", "discarded", "strangers")
            if name != "strangers" or split.strangers
        },
        "low_resolution": {
            "side": describe_side(dataset, chosen, side),
            "drawn": "for each trial" if chosen["redraw"] else "once",
            "ratios": [str(value) for value in chosen["ratios"]],
            "rate": chosen["rate"] if chosen["degrade"] == "low-side" else chosen["degrade"],
            "widths": list(chosen["widths"]) if chosen["degrade"] == "widths" else [],
        },
        "degradation": {name: chosen[name] for name in ("kernel", "rounding", "antialias", "jpeg")},
        "gallery": {
            "rule": chosen["gallery"],
            "images": "one per person and draw" if chosen["convention"] == "sing" else "all",
            "distractors": chosen["distractors"],
        },
        "images": {
            "row": [int(row) for row in rows["image"]],
            "role": list(rows["role"]),
            "subset": list(rows["subset"]),
            "ratio": [str(value) for value in ratio],
        },
    }
    apart = standing_for_many(dataset, rows, split, chosen, crowd)
    if apart:
        manifest["identities"]["apart"] = apart
    if chosen["degrade"] == "nothing" and not is_official(dataset):
        asking = rows.assign(cam=dataset.table["cam"].to_numpy()[rows["image"]], ratio=1.0)
        if (degraded_or_asking(asking, asking) != low[rows["image"]]).any():  # sides that cameras do not tell
            manifest["low_resolution"]["images"] = [int(row) for row in rows["image"] if low[row]]
    return Protocol.from_manifest(dataset, manifest)


def check_search(
    dataset: PersonDataset,
    rows: pd.DataFrame,
    low: np.ndarray,
    kept: np.ndarray,
    split: Split,
    chosen: Mapping[str, Any],
) -> None:
    """DataError where the test would answer by construction: nobody asks, or nobody else is there to be found."""
    if not split.test:
        return
    used = rows.assign(
        pid=dataset.table["pid"].to_numpy()[rows["image"]], cam=dataset.table["cam"].to_numpy()[rows["image"]]
    )
    test = used[used["subset"] == "test"]
    probes, gallery = test[test["role"] == "probe"], test[test["role"] == "gallery"]
    people = gallery["pid"].nunique()
    if not len(probes) or not people:
        raise DataError(
            f"{dataset.name}: the test has {len(probes)} probes and {people} people in its gallery: there is "
            f"nothing to search. {remedies(dataset, kept, set())}"
        )
    if people < 2:
        found = ["more people"]
        able = set(split.train) | set(split.val)
        if not has_own_split(dataset) and len(able) > 2:
            found.append("test_identities=2 (one more of those who are now trained on)")
        one_side = set(dataset.table.loc[kept & ~low, "pid"]) - set(dataset.table.loc[kept & low, "pid"])
        if not chosen["distractors"] and one_side - set(split.test) - (able if has_own_split(dataset) else set()):
            found.append("distractors=True (people seen on the gallery side only join the gallery)")
        raise DataError(
            f"{dataset.name}: one person is tested, and nobody else is in the gallery: rank-1 is 100 % whatever a "
            f"method does. What helps: {'; '.join(found)}."
        )
    if chosen["convention"] != "sing":  # these drop gallery images of the probe's own person and camera
        cameras = gallery.groupby("pid")["cam"].agg(set).to_dict()
        if not any(cameras.get(pid, set()) - {cam} for pid, cam in zip(probes["pid"], probes["cam"], strict=True)):
            raise DataError(
                f"{dataset.name}: the convention {chosen['convention']!r} looks for a person in other cameras than the "
                'probe\'s, and no test person has any. Use convention="sing", or images from several cameras.'
            )


def remarks(
    dataset: PersonDataset,
    rows: pd.DataFrame,
    low: np.ndarray,
    kept: np.ndarray,
    split: Split,
    chosen: Mapping[str, Any],
    crowd: set[str],
    suspects: set[str],
) -> Iterable[str]:
    """What to know about people of whom no pairs could be made, and what to write to have it otherwise."""
    table = dataset.table
    junk = int(is_junk(dataset).sum())
    if junk:
        yield (
            f"{junk} images of person -1 are left out: in Market-1501 these are boxes that show nobody. If that is a "
            "person, give it another id."
        )
    for pid in sorted(crowd):
        count = int((table["pid"] == pid).sum())
        if pid in split.strangers:
            where = "they are in the test gallery"
        elif (low | ~kept)[table["pid"] == pid].all():
            where = (
                "all of them are on the low-resolution side, which lr_camera=… chooses, so that nobody can search them"
            )
        else:
            where = "distractors=True puts them into the test gallery"
        yield (
            f"person {pid} has {count} of {len(table)} images and is taken for everybody who is only a distractor: not "
            f"trained on, not asked for; {where}. If that is one person, give it another id."
        )
    for pid in sorted(suspects & {*split.train, *split.val, *split.test}):
        count = int((table["pid"] == pid).sum())
        yield (
            f"person {pid} has {count} of {len(table)} images and is trained on or tested as one person. If it stands "
            "for many, give each an id of its own, or call all of them 0000 to have them as distractors only."
        )
    if set(table["subset"]) == {"train"}:
        yield (
            f"every image is marked train, so that nobody is left to be tested: {len(split.test)} of "
            f"{table['pid'].nunique()} people are drawn for that. Mark only those who are to be trained on."
        )
    if chosen["asked for distractors"] and not stranger(dataset, rows, split).any():
        yield "distractors=True adds nobody: everybody in the gallery is asked for as well."
    sides = pd.DataFrame({"pid": table["pid"], "low": low})[kept].groupby("pid")["low"].agg(["nunique", "max"])
    once = [pid for pid in split.train if sides.at[pid, "nunique"] < 2]
    pairs = len(split.train) - len(once)
    if len(once) > pairs and not (is_official(dataset) and chosen["degrade"] != "low-side"):
        found = ['seen_once="discard" (they are left out)'] if pairs > 1 else []
        if not is_official(dataset) and not sides.loc[once, "max"].all():
            found.append("distractors=True (those seen on the gallery side only join the test gallery)")
        found += other_sides(dataset, kept, set(sides.index[sides["nunique"] > 1]))
        yield (
            f"of the {len(split.train)} people trained on, {len(once)} were seen from one side only and {pairs} from "
            f"both: most of them have no pair to learn from. {'To change that: ' + '; '.join(found) if found else ''}"
            f"{'.' if found else 'More images of them would help.'}"
        )


def size_remarks(
    dataset: PersonDataset, rows: pd.DataFrame, ratio: list[Fraction], chosen: Mapping[str, Any]
) -> Iterable[str]:
    """What to know where the pictures' own sizes leave nothing of the low resolution that is asked for."""
    test = (rows["subset"] == "test").to_numpy()
    probe = test & (rows["role"] == "probe").to_numpy()
    own, ratios = dataset.table["width"].to_numpy()[rows["image"]], np.array(ratio, dtype=float)
    if chosen["degrade"] == "widths" and test.any() and (ratios[test] == 1).all():
        yield (
            f"no test image is degraded: the widest has {own[test].max()} pixels, which is no more than it is to show "
            f"with widths={chosen['widths']}. Take smaller widths=…."
        )
    if chosen["degrade"] == "low-side" and (test & ~probe).any():
        asked, searched = (np.median((own * ratios)[which]) for which in (probe, test & ~probe))
        if asked >= searched:
            yield (
                f"the probes are not smaller than the gallery: half of them show {asked:.0f} pixels in width or more, "
                f"of the gallery {searched:.0f}. Their cameras have the larger images: lr_camera=… names others, "
                '"smaller-side" takes for each person the camera with the smaller ones.'
            )


def stranger(dataset: PersonDataset, rows: pd.DataFrame, split: Split) -> np.ndarray:
    """(N,) bool: which rows show people who are in the test and are not asked for."""
    pid = dataset.table["pid"].to_numpy()[rows["image"]]
    return (rows["subset"] == "test").to_numpy() & ~np.isin(pid.astype(str), list(split.test))


def standing_for_many(
    dataset: PersonDataset, rows: pd.DataFrame, split: Split, chosen: Mapping[str, Any], crowd: set[str]
) -> list[str]:
    """Ids in the test gallery whose every image is somebody else: an evaluation that draws one image per person would
    draw one of GRID's 775 distractors, instead of all of them."""
    if not is_official(dataset):
        return sorted(crowd & set(split.strangers))
    if chosen["convention"] in ("market1501", "trapezoid"):  # these rank the full list, whoever is in it
        return []
    pid = dataset.table["pid"].to_numpy()[rows["image"]]
    return sorted({one for one in pid[stranger(dataset, rows, split)] if ZERO.fullmatch(one)})


def describe_side(dataset: PersonDataset, chosen: Mapping[str, Any], side: str) -> str:
    """Which images are low in resolution and which ones ask, in words."""
    probes = "the set's own queries" if is_official(dataset) and chosen["degrade"] != "low-side" else side
    low = {"low-side": side, "widths": "every image", "nothing": "no image beyond its own resolution"}[
        chosen["degrade"]
    ]
    return low if low == probes else f"{low}; probes: {probes}"


def assign_roles(
    dataset: PersonDataset, low: np.ndarray, kept: np.ndarray, split: Split, chosen: Mapping[str, Any], seed: int
) -> pd.DataFrame:
    """One row per used image: image, role and subset, in the order of the data set."""
    table = dataset.table
    pid, own = table["pid"], table["subset"]
    role = np.full(len(table), "", dtype=object)
    subset = np.full(len(table), "", dtype=object)
    official = is_official(dataset)
    queries = official and chosen["degrade"] != "low-side"  # plain and vr keep the set's own query and gallery images
    for name, people in (("train", split.train), ("val", split.val), ("test", split.test)):
        mine = pid.isin(people).to_numpy() & kept
        if official:
            mine &= (own != "train").to_numpy() if name == "test" else (own == "train").to_numpy()
        subset[mine] = name
        if name == "train":
            role[mine] = "train"
        elif queries and name == "test":
            role[mine & (own == "query").to_numpy()] = "probe"
            role[mine & (own == "gallery").to_numpy()] = "gallery"
        elif queries or chosen["gallery"] == "all":
            # As Market-1501 was made: one image per person and camera asks, the others are searched.
            asking = mine if queries else mine & low
            if official and name == "test":
                asking = asking & (own == "query").to_numpy()
            else:
                asking = one_of_each(table, asking, seed)
            role[mine] = "gallery"
            role[asking] = "probe"
        else:
            role[mine & low] = "probe"
            role[mine & ~low] = "gallery"
    mine = pid.isin(split.strangers).to_numpy() & kept & ~low
    role[mine], subset[mine] = "gallery", "test"
    if chosen["distractors"] and official:
        strangers = (own == "gallery").to_numpy() & ~pid.isin(split.test).to_numpy() & ~is_junk(dataset)
        strangers &= ~low if not queries and chosen["gallery"] == "hr" else True
        role[strangers], subset[strangers] = "gallery", "test"
    if chosen["convention"] == "sing":
        # Its CMC is divided by all probes: nobody is asked for who is not in the gallery.
        for name in ("val", "test"):
            searched = set(pid[(role == "gallery") & (subset == name)])
            role[(role == "probe") & (subset == name) & ~pid.isin(searched).to_numpy()] = ""
    used = np.flatnonzero(role != "")
    return pd.DataFrame({"image": used, "role": role[used], "subset": subset[used]})


def one_of_each(table: pd.DataFrame, among: np.ndarray, seed: int) -> np.ndarray:
    """(N,) bool: one image of each person and camera, drawn from ``among``."""
    chosen = np.zeros(len(table), bool)
    for (pid, cam), rows in table[among].groupby(["pid", "cam"]).groups.items():
        chosen[min((int(row) for row in rows), key=lambda row: draw("query", seed, str(pid), str(cam), row))] = True
    return chosen


def assign_ratios(
    dataset: PersonDataset, rows: pd.DataFrame, low: np.ndarray, chosen: Mapping[str, Any], salt: tuple[int, int]
) -> list[Fraction]:
    """The exact ratio of every used image."""
    table, images = dataset.table, rows["image"].tolist()
    ratio = dict.fromkeys(images, Fraction(1))
    ratios = chosen["ratios"]
    if chosen["degrade"] == "widths":
        first, last = chosen["widths"]
        for rank, image in enumerate(shuffled(images, "width", *salt)):
            own = int(table.at[image, "width"])
            ratio[image] = min(Fraction(first + rank % (last - first + 1), own), Fraction(1))
    elif chosen["degrade"] == "low-side" and chosen["rate"] == "shares":
        lows = shuffled((int(row) for row in np.flatnonzero(low)), "share", *salt)
        share = max(1, len(lows) // len(ratios))
        for rank, image in enumerate(lows):  # VIPeR: 210, 210 and the remaining 212
            ratio[image] = ratios[min(rank // share, len(ratios) - 1)]
    elif chosen["degrade"] == "low-side":
        owner = {
            "image": lambda i: i,
            "identity": lambda i: table.at[i, "pid"],
            "camera": lambda i: table.at[i, "cam"],
        }[chosen["rate"]]
        for image in images:
            if low[image]:
                ratio[image] = pick(ratios, "ratio", *salt, owner(image))
    return [ratio[image] for image in images]
