"""What every committed notebook must look like. Each rule is a function that yields problems; the tests demand that
none does.

Rules for all notebooks: nbformat 4.5, the python3 kernel, exactly one parameters cell right at the start, ``begin``
after it with the declared names, short code cells, no shell or magics, no imported name given away, formulas that
every parser reads. Rules for lessons: title, cost and expectation first, the headings of the rhythm in their order,
every prediction that is asked for answered. Rules for solutions: effort, a hint and a check for every exercise, no
name in a check that was not told, a written answer to every question. Rules for stored outputs: executed top to bottom
without error in the course profile, the question answered in one sentence that stands in the title as well, exact facts
have their output, pictures have a text, no warnings, progress bars, addresses, folders or hosts of a machine, under
300 KB.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import nbformat

from lib.course import notebook as notebooks
from lib.course import paths
from lib.course.exercises import exercise_of
from lib.course.lesson import ANSWER
from lib.course.notebook import MAIN_LINE, NotebookError

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
PREDICT, PREDICTED = "## Predict before you run", "What was to be predicted:"
NUMBERED = re.compile(r"^(\d+)\. (.+?)(?=^\d+\. |^\s*$|\Z)", re.MULTILINE | re.DOTALL)
IN_TITLE = "**The answer, measured:** "
TIME = "**Time and hardware:**"
STUDY = re.compile(
    r"^\*\*Study time:\*\* (\d+) min(?:, and (\d+) beyond,)?(?: without the exercises)?, (.+) "
    r"\*\*After it you can\*\* .+\.$",
    re.MULTILINE,
)
CORE = 45  # minutes of study, what is beyond them is folded
BEYOND, TEST = (
    "### Beyond: ",
    "### The test",
)  # headings of what is folded: beyond the core, and what a reader tries first
COLLAPSED = "jp-MarkdownHeadingCollapsed"  # JupyterLab's own mark of a folded section
HEADING = re.compile(r"^#{1,3} ", re.MULTILINE)
NUMBER = re.compile(r"\d+ · ")
EFFORT = re.compile(r"\A## .*\n\n\*\d+ min · (?:easy|medium|hard)\*$", re.MULTILINE)
HINT = re.compile(r"<details><summary>Hint</summary>\n\n\S.*?\n\n</details>", re.DOTALL)
IDENTIFIER = re.compile(r"[^\W\d]\w*")
YOURSELF, TAG = "# check yourself", "check"  # how a cell of asserts begins, and its tag
ASKED = re.compile(r"\?|\bwhy\b", re.IGNORECASE)
FREE = {"92_hunt", "99_explore"}  # errors to find, and a tool: no lessons with a rhythm
PROGRESS = re.compile(r"\d+%\|[^\n]*\||\r|\bit/s\b|\bs/it\b| · \d+%(?: · |$)")  # tqdm's, and lib.bars'
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
    cells = notebooks.own_cells(notebook)
    if len(cells) < 3:
        yield "fewer than three cells"
        return
    if cells[0].cell_type != "markdown" or not re.match(r"# \S", cells[0].source):
        yield "the first cell is not a markdown title (`# NN · …`)"
    elif name not in FREE and "/" not in name:
        number = name[:2]
        if not re.match(rf"# {number}\b", cells[0].source):
            yield f"the title does not begin with `# {number}`"
        for part in (TIME, "**Expected result:**"):
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


def minutes(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """The title cell says the minutes that ``begin`` declares, in the same words as its header."""
    line = next((text for text in notebook.cells[0].source.splitlines() if TIME in text), None)
    declared = _declaration(notebook)
    if line is None or declared is None:
        return  # `beginning` asks lessons for both
    for profile, value in declared.minutes.items():
        said = re.search(rf"\b{profile} ([\d.]+ (?:s|min)\b)", line)
        if said is None and profile != "paper":
            yield f"the title cell does not say what {profile} takes: `{profile} {notebooks.duration(value)}`"
        elif said is not None and said.group(1) != notebooks.duration(value):
            yield f"the title cell says {profile} {said.group(1)}, begin says {notebooks.duration(value)}"


def studied(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """The title cell says how long a lesson takes to read, what comes before it, and what one can do after it."""
    if "/" in name:
        return
    found = STUDY.search(notebook.cells[0].source)
    if not found:
        yield "the first cell lacks `**Study time:** N min (without the exercises), ... **After it you can** ...`"
        return
    if not 10 <= int(found[1]) <= CORE:
        yield f"{found[1]} minutes of study: between 10 and {CORE}, the rest under `{BEYOND}...`, or two lessons"
    for label, target in re.findall(r"\[(\d\d)\]\(([^)]+)\)", found[3]):
        if not target.startswith(label) or target >= f"{name}.ipynb" or not (paths.NOTEBOOKS / target).exists():
            yield f"it is read after [{label}]({target}), which is no earlier lesson"


def folded(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """What is beyond the core, and the solution of a hunt, stand under headings of their own, folded in JupyterLab and
    on the site; the title cell says how long what is beyond takes.
    """
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    there = [cell for cell in texts if BEYOND in cell.source]
    found = STUDY.search(notebook.cells[0].source)
    if found and bool(found[2]) != bool(there):
        yield f"{len(there)} sections `{BEYOND}...`, and the title cell says {found[2] or 'no'} minutes beyond"
    for heading in (BEYOND, TEST):
        for cell in (some for some in texts if heading in some.source):
            if not cell.source.startswith(heading) or not cell.metadata.get(COLLAPSED):
                yield f"`{heading}...` has to begin its cell, whose metadata have {COLLAPSED}: true"
    for first, end in sections_folded(notebook):
        if end < len(notebook.cells) and not HEADING.match(notebook.cells[end].source):
            heading = notebook.cells[first].source.partition("\n")[0]
            yield f"the heading after `{heading}` has to begin its cell: {notebook.cells[end].source[:40]!r}"


def sections_folded(notebook: nbformat.NotebookNode) -> list[tuple[int, int]]:
    """(first cell, the cell after the last) of what is folded: up to the next cell with a heading."""
    headed = [k for k, c in enumerate(notebook.cells) if c.cell_type == "markdown" and HEADING.search(c.source)]
    ends = dict(zip(headed, [*headed[1:], len(notebook.cells)]))
    return [(k, ends[k]) for k in headed if notebook.cells[k].source.startswith((BEYOND, TEST))]


def cited(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """The title cell of a paper's lesson links the paper, by an address that CITATION.cff has."""
    if not re.match(r"[1-5]\d_", name):
        return
    linked = re.findall(r"^\*\*Paper:\*\* \[[^]]+ (?:19|20)\d\d\]\((\S+)\)\.$", notebook.cells[0].source, re.MULTILINE)
    known = (paths.ROOT / "CITATION.cff").read_text(encoding="utf-8")
    if len(linked) != 1 or f'url: "{linked[0]}"' not in known:
        yield "the title cell does not link its paper: `**Paper:** [Authors, name, venue year](url of CITATION.cff).`"


