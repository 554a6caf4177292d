"""The committed notebooks keep every rule, and every rule catches the notebook that breaks it."""

import nbformat
import pytest

from lib.course import exercises, structure
from lib.course import notebook as notebooks

COMMITTED = notebooks.lesson_files()
EXERCISES = {
    f"exercises/{path.stem}": path for path in sorted((notebooks.paths.NOTEBOOKS / "exercises").glob("*.ipynb"))
}


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_notebooks(name):
    assert structure.problems(COMMITTED[name], name) == []


@pytest.mark.parametrize("name", EXERCISES)
def test_committed_exercises(name):
    assert structure.problems(EXERCISES[name], name, structure.SOURCE_RULES) == []


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


def plain(**changes):
    """Change an ordinary code cell."""
    return lambda n: cell_with(n, "np.linspace").update(**changes)


def shows(text, name="stdout"):
    """Let an ordinary cell store this text."""
    return plain(outputs=[nbformat.v4.new_output("stream", name=name, text=text)])


def displays(kind, data):
    """Let an ordinary cell store a display of this kind."""
    return plain(outputs=[nbformat.v4.new_output("display_data", {kind: data, "text/plain": "x"})])


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
        (plain(execution_count=9), "not executed from top to bottom"),
        (plain(execution_count=None), "not executed from top to bottom"),
        (plain(outputs=[ERROR]), "stores an error"),
        (plain(metadata={"tags": ["raises-exception"]}), "is tagged raises-exception"),
        (lambda n: cell_with(n, "NBVAL").update(outputs=[]), "stores no output: the check would pass"),
        (lambda n: cell_with(n, "NBVAL").update(source="x = 1\n# NBVAL_CHECK_OUTPUT"), "must be its first line"),
        (shows("UserWarning: x", "stderr"), "stores stderr"),
        (shows("epoch 1:  40%|####      | 4/10"), "stores a progress bar"),
        (shows("a\rb"), "stores a progress bar"),
        (shows("<generator object f at 0x7f10aa>"), "stores an address"),
        (shows("saved to /home/me/course/a.png"), "stores a folder of a machine: /home/me/course/a.png"),
        (shows("PosixPath('/tmp/x')"), "stores a folder of a machine: /tmp/x"),
        (shows("C:\\Users\\me"), "stores a folder of a machine"),
        (shows("from http://localhost:8888/x"), "stores a host name"),
        (displays("text/html", "<td>/home/me</td>"), "stores a folder of a machine: /home/me"),
        (displays("application/vnd.jupyter.widget-view+json", "{}"), "stores a widget"),
        (displays("image/png", "A" * 400_000), "KB, at most 300"),
        (lambda n: n.metadata.update(papermill={}), "metadata of widgets or papermill"),
        (lambda n: n.metadata.update(kernelspec={"name": "reid", "display_name": "x"}), "the kernel is not python3"),
        (lambda n: n.update(nbformat_minor=4), "nbformat 4.4"),
    ],
)
def test_each_rule_catches_its_breach(broken, change, message):
    assert any(message in problem for problem in broken(change))


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
