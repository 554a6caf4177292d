"""Strict parameters: every value that papermill or YAML is known to misread is an error that says what to write."""

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from lib.course import begin, parameters, paths
from lib.course import notebook as notebooks
from lib.course.parameters import ParameterError
from lib.plots import style


def namespace(**changes):
    """A notebook's globals after its parameters cell."""
    return {"profile": None, "dataset": "pedestrians", "seed": 0, "In": [""], "get_ipython": object(), **changes}


@pytest.mark.parametrize(
    ("value", "declared", "remedy"),
    [
        ("1e-3", float, "write 0.001 without quotes"),
        ("1e3", int, "write 1000 without quotes"),
        ("3", int, "write 3 without quotes"),
        ("many", int, "is a string, but it must be int. It is not a number"),
        ("false", bool, "write `-p it False`"),
        ("yes", bool, "write `-p it True`"),
        (1, bool, "is an integer, but it must be bool"),
        (True, int, "is a truth value, but it must be int"),
        (3.0, int, "Write 3."),
        (3.5, int, "is a float, but it must be int"),
        (7, str, "-r it 7"),
        (None, str, "is None, but it must be str"),
        (float("nan"), float, "must be float"),
        ("cubic", ("bicubic", "area"), "did you mean 'bicubic'"),
        (True, (1, 2), "choose one of 1, 2"),
        ("x", (float, None), "must be float or None"),
    ],
)
def test_wrong_types_say_what_to_write(value, declared, remedy):
    with pytest.raises(ParameterError, match=re.escape(remedy)):
        parameters.check_value("it", value, declared)


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (3, int),
        (3, float),
        (0.5, float),
        (True, bool),
        ("a", str),
        (None, (str, None)),
        ("area", ("bicubic", "area")),
        (2, (float, None)),
    ],
)
def test_right_types_pass(value, declared):
    checked = parameters.check_value("it", value, declared)
    assert checked == value
    assert type(checked) is (float if declared in (float, (float, None)) else type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("false", "false"), ("None", None), ("3", 3), ("1e-3", 0.001), ("x", "x"), ("1.0", 1.0)],
)
def test_the_command_line_is_read_as_papermill_reads_it(text, value):
    from papermill.cli import _resolve_type

    assert parameters.from_command_line(text) == value
    assert type(parameters.from_command_line(text)) is type(_resolve_type(text))
    assert parameters.from_command_line(text) == _resolve_type(text)


def test_begin_returns_the_checked_values(capsys):
    lesson = begin(
        namespace(points=3, rate=1),
        "03_objective",
        minutes={"quick": 0.5, "course": 6, "paper": 20},
        points=int,
        rate=float,
    )
    assert (lesson.profile, lesson.dataset, lesson.seed, lesson.points, lesson.rate) == (
        "quick",
        "pedestrians",
        0,
        3,
        1.0,
    )
    assert lesson.pick(quick=1, course=2, paper=3) == 1
    with pytest.raises(AttributeError, match="has no parameter 'trials'"):
        lesson.trials
    first = capsys.readouterr().out
    assert first.startswith("03_objective · profile quick")
    assert "about 30 s on one CPU core" in first
    assert "paper 20 min on one H200-class GPU" in first
    assert "torch" in first and "Python" in first and "thread" in first


def test_profile_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "course")
    assert begin(namespace(), "01_x", minutes={}).profile == "course"
    assert begin(namespace(profile="paper"), "01_x", minutes={}).pick(quick=1, course=2) == 2
    monkeypatch.setenv("COURSE_PROFILE", "cource")
    with pytest.raises(ParameterError, match="COURSE_PROFILE is 'cource'.*did you mean 'course'"):
        begin(namespace(), "01_x", minutes={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profile": "fast"}, "choose one of quick, course, paper"),
        ({"dataset": "vipr"}, "is not a known data set \\(did you mean 'viper'"),
        ({"dataset": "no/such/folder"}, "is no folder and no .csv file"),
        ({"dataset": ""}, "dataset = '' names nothing"),
        ({"dataset": " \t"}, "names nothing"),
        ({"dataset": None}, "dataset = None is None, but dataset must be str"),
        ({"dataset": str(paths.ROOT)}, "where the course itself lies"),
        ({"dataset": str(paths.ROOT / "..")}, "where the course itself lies"),
        ({"dataset": "/"}, "where the course itself lies"),
        ({"seed": "1"}, "seed = '1' is a string"),
        ({"seed": -1}, "between 0"),
        ({"sed": 1}, "unknown parameter 'sed' \\(did you mean 'seed'"),
    ],
)
def test_begin_refuses(changes, message):
    with pytest.raises(ParameterError, match=message):
        begin(namespace(**changes), "01_x", minutes={})


