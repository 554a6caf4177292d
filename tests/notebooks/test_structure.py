"""The committed notebooks keep every rule, and every rule catches the notebook that breaks it."""

import nbformat
import pytest

from lib.course import contents, exercises, structure
from lib.course import notebook as notebooks
from lib.course.notebook import NotebookError

COMMITTED = notebooks.lesson_files()
EXERCISES = {
    f"exercises/{path.stem}": path for path in sorted((notebooks.paths.NOTEBOOKS / "exercises").glob("*.ipynb"))
}

DONE = (
    "00",
    "01",
    "02",
    "03",
    "04",
    "05",
    "10",
    "11",
    "20",
    "21",
    "22",
    "30",
    "31",
    "40",
    "41",
    "50",
    "51",
    "90",
    "91",
)  # lessons whose solutions are in course
# Notebooks that do not keep a rule yet: each line is to go. The test fails when one is kept, so that its line goes.
OPEN = {
    *{("in_course", name) for name in COMMITTED if "/" in name and name[10:12] not in DONE},
}
RULES = structure.SOURCE_RULES + structure.OUTPUT_RULES


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_notebooks(name):
    kept = tuple(rule for rule in RULES if (rule.__name__, name) not in OPEN)
    assert structure.problems(COMMITTED[name], name, kept) == []


@pytest.mark.parametrize(("rule", "name"), sorted(pair for pair in OPEN if pair[0] != "neighbours"))
def test_what_is_open_is_open(rule, name):
    (function,) = (one for one in RULES if one.__name__ == rule)
    assert structure.problems(COMMITTED[name], name, (function,)), "it keeps the rule now: take it off OPEN"


def test_readme_and_the_links_follow_the_lessons():
    """`make contents` writes both."""
    changed = contents.generate(check=True)
    assert contents.README not in changed, "README's minutes are not the lessons'"
    names = {("neighbours", path.stem) for path in changed}
    assert names - OPEN == set(), "no links to the lessons before and after, or other ones"
    assert {pair for pair in OPEN if pair[0] == "neighbours"} - names == set(), "linked now: take them off OPEN"


@pytest.mark.parametrize("name", EXERCISES)
def test_committed_exercises(name):
    kept = tuple(
        r for r in structure.SOURCE_RULES if (r.__name__, name.replace("exercises/", "solutions/")) not in OPEN
    )
    assert structure.problems(EXERCISES[name], name, kept) == []


def test_exercises_are_made_from_the_solutions():
    assert exercises.generate(check=True) == []


def test_every_lesson_has_exercises():
    lessons = {name for name in COMMITTED if "/" not in name and name not in structure.FREE}
    assert lessons == {name.removeprefix("solutions/") for name in COMMITTED if name.startswith("solutions/")}


def test_only_notebooks_with_numbers_are_there():
    """A notebook that the workflow does not see would never be run, and never be checked."""
    known = {path.resolve() for path in [*COMMITTED.values(), *EXERCISES.values()]}
    found = {
        path.resolve() for path in notebooks.paths.NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
    }
    assert found == known
    assert all(notebooks.LESSON_NAME.fullmatch(name) for name in COMMITTED)


def test_runs_are_declared_in_an_order():
    """`after` names lessons that exist, and nothing waits for itself."""
    after = {name: notebooks.declaration(notebooks.read(path)).after for name, path in COMMITTED.items()}
    for name in after:
        seen, waiting = set(), [name]
        while waiting:
            for other in after[waiting.pop()]:
                assert other in after, f"{name} waits for {other}, which does not exist"
                assert other != name, f"{name} waits for itself"
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)


# ---------------------------------------------------------------- the rules


def test_the_template_is_good(lesson_folder):
    assert structure.problems(lesson_folder / "42_template.ipynb", "42_template") == []
    assert structure.problems(lesson_folder / "solutions" / "42_template.ipynb", "solutions/42_template") == []
    exercise = lesson_folder / "exercises" / "42_template.ipynb"
    assert structure.problems(exercise, "exercises/42_template", structure.SOURCE_RULES) == []


@pytest.fixture
def broken(lesson_folder):
    """Change the good lesson by a function of its notebook; returns what is wrong with it then."""

    def problems(change):
        path = lesson_folder / "42_template.ipynb"
        notebook = nbformat.read(path, 4)
        change(notebook)
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
        return structure.problems(path, "42_template")

    return problems


