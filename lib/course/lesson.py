"""``begin``: the second cell of every notebook. It checks the parameters and prints profile, hardware and minutes
first.
"""

from __future__ import annotations

import inspect
import os
import platform
import re
import textwrap
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from lib.course import notebook as notebooks
from lib.course import parameters, paths
from lib.course.parameters import ParameterError
from lib.paths import write_atomically

if TYPE_CHECKING:
    from lib.data.dataset import PersonDataset

INTERACTIVE_NAMES = {"In", "Out", "exit", "quit", "get_ipython", "open"}  # IPython's own, in every notebook
MARK = "_course_lesson"  # set in the notebook's namespace by the first call: later the reader has names of their own
MEANING = {
    "quick": "everything runs, the numbers are no evidence",
    "course": "figures and claims on a laptop",
    "paper": "the papers' settings, on GPUs",
}
ANSWER = "The answer: "  # how the printed answer begins: publishing finds it in the stored outputs by this
INTERVAL = re.compile(r"\[[^\[\],]+, [^\[\],]+\]|±")
SOURCE_LINES = 60  # of what a lesson shows of lib: more is not read
HARDWARE = {"quick": "one CPU core", "course": "one CPU core", "paper": "one H200-class GPU"}


@dataclass(frozen=True)
class Lesson:
    """The checked parameters of a notebook, and where its figures go.

    Extra parameters are attributes as well: ``lesson.trials`` for ``begin(..., trials=int)``.
    """

    name: str  # "03_objective" or "solutions/03_objective"
    profile: str
    dataset: str
    seed: int
    extras: dict[str, Any] = field(default_factory=dict)
    canonical: bool = True  # no reader's copy, and no parameter but profile and dataset differs from the committed ones
    default_dataset: str = "pedestrians"
    guesses: dict[int, Any] = field(default_factory=dict)  # what the reader expects, by the number of the question

    def __getattr__(self, name: str) -> Any:
        extras = self.__dict__.get("extras", {})
        if name in extras:
            return extras[name]
        raise AttributeError(
            f"this notebook has no parameter {name!r}; it has: {', '.join(['profile', 'dataset', 'seed', *extras])}"
        )

    @property
    def progress(self) -> bool:
        """False when the notebook is run by a tool (guard, nbval): progress bars do not belong into stored outputs."""
        return os.environ.get("COURSE_BATCH") != "1"

    def pick(self, *, quick: Any, course: Any, **paper: Any) -> Any:
        """The value of this profile; ``paper`` may be left out and is ``course`` then."""
        if set(paper) - {"paper"}:
            raise TypeError(f"pick knows quick, course and paper, not {', '.join(sorted(set(paper) - {'paper'}))}")
        return {"quick": quick, "course": course, "paper": paper.get("paper", course)}[self.profile]

    def people(self, few: int = 100) -> PersonDataset:
        """The lesson's data set. Of the embedded people ``quick`` takes the first ``few``: a quarter of them to train
        on, two thirds to test.
        """
        from lib.data import load_dataset  # reading a lesson's declaration needs no torch

        smaller = self.profile == "quick" and self.dataset == "pedestrians"
        return load_dataset(self.dataset, **({"identities": few} if smaller else {}))

    @property
    def figures(self) -> Path:
        """The folder of this run's figures: ``figures/<lesson>`` for the course on its own data, below it for other
        data and the papers' settings.

        What is drawn in ``quick``, with changed parameters or by a reader's own copy goes to ``build/figures``: reading
        along never overwrites the committed figures.
        """
        data = () if self.dataset == self.default_dataset else (parameters.dataset_name(self.dataset),)
        if self.profile == "quick" or not self.canonical:
            return paths.BUILD.joinpath("figures", self.profile, *self.name.split("/"), *data)
        if self.profile == "paper":
            return paths.FIGURES.joinpath(*self.name.split("/"), "paper", *(data or (self.dataset,)))
        return paths.FIGURES.joinpath(*self.name.split("/"), *data)

    def save(self, figure: Any, name: str, dpi: int = 160, alt: str = "") -> str:
        """Write the figure as PNG, atomically, and show it; returns its path relative to the repository.

        alt : what the picture says, in one sentence, for who does not see it. It is stored as the picture's metadata
            (``alt``), as IPython's own Image does, and nbconvert makes it the text of the HTML page.
        """
        import matplotlib.pyplot as plt

        target = self.figures / f"{name.removesuffix('.png')}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        # without the version of matplotlib in it, the same picture is the same file
        how = {"format": "png", "dpi": dpi, "bbox_inches": "tight", "metadata": {"Software": None}}
        write_atomically(target, lambda partial: figure.savefig(partial, **how))
        if log := os.environ.get("COURSE_FIGURE_LOG"):  # the guard remembers which figures a lesson drew
            with open(log, "a", encoding="utf-8") as lines:
                lines.write(f"{target}\n")
        known = getattr(figure, "number", None) in plt.get_fignums()  # pyplot's: Jupyter shows it after the cell
        if alt or not known:
            from IPython.display import display

            figure.alt = alt  # for those that show themselves (``lib.plots.style``)
            display(figure, metadata={"image/png": {"alt": alt}} if alt else None)
            if known:
                plt.close(figure)  # shown now, with its text; not once more without
        return paths.relative(target)

    def answer(self, sentence: str) -> None:
        """Show the answer to the lesson's question, once in a lesson, under "What we see".

        sentence : one sentence, made from what was measured, with a number and its interval: ``[low, high]`` or ``±``.
            ValueError for one without. ``make publish`` repeats it in the title cell.
        """
        sentence = _one_sentence(sentence, "the answer")
        if not re.search(r"\d", sentence) or not INTERVAL.search(sentence):
            raise ValueError(f"the answer needs a number and its interval, [low, high] or ±: {sentence!r}")
        _show(f"{ANSWER}{sentence}", f"**{ANSWER.strip()}** {sentence}")

    def guess(self, guesses: Mapping[int, Any]) -> None:
        """What the reader expects, under "Predict before you run": it will stand beside what was measured.

        guesses : {1: a number or a few words, 2: ...}; None or "" where nothing is guessed. ValueError for other
            numbers than 1, 2, ...
        """
        self._numbered(guesses)
        self.guesses.clear()  # a cell that is run again: what was guessed before counts no more
        self.guesses.update({number: guess for number, guess in guesses.items() if guess not in (None, "")})

    def predictions(self, answers: Mapping[int, str], published: Mapping[int, str] | None = None) -> None:
        """Show what became of the predictions that were asked for, beside the reader's guess where one was made and the
        paper's number where it has one, once in a lesson, under "What we see".

        answers : {1: "sentence", 2: ...}, a sentence made from what was measured for every question of the numbered
            list under "Predict before you run". ValueError for other numbers than 1, 2, ... or an empty sentence.
        published : {1: "+8.2 (MLR-VIPeR)"}, of some of them; ValueError for a number that no answer has.
        """
        self._numbered(answers)
        published = published or {}
        if unasked := published.keys() - answers.keys():
            raise ValueError(f"published numbers of predictions that were not asked for: {sorted(unasked)}")
        lines = []
        for number, text in answers.items():
            guessed = f"You expected: {self.guesses[number]}. Measured: " if number in self.guesses else ""
            printed = f" Published: {published[number]}." if published.get(number) else ""
            lines.append(f"{number}. {guessed}{_one_sentence(text, f'prediction {number}')}{printed}")
        head = "What was to be predicted:"
        _show("\n".join([head, *lines]), "\n".join([f"**{head}**", "", *lines]))

    @staticmethod
    def _numbered(given: Mapping[int, Any]) -> None:
        if not given or list(given) != list(range(1, len(given) + 1)):
            raise ValueError(f"predictions are numbered 1, 2, ... as their questions are, not {list(given)}")

    def source(self, definition: Any) -> None:
        """Show a class or function of lib as it stands in its file, with a link to it: under its equation.

        ValueError for what is not of this repository, or has more than 60 lines: show a part of it.
        """
        definition = inspect.unwrap(definition)
        try:
            file = Path(inspect.getsourcefile(definition)).resolve().relative_to(paths.ROOT)
            file.relative_to("lib")  # what is installed may lie in the repository as well, in .venv
        except (TypeError, ValueError):
            raise ValueError(f"{definition!r} is no class or function of this repository") from None
        lines, first = inspect.getsourcelines(definition)
        if len(lines) > SOURCE_LINES:
            raise ValueError(
                f"{definition.__qualname__} has {len(lines)} lines, at most {SOURCE_LINES} are read: show a part of it"
            )
        code, where = textwrap.dedent("".join(lines)).rstrip(), f"{file.as_posix()}, line {first}"
        link = f"{'../' * (1 + self.name.count('/'))}{file.as_posix()}#L{first}-L{first + len(lines) - 1}"
        _show(f"{code}\n\n{where}", f"```python\n{code}\n```\n\n[{where}]({link})")