def test_begin_refuses_what_is_missing():
    given = namespace()
    del given["seed"]
    with pytest.raises(ParameterError, match="does not set seed"):
        begin(given, "01_x", minutes={})


def test_names_of_a_reader_who_works_on_are_no_parameters():
    """The cell is run again later, when the notebook has made many names: only what papermill injects counts then."""
    given = namespace()
    begin(given, "01_x", minutes={})
    given["features"] = [1, 2]
    given["seed"] = 5
    assert begin(given, "01_x", minutes={}).seed == 5
    given["In"] = ["", "seed = 0", "# Parameters\nsed = 3\n"]
    with pytest.raises(ParameterError, match="unknown parameter 'sed'"):
        begin(given, "01_x", minutes={})


def test_overwritten_values_are_noticed():
    """What happens without the tag: papermill's cell comes first, the defaults second."""
    given = namespace(In=["", "# Parameters\nseed = 3\n", "profile = None\nseed = 0"])
    with pytest.raises(ParameterError, match="seed was passed but overwritten.*`parameters` tag"):
        begin(given, "01_x", minutes={})


def test_the_known_data_sets_are_those_of_load_dataset():
    from lib.data.readers import READERS

    assert set(parameters.DATASETS) == set(READERS)


def test_folders_and_csv_files_are_data_sets(tmp_path):
    (tmp_path / "people.csv").write_text("file,pid,cam\n")
    (tmp_path / "people.txt").write_text("")
    assert parameters.resolve_dataset(str(tmp_path)) == str(tmp_path.resolve())
    assert parameters.resolve_dataset(str(tmp_path / "people.csv")).endswith("people.csv")
    with pytest.raises(ParameterError, match="is no folder and no .csv file"):
        parameters.resolve_dataset(str(tmp_path / "people.txt"))


def test_the_folder_one_stands_in_is_taken_when_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parameters.resolve_dataset(".") == str(tmp_path.resolve())
    for nothing in ("", " ", None, 0):
        with pytest.raises(ParameterError, match="names nothing"):
            parameters.resolve_dataset(nothing)
    monkeypatch.chdir(paths.NOTEBOOKS)
    for around in (".", "..", "../.."):
        with pytest.raises(ParameterError, match="where the course itself lies"):
            parameters.resolve_dataset(around)


def test_a_folder_called_like_a_data_set_is_another(tmp_path):
    """Its figures must not replace the committed ones of VIPeR, nor those of another folder of the same name."""
    folders = [tmp_path / "a" / "viper", tmp_path / "b" / "viper", tmp_path / "x" / "O'Brien  {$}.csv"]
    names = [parameters.dataset_name(str(folder)) for folder in folders]
    assert len({"viper", *names}) == 4
    assert parameters.dataset_name("viper") == "viper"
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+-[0-9a-f]{6}", name) for name in names)
    assert parameters.dataset_name(str(tmp_path / "a" / ".." / "a" / "viper")) == names[0]


# ---------------------------------------------------------------- what is canonical


def git(*arguments, cwd):
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@y", *arguments], cwd=cwd, check=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one committed lesson; returns its file."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    path = folder / "03_x.ipynb"
    write_lesson(path)
    git("init", "-q", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "-qm", "x", cwd=folder)
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    return path


def write_lesson(path, source='profile = None\ndataset = "pedestrians"\nseed = 0\nrate = 0.5'):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def lesson(name="03_x", rate=0.5, **changes):
    return begin(namespace(profile="course", rate=rate, **changes), name, minutes={}, rate=float)