def cell_with(notebook, text):
    return next(cell for cell in notebook.cells if text in cell.source)


def swap(index, old, new):
    """Change the source of a cell."""
    return lambda n: n.cells[index].update(source=n.cells[index].source.replace(old, new))


FOLDED = {structure.COLLAPSED: True}


def beyond(*texts, **metadata):
    """Text cells before the last heading but one, the first with this metadata."""
    made = [nbformat.v4.new_markdown_cell(text) for text in texts]
    made[0].metadata.update(metadata)
    return lambda n: n.cells.__setitem__(slice(11, 11), made)


def plain(**changes):
    """Change an ordinary code cell."""
    return lambda n: cell_with(n, "np.linspace").update(**changes)


def shows(text, name="stdout"):
    """Let an ordinary cell store this text."""
    return plain(outputs=[nbformat.v4.new_output("stream", name=name, text=text)])


def displays(kind, data, **about):
    """Let an ordinary cell store a display of this kind, with this metadata."""
    made = {kind: data, "text/plain": "x"}
    return plain(outputs=[nbformat.v4.new_output("display_data", made, metadata={kind: about} if about else {})])


ERROR = nbformat.v4.new_output("error", ename="E", evalue="", traceback=["x"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.cells[1].metadata.pop("tags"), "no cell is tagged `parameters`"),
        (lambda n: n.cells[2].metadata.update(tags=["parameters"]), "2 cells are tagged"),
        (lambda n: n.cells.insert(1, nbformat.v4.new_markdown_cell("x")), "the second cell is not the parameters cell"),
        (swap(1, "profile = None ", 'profile = "quick" '), "must begin with profile = None"),
        (swap(1, "seed = 0", "seed = 0\nextra = 1"), "disagree about extra"),
        (swap(2, "42_template", "41_other"), "begin is called for '41_other'"),
        (swap(2, '"quick": 0.1', '"quick": 3'), "quick takes 3 min"),
        (swap(2, "begin(", "print("), "does not call begin"),
        (swap(2, "points=int", "points=type(1)"), "literals only"),
        (swap(0, "# 42", "# 41"), "the title does not begin with `# 42`"),
        (swap(0, "**Expected result:**", "Expected:"), "lacks **Expected result:**"),
        (lambda n: n.cells.remove(cell_with(n, "## Predict")), "heading `## Predict before you run` is missing"),
        (lambda n: n.cells.append(n.cells.pop(3)), "is out of order"),
        (plain(source="%matplotlib inline"), "is not plain Python"),
        (plain(source="from numpy import *"), "imports *"),
        (plain(source="x = 1\n" * 41), "has 41 lines"),
        (plain(source="from a import b\nfor b in (1, 2):\n    pass"), "gives the name b to something else"),
        (plain(source="import a.b as c, d.e\n\n\ndef d(c):\n    return c"), "gives the name d to something else"),
        (plain(source="open('/home/me/people.csv')"), "names a folder of a machine: /home/me/people.csv"),
        (swap(0, "JiaoEtAl", "Another"), "the title cell does not link its paper"),
        (swap(0, "**After it", "After it"), "the first cell lacks `**Study time:** N min (without the exercises)"),
        (swap(0, "time:** 10", "time:** 50"), "50 minutes of study: between 10 and 45"),
        (
            swap(0, "10 min without", "10 min, and 5 beyond, without"),
            "0 sections `### Beyond: ...`, and the title cell",
        ),
        (beyond("### Beyond: x"), "1 sections `### Beyond: ...`, and the title cell says no minutes beyond"),
        (beyond("Some text.\n\n### Beyond: x", **FOLDED), "`### Beyond: ...` has to begin its cell, whose metadata"),
        (beyond("### Beyond: x"), "has to begin its cell, whose metadata have jp-MarkdownHeadingCollapsed: true"),
        (beyond("### The test\n\nof it"), "`### The test...` has to begin its cell, whose metadata have jp-Markdown"),
        (
            beyond("### The test", "Text.\n\n## Next", **FOLDED),
            "the heading after `### The test` has to begin its cell",
        ),
        (beyond("### Beyond: x", "Text.\n\n### Another", **FOLDED), "has to begin its cell: 'Text."),
        (swap(0, "00](00_start", "50](50_ftwa"), "read after [50](50_ftwa_here.ipynb), which is no earlier lesson"),
        (swap(0, "quick 6 s", "quick 7 s"), "the title cell says quick 7 s, begin says 6 s"),
        (swap(0, ", course 6 s", ""), "the title cell does not say what course takes: `course 6 s`"),
        (swap(2, "points=int", 'points=int, after=["50_later"]'), "waits for 50_later, which does not come before"),
        (swap(5, "2. And", "3. And"), "are not a list 1. 2. ... (found: [1, 3])"),
        (
            swap(5, "\n2. And", "\n2. A third thing.\n3. And"),
            "predictions [1, 2, 3] are asked for, [1, 2] are answered",
        ),
        (lambda n: n.cells.pop(6), "a cell has to wait for the reader's guesses: lesson.guess({1: '', 2: ''})"),
        (swap(6, '1: ""', '1: "half"'), "a cell has to wait for the reader's guesses"),
        (swap(15, "lesson.predictions(", "print("), "lesson.predictions is called nowhere, not once under"),
        (swap(15, "lesson.predictions({", "lesson.predictions(x or {"), "a dictionary as it stands"),
        (swap(15, "lesson.answer(", "print("), "lesson.answer is called nowhere, not once under"),
        (lambda n: n.cells.append(n.cells.pop(15)), "lesson.answer is called under `## Exercises`, not once under"),
        (lambda n: n.cells[15].outputs.pop(0), "it stores 0 answers: run it again"),
        (swap(0, "[0.44, 0.56]", "[0.45, 0.55]"), "the title cell does not say `**The answer, measured:** It looks"),
        (lambda n: n.cells[2].outputs[0].update(text="a · profile quick (x)"), "its outputs are of the profile quick"),
        (plain(execution_count=9), "not executed from top to bottom"),
        (plain(execution_count=None), "not executed from top to bottom"),
        (plain(outputs=[ERROR]), "stores an error"),
        (plain(metadata={"tags": ["raises-exception"]}), "is tagged raises-exception"),
        (lambda n: cell_with(n, "NBVAL").update(outputs=[]), "stores no output: the check would pass"),
        (lambda n: cell_with(n, "NBVAL").update(source="x = 1\n# NBVAL_CHECK_OUTPUT"), "must be its first line"),
        (swap(3, "\n", "\nIt is $a$ or $b\n- c$.\n"), "cell 3: a formula between $ goes over a line's end: It is $a$"),
        (swap(3, "\n", "\nIt is $a = $ (b) / (c).\n"), "cell 3: a formula begins or ends with a blank: $a = $"),
        (swap(3, "\n", "\n\n$$a\n\n= b$$\n"), "cell 3: a formula between $$ has an empty line"),
        (swap(3, "\n", "\n\n| a | $|x|$ |\n"), "cell 3: a formula in a table has the sign between its columns: $|x|$"),
        (shows("UserWarning: x", "stderr"), "stores stderr"),
        (shows("epoch 1:  40%|####      | 4/10"), "stores a progress bar"),
        (shows("a\rb"), "stores a progress bar"),
        (shows("SING, model 3 of 11 · 40% · 200 images/s"), "stores a progress bar"),
        (shows("<generator object f at 0x7f10aa>"), "stores an address"),
        (shows("saved to /home/me/course/a.png"), "stores a folder of a machine: /home/me/course/a.png"),
        (shows("PosixPath('/tmp/x')"), "stores a folder of a machine: /tmp/x"),
        (shows("C:\\Users\\me"), "stores a folder of a machine"),
        (shows("from http://localhost:8888/x"), "stores a host name"),
        (displays("text/html", "<td>/home/me</td>"), "stores a folder of a machine: /home/me"),
        (displays("application/vnd.jupyter.widget-view+json", "{}"), "stores a widget"),
        (displays("image/png", "A" * 400_000), "KB, at most 300"),
        (displays("image/png", "A"), "stores a picture without a text"),
        (displays("image/jpeg", "A", alt=" "), "stores a picture without a text"),
        (lambda n: n.metadata.update(papermill={}), "metadata of widgets or papermill"),
        (lambda n: n.metadata.update(kernelspec={"name": "reid", "display_name": "x"}), "the kernel is not python3"),
        (lambda n: n.update(nbformat_minor=4), "nbformat 4.4"),
    ],
)
def test_each_rule_catches_its_breach(broken, change, message):
    assert any(message in problem for problem in broken(change))