def begin(
    namespace: dict[str, Any],
    name: str,
    *,
    minutes: Mapping[str, float],
    after: Sequence[str] = (),
    default_dataset: str = "pedestrians",
    **types_: Any,
) -> Lesson:
    """Check the notebook's parameters, print what will run where, and return them as a Lesson.

    Parameters
    ----------
    namespace : the notebook's ``globals()``
    name : file name without suffix, with ``solutions/`` before it where it lies there
    minutes : {"quick": ..., "course": ..., "paper": ...}, measured; paper may be missing
    after : names of lessons whose trained runs this one uses; read by the Snakefile, which runs them before
    **types_ : the type of every parameter beyond profile, dataset and seed

    Raises ParameterError for an unknown name, a wrong type, a missing parameter, or values that the defaults overwrote.
    """
    declared = {**parameters.STANDARD, **types_}
    first = MARK not in namespace
    if first:
        _refuse_overwritten(namespace)
    parameters.check_names(_injected(namespace) | (_public_names(namespace) if first else set()), declared)
    missing = [parameter for parameter in declared if parameter not in namespace]
    if missing:
        raise ParameterError(
            f"the parameters cell does not set {', '.join(missing)}: run it first, or add the default there"
        )
    values = {
        parameter: parameters.check_value(parameter, namespace[parameter], kind) for parameter, kind in declared.items()
    }
    profile = parameters.resolve_profile(values.pop("profile"))
    dataset = parameters.resolve_dataset(values.pop("dataset"))
    seed = parameters.resolve_seed(values.pop("seed"))
    changed = changed_parameters(name, {"seed": seed, **values})
    if changed is None:  # no committed notebook to compare with
        changed = sorted(_injected(namespace) - {"profile", "dataset"})
    own_copy = Path.cwd().is_relative_to(paths.OWN)  # where Jupyter starts the kernel of a reader's copy
    lesson = Lesson(name, profile, dataset, seed, values, not changed and not own_copy, default_dataset)
    namespace[MARK] = lesson
    _style()
    print(_header(lesson, dict(minutes), tuple(after)))
    if changed:
        own = ", ".join(f"{key} is {namespace[key]!r}" for key in changed)
        print(f"not as committed: {own}; the figures go to build/figures")
    elif own_copy:
        print("your own copy: its figures go to build/figures")
    return lesson