def test_a_value_typed_into_the_cell_is_not_canonical(repository, capsys):
    """Whether a tool passed it or a person typed it; profile and data set have folders of their own."""
    assert lesson().canonical
    assert lesson(dataset="viper").canonical
    assert "not as committed" not in capsys.readouterr().out
    assert not lesson(seed=77).canonical
    assert "not as committed: seed is 77; the figures go to build/figures" in capsys.readouterr().out
    assert not lesson(rate=0).canonical
    assert lesson(seed=0, In=["", "# Parameters\nseed = 0\n"]).canonical  # what it is anyway, said again


def test_what_was_typed_stays_typed_when_the_notebook_is_saved(repository):
    """Jupyter saves by itself: the file then agrees with the run, git does not."""
    write_lesson(repository, 'profile = None\ndataset = "pedestrians"\nseed = 77\nrate = 0.5\nnew = 3')
    assert not lesson(seed=77, In=[""]).canonical
    given = namespace(seed=0, rate=0.5, new=3, profile="course")
    assert begin(given, "03_x", minutes={}, rate=float, new=int).canonical  # a parameter that is new: the file's
    given = namespace(seed=0, rate=0.5, new=4, profile="course")
    assert not begin(given, "03_x", minutes={}, rate=float, new=int).canonical


def test_without_git_the_file_is_what_was_committed(repository, monkeypatch):
    shutil.rmtree(repository.parent / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent.parent))
    assert lesson().canonical
    assert not lesson(seed=77).canonical
    repository.write_text("{}")
    assert lesson(seed=77).canonical  # nothing to compare with, and nothing was passed


def test_a_readers_own_copy_is_not_canonical(repository, tmp_path, monkeypatch, capsys):
    """Jupyter starts its kernel in the copy's folder. In course, too, its figures and numbers are not the course's."""
    own = tmp_path / "my" / "exercises"
    own.mkdir(parents=True)
    monkeypatch.setattr(paths, "OWN", tmp_path / "my")
    assert lesson().canonical
    for folder in (own.parent, own):
        monkeypatch.chdir(folder)
        copy = lesson()
        assert not copy.canonical and copy.figures == paths.BUILD / "figures" / "course" / "03_x"
        assert "your own copy: its figures go to build/figures" in capsys.readouterr().out


def test_every_committed_lesson_is_canonical_as_it_stands():
    from lib.course import lesson as lessons

    for name, path in notebooks.lesson_files().items():
        values = notebooks.defaults(notebooks.read(path))
        own = {key: value for key, value in values.items() if key not in ("profile", "dataset")}
        assert lessons.changed_parameters(name, own) == [], name
        assert lessons.changed_parameters(name, own | {"seed": 77}) == ["seed"], name


@pytest.mark.parametrize("source", ["x = int(3)", "import os", "x, y = 1, 2", "print(1)", "x += 1", "x = ("])
def test_parameters_cells_hold_literals_only(source):
    with pytest.raises(ParameterError):
        parameters.assignments(source)


def test_annotated_parameters_count():
    found = parameters.assignments("profile: str | None = None\nsizes = [1, 2]\nlow = -1.5  # dB")
    assert found == {"profile": None, "sizes": [1, 2], "low": -1.5}


@pytest.mark.parametrize(
    ("profile", "dataset", "asked"),
    [
        ("quick", "pedestrians", {"identities": 100}),
        ("course", "pedestrians", {}),
        ("quick", "viper", {}),  # a set that is not rendered has the people it has
    ],
)
def test_only_quick_takes_few_and_only_of_the_rendered_people(tmp_path, monkeypatch, profile, dataset, asked):
    monkeypatch.setattr("lib.data.load_dataset", lambda name, **options: (name, options))
    assert begin(namespace(profile=profile, dataset=dataset), "03_x", minutes={}).people() == (dataset, asked)


