"""One instrument for every paper: rows that are compared, on the same people, with the same first weights, for the same
number of images; trained on several splits and with several seeds, so that a comparison can decide something.

A paper's module says its rows (``lib.experiments.sing``, ``ripr``); a lesson asks a ``Study`` of them for results and
differences; ``lib.experiments.record`` trains what is missing over hours and writes it down.

    row      a line of a table: how its method is made
    anchor   a ratio that one of a row's models is made for (SING has three); most rows have one model
    cell     a protocol (one split of the people) and a training seed; every row is trained once in every cell
    view     a row that trains nothing: the models of another row, tested in another way (a subset of its anchors)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from lib.bars import Bar, work
from lib.data import Protocol, make_protocol
from lib.data.dataset import PersonDataset
from lib.evaluation import Difference, Result, evaluate, paired_difference
from lib.experiments import claims, pools
from lib.experiments.trained import Trained
from lib.methods.method import Method
from lib.training import Run, fit
from lib.training.fit import finished

# Images that the re-id network is shown in training, in every row alike: so many that 2.5 times as many change the
# rank-1 of the plain network by less than a point (lesson 04). That of SING, JBIM and PS-HRNet changes by more: what it
# does to their verdicts is asked by ``lib.experiments.longer``. ``paper``: SING's 60 epochs of MLR-VIPeR and more.
IMAGES = {"quick": 320, "course": 25_600, "paper": 120_000}
LOOK = 5  # epochs from one look at validation people to the next: of the embedded people one takes 1/6 of an epoch


@dataclass(frozen=True)
class Cell:
    """One training of every row."""

    protocol: Protocol = field(repr=False)
    seed: int


def cells(
    people: PersonDataset, preset: str, trials: int = 1, seeds: int = 1, seed: int = 0, **options: Any
) -> list[Cell]:
    """``trials`` splits with ``seeds`` trainings each; ``options`` of the protocol. All splits of the first seed come
    first: what is trained until the time is over then says the most.

    ValueError where one of the two numbers is below 1.
    """
    if min(trials, seeds) < 1:
        raise ValueError(f"a study needs at least one split and one training of each, not {trials} and {seeds}")
    protocols = [make_protocol(people, preset, trial=trial, seed=seed, **options) for trial in range(trials)]
    return [Cell(protocol, seed + more) for more in range(seeds) for protocol in protocols]


@dataclass(frozen=True)
class Row:
    """A line of a table. ``make(bench, ratio)`` gives its method, not yet trained.

    ratios : its anchors, one model for each; empty for a method that is the same for every ratio (then ratio is None).
    """

    name: str
    make: Callable[[Bench, float | None], Method] = field(repr=False)
    ratios: tuple[float, ...] = ()


@dataclass(frozen=True)
class View:
    """A line of a table that needs no training of its own: ``test(trained, **how)`` gives the results of the models of
    row ``of``, one per cell; ``how`` as in ``Trained.results``, which it calls.
    """

    name: str
    of: str
    test: Callable[..., list[Result]] = field(repr=False)


@dataclass(frozen=True)
class Comparison:
    """A claim of a paper (``data/published/claims.csv``): row ``a`` beats row ``b``.

    b : several rows where the paper says "the best of them": that with the best rank-1 of validation people.
    controls : rows without what the claim is about that were shown as many images; against the strongest of them on
    validation people the gain of ``a`` is its own. Where both rows stand on something that a plain network lacks, a
    control stands on it as well. Empty where no such row can answer the claim, or where it is ``b``.
    longer : the row that stands for ``a`` against the controls where ``a`` itself was shown fewer images than they.
    sets : only on these data sets; empty for all.
    premise : (row, another): only where the first is not certainly below the second, which the claim takes for granted.
    """

    claim: str
    a: str
    b: str | tuple[str, ...]
    controls: tuple[str, ...] = ("baseline", "baseline, all resolutions")
    longer: str = ""
    sets: tuple[str, ...] = ()
    premise: tuple[str, ...] = ()

    @property
    def rivals(self) -> tuple[str, ...]:
        return (self.b,) if isinstance(self.b, str) else self.b

    @property
    def rows(self) -> set[str]:
        """All rows that the verdict needs."""
        return {self.a, *self.rivals, *self.controls, *self.premise} | ({self.longer} if self.longer else set())

    def of(self, trained: Collection[str]) -> Comparison:
        """Without its control where that is the only one, and was not trained."""
        alone = len(self.controls) == 1 and self.controls[0] not in trained
        return replace(self, controls=()) if alone else self

    def asked(self, people: str, difference: Callable[[str, str], Difference]) -> bool:
        """Whether the claim can be judged on a set of people; ``difference`` gives that of two rows there."""
        return (not self.sets or people in self.sets) and (not self.premise or difference(*self.premise).high > 0)


class Missing(LookupError):
    """A run that another one starts from is not there, and nothing is to be trained now."""


@dataclass(frozen=True)
class Bench:
    """What a row is told to make its method: where it stands, and the runs of other rows in the same cell."""

    study: Study = field(repr=False)
    cell: Cell

    @property
    def profile(self) -> str:
        return self.study.profile

    @property
    def protocol(self) -> Protocol:
        return self.cell.protocol

    @property
    def options(self) -> Mapping[str, Any]:
        """What every method of the study is told: a backbone, a canvas."""
        return self.study.options

    @property
    def images(self) -> int:
        """The budget: images that the re-id network is shown."""
        return self.study.images

    @property
    def sharp_share(self) -> float:
        """Share of the training images that are on the high-resolution side: what synthetic copies are made of."""
        rows = self.protocol.rows("train")
        return float(1 - self.protocol.is_low(rows).mean())

    def epochs(self, images: float) -> int:
        """At least one epoch, of so many images that the re-id network is shown in all; for a method that shows it
        several views of an image, divide by their number first.
        """
        return max(1, round(images / len(self.protocol.rows("train"))))

    def run(self, name: str, ratio: float | None = None) -> Run:
        """The run of another row (and anchor) in this cell, trained now if it was not."""
        return self.study.run(name, self.cell, ratio)

    def first(self, method: Method, people: Protocol, profile: str) -> Run:
        """A run on other people, with seed 0, that rows start from: made now if it was not."""
        return fit(method, people, profile, seed=0, progress=self.study.progress)


class Onlooker(Bench):
    """A bench that trains nothing: Missing where something would have to be trained."""

    def run(self, name: str, ratio: float | None = None) -> Run:
        return self.study.look(name, self.cell, ratio)

    def first(self, method: Method, people: Protocol, profile: str) -> Run:
        if not finished(method, people, profile, 0):
            raise Missing(f"first weights of {method.name} from {people.dataset.name}")
        return super().first(method, people, profile)


class Study:
    """The rows of a paper on some cells of one data set and preset.

    rows : the first is what the others are compared with; views among them. options : arguments of every method.
    images : the budget, None for the profile's; another one is for showing what it decides
    (``lib.experiments.convergence``). progress : bars. ValueError for two rows of one name, a view of a row that is not
    there, for no rows or cells, and for a budget below 1.
    """

    def __init__(
        self,
        name: str,
        rows: Sequence[Row | View],
        cells: Sequence[Cell],
        profile: str,
        *,
        options: Mapping[str, Any] | None = None,
        images: int | None = None,
        progress: bool = True,
    ):
        self.name, self.cells, self.profile, self.progress = name, list(cells), profile, progress
        self.images = IMAGES[profile] if images is None else images
        self.rows = {row.name: row for row in rows}
        self.options = dict(options or {})
        if not self.rows or not self.cells:
            raise ValueError(f"the study {name!r} needs rows and cells: {len(self.rows)} and {len(self.cells)}")
        if len(self.rows) < len(rows):
            raise ValueError(f"two rows of the study {name!r} have one name: {', '.join(row.name for row in rows)}")
        models = {row.name for row in rows if isinstance(row, Row)}
        if alone := [row.name for row in rows if isinstance(row, View) and row.of not in models]:
            raise ValueError(f"the study {name!r} has views without the row they are of: {', '.join(alone)}")
        if self.images < 1:
            raise ValueError(f"the study {name!r} needs a budget of at least one image, not {self.images}")
        self._runs: dict[tuple[str, int, float | None], Run] = {}
        self._results: dict[tuple[str, tuple[int, ...], str], list[Result]] = {}
        self._trained: dict[tuple[str, tuple[int, ...]], Trained] = {}
        self._features: dict[str, dict] = {}  # row -> what its ``Trained`` have described, whatever their cells

    def row(self, name: str) -> Row:
        """The row whose models a name stands for: itself, or what it is a view of. KeyError, with the rows that there
        are, for another name.
        """
        if name not in self.rows:
            raise KeyError(f"the study {self.name!r} has no row {name!r}; its rows: {', '.join(self.rows)}")
        row = self.rows[name]
        return self.rows[row.of] if isinstance(row, View) else row

    def run(self, name: str, cell: Cell, ratio: float | None = None) -> Run:
        """A row's model for one anchor in one cell: trained, found again, or remembered."""
        row = self.row(name)
        key = (row.name, self.cells.index(cell), ratio)
        if key not in self._runs:
            method = row.make(Bench(self, cell), ratio)
            watch = validation_score(cell.protocol) if self.profile != "quick" else None
            how = {"profile": self.profile, "seed": cell.seed, "progress": self.progress}
            with work(self._called(row, cell, ratio)):
                self._runs[key] = fit(method, cell.protocol, watch=watch, watch_every=LOOK, **how)
        return self._runs[key]

    def train(self, processes: int | None = None) -> None:
        """Train every model that is not there yet, so many at a time (None: ``pools.usual``; in ``quick`` one, since
        the processes take longer to start than a model to train), each with one thread. A run that two rows need is
        trained by one of them, while the other waits.
        """
        missing = list(self._missing())
        usual = 1 if self.profile == "quick" else pools.usual()
        processes = min(usual if processes is None else processes, len(missing))
        if processes < 2:
            for name, cell, ratio in missing:
                self.run(name, self.cells[cell], ratio)
            return
        rows, how = list(self.rows.values()), {"options": self.options, "images": self.images, "progress": False}
        there = Study(self.name, rows, self.cells, self.profile, **how)
        with Bar(f"{self.name}: {processes} at a time", len(missing), "models", show=self.progress) as bar:
            for done in pools.each(pools.pool(processes, there), _train, missing):
                bar.step(done)

    def _missing(self) -> Iterator[tuple[str, int, float | None]]:
        """Row, position of the cell and anchor of all models that were not trained yet."""
        for row in self.rows.values():
            for ratio in (row.ratios or (None,)) if isinstance(row, Row) else ():
                for k, cell in enumerate(self.cells):
                    try:
                        self.look(row.name, cell, ratio)
                    except Missing:
                        yield row.name, k, ratio

    @property
    def runs(self) -> list[Run]:
        """All that was trained or found again so far, the runs that others start from among them."""
        return list(self._runs.values())

    @property
    def models(self) -> int:
        """How many models all rows have in all cells."""
        return len(self.cells) * sum(len(row.ratios) or 1 for row in self.rows.values() if isinstance(row, Row))

    def _called(self, row: Row, cell: Cell, ratio: float | None) -> str:
        """A model as the line of its training names it, and which of all it is."""
        name = row.name if ratio is None else f"{row.name} at {ratio:.3g}"
        if len(self.cells) > 1:
            name += f", split {cell.protocol.trial}, seed {cell.seed}"
        return f"{name}, model {len(self._runs) + 1} of {self.models}"

    def look(self, name: str, cell: Cell, ratio: float | None) -> Run:
        """The run where it was trained already; Missing where it, or one that it starts from, was not."""
        row = self.row(name)
        key = (row.name, self.cells.index(cell), ratio)
        if key not in self._runs:
            method = row.make(Onlooker(self, cell), ratio)
            if not finished(method, cell.protocol, self.profile, cell.seed):
                raise Missing(f"{name} in trial {cell.protocol.trial} with seed {cell.seed}")
        return self.run(name, cell, ratio)

    def is_there(self, name: str, cell: Cell) -> bool:
        """Whether all models of a row were trained in a cell already; nothing is trained."""
        try:
            return all(self.look(name, cell, ratio) for ratio in self.row(name).ratios or (None,))
        except Missing:
            return False

    def trained(self, name: str, where: Sequence[Cell] | None = None) -> Trained:
        """A row (or what a view is of) with all its models in the cells ``where`` (None: all)."""
        where = self.cells if where is None else list(where)
        row = self.row(name)
        key = (row.name, tuple(self.cells.index(cell) for cell in where))
        if key not in self._trained:
            runs = [[self.run(row.name, cell, ratio) for ratio in row.ratios or (None,)] for cell in where]
            self._trained[key] = Trained(row.name, row.ratios, runs, self._features.setdefault(row.name, {}))
        return self._trained[key]

    def results(self, name: str, where: Sequence[Cell] | None = None, **how: Any) -> list[Result]:
        """One result per cell; ``how`` as in ``Trained.results``: sigma is by default chosen on validation people.

        Remembered where a row is tested as it is, of one model each cell by itself: a result knows its rankings without
        each group of people, which every difference needs and which take 25 times as long as the ranking.
        """
        where = self.cells if where is None else list(where)
        key = (name, tuple(map(self.cells.index, where)), how.get("subset", "test"))
        kept = not set(how) - {"subset"}
        if kept and key in self._results:
            return self._results[key]
        if len(where) > 1 and len(self.row(name).ratios) < 2:  # no sigma that all cells choose together
            return [result for cell in where for result in self.results(name, [cell], **how)]
        trained, row = self.trained(name, where), self.rows[name]
        found = (partial(row.test, trained) if isinstance(row, View) else trained.results)(**how)
        if kept:
            self._results[key] = found
        return found

    def remember(self, name: str, where: Sequence[Cell], results: Sequence[Result], subset: str = "test") -> None:
        """Results of a row that another process has found."""
        self._results[name, tuple(map(self.cells.index, where)), subset] = list(results)

    def difference(
        self, a: str, b: str, metric: str = "rank-1", where: Sequence[Cell] | None = None, **how: Any
    ) -> Difference:
        """Row a minus row b over the same probes and cells."""
        return paired_difference(self.results(a, where, **how), self.results(b, where, **how), metric)

    def strongest(self, names: Sequence[str], where: Sequence[Cell] | None = None) -> str:
        """The row with the best rank-1 of validation people, mean over cells; the first of equals."""
        score = {name: np.mean([r.rank(1) for r in self.results(name, where, subset="val")]) for name in names}
        return max(names, key=score.get)

    def judge(self, comparison: Comparison, where: Sequence[Cell] | None = None, **what: Any) -> dict:
        """The verdict on a claim, as the paper compares and against the strongest control: a row of
        ``lib.experiments.claims.table``. ``what`` is said in the row as well (data set, preset ...).
        """
        a, against = comparison.a, None
        b = comparison.rivals[0] if len(comparison.rivals) == 1 else self.strongest(comparison.rivals, where)
        if comparison.controls:
            control = self.strongest(comparison.controls, where)
            against = self.difference(comparison.longer or a, control, where=where)
            what = what | {"control_row": control} | ({"against_it": comparison.longer} if comparison.longer else {})
        return claims.judge(comparison.claim, self.difference(a, b, where=where), control=against, **what)