def test_a_picture_with_a_text_is_good(broken):
    assert broken(displays("image/png", "A", alt="a line that rises")) == []


@pytest.mark.parametrize("asked", ["Why is the mean not exactly a third?", "Say why.", "Is the mean a third?"])
@pytest.mark.parametrize("where", ["text", "heading", "comment"])
def test_a_question_wants_a_written_answer(lesson_folder, asked, where):
    notebook = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    heading = "1 · Bend the line" if where != "heading" else f"1 · {asked}"
    notebook.cells[6].source = asked if where == "text" else "Say it in words."
    notebook.cells[3].source = notebook.cells[3].source.replace("1 · Bend the line", heading)
    if where == "comment":
        notebook.cells[4].source = f"# {asked}\n{notebook.cells[4].source}"
    assert list(structure.reasons(notebook, "solutions/42_template")) == []
    del notebook.cells[-1]
    assert list(structure.reasons(notebook, "solutions/42_template")) == [
        f"`## {heading}` asks a question: its answer is a text cell tagged `solution`, which is missing"
    ]


def test_what_is_no_question_needs_no_answer(lesson_folder):
    """A hint may ask back, the title as well; a conditional of the code is no task."""
    notebook = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    del notebook.cells[-1]
    notebook.cells[6].source = "Say it in words."
    notebook.cells[0].source = "# Exercises 42 · Is it small?"
    notebook.cells[3].source = notebook.cells[3].source.replace("element:", "element, so what is x**2? Why:")
    notebook.cells[4].source += '\nprint("why?")'
    notebook.cells[5].source += "  # why?"
    assert list(structure.reasons(notebook, "solutions/42_template")) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("*5 min · easy*\n\n", "", "does not say its effort"),
        ("· easy*", "· trivial*", "does not say its effort"),
        ("<details><summary>Hint</summary>", "", "has 0 hints in a fold"),
        ("NumPy works element by element: square the array, then take its mean.", "", "has 0 hints in a fold"),
        ("## 1 · Bend", "## Bend", "it has no exercises"),
        ("# check yourself", "# look", "has no cell that begins with `# check yourself`"),
    ],
)
def test_an_exercise_says_its_effort_and_has_a_hint(lesson_folder, old, new, message):
    notebook = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    assert list(structure.helped(notebook, "solutions/42_template")) == []
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new, 1)
    assert any(message in problem for problem in structure.helped(notebook, "solutions/42_template"))


