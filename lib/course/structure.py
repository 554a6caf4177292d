"""What every committed notebook must look like. Each rule is a function that yields problems; the tests demand that
none does.

Rules for all notebooks: nbformat 4.5, the python3 kernel, exactly one parameters cell right at the start, ``begin``
after it with the declared names, short code cells, no shell or magics, no imported name given away. Rules for lessons:
title, cost and expectation first, the headings of the rhythm in their order. Rules for stored outputs: executed top to
bottom without error, exact facts have their output, no warnings, progress bars, addresses, folders or hosts of a
machine, under 300 KB.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat

from lib.course import notebook as notebooks
from lib.course.notebook import NotebookError

LIMIT = 300_000  # bytes of a committed notebook: people read them on the web
CELL_LINES = 40  # thin notebooks: longer code belongs into lib
CHECK = "# NBVAL_CHECK_OUTPUT"
STANDARD_ORDER = ["profile", "dataset", "seed"]
RHYTHM = (
    r"The question",
    r"What the papers? claims?",
    r"Predict before you run",
    r"The equations? and the code",
    r"Sanity check",
    r"The experiments?",
    r"Published beside measured",
    r"What we see",
    r"What the papers? leaves? out",
    r"Exercises",
)
SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FREE = {"99_explore"}  # sliders over everything: a tool, not a lesson with a rhythm
PROGRESS = re.compile(r"\d+%\|[^\n]*\||\r|\bit/s\b|\bs/it\b")
ADDRESS = re.compile(r"<[^<>\n]* at 0x[0-9a-fA-F]{6,}>")
FOLDER = re.compile(
    r"(?:^|[\s'\"(=:,>])((?:/(?:home|root|Users|tmp|work|mnt|scratch|private|opt|var|data|usr|srv|workspace)/|[A-Z]:\\{1,2}Users)[^\s'\"<>)]*)",
    re.MULTILINE,
)
HOST = re.compile(
    r"\bhttps?://(?:localhost|127\.|10\.|192\.168\.|[^\s/'\"]*(?:artifact|nexus|registry|mirror|proxy|\.internal|\.local)\b)[^\s'\"]*",
    re.IGNORECASE,
)
Rule = Callable[[nbformat.NotebookNode, str], Iterator[str]]


def format_rules(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """nbformat 4.5, python3, ids."""
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        yield f"nbformat {notebook.nbformat}.{notebook.nbformat_minor}: save it as 4.5, with cell ids"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield f"not valid: {error.message}"


def beginning(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """Title and cost, parameters, begin: the first three cells, and their agreement."""
    cells = notebook.cells
    if len(cells) < 3:
        yield "fewer than three cells"
        return
    if cells[0].cell_type != "markdown" or not re.match(r"# \S", cells[0].source):
        yield "the first cell is not a markdown title (`# NN · …`)"
    elif name not in FREE and "/" not in name:
        number = name[:2]
        if not re.match(rf"# {number}\b", cells[0].source):
            yield f"the title does not begin with `# {number}`"
        for part in ("**Time and hardware:**", "**Expected result:**"):
            if part not in cells[0].source:
                yield f"the first cell lacks {part}"
    try:
        defaults = notebooks.defaults(notebook)
        declared = notebooks.declaration(notebook)
    except NotebookError as error:
        yield str(error)
        return
    if "parameters" not in notebooks.tags(cells[1]):
        yield "the second cell is not the parameters cell"
    if list(defaults)[:3] != STANDARD_ORDER or defaults.get("profile", "") is not None:
        yield f"the parameters cell must begin with profile = None, dataset, seed; it has {', '.join(defaults)}"
    if declared is None or "begin(" not in cells[2].source:
        yield "the third cell does not call begin(globals(), ...)"
        return
    if declared.name != name:
        yield f"begin is called for {declared.name!r}, the file is {name!r}"
    if set(declared.types) != set(defaults):
        yield f"parameters cell and begin disagree about {', '.join(sorted(set(declared.types) ^ set(defaults)))}"
    if not {"quick", "course"} <= set(declared.minutes):
        yield "begin(minutes=...) must say quick and course"
    if declared.minutes.get("quick", 0) > 1.5:
        yield f"quick takes {declared.minutes['quick']} min; at most 90 s are allowed"


def rhythm(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """A lesson's headings, in their order."""
    if "/" in name or name in FREE:
        return
    headings = [
        line[3:].strip()
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]
    position = 0
    for wanted in RHYTHM:
        found = next(
            (index for index, text in enumerate(headings[position:], position) if re.match(wanted + r"\b", text)), None
        )
        if found is None:
            anywhere = any(re.match(wanted + r"\b", text) for text in headings)
            yield f"heading `## {wanted.replace('?', '')}` {'is out of order' if anywhere else 'is missing'}"
        else:
            position = found + 1