def _train(name: str, cell: int, ratio: float | None) -> None:
    """In a process of ``Study.train``."""
    (study,) = pools.received()
    study.run(name, study.cells[cell], ratio)


@dataclass(frozen=True)
class Plan:
    """``rows(people)``: the most telling first. ``presets(set's name)``: what it is measured on. ``comparisons``:
    claims that one row beats another. ``judged(study, trained)``: the verdicts on claims that are about something else
    than rank-1, as ``lib.experiments.claims.judge`` gives them, where ``trained``, {row: the cells that it was trained
    in}, allows it. ``length``: its budget, in budgets of all other studies. ``variant``: what its claims add to the
    papers', where another study judges the same ones.
    """

    rows: Callable[[PersonDataset], Sequence[Row | View]]
    presets: Callable[[str], Sequence[str]]
    comparisons: Sequence[Comparison]
    judged: Callable[[Study, Mapping[str, Sequence[Cell]]], list[dict]] = lambda study, trained: []
    length: float = 1.0
    variant: str = ""


def validation_score(protocol: Protocol) -> Callable[[Method], float]:
    """What ``fit`` logs every ``LOOK`` epochs while it trains: rank-1 of the validation people, in [0, 1]."""
    return lambda method: evaluate(method, protocol, "val").rank(1)


def common(trained: Mapping[str, Sequence[Cell]], *names: str) -> list[Cell]:
    """The cells that all of these rows were trained in."""
    return [cell for cell in trained[names[0]] if all(cell in trained[name] for name in names)]