def test_a_check_is_tagged_and_asserts(lesson_folder):
    notebook = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    check = notebook.cells[5]
    check.metadata["tags"] = []
    assert list(structure.helped(notebook, "solutions/42_template")) == [
        "cell 5 begins with `# check yourself` and is not tagged `check`"
    ]
    check.metadata["tags"], source = ["check"], check.source
    check.source = source.replace("assert ", "result = ")
    assert list(structure.helped(notebook, "solutions/42_template")) == ["cell 5 is a check without an assert"]
    check.source = source
    notebook.cells[4].metadata["tags"] = ["solution", "check"]
    assert list(structure.helped(notebook, "solutions/42_template")) == [
        "cell 4 is tagged `check` and does not begin with `# check yourself`"
    ]


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ("", "checks bent, which the student was not told"),
        ("Call it `bent`.", None),
        ("Call it bent.", "checks bent, which"),
        ("Keep it in `{2: bent}`.", None),
    ],
)
def test_a_check_asks_for_no_name_that_was_not_told(lesson_folder, told, problem):
    """The answer makes it, and the student has no answer."""
    notebook = notebooks.read(lesson_folder / "solutions" / "42_template.ipynb")
    task, answer, check = notebook.cells[3:6]
    assert list(structure.named(notebook, "solutions/42_template")) == []
    task.source += told
    answer.source += "\nbent = [square for square in (1, 4)]"
    check.source += "\nassert all(one > 0 for one in bent) and len(bent) == 2"
    found = list(structure.named(notebook, "solutions/42_template"))
    assert [problem in one for one in found] == ([True] if problem else [])
    answer.source = "# bent: two squares\n" + answer.source  # the comment stays in the student's notebook
    assert list(structure.named(notebook, "solutions/42_template")) == []