def _one_sentence(text: str, what: str) -> str:
    """The text on one line; ValueError when there is none."""
    if not (text := " ".join(text.split())):
        raise ValueError(f"{what} is empty")
    return text


def _show(plain: str, markdown: str) -> None:
    """Markdown where it is rendered (Jupyter, the web), its plain form elsewhere."""
    from IPython.display import display

    display({"text/plain": plain, "text/markdown": markdown}, raw=True)


def changed_parameters(name: str, values: Mapping[str, Any]) -> list[str] | None:
    """Those of `values` that are not as the committed notebook `name` has them, however they were changed: passed by a
    tool, or typed into the parameters cell. None where there is no such notebook.

    The committed notebook is git's; without git (a download) the file in notebooks/, which Jupyter may have saved with
    what was typed into it. A parameter that is new in the file is compared with the file.
    """
    path = paths.NOTEBOOKS / f"{name}.ipynb"
    if not path.exists():
        return None
    committed: dict[str, Any] = {}
    for text in (path.read_bytes(), paths.as_committed(path)):
        try:
            if text is not None:
                committed |= notebooks.defaults(nbformat.reads(text.decode("utf-8"), as_version=4))
        except (ValueError, AttributeError, nbformat.ValidationError):
            continue  # saved half-way, or without its tag: then only the other one counts
    return [key for key, value in values.items() if key in committed and value != committed[key]]


