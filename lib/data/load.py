"""From a name to a data set."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError
from lib.data.readers import READERS, from_csv, from_folder
from lib.data.store import Source, load
from lib.paths import ROOT


def load_dataset(
    name_or_path: str | Path, root: str | Path | None = None, cache: str | Path | None = None, **options: Any
) -> PersonDataset:
    """Images of people by the name of a set, or from your own folder or CSV.

    Parameters
    ----------
    name_or_path : "pedestrians", "pedestrians-pretrain", "viper", "caviar", "cuhk03", "market1501", "dukemtmc",
        "msmt17", "sysu"; or a folder of ``identity/camera/*.jpg``; or a CSV file with the columns file, pid, cam and
        perhaps subset. A ``Path`` is always your own folder or CSV; so is a text with a slash, "./viper".
    root : the folder that holds the public sets; $REID_DATA or data/raw of this repository when None.
    cache : where decoded images are kept; $REID_CACHE or data/cache of this repository when None.
    options : of the set's reader, for example ``crops="labeled"`` of CUHK03, ``identities=30`` of the embedded people,
        or ``layout="camera/identity"`` of a folder.

    Raises
    ------
    DataError : what is wrong with the data, the file it concerns, and what to do.

    Warns
    -----
    DataWarning : what is unusual about them, for example files with the same bytes.
    """
    root = place("root", root, "REID_DATA", ROOT / "data" / "raw")
    cache = place("cache", cache, "REID_CACHE", ROOT / "data" / "cache")
    name = str(name_or_path)
    if not isinstance(name_or_path, (str, Path)) or not name.strip():
        raise DataError(f"load_dataset wants the name of a set, a folder or a CSV file, not {name_or_path!r}.")
    if isinstance(name_or_path, str) and name.lower() in READERS:
        return load(source_of(READERS[name.lower()], root, name, options), cache)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return load(source_of(from_folder, path, name, options), cache)
    if path.suffix.lower() == ".csv":
        return load(source_of(from_csv, path, name, options), cache)
    close = difflib.get_close_matches(name.lower(), READERS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise DataError(f"{name!r} is no set, no folder and no CSV file.{hint} The sets are {', '.join(READERS)}.")


def place(argument: str, given: str | Path | None, variable: str, default: Path) -> Path:
    """The folder given, else that of an environment variable, else the default."""
    if given is None:
        given = os.environ.get(variable) or default  # an empty variable is one that is not set
    elif not isinstance(given, (str, Path)) or not str(given).strip():
        raise DataError(f"load_dataset: {argument}={given!r} is no folder; leave it out for ${variable} or {default}.")
    return Path(given).expanduser()


def source_of(reader: Callable[..., Source], where: Path, name: str, options: dict[str, Any]) -> Source:
    """What a reader finds; raises DataError where it does not know an option."""
    try:
        inspect.signature(reader).bind(where, **options)
    except TypeError as error:
        known = ", ".join(list(inspect.signature(reader).parameters)[1:]) or "none"
        raise DataError(f"load_dataset({name!r}): {error}. Its options: {known}.") from error
    return reader(where, **options)
