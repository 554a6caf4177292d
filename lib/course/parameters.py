"""Strict parameters of a notebook.

papermill only *warns* about a name that the notebook does not know, reads the YAML value ``1e-3`` and the command
line's ``false`` as strings, and lets the defaults win when the ``parameters`` tag is missing, all with exit code 0.
Here each of these is an error that says what to write instead.

A declared type is ``str``, ``int``, ``float`` or ``bool``; a tuple of types, possibly with ``None``: ``(float, None)``;
or a tuple of the allowed values: ``("bicubic", "area")``.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lib.course import paths
from lib.names import DATASETS, PROFILES

STANDARD: dict[str, Any] = {"profile": (str, None), "dataset": str, "seed": int}  # every notebook has these three


class ParameterError(ValueError):
    """A notebook was given a parameter that it does not know, or a value of the wrong type."""


def check_names(given: Iterable[str], declared: Iterable[str]) -> None:
    """Raise ParameterError for every name in `given` that is not in `declared`, with the nearest known one."""
    declared = sorted(declared)
    unknown = sorted(set(given) - set(declared))
    if unknown:
        hints = [f"{name!r}{_nearest(name, declared)}" for name in unknown]
        raise ParameterError(f"unknown parameter {', '.join(hints)}; this notebook has: {', '.join(declared)}")


def check_value(name: str, value: Any, declared: Any) -> Any:
    """`value` if it is of the declared type (an int where a float is asked becomes a float), else ParameterError with
    the remedy.
    """
    if isinstance(declared, tuple) and not any(isinstance(item, type) for item in declared):
        if any(value == item and type(value) is type(item) for item in declared):
            return value
        raise ParameterError(
            f"{name} = {value!r}: choose one of {', '.join(map(repr, declared))}{_nearest(value, declared)}"
        )
    allowed = declared if isinstance(declared, tuple) else (declared,)
    for kind in allowed:
        if kind is None and value is None:
            return None
        if kind is float and type(value) in (int, float) and math.isfinite(value):
            return float(value)
        if kind is not None and type(value) is kind and kind is not float:
            return value
    wanted = " or ".join("None" if kind is None else kind.__name__ for kind in allowed)
    raise ParameterError(
        f"{name} = {value!r} is {_article(value)}, but {name} must be {wanted}.{_remedy(name, value, allowed)}"
    )


def check_all(given: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Names and values together: {name: checked value} for everything in `given`."""
    check_names(given, declared)
    return {name: check_value(name, value, declared[name]) for name, value in given.items()}


def resolve_profile(profile: str | None, default: str = "quick") -> str:
    """The profile that is meant: the one given, else $COURSE_PROFILE (an empty one is none), else `default`."""
    origin = "profile"
    if profile is None:
        profile, origin = os.environ.get("COURSE_PROFILE") or default, "the environment variable COURSE_PROFILE"
    if profile not in PROFILES:
        raise ParameterError(
            f"{origin} is {profile!r}: choose one of {', '.join(PROFILES)}{_nearest(profile, PROFILES)}"
        )
    return profile


def resolve_dataset(dataset: str) -> str:
    """A known name as it is, an existing folder or CSV file as an absolute path; everything else is a
    ParameterError: also nothing at all (which a path would take for the folder one stands in), and the course's own
    folder or one around it.
    """
    if not isinstance(dataset, str) or not dataset.strip():
        raise ParameterError(
            f"dataset = {dataset!r} names nothing. Known: {', '.join(DATASETS)}; "
            "or a folder or a CSV file (data/README.md)"
        )
    if dataset in DATASETS:
        return dataset
    path = Path(dataset).expanduser()
    if path.is_dir() and (paths.ROOT.is_relative_to(path.resolve()) or path.resolve() == paths.NOTEBOOKS):
        raise ParameterError(
            f"dataset = {dataset!r} is {path.resolve()}, where the course itself lies: its pictures are no people. "
            "Name the folder of the data set"
        )
    if path.is_dir() or (path.is_file() and path.suffix.lower() == ".csv"):
        return str(path.resolve())
    looks_like_path = os.sep in dataset or dataset.endswith(".csv") or path.exists()
    problem = "is no folder and no .csv file" if looks_like_path else "is not a known data set"
    raise ParameterError(
        f"dataset = {dataset!r} {problem}{_nearest(dataset, DATASETS)}. Known: {', '.join(DATASETS)}; "
        "or a folder or a CSV file (data/README.md)"
    )


def dataset_name(dataset: str) -> str:
    """A name for folders: a known data set's own; of a folder or file its last part and six digits of its path's hash,
    so that a reader's folder called ``viper`` is not VIPeR, and two folders of one name are two.
    """
    if dataset in DATASETS:
        return dataset
    digits = hashlib.sha256(str(Path(dataset).resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{re.sub('[^A-Za-z0-9_-]', '-', Path(dataset).stem)[:60]}-{digits}"


def resolve_seed(seed: int) -> int:
    """A seed is not negative and fits NumPy's 32 bits."""
    if not 0 <= seed < 2**32:
        raise ParameterError(f"seed = {seed}: it must lie between 0 and 2**32 - 1")
    return seed


def assignments(source: str) -> dict[str, Any]:
    """{name: value} of a parameters cell; ParameterError when it holds anything but assignments of literals.

    Annotated assignments (``seed: int = 0``) count as well, they are what papermill's help shows.
    """
    found: dict[str, Any] = {}
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"the parameters cell is not valid Python: {error}") from error
    for statement in statements:
        if (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            name, value = statement.targets[0].id, statement.value
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value is not None
        ):
            name, value = statement.target.id, statement.value
        else:
            raise ParameterError(
                f"line {statement.lineno} of the parameters cell is not `name = literal`: {ast.unparse(statement)}"
            )
        try:
            found[name] = ast.literal_eval(value)
        except ValueError as error:
            raise ParameterError(f"the default of {name} is not a literal: {ast.unparse(value)}") from error
    return found


def from_command_line(text: str) -> Any:
    """What papermill's ``-p name text`` makes of the text: True, False, None, an int, a float, else the string
    itself.
    """
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue  # not a number of this kind; what no kind takes stays a string, and check_value judges it
    return text


def _nearest(name: Any, known: Iterable[Any]) -> str:
    close = difflib.get_close_matches(str(name), [str(item) for item in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _article(value: Any) -> str:
    return {
        "str": "a string",
        "bool": "a truth value",
        "int": "an integer",
        "float": "a float",
        "NoneType": "None",
    }.get(type(value).__name__, type(value).__name__)


def _remedy(name: str, value: Any, allowed: tuple) -> str:
    """What to type instead, for the values that papermill and YAML are known to misread."""
    if isinstance(value, str):
        if bool in allowed and value.lower() in ("true", "false", "yes", "no", "on", "off"):
            meant = value.lower() in ("true", "yes", "on")
            return f" papermill makes a truth value of True and False only: write `-p {name} {meant}`."
        if float in allowed or int in allowed:
            try:
                number = float(value)
            except ValueError:
                return " It is not a number."
            shown = int(number) if float not in allowed and number.is_integer() else number
            remedy = f"it wants a decimal point, as in 1.0e-3): write {shown!r} without quotes."
            return f" YAML reads {value!r} as text ({remedy}"
    if isinstance(value, float) and int in allowed and value.is_integer():
        return f" Write {int(value)}."
    if isinstance(value, (int, float)) and str in allowed:
        return f" In Python or YAML put it in quotes; on the command line use `papermill -r {name} {value}`."
    return ""