def waits(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """A lesson uses the runs of earlier lessons only, one of the main line those of the main line."""
    declared, own = _declaration(notebook), name.rpartition("/")[2]
    for other in declared.after if declared else ():
        if other > own or (other == own and "/" not in name):
            yield f"it waits for {other}, which does not come before it"
        if own[:2] in MAIN_LINE and other[:2] not in MAIN_LINE:
            yield f"it is of the main line and waits for {other}, which is not"


def predicted(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """The predictions that a lesson asks for are numbered, wait for the reader's guesses, and all of them are answered
    under "What we see".
    """
    if "/" in name or name in FREE:
        return
    asked = [
        int(number)
        for heading, cell, text in _parts(notebook)
        if cell.cell_type == "markdown" and heading.startswith("Predict before you run")
        for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)
    ]
    if not asked or asked != list(range(1, len(asked) + 1)):
        yield f"the questions under `## Predict before you run` are not a list 1. 2. ... (found: {asked})"
    guesses = _calls_of_lesson(notebook, "guess")
    written = [ast.unparse(call.args[0]) for heading, call in guesses if heading.startswith("Predict before you run")]
    if written != [no_guess(asked)] or len(guesses) != 1:
        yield f"below the questions a cell has to wait for the reader's guesses: lesson.guess({no_guess(asked)})"
    calls = _calls_of_lesson(notebook, "predictions")
    if not _once_in_what_we_see(calls):
        yield f"lesson.predictions is called {_where(calls)}, not once under `## What we see`"
        return
    argument = calls[0][1].args[0] if calls[0][1].args else None
    if not isinstance(argument, ast.Dict):
        yield 'write lesson.predictions({1: "...", 2: ...}), a dictionary as it stands'
        return
    answered = [key.value if isinstance(key, ast.Constant) else None for key in argument.keys]
    if answered != asked:
        yield f"predictions {asked} are asked for, {answered} are answered"


def no_guess(asked: Sequence[int]) -> str:
    """The argument of ``lesson.guess`` as a lesson is stored: a place for each guess, and none made."""
    return "{" + ", ".join(f"{number}: ''" for number in asked) + "}"


def reasons(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """Who is asked something in an exercise, or why, finds a written answer in its solution: a number that is printed
    does not say what it is an answer to. What a hint asks is a help, and no question.
    """
    if not name.startswith("solutions/"):
        return
    asked, written = {}, set()
    for heading, cell, text in _parts(notebook):
        solution = "solution" in notebooks.tags(cell)
        if cell.cell_type == "markdown" and solution:
            written.add(heading)
        elif cell.cell_type == "markdown":
            text = HINT.sub("", text)
        elif solution:  # its comments are the task
            text = "\n".join(line for line in text.splitlines() if line.startswith("#"))
        if heading and solution != (cell.cell_type == "markdown") and ASKED.search(text):
            asked[heading] = None
    for heading in asked:
        if heading not in written:
            yield f"`## {heading}` asks a question: its answer is a text cell tagged `solution`, which is missing"


def helped(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """Every exercise says how long it takes and how hard it is, has one hint in a fold, and a cell of asserts, tagged
    ``check``, that stays in the student's notebook. No other cell has the tag.
    """
    if not name.startswith("solutions/"):
        return
    checked = {
        heading
        for heading, cell, text in _parts(notebook)
        if cell.cell_type == "code" and text.startswith(YOURSELF) and "solution" not in notebooks.tags(cell)
    }
    for number, cell in enumerate(notebook.cells):
        begins = cell.cell_type == "code" and cell.source.startswith(YOURSELF)
        if begins and TAG not in notebooks.tags(cell):
            yield f"cell {number} begins with `{YOURSELF}` and is not tagged `{TAG}`"
        elif begins and not re.search(r"^\s*assert\b", cell.source, re.MULTILINE):
            yield f"cell {number} is a check without an assert"
        elif not begins and TAG in notebooks.tags(cell):
            yield f"cell {number} is tagged `{TAG}` and does not begin with `{YOURSELF}`"
    asked = [(h, text) for h, cell, text in _parts(notebook) if NUMBER.match(h) and text.startswith("## ")]
    if not asked:
        yield "it has no exercises (`## 1 · …`)"
    for heading in (h for h, _ in asked if h not in checked):
        yield f"`## {heading}` has no cell that begins with `{YOURSELF}`, of asserts and not tagged `solution`"
    for heading, text in asked:
        if not EFFORT.search(text):
            yield f"`## {heading}` does not say its effort below the heading: `*10 min · easy*` (medium, hard)"
        if (hints := len(HINT.findall(text))) != 1:
            yield f"`## {heading}` has {hints} hints in a fold, not one: `<details><summary>Hint</summary>`"


def named(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """A check asks for no name that a student was not told: it is made in a cell that the student has, or stands above
    in code marks, in a text or in a comment (there also as ``# name: what it is``).
    """
    if not name.startswith("solutions/"):
        return
    told = set(vars(builtins))
    for number, cell in enumerate(exercise_of(notebook).cells):
        if cell.cell_type != "code" or "exercise" in notebooks.tags(cell):
            told |= {word for marked in re.findall(r"`([^`]+)`", cell.source) for word in IDENTIFIER.findall(marked)}
        if cell.cell_type != "code":
            continue
        told |= set(re.findall(r"^# (\w+):", cell.source, re.MULTILINE))
        with suppress(SyntaxError):  # `code` names it
            nodes = list(ast.walk(ast.parse(cell.source)))
            names = [node for node in nodes if isinstance(node, ast.Name)]
            told |= {node.id for node in names if isinstance(node.ctx, ast.Store)} | _bound(nodes)
            if TAG in notebooks.tags(cell) and (asked := {node.id for node in names} - told):
                yield f"cell {number} checks {', '.join(sorted(asked))}, which the student was not told"


def _bound(nodes: Sequence[ast.AST]) -> set[str]:
    """The names that imports, functions, classes and their arguments bind."""
    found = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    found |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    imports = [alias for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
    return found | {alias.asname or alias.name.partition(".")[0] for alias in imports}


def formulas(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """Formulas that every Markdown parser reads alike: JupyterLab is lenient, nbconvert's and MyST's are not."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        text = re.sub(r"```.*?```|`[^`\n]*`", "", cell.source, flags=re.DOTALL)
        for block in re.finditer(r"\$\$(.+?)\$\$", text, re.DOTALL):
            if "\n\n" in block[1]:
                yield f"cell {number}: a formula between $$ has an empty line"
        for line in re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL).splitlines():
            inline = re.findall(r"(?<!\\)\$", line)
            if len(inline) % 2:
                yield f"cell {number}: a formula between $ goes over a line's end: {line.strip()[:60]}"
                continue
            for formula in re.findall(r"(?<!\\)\$(.*?)(?<!\\)\$", line):
                if formula != formula.strip() or not formula:
                    yield f"cell {number}: a formula begins or ends with a blank: ${formula}$"
                elif line.lstrip().startswith("|") and "|" in formula:
                    yield f"cell {number}: a formula in a table has the sign between its columns: ${formula}$"


def _declaration(notebook: nbformat.NotebookNode) -> notebooks.Declaration | None:
    try:
        return notebooks.declaration(notebook)
    except NotebookError:
        return None  # `beginning` names it


def _parts(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, nbformat.NotebookNode, str]]:
    """(the level-2 heading that it stands under, cell, text): a text cell with several headings comes in pieces."""
    heading = ""
    for cell in notebook.cells:
        pieces = (
            re.split(r"^(?=## )", cell.source, flags=re.MULTILINE) if cell.cell_type == "markdown" else [cell.source]
        )
        for piece in pieces:
            if cell.cell_type == "markdown" and piece.startswith("## "):
                heading = piece.splitlines()[0][3:].strip()
            yield heading, cell, piece


def _calls_of_lesson(notebook: nbformat.NotebookNode, method: str) -> list[tuple[str, ast.Call]]:
    """(heading, call) of every ``lesson.method(...)``."""
    found = []
    for heading, cell, text in _parts(notebook):
        if cell.cell_type != "code":
            continue
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except SyntaxError:
            continue  # `code` names it
        calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        found += [
            (heading, call)
            for call in calls
            if call.func.attr == method and isinstance(call.func.value, ast.Name) and call.func.value.id == "lesson"
        ]
    return found


def _once_in_what_we_see(calls: list[tuple[str, ast.Call]]) -> bool:
    return len(calls) == 1 and calls[0][0].startswith("What we see")


def _where(calls: list[tuple[str, ast.Call]]) -> str:
    return " and ".join(f"under `## {heading}`" for heading, _ in calls) or "nowhere"


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


def in_course(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """What is stored was made in the course profile: ``begin`` says so in the first output."""
    first = next((output_text(output) for cell in notebook.cells for output in cell.get("outputs", [])), "")
    if "· profile course " not in first:
        found = re.search(r"· profile (\w+)", first)
        yield f"its outputs are of {f'the profile {found.group(1)}' if found else 'no known profile'}: make publish"


def answered(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """A lesson answers its question in one sentence, under "What we see", and its title cell repeats it."""
    if "/" in name or name in FREE:
        return
    calls = _calls_of_lesson(notebook, "answer")
    if not _once_in_what_we_see(calls):
        yield f"lesson.answer is called {_where(calls)}, not once under `## What we see`"
        return
    said = answers(notebook)
    if len(said) != 1:
        yield f"it stores {len(said)} answers: run it again (make publish)"
    elif notebook.cells[0].source != with_answer(notebook.cells[0].source, said[0]):
        yield f"the title cell does not say `{IN_TITLE}{said[0]}`: make publish writes it"


def answers(notebook: nbformat.NotebookNode) -> list[str]:
    """The sentences that ``lesson.answer`` left in the stored outputs."""
    texts = [
        "".join(output.get("data", {}).get("text/plain", "")) for c in notebook.cells for output in c.get("outputs", [])
    ]
    return [text.removeprefix(ANSWER) for text in texts if text.startswith(ANSWER)]


def questions(notebook: nbformat.NotebookNode) -> dict[int, str]:
    """The numbered list under "Predict before you run", each on one line; empty where there is none."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and PREDICT in cell.source:
            asked = NUMBERED.findall(cell.source.partition(PREDICT)[2])
            return {int(number): " ".join(text.split()) for number, text in asked}
    return {}


def became(notebook: nbformat.NotebookNode) -> dict[int, str]:
    """What ``lesson.predictions`` left in the stored outputs, by number."""
    texts = ["".join(o.get("data", {}).get("text/plain", "")) for c in notebook.cells for o in c.get("outputs", [])]
    return {int(n): text.strip() for one in texts if one.startswith(PREDICTED) for n, text in NUMBERED.findall(one)}


def with_answer(text: str, sentence: str) -> str:
    """The title cell's text with this answer: in place of the one it has, else as a new last paragraph."""
    kept = [line for line in text.rstrip().splitlines() if not line.startswith(IN_TITLE)]
    return "\n".join(kept).rstrip() + f"\n\n{IN_TITLE}{sentence}"


def checks_have_output(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """nbval passes a checked cell that stores nothing, silently: refuse it here."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and CHECK in cell.source:
            if not cell.source.startswith(CHECK):
                yield f"cell {number}: {CHECK} must be its first line"
            if not any(output_text(output).strip() for output in cell.outputs):
                yield f"cell {number} is marked {CHECK} but stores no output: the check would pass whatever it prints"


def described(notebook: nbformat.NotebookNode, name: str) -> Iterator[str]:
    """Every picture says in words what it shows, for who does not see it."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                if kind.startswith("image/") and not output.metadata.get(kind, {}).get("alt", "").strip():
                    yield f"cell {number} stores a picture without a text: lesson.save(figure, name, alt=...)"


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


FORM: tuple[Rule, ...] = (format_rules, beginning, rhythm, code, shadows)
SOURCE_RULES: tuple[Rule, ...] = (
    *FORM,
    minutes,
    studied,
    folded,
    cited,
    waits,
    predicted,
    reasons,
    helped,
    named,
    formulas,
)
OUTPUT_RULES: tuple[Rule, ...] = (executed, in_course, answered, checks_have_output, described, debris)


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
