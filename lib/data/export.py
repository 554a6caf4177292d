"""Protocols as files for others: who is trained on, asks or is searched, on which side and at which ratio. No pixels.

    python -m lib.data.export --set viper --preset mlr --trial 0       # or --trial 0-9: all splits in one pair of files
    python -m lib.data.export --check data/manifests/viper-mlr-0-9.json

The CSV has one row per image of the set, in the set's order: ``file``, ``pid``, ``cam``, ``side`` ("low" or "high":
SING's X^l and X^h), ``ratio`` (a fraction, of the image's own height and width) and, for every split, a column
``trial_N``: "train", "val probe", "val gallery", "test probe", "test gallery", or nothing where the image is not used.
The JSON beside it holds the same and, for every split, the manifest that was hashed with its SHA-256;
:func:`lib.data.load_protocol` reads it.

``--check`` reads both back: the hashes, that the CSV says what the JSON says, that nobody is in two subsets; and where
the data set is here, that files, labels, sides and fingerprint are its own.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError, NotHere, few
from lib.data.load import load_dataset
from lib.data.manifest import canonical
from lib.data.options import PRESETS
from lib.data.protocol import Protocol, check_contents, read_manifests
from lib.data.protocols import make_protocol
from lib.data.readers import READERS
from lib.data.values import said
from lib.paths import ROOT, write_atomically

IMAGES = (
    "file",
    "pid",
    "cam",
    "side",
)  # what a manifest does not say of an image: whose it is, and which side it is on
SIDES = ("low", "high", "")
FOLDER = ROOT / "build" / "manifests"


def export(protocols: Sequence[Protocol], folder: str | Path = FOLDER) -> tuple[Path, Path]:
    """Write the splits of one protocol as ``SET-PRESET-TRIALS.csv`` and ``.json``; returns the two paths.

    protocols : of one data set, preset and seed, one or more trials.

    Raises
    ------
    DataError : there is none; they belong to several sets, presets or seeds, or are one trial twice; or an image is on
        another side or at another ratio in another trial (sets that come with one split draw them anew: write each
        trial to files of its own).
    """
    if not protocols:
        raise DataError("There is no protocol to write.")
    protocols = sorted(protocols, key=lambda one: one.trial)
    first = protocols[0]
    for one in protocols[1:]:
        for name in ("set", "fingerprint", "preset", "seed"):
            if one.manifest[name] != first.manifest[name]:
                raise DataError(f"One file holds one {name}, not {first.manifest[name]} and {one.manifest[name]}.")
    trials = [one.trial for one in protocols]
    if len(set(trials)) < len(trials):
        raise DataError(f"A trial is there twice: {few(trials, 20)}.")
    images = described(protocols)
    manifests = [one.manifest for one in protocols]
    table = csv_text(images, manifests)
    saved = [canonical({"manifest": one.manifest, "sha256": one.sha256}) for one in protocols]
    columns = [f"{json.dumps(name)}:{canonical(images[name])}" for name in IMAGES]
    text = '{"images":{' + ",\n".join(columns) + '},\n"protocols":[\n' + ",\n".join(saved) + "\n]}\n"
    path = Path(folder) / f"{file_name(first, trials)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".csv"), lambda part: part.write_text(table, encoding="utf-8", newline=""))
    write_atomically(path, lambda part: part.write_text(text, encoding="ascii"))
    return path.with_suffix(".csv"), path


def check(path: str | Path, dataset: PersonDataset | None = None) -> list[dict[str, Any]]:
    """Read an exported JSON and the CSV beside it back; returns the manifests, one per trial.

    dataset : the images they were made for, where they are here: labels, sides and fingerprint are then compared.

    Raises
    ------
    DataError : what is damaged, does not agree with its neighbour, or belongs to other data.
    """
    path = Path(path)
    manifests = read_manifests(path)
    images = read_images(path)
    for manifest in manifests:
        check_manifest_alone(manifest, images, path)
    if dataset is not None:
        try:
            found = described([Protocol.from_manifest(dataset, manifest) for manifest in manifests])
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        for name in IMAGES:
            other = [f"image {row}" for row, pair in enumerate(zip(found[name], images[name])) if len(set(pair)) > 1]
            if other or len(found[name]) != len(images[name]):
                raise DataError(f"{path}: {name} is not that of {dataset.name}: {few(other) or 'another length'}.")
    table = path.with_suffix(".csv")
    try:
        text = table.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read: {error}. It stands beside the JSON.") from error
    wanted = csv_text(images, manifests)
    if text.splitlines() != wanted.splitlines():  # git and spreadsheets may end lines in another way
        lines = zip(text.splitlines(), wanted.splitlines())
        where = next((f"line {n}" for n, pair in enumerate(lines, 1) if len(set(pair)) > 1), "its length")
        raise DataError(f"{table} does not say what {path.name} says: {where}. Restore both, or export them again.")
    return manifests


def described(protocols: Sequence[Protocol]) -> dict[str, list[str]]:
    """{file, pid, cam, side: N texts} of all images of the set; side is "" where no trial uses the image.

    DataError where trials do not agree on an image's side or ratio.
    """
    people = protocols[0].dataset.table
    side = [""] * len(people)
    ratio = [""] * len(people)
    for one in protocols:
        rows = one.table
        low = one.is_low(rows)
        for row, is_low, share in zip(rows["image"], low, one.manifest["images"]["ratio"]):
            now = ("low" if is_low else "high", share)
            if side[row] and (side[row], ratio[row]) != now:
                raise DataError(
                    f"{one.preset} on {one.dataset.name} draws sides and ratios anew for each trial (image {row} is "
                    f"{side[row]} at {ratio[row]}, in trial {one.trial} {now[0]} at {now[1]}): write each trial to "
                    "files of its own."
                )
            side[row], ratio[row] = now
    return {name: people[name].tolist() for name in IMAGES[:-1]} | {"side": side}


def csv_text(images: dict[str, list[str]], manifests: Sequence[dict[str, Any]]) -> str:
    """The table of all trials, see the module's text; lines end with a line feed."""
    ratio = [""] * len(images["file"])
    columns = []
    for manifest in manifests:
        used = manifest["images"]
        column = [""] * len(ratio)
        for row, role, subset, share in zip(used["row"], used["role"], used["subset"], used["ratio"]):
            column[row] = role if role == "train" else f"{subset} {role}"
            ratio[row] = share
        columns.append(column)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*IMAGES, "ratio", *(f"trial_{manifest['trial']}" for manifest in manifests)])
    writer.writerows(zip(*(images[name] for name in IMAGES), ratio, *columns))
    return table.getvalue()


