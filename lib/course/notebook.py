"""What can be known about a notebook without running it: its parameters cell, its call of ``begin``, the hash of its
code.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from lib.course import parameters, paths
from lib.course.parameters import ParameterError
from lib.definitions import definitions_of_text, essence, total
from lib.paths import write_atomically

# The other lessons (ablations, the claims, the explorer) are for who wants to know more: `make all`
MAIN_LINE = frozenset(["00", "01", "02", "03", "04", "05", "10", "20", "21", "22", "30", "40", "50", "90"])
SCOPES = ("main", "all")
HOSTED = "hosted"  # tag of a first cell that fetches the course in Colab (``lib.course.hosted``): no part of the lesson
LESSON_NAME = re.compile(r"(solutions/)?\d\d_[a-z0-9_]+")


class NotebookError(ValueError):
    """A notebook that cannot be run as it is."""


@dataclass(frozen=True)
class Declaration:
    """What a notebook says about itself in its call of ``begin``."""

    name: str
    minutes: dict[str, float]
    after: tuple[str, ...]
    types: dict[str, Any]


def read(path: str | Path) -> nbformat.NotebookNode:
    """The notebook in nbformat 4; NotebookError names a file that is none."""
    try:
        return nbformat.read(str(path), as_version=4)
    except FileNotFoundError:
        raise NotebookError(f"{path}: no such notebook") from None
    except (
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
        UnicodeDecodeError,
        AttributeError,
        KeyError,
    ) as error:
        raise NotebookError(
            f"{path} is not a notebook: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def write(notebook: nbformat.NotebookNode, path: str | Path) -> None:
    """Write the notebook, atomically, always in the same form (one space indent, sorted keys, a newline at the end)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The lesson's code cells that hold code."""
    return [cell for cell in own_cells(notebook) if cell.cell_type == "code" and cell.source.strip()]


def own_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The lesson's cells: all but one that fetches the course in Colab."""
    return [cell for cell in notebook.cells if HOSTED not in tags(cell)]


def parameters_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The one cell tagged ``parameters``; NotebookError when there is none or more than one."""
    found = [cell for cell in notebook.cells if "parameters" in tags(cell)]
    if not found:
        raise NotebookError(
            "no cell is tagged `parameters`: papermill would let the notebook's defaults win; tag the cell with the "
            "defaults (some cleaning tools delete the tag)"
        )
    if len(found) > 1:
        raise NotebookError(f"{len(found)} cells are tagged `parameters`: papermill reads only the first; keep one")
    if found[0].cell_type != "code":
        raise NotebookError("the cell tagged `parameters` is not a code cell")
    return found[0]


def defaults(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """{name: default} of the parameters cell."""
    try:
        return parameters.assignments(parameters_cell(notebook).source)
    except ParameterError as error:
        raise NotebookError(str(error)) from error


def declaration(notebook: nbformat.NotebookNode) -> Declaration | None:
    """The notebook's call of ``begin``, read from its source; None when it has none. Its arguments must be literals
    (types by name).
    """
    for call in _calls(notebook, "begin"):
        try:
            name = ast.literal_eval(call.args[1])
            keywords = {keyword.arg: _literal_or_types(keyword.value) for keyword in call.keywords}
        except (IndexError, ValueError) as error:
            raise NotebookError(
                f'`{ast.unparse(call)}`: write begin(globals(), "NN_name", minutes={{...}}, ...) with literals only'
            ) from error
        minutes, after = keywords.pop("minutes", {}), keywords.pop("after", ())
        keywords.pop("default_dataset", None)
        return Declaration(name, dict(minutes), tuple(after), {**parameters.STANDARD, **keywords})
    return None


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of what runs: the sources of the code cells and the tags. Text, outputs and counts do not make a notebook
    new, nor does where it can be opened.
    """
    digest = hashlib.sha256()
    for cell in code_cells(notebook):
        digest.update(repr((cell.source, sorted(tags(cell)))).encode())
    return digest.hexdigest()