def test_the_main_line_stands_by_itself(lesson_folder):
    notebook = notebooks.read(lesson_folder / "42_template.ipynb")
    notebook.cells[2].source = 'begin(globals(), "20_ffsr", minutes={}, after=["04_baseline", "11_sing_ablations"])'
    wrong = ["it is of the main line and waits for 11_sing_ablations, which is not"]
    assert list(structure.waits(notebook, "20_ffsr")) == wrong
    assert list(structure.waits(notebook, "31_jbim")) == []
    assert list(structure.waits(notebook, "solutions/11_sing_ablations")) == []


def test_readme_takes_the_minutes_of_the_lessons():
    minutes = {"00_start": 2, "11_ablations": 4.5, "solutions/00_start": 1}
    text = (
        "    make course    # the main line: 9 min\n    make all       # all: 9 min\n\n| | lesson | minutes |\n"
        "| 00 | [Start](notebooks/00_start.ipynb) | 7 min, 1 of them |\n"
        "| 11 | [More](notebooks/11_ablations.ipynb): x | ? |\n"
    )
    changed = contents.with_minutes(text, minutes)
    assert "the main line: 2 min" in changed and "all: 7.5 min" in changed
    assert "00_start.ipynb) | 2 min |" in changed and "11_ablations.ipynb): x | 4.5 min, by `make all` |" in changed
    assert contents.with_minutes(changed, minutes) == changed
    with pytest.raises(NotebookError, match="README's table has 00_start, 11_ablations; the lessons are 00_start"):
        contents.with_minutes(text, {"00_start": 2})
    with pytest.raises(NotebookError, match="does not say `… N min` beside make all"):
        contents.with_minutes(text.replace("make all", "make none"), minutes)


def test_the_neighbours_are_linked_in_the_last_line():
    before, after = ("02_measuring", "02 Measuring"), ("04_base", "04 A baseline")
    text = "Answers are in [solutions](solutions/03.ipynb)."
    both = contents.with_neighbours(text, before, after)
    assert both == f"{text}\n\n[← 02 Measuring](02_measuring.ipynb) · [04 A baseline →](04_base.ipynb)"
    assert contents.with_neighbours(both, before, after) == both
    assert contents.with_neighbours(both, None, after) == f"{text}\n\n[04 A baseline →](04_base.ipynb)"
    assert contents.with_neighbours(contents.with_neighbours(both, before, None), None, None) == text


def test_formulas_that_are_none(broken):
    """Code, prices and blocks over several lines are as they are."""
    text = "\n\n`a $b` and a price of \\$5\n\n```\nx = '$'\n```\n\n$$\na\n= b\n$$\n\n| $a$ | $\\lVert x \\rVert$ |\n"
    assert broken(lambda n: n.cells[3].update(source=n.cells[3].source + text)) == []


def test_names_that_look_alike_are_no_machine_paths(broken):
    """Relative folders and divisions are fine."""
    text = "figures/42/line.png, data/raw, and/or, 3/4, see data/README.md, ratio 1/2"
    assert broken(shows(text)) == []


def test_names_inside_of_functions_and_comprehensions_are_their_own(broken):
    text = "from a import b\nx = [b for b in (1, 2)]\n\n\ndef f(b):\n    b += 1\n    return lambda b: b"
    assert broken(plain(source=text)) == []


def test_text_does_not_make_a_notebook_new_but_code_does(lesson_folder):
    notebook = notebooks.read(lesson_folder / "42_template.ipynb")
    before = notebooks.code_hash(notebook)
    notebook.cells[0].source += " More words."
    cell_with(notebook, "NBVAL").outputs = []
    assert notebooks.code_hash(notebook) == before
    notebook.cells[1].metadata["tags"] = []
    assert notebooks.code_hash(notebook) != before


def test_declaration_is_read_without_running(lesson_folder):
    declared = notebooks.declaration(notebooks.read(lesson_folder / "42_template.ipynb"))
    assert declared.minutes == {"quick": 0.1, "course": 0.1}
    assert declared.after == ()
    standard = {"profile": (str, None), "dataset": str, "seed": int}
    own = {"points": int, "rate": float, "show": bool, "kernel": ("bicubic", "area")}
    assert declared.types == standard | own