def _public_names(namespace: Mapping[str, Any]) -> set[str]:
    """What the cells so far have set: neither IPython's names nor what was imported."""
    imported = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
    return {
        key
        for key, value in namespace.items()
        if not key.startswith("_") and key not in INTERACTIVE_NAMES and not isinstance(value, imported)
    }


def _injected_cells(namespace: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """(position, {name: value}) of the cells that papermill added, found by the comment it puts on their first line."""
    history = namespace.get("In") or []
    return [
        (position, parameters.assignments(source))
        for position, source in enumerate(history)
        if source.lstrip().startswith("# Parameters\n")
    ]


def _injected(namespace: Mapping[str, Any]) -> set[str]:
    return {name for _, values in _injected_cells(namespace) for name in values}


def _refuse_overwritten(namespace: Mapping[str, Any]) -> None:
    """Without a ``parameters`` tag papermill puts its cell at the top and the notebook's defaults win: say so instead
    of running them.
    """
    for _, values in _injected_cells(namespace):
        lost = [key for key, value in values.items() if key in namespace and namespace[key] != value]
        if lost:
            raise ParameterError(
                f"{', '.join(lost)} was passed but overwritten by the notebook's default: the parameters cell has lost "
                "its `parameters` tag (some cleaning tools delete it); tag the cell again"
            )


def _style() -> None:
    """One look for all lessons; small inline pictures keep a notebook below 300 KB."""
    import matplotlib
    import pandas as pd
    import seaborn as sns

    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    matplotlib.rcParams.update(
        {"figure.dpi": 80, "figure.figsize": (7, 4), "image.interpolation": "nearest", "axes.grid": True}
    )
    pd.set_option("display.precision", 3, "display.max_rows", 120, "display.width", 140)
    pd.set_option("display.max_colwidth", None, "display.max_columns", None)  # no text and no column is cut off


def _header(lesson: Lesson, minutes: dict[str, float], after: tuple[str, ...]) -> str:
    """Three lines: what runs, how long it takes, and on what."""
    others = [
        f"{profile} {notebooks.duration(minutes[profile])} on {HARDWARE[profile]}"
        for profile in parameters.PROFILES
        if profile in minutes and profile != lesson.profile
    ]
    extras = "".join(f" · {key} {value}" for key, value in lesson.extras.items())
    own = (
        f"about {notebooks.duration(minutes[lesson.profile])} on {HARDWARE[lesson.profile]}"
        if lesson.profile in minutes
        else "its time was not measured"
    )
    lines = [
        f"{lesson.name} · profile {lesson.profile} ({MEANING[lesson.profile]}) · "
        f"dataset {paths.relative(lesson.dataset)} · seed {lesson.seed}{extras}",
        f"takes {own}"
        + (f" ({', '.join(others)})" if others else "")
        + (f"; uses the runs of {', '.join(after)}" if after else ""),
        f"here: {hardware()} · {versions()}",
    ]
    return "\n".join(lines)


def hardware() -> str:
    """What this process computes on, in words."""
    import torch

    threads = torch.get_num_threads()
    cpu = f"{platform.machine()} CPU, {os.cpu_count()} cores, {threads} thread{'s' if threads > 1 else ''}"
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return (
            f"{count} x {torch.cuda.get_device_name(0)}, {cpu}"
            if count > 1
            else f"{torch.cuda.get_device_name(0)}, {cpu}"
        )
    return cpu


def versions(packages: Sequence[str] = ("torch", "torchvision", "numpy", "pandas")) -> str:
    """The versions that most change a result, Python's first."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{package} {metadata.version(package)}" for package in packages)]
    )