@pytest.mark.parametrize(
    ("profile", "dataset", "changed", "folder"),
    [
        ("quick", "pedestrians", False, "build/figures/quick/03_x"),
        ("course", "pedestrians", False, "figures/03_x"),
        ("course", "viper", False, "figures/03_x/viper"),
        ("paper", "viper", False, "figures/03_x/paper/viper"),
        ("paper", "pedestrians", False, "figures/03_x/paper/pedestrians"),
        ("course", "pedestrians", True, "build/figures/course/03_x"),
    ],
)
def test_only_the_course_itself_writes_the_committed_figures(tmp_path, profile, dataset, changed, folder):
    import matplotlib.pyplot as plt

    given = namespace(profile=profile, dataset=dataset)
    if changed:
        given |= {"seed": 3, "In": ["", "# Parameters\nseed = 3\n"]}
    lesson = begin(given, "03_x", minutes={})
    figure, _ = plt.subplots()
    shown = lesson.save(figure, "a figure.png")
    assert (tmp_path / folder / "a figure.png").exists()
    assert not shown.startswith("/")
    assert [path.name for path in (tmp_path / folder).iterdir()] == ["a figure.png"]


def test_the_same_figure_is_the_same_file():
    import matplotlib.pyplot as plt

    lesson = begin(namespace(), "03_x", minutes={})
    contents = []
    for _ in range(2):
        figure, ax = plt.subplots()
        ax.plot([1, 2])
        lesson.save(figure, "line")
        contents.append((lesson.figures / "line.png").read_bytes())
    assert contents[0] == contents[1]


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, in its order."""
    from IPython import display

    found = []
    monkeypatch.setattr(display, "display", lambda *things, **how: found.append((*things, how)))
    return found


def test_a_figure_with_a_text_is_shown_once_with_it(shown):
    import matplotlib.pyplot as plt

    lesson = begin(namespace(), "03_x", minutes={})
    figure, _ = plt.subplots()
    lesson.save(figure, "line", alt="a line that rises")
    assert shown == [(figure, {"metadata": {"image/png": {"alt": "a line that rises"}}})]
    assert figure.number not in plt.get_fignums()  # else Jupyter shows it once more after the cell
    other, _ = plt.subplots()
    lesson.save(other, "line")
    assert len(shown) == 1 and other.number in plt.get_fignums()


@pytest.mark.parametrize("kind", [style.Chart, style.Photographs])
def test_a_figure_that_shows_itself_has_the_text_that_was_written(shown, kind):
    lesson = begin(namespace(), "03_x", minutes={})
    for written, read in (("a line that rises", "a line that rises"), ("", "A finding.")):
        figure, _ = style.figure(FigureClass=kind)
        style.headline(figure, "A finding.")
        lesson.save(figure, "line", alt=written)
        figure._ipython_display_()
        assert shown[-1][0].alt == read


def test_an_answer_is_one_sentence_with_an_interval(shown):
    lesson = begin(namespace(), "03_x", minutes={})
    lesson.answer("It costs 12.0 points\n[10.1, 13.9].")
    ((both, _),) = shown
    assert both["text/plain"] == "The answer: It costs 12.0 points [10.1, 13.9]."
    assert both["text/markdown"] == "**The answer:** It costs 12.0 points [10.1, 13.9]."
    lesson.answer("It costs 12 ± 2 points.")
    for sentence in ("It costs 12 points.", "It costs something [see below].", "Much ± little."):
        with pytest.raises(ValueError, match="needs a number and its interval"):
            lesson.answer(sentence)
    with pytest.raises(ValueError, match="the answer is empty"):
        lesson.answer(" ")


def test_predictions_are_answered_by_their_numbers(shown):
    lesson = begin(namespace(), "03_x", minutes={})
    lesson.predictions({1: "Yes.", 2: "By half."})
    assert shown[0][0]["text/plain"].splitlines() == ["What was to be predicted:", "1. Yes.", "2. By half."]
    assert shown[0][0]["text/markdown"].splitlines()[1:] == ["", "1. Yes.", "2. By half."]  # a list in Markdown
    for wrong in ({}, {2: "x"}, {1: "x", 3: "y"}, {2: "x", 1: "y"}):
        with pytest.raises(ValueError, match="predictions are numbered 1, 2"):
            lesson.predictions(wrong)
    with pytest.raises(ValueError, match="prediction 2 is empty"):
        lesson.predictions({1: "x", 2: ""})


def test_a_guess_stands_beside_what_was_measured(shown):
    """Silent where none was made."""
    lesson = begin(namespace(), "03_x", minutes={})
    lesson.guess({1: "", 2: 0.5, 3: None, 4: 0})
    assert not shown
    lesson.predictions({1: "Yes.", 2: "By half.", 3: "No.", 4: "One."})
    assert shown[0][0]["text/plain"].splitlines()[1:] == [
        "1. Yes.",
        "2. You expected: 0.5. Measured: By half.",
        "3. No.",
        "4. You expected: 0. Measured: One.",
    ]
    lesson.guess({1: "yes", 2: ""})  # the cell once more, a guess taken back
    lesson.predictions({1: "Yes.", 2: "By half."})
    assert shown[1][0]["text/plain"].splitlines()[1:] == ["1. You expected: yes. Measured: Yes.", "2. By half."]
    for wrong in ({}, {2: "x"}):
        with pytest.raises(ValueError, match="predictions are numbered 1, 2"):
            lesson.guess(wrong)


def test_the_paper_s_number_stands_behind_where_it_has_one(shown):
    lesson = begin(namespace(), "03_x", minutes={})
    lesson.guess({1: "+5", 2: "", 3: ""})
    lesson.predictions({1: "Yes.", 2: "By half.", 3: "No."}, {1: "+8.2 (MLR-VIPeR)", 2: ""})
    assert shown[0][0]["text/plain"].splitlines()[1:] == [
        "1. You expected: +5. Measured: Yes. Published: +8.2 (MLR-VIPeR).",
        "2. By half.",
        "3. No.",
    ]
    with pytest.raises(ValueError, match=r"not asked for: \[4\]"):
        lesson.predictions({1: "Yes.", 2: "By half.", 3: "No."}, {4: "+1.0"})


@pytest.mark.parametrize(("name", "up"), [("03_x", "../"), ("solutions/03_x", "../../")])
def test_the_source_is_shown_as_it_stands_with_a_link(shown, name, up):
    lesson = begin(namespace(), name, minutes={})
    lesson.source(type(lesson).pick)
    code, where = shown[0][0]["text/plain"].rsplit("\n\n", 1)
    text = (paths.ROOT / "lib/course/lesson.py").read_text(encoding="utf-8").splitlines()
    first = int(where.removeprefix("lib/course/lesson.py, line "))
    assert text[first - 1] == "    def pick(self, *, quick: Any, course: Any, **paper: Any) -> Any:"
    assert code.splitlines() == [line[4:] for line in text[first - 1 : first - 1 + len(code.splitlines())]]
    assert '"""The value of this profile' in code and code.splitlines()[-1].startswith("    return {")
    last = first + len(code.splitlines()) - 1
    assert f"]({up}lib/course/lesson.py#L{first}-L{last})" in shown[0][0]["text/markdown"]


