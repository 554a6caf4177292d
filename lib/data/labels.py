"""What may be the name of a person or of a camera, and what is only almost the same name.

Identities and cameras are text: 0002 is not 2. They are compared letter by letter everywhere else, so that a blank
behind a name, or an accent that a Mac stores as a letter of its own, would make two people of one.
"""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.data.errors import DataError, few

KINDS = {"pid": "person", "cam": "camera"}
INVISIBLE = "".join(map(chr, (*range(0x21), 0xA0, 0x3000, *range(0x2000, 0x2010), 0x202F, 0x205F, 0x2060, 0xFEFF)))
EXACT = 2**53  # whole numbers up to here are exact in a float
JUNK = re.compile(r"-0*1")  # Market-1501: boxes that show nobody
STRANGERS = re.compile(r"0+")  # Market-1501: pictures of many people whom nobody searches for


def clean_label(value: Any) -> str:
    """A name as it is compared: composed letters (NFC), no blanks or invisible signs at its ends; 1.0 is 1.

    Raises
    ------
    ValueError : there is no name (None, nan, empty), or it is no text and no whole number.
    """
    if isinstance(value, str):
        text = str(value).strip()
        if not text.isascii():
            text = unicodedata.normalize("NFC", text).strip(INVISIBLE)
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise ValueError(f"{readable(text)} is no text in UTF-8")
        if not text:
            raise ValueError("it is empty")
        return text
    if value is None or value is pd.NA or value is pd.NaT:
        raise ValueError("it is missing")
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):  # a column of whole numbers that pandas turned into floats
        number = float(value)
        if math.isnan(number):
            raise ValueError("it is missing (nan)")
        if number.is_integer() and abs(number) < EXACT:
            return str(int(number))
        raise ValueError(f"{value!r} is no whole number below 2**53; give the names as text")
    raise ValueError(f"{value!r} is neither text nor a whole number")


def clean_labels(values: Iterable[Any], column: str, where: str = "") -> list[str]:
    """:func:`clean_label` of each row of a column.

    Raises
    ------
    DataError : a value is no name; says which row.
    """
    cleaned = []
    for row, value in enumerate(values):
        try:
            cleaned.append(clean_label(value))
        except ValueError as error:
            raise DataError(
                f"{where + ', ' if where else ''}row {row}: the {column} is no name of a {KINDS[column]}: {error}. "
                "Correct it, or leave the picture out."
            ) from error
    return cleaned


def alike(text: str) -> str:
    """Names with the same value here are easily taken for each other: "1" and "0001", "Ann" and "ann"."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"[\s_-]+", " ", text))


def spelling_warnings(given: Sequence[Any], cleaned: Sequence[str], column: str) -> list[str]:
    """What to say about a column: which spellings were taken for one name, and which names are only almost the same."""
    found = []
    kind = "people" if column == "pid" else "cameras"
    spellings: dict[str, set[str]] = {}
    for value, name in zip(given, cleaned, strict=True):
        if isinstance(value, str):
            spellings.setdefault(name, set()).add(value)
    merged = [" = ".join(map(ascii, sorted(some))) for some in spellings.values() if len(some) > 1]
    if merged:
        found.append(f"{kind} spelled in several ways were taken for one: {few(merged)}.")
    twins: dict[str, set[str]] = {}
    for name in set(cleaned):
        twins.setdefault(alike(name), set()).add(name)
    close = sorted(" and ".join(map(repr, sorted(some))) for some in twins.values() if len(some) > 1)
    if close:
        found.append(
            f"{kind} whose names differ in zeros, capitals or blanks only: {few(close)}. They count as different; "
            "give them one name if they are the same."
        )
    return found


def readable(text: str | Path) -> str:
    """A path or name that can be printed, whatever bytes are in it."""
    return str(text).encode("utf-8", "backslashreplace").decode()