def library_hash(notebook: nbformat.NotebookNode, root: Path = paths.ROOT) -> str:
    """SHA-256 of what a notebook's result may depend on in this repository beside its own cells: the definitions of
    lib/ that they reach, without the course's tools, and the published numbers.

    Of a notebook with a cell that is no Python all of lib/ counts.
    """
    tools = [f"lib.course.{file.stem}" for file in (root / "lib" / "course").glob("*.py") if file.stem != "lesson"]
    tools.remove("lib.course.__init__")
    try:
        used = definitions_of_text(script(notebook), aside=tools, root=root)
    except SyntaxError:
        files = sorted((root / "lib").rglob("*.py"))
        used = {file.relative_to(root).as_posix(): essence(file.read_text(encoding="utf-8")) for file in files}
    digest = hashlib.sha256(total(used).encode())
    for path in sorted((root / "data" / "published").glob("*.csv")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def script(notebook: nbformat.NotebookNode) -> str:
    """The code cells below each other, without %magics and !commands."""
    lines = [line for cell in code_cells(notebook) for line in cell.source.splitlines()]
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def lesson_files(folder: Path = paths.NOTEBOOKS) -> dict[str, Path]:
    """{name: file} of the lessons and, after them, of the solutions; names as ``begin`` has them."""
    found = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    found |= {f"solutions/{path.stem}": path for path in sorted((folder / "solutions").glob("[0-9][0-9]_*.ipynb"))}
    return found


def title(notebook: nbformat.NotebookNode) -> str:
    """The notebook's first heading without its marks: "03 How hard is low resolution?"; empty where there is none."""
    found = re.search(r"^# (.+)", notebook.cells[0].source if notebook.cells else "", re.MULTILINE)
    return found.group(1).replace(" · ", " ", 1).strip() if found else ""


def declared_minutes(notebook: nbformat.NotebookNode, profile: str) -> float:
    """What the notebook says that it takes; 30 where it says nothing."""
    declared = declaration(notebook)
    return declared.minutes.get(profile, 30) if declared else 30


def duration(minutes: float) -> str:
    """ "42 s" below a minute, "5 min", "1.5 min"."""
    return f"{round(minutes * 60)} s" if minutes < 1 else f"{minutes:g} min"


def in_scope(names: Iterable[str], wanted: str, scope: str) -> list[str]:
    """What a run is of: ``choose``, without solutions and, where nothing is asked for by name, of the main line alone
    if the scope is "main"; for "all", all of it. NotebookError for another scope.
    """
    if scope not in SCOPES:
        raise NotebookError(f"scope = {scope!r}: choose one of {', '.join(SCOPES)}")
    chosen = choose(names, wanted)
    if scope == "all":
        return chosen
    if not wanted.replace(",", " ").split():
        return [name for name in chosen if name[:2] in MAIN_LINE]
    return [name for name in chosen if not name.startswith("solutions/") or "solutions/" in wanted]


def choose(names: Iterable[str], wanted: str) -> list[str]:
    """The lessons that `wanted` asks for, with their solutions, in the order of `names`; all for an empty text.

    wanted : numbers or beginnings of names, with blanks or commas between them: ``"00 3"``, ``"04_base"``. A single
    digit is a number: 3 is lesson 03, and none of 30 to 39. Raises NotebookError for one that no lesson begins with.
    """
    names = list(names)
    beginnings = {
        part: f"0{part}" if re.fullmatch("[0-9]", part) else part for part in wanted.replace(",", " ").split()
    }
    found = {
        part: {name for name in names if name.startswith(start) or name.removeprefix("solutions/").startswith(start)}
        for part, start in beginnings.items()
    }
    if lost := [part for part, some in found.items() if not some]:
        lessons = [name for name in names if "/" not in name]
        raise NotebookError(f"no lesson begins with {' or '.join(lost)}; there are: {', '.join(lessons)}")
    return [name for name in names if not found or any(name in some for some in found.values())]


def _calls(notebook: nbformat.NotebookNode, function: str) -> Iterator[ast.Call]:
    for cell in code_cells(notebook):
        try:
            tree = ast.parse(cell.source)
        except SyntaxError:
            continue  # %magics and unfinished cells; the structure test names them
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
                yield node


def _literal_or_types(node: ast.expr) -> Any:
    kinds = {"str": str, "int": int, "float": float, "bool": bool}
    if isinstance(node, ast.Name) and node.id in kinds:
        return kinds[node.id]
    if isinstance(node, ast.Tuple):
        return tuple(_literal_or_types(item) for item in node.elts)
    return ast.literal_eval(node)
