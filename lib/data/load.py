"""From a name to a data set."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from lib.data.dataset import PersonDataset
from lib.data.errors import DataError
from lib.data.readers import READERS, from_csv, from_folder
from lib.data.store import load

REPOSITORY = Path(__file__).resolve().parents[2]


def load_dataset(
    name_or_path: str | Path, root: str | Path | None = None, cache: str | Path | None = None, **options: Any
) -> PersonDataset:
    """Images of people by the name of a set, or from your own folder or CSV.

    Parameters
    ----------
    name_or_path : "pedestrians", "pedestrians-pretrain", "viper", "caviar", "cuhk03", "market1501", "dukemtmc",
        "msmt17", "sysu"; or a folder of ``identity/camera/*.jpg``; or a CSV file with the columns file, pid, cam and
        perhaps subset.
    root : the folder that holds the public sets; $REID_DATA or data/raw of this repository when None.
    cache : where decoded images are kept; $REID_CACHE or data/cache of this repository when None.
    options : of the set's reader, for example ``crops="labeled"`` of CUHK03 or ``identities=30`` of the embedded
        people.

    Raises
    ------
    DataError : what is wrong with the data, the file it concerns, and what to do.

    Warns
    -----
    DataWarning : what is unusual about them, for example files with the same bytes.
    """
    root = Path(root or os.environ.get("REID_DATA") or REPOSITORY / "data" / "raw").expanduser()
    cache = Path(cache or os.environ.get("REID_CACHE") or REPOSITORY / "data" / "cache").expanduser()
    name = str(name_or_path)
    try:
        if name.lower() in READERS:
            return load(READERS[name.lower()](root, **options), cache)
        path = Path(name_or_path).expanduser()
        if path.is_dir():
            return load(from_folder(path, **options), cache)
        if path.suffix.lower() == ".csv":
            return load(from_csv(path, **options), cache)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise DataError(f"load_dataset({name!r}): {error}.") from error
    close = difflib.get_close_matches(name.lower(), READERS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise DataError(f"{name!r} is no set, no folder and no CSV file.{hint} The sets are {', '.join(READERS)}.")