@pytest.mark.parametrize("thing", [3, len, pytest.fixture, "lib"])
def test_only_the_courses_own_source_is_shown(thing):
    with pytest.raises(ValueError, match="is no class or function of this repository"):
        begin(namespace(), "03_x", minutes={}).source(thing)


def test_a_source_that_nobody_reads_is_refused():
    lesson = begin(namespace(), "03_x", minutes={})
    with pytest.raises(ValueError, match=r"Lesson has \d+ lines, at most 60 are read: show a part of it"):
        lesson.source(type(lesson))


def test_tables_are_shown_whole():
    import pandas as pd

    begin(namespace(), "03_x", minutes={})
    table = pd.DataFrame([["bicubic enlargement, then re-identification, " * 4 + "trained together"] * 30])
    assert "..." not in table.to_html() and "trained together" in table.to_string()
    assert "..." not in repr(table) and "..." not in table._repr_html_()


def test_shown_paths_name_no_folder_of_the_machine(tmp_path):
    assert paths.relative(paths.ROOT / "figures" / "a.png") == "figures/a.png"
    assert paths.relative(tmp_path / "secret" / "people.csv") == "people.csv"
    assert paths.relative("viper") == "viper"


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("", paths.ROOT / "build"),
        ("rel/x", paths.ROOT / "rel" / "x"),
        ("/abs", Path("/abs")),
        ("~/y", Path.home() / "y"),
    ],
)
def test_folders_of_the_environment_are_the_same_from_everywhere(value, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_X", value)
    assert paths.chosen("COURSE_X", "build") == folder