def read_images(path: Path) -> dict[str, list[str]]:
    """The images of an exported JSON; DataError where they are none, or of different lengths."""
    saved = json.loads(path.read_text(encoding="utf-8"))  # read_manifests was there before
    images = saved.get("images") if isinstance(saved, dict) else None
    if not isinstance(images, dict) or set(images) != set(IMAGES):
        raise DataError(f"{path} holds no images: it was not written by lib.data.export.")
    for name, column in images.items():
        if not isinstance(column, list) or not all(isinstance(value, str) for value in column):
            raise DataError(f"{path}: {name} of the images must be a list of texts, not {said(column)}.")
    if len({len(column) for column in images.values()}) != 1:
        raise DataError(f"{path}: {', '.join(IMAGES)} of the images are of different lengths.")
    if unknown := sorted(set(images["side"]) - set(SIDES)):
        raise DataError(f"{path}: a side is low, high or empty, not {few(map(repr, unknown))}.")
    named = [name for name in images["file"] if name]
    if len(set(named)) < len(named):
        twice = sorted({name for name in named if named.count(name) > 1})
        raise DataError(f"{path}: an image is there twice: {few(twice)}.")
    return images


def check_manifest_alone(manifest: dict[str, Any], images: dict[str, list[str]], path: Path) -> None:
    """DataError where a manifest is damaged or says of its images what cannot be; no data set is needed for that."""
    try:
        check_contents(manifest)
        used = manifest["images"]
        pids = {name: set(manifest["identities"][name]) for name in ("train", "val", "test")}
    except (DataError, KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(f"{path}: a manifest is damaged: {type(error).__name__}: {error}") from error
    where = f"{path}, trial {manifest['trial']}"
    rows = list(used["row"])
    if rows != sorted(set(rows)) or (rows and rows[-1] >= len(images["file"])):
        raise DataError(f"{where}: the images are not those of the list, each once and in order.")
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        if both := pids[one] & pids[other]:
            raise DataError(f"{where}: people in {one} and in {other}: {few(sorted(both))}.")
    strangers = set(manifest["identities"].get("strangers", []))
    for row, role, subset in zip(rows, used["role"], used["subset"]):
        pid = images["pid"][row]
        mine = pid in pids[subset] or (
            role == "gallery" and subset == "test" and pid not in pids["train"] | pids["val"]
        )
        if not mine and pid not in strangers:
            raise DataError(f"{where}: image {row} of person {pid} is in {subset}, that person is not.")
        if not images["side"][row]:
            raise DataError(f"{where}: image {row} is used and on no side.")


def file_name(protocol: Protocol, trials: Sequence[int]) -> str:
    """``SET-PRESET-TRIALS``, for example viper-mlr-0-9; another seed than 0 is named. Signs that no file has are -."""
    whole = len(trials) > 1 and list(trials) == list(range(trials[0], trials[-1] + 1))
    numbers = f"{trials[0]}-{trials[-1]}" if whole else "_".join(map(str, trials))
    seed = f"-seed{protocol.seed}" if protocol.seed else ""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", Path(protocol.dataset.name).name).strip("-.") or "set"
    return f"{name}-{protocol.preset}{seed}-{numbers}"


def trials_of(text: str) -> list[int]:
    """0, 0-9 or 0,3,5 as numbers; argparse says what is wrong with anything else."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip(), re.ASCII)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise argparse.ArgumentTypeError(f"{text!r} names no trials: write 0, 0-9 or 0,3,5")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return sorted(set(found))


def here(name: str, root: str | None, told: bool = False) -> PersonDataset | None:
    """The data set, or None where it is not here; other DataErrors are passed on: it is here and damaged.

    told : the name was given with --set. In a manifest that of somebody's own pictures ("own-shop") or of a set in
    memory ("toy") does not say where they are.
    """
    if not told and str(name).lower() not in READERS:
        return None
    try:
        return load_dataset(name, root=root)
    except NotHere:
        return None


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; exit code 1, and one line that says why, where something cannot be written or does not agree."""
    parser = argparse.ArgumentParser(prog="python -m lib.data.export", description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", dest="dataset", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--preset", choices=PRESETS)
    parser.add_argument("--trial", type=trials_of, default=[0], help="0, 0-9 or 0,3,5 (default: 0)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=FOLDER, help="the folder to write to (default: build/manifests)")
    parser.add_argument("--root", help="the folder that holds the public sets (default: $REID_DATA or data/raw)")
    parser.add_argument("--check", type=Path, nargs="+", metavar="FILE.json", help="read files back, write nothing")
    told = parser.parse_args(argv)
    if not told.check and not (told.dataset and told.preset):
        parser.error("name what is to be written, --set viper --preset mlr, or what is to be read, --check FILE.json")
    try:
        if told.check:
            for path in told.check:
                report(path, told.dataset, told.root)
        else:
            people = load_dataset(told.dataset, root=told.root)
            made = [make_protocol(people, told.preset, trial, told.seed) for trial in told.trial]
            for path in export(made, told.to):
                print(f"written: {path}")
            for one in made:
                print(f"trial {one.trial}: SHA-256 {one.sha256}")
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def report(path: Path, name: str | None, root: str | None) -> None:
    """Check one exported file and print what was found; DataError where it does not agree."""
    manifests = read_manifests(path)
    told = bool(name)
    if not (name := name or manifests[0].get("set")):
        raise DataError(f"{path}: the manifest names no set: name its people with --set")
    people = here(name, root, told)
    check(path, people)
    apart = f"alone: {name} is not here, so that its images were not compared (--set says where)"
    compared = f"with {people!r}" if people else apart
    print(f"{path}: {len(manifests)} trial(s) of {manifests[0]['preset']} agree, {compared}")


if __name__ == "__main__":
    sys.exit(main())