def code(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """Thin, plain Python cells without machine paths."""
    for number, cell in enumerate(notebook.cells):
        for line in FOLDER.finditer(cell.source):
            yield f"cell {number} names a folder of a machine: {line.group(1)}"
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if len(cell.source.splitlines()) > CELL_LINES:
            yield f"cell {number} has {len(cell.source.splitlines())} lines: move code into lib (at most {CELL_LINES})"
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            yield f"cell {number} is not plain Python (magics and shell lines are not portable): {error.msg}"
            continue
        if any(
            isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
            for node in ast.walk(tree)
        ):
            yield f"cell {number} imports *"


def shadows(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """No cell gives a name that was imported to something else: a cell further down would find that instead."""
    imported: set[str] = set()
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        try:
            nodes = list(_outside_functions(ast.parse(cell.source)))
        except SyntaxError:
            continue  # `code` names it
        for node in nodes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imported |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        stored |= {node.name for node in nodes if isinstance(node, SCOPES) and hasattr(node, "name")}
        for lost in sorted(stored & imported):
            yield f"cell {number} gives the name {lost} to something else, but it was imported"


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """What is below `node`, without what has names of its own (functions, classes, comprehensions)."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, SCOPES):
            yield from _outside_functions(child)


def executed(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """Run top to bottom, once, without error."""
    counts = [cell.execution_count for cell in notebooks.code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not executed from top to bottom: the counts are {counts}"
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and any(output.output_type == "error" for output in cell.outputs):
            yield f"cell {number} stores an error"
        if any(
            tag in notebooks.tags(cell)
            for tag in ("raises-exception", "nbval-skip", "nbval-ignore-output", "injected-parameters")
        ):
            yield f"cell {number} is tagged {', '.join(notebooks.tags(cell))}"


def checks_have_output(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """nbval passes a checked cell that stores nothing, silently: refuse it here."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and CHECK in cell.source:
            if not cell.source.startswith(CHECK):
                yield f"cell {number}: {CHECK} must be its first line"
            if not any(output_text(output).strip() for output in cell.outputs):
                yield f"cell {number} is marked {CHECK} but stores no output: the check would pass whatever it prints"


def debris(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """What a machine or a tool leaves in outputs and does not belong there."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            text = output_text(output)
            if output.output_type == "stream" and output.name == "stderr":
                yield f"cell {number} stores stderr: {text.strip()[:120]!r}"
            if PROGRESS.search(text):
                yield f"cell {number} stores a progress bar"
            if found := ADDRESS.search(text):
                yield f"cell {number} stores an address: {found.group()}"
            if found := FOLDER.search(text):
                yield f"cell {number} stores a folder of a machine: {found.group(1)}"
            if found := HOST.search(text):
                yield f"cell {number} stores a host name: {found.group()}"
            if any(kind.startswith("application/vnd.jupyter.widget") for kind in output.get("data", {})):
                yield f"cell {number} stores a widget, which is empty on the web"
    if "widgets" in notebook.metadata or "papermill" in notebook.metadata:
        yield "the notebook keeps the metadata of widgets or papermill"


def output_text(output: nbformat.NotebookNode) -> str:
    """Everything readable of an output: stream text, or its text and HTML forms (not pictures)."""
    if output.output_type == "stream":
        return "".join(output.text)
    if output.output_type == "error":
        return "\n".join(output.get("traceback", []))
    return "\n".join("".join(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/"))


SOURCE_RULES: tuple[Rule, ...] = (format_rules, beginning, rhythm, code, shadows)
OUTPUT_RULES: tuple[Rule, ...] = (executed, checks_have_output, debris)


def problems(path: Path, name: str, rules: tuple[Rule, ...] = SOURCE_RULES + OUTPUT_RULES) -> list[str]:
    """All problems of the notebook at `path`, which is called `name` ("03_objective", "solutions/03_objective")."""
    try:
        notebook = notebooks.read(path)
    except NotebookError as error:
        return [str(error)]
    found = [problem for rule in rules for problem in rule(notebook, name)]
    if path.stat().st_size > LIMIT:
        sizes = sorted(
            ((len(str(cell.get("outputs", ""))), number) for number, cell in enumerate(notebook.cells)), reverse=True
        )[:3]
        largest = ", ".join(f"cell {number}: {size // 1000} KB" for size, number in sizes)
        found.append(f"{path.stat().st_size // 1000} KB, at most {LIMIT // 1000} ({largest})")
    return found
