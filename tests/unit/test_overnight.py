"""Many studies in one night: what is written is what the record writes; what fails or is missing is said."""

import time

import pandas as pd
import pytest

from lib.data import load_dataset
from lib.experiments import measured, overnight, record, workers
from lib.experiments.overnight import Job, job, main, night
from lib.experiments.studies import STUDIES
from lib.experiments.study import Cell, Study

ROWS = ("baseline", "baseline, from scratch")


class Here:
    """A pool of this process alone, so that what the tests replace is replaced there, too."""

    def submit(self, task, *arguments):
        future = overnight.Future()
        try:
            future.set_result(task(*arguments))
        except Exception as error:  # noqa: BLE001 - as a pool hands it on
            future.set_exception(error)
        return future


@pytest.fixture
def two_rows(monkeypatch, tmp_path):
    """The study of the plain networks, of two rows, in ``quick``, whose numbers a test may keep."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    monkeypatch.setattr(measured, "EVIDENCE", ("quick",))
    people = load_dataset("pedestrians", identities=40)
    for module in (workers, overnight):
        monkeypatch.setattr(module, "load_dataset", lambda name: people)
    opened = workers.opened

    def few(asked, people) -> Study:
        some = opened(asked, people)
        some.rows = {name: some.rows[name] for name in ROWS}
        return some

    monkeypatch.setattr(workers, "opened", few)
    for kept in (workers.own_study, workers._people):
        kept.cache_clear()
    yield job("baseline", "pedestrians", "quick", (1, 1))
    for kept in (workers.own_study, workers._people):
        kept.cache_clear()


def test_a_night_writes_what_the_record_writes(two_rows, tmp_path, monkeypatch, capsys):
    assert [(one.preset, row) for one, row, _ in two_rows.trainings] == [(p, n) for n in ROWS for p in ("mlr", "plain")]
    assert night([two_rows], Here(), 2, time.time() + 600) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "training: baseline" in line]) == 4 and "tables: baseline_rows" in lines[-1]
    found = {path.name: path.read_text() for path in (tmp_path / "measured").glob("*.csv")}
    assert set(found) == {"baseline_rows-pedestrians.csv", "baseline_differences-pedestrians.csv"}

    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "again"))
    people = workers._people("pedestrians")
    studies = {one.preset: workers.opened(one, people) for one in two_rows.asked}
    record.write("baseline", people, studies, "quick")
    assert {path.name: path.read_text() for path in (tmp_path / "again").glob("*.csv")} == found


def test_when_the_hours_are_over_only_whole_rows_are_written(two_rows, tmp_path, monkeypatch, capsys):
    """The trainings of the second row come too late; the next night they are all that is left."""
    again = job("baseline", "pedestrians", "quick", (1, 1))
    trained = workers.train
    monkeypatch.setattr(workers, "train", lambda a, row, *more: trained(a, row, *more) if row == ROWS[0] else None)
    assert night([two_rows], Here(), 1, time.time() + 600) == 2
    table = pd.read_csv(tmp_path / "measured" / "baseline_rows-pedestrians.csv")
    assert set(table["row"]) == {ROWS[0]} and set(table["preset"]) == {"mlr", "plain"}
    assert night([job("baseline", "pedestrians", "quick", (1, 1))], Here(), 1, time.time() - 1) == 2  # two are there
    monkeypatch.setattr(workers, "train", trained)
    capsys.readouterr()
    assert night([again], Here(), 1, time.time() + 600) == 0
    assert len([line for line in capsys.readouterr().out.splitlines() if "training" in line]) == 2  # found: not said


def test_a_failure_is_said_and_the_night_goes_on(two_rows, tmp_path, monkeypatch, capsys):
    trained = workers.train

    def fail(asked, row, *more):
        if row == ROWS[1]:
            raise ValueError("this row is broken")
        return trained(asked, row, *more)

    monkeypatch.setattr(workers, "train", fail)
    assert night([two_rows], Here(), 3, time.time() + 600) == 2
    assert "this row is broken" in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "measured" / "baseline_rows-pedestrians.csv")["row"]) == {ROWS[0]}


def test_tests_wait_for_trainings_and_begin_before_those_of_the_next_study():
    """Two processes, two studies of which one is trained but for what is under way."""

    class Waiting:
        def __init__(self):
            self.asked = []

        def submit(self, task, *arguments):
            self.asked.append((task.__name__, arguments[:2]))
            return overnight.Future()

    pool, one = Waiting(), workers.Asked("sing", "viper", "mlr", "course", 3, 1)
    first = Job("first", [one], overnight.deque(), overnight.deque([(one, "SING")]))
    second = Job("second", [one], overnight.deque([(one, "bicubic", 0)]), overnight.deque([(one, "bicubic")]))
    first.under_way["training"] = 1
    begun = list(overnight._tasks([first, second], pool, 0.0))
    assert [name for name, _ in pool.asked] == ["train"] and len(begun) == 1
    first.under_way["training"] = 0
    list(overnight._tasks([first, second], pool, 0.0))
    assert pool.asked[1:] == [("test", (one, "SING"))] and not second.is_trained and not first.is_tested


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_can_be_a_job(study, monkeypatch):
    """All trainable rows in all cells, for every preset; nothing is made yet."""
    made = job(study, "pedestrians")
    assert {one.study for one in made.asked} == {study} and made.tests
    assert len(made.trainings) % 3 == 0 and {cell for _, _, cell in made.trainings} == {0, 1, 2}
    assert all(isinstance(cell, Cell) for cell in workers.opened(made.asked[0], workers._people("pedestrians")).cells)


def test_without_names_every_study_on_every_set_that_is_here(monkeypatch, capsys):
    def load(name):
        if name == "viper":
            raise overnight.DataError("there is no folder VIPeR")

    seen = []
    monkeypatch.setattr(overnight, "load_dataset", load)
    monkeypatch.setattr(overnight, "job", lambda study, people, profile, first: seen.append((study, people)))
    monkeypatch.setattr(overnight, "night", lambda jobs, pool, processes, end: 0)
    main(["--hours", "0"])
    assert seen == [(study, people) for people in ("pedestrians", "caviar") for study in STUDIES]
    said = capsys.readouterr()
    assert "viper is left out: there is no folder VIPeR" in said.err and said.out == "complete\n"


def test_the_first_rows_alone_are_trained_and_their_views_tested(monkeypatch):
    few, whole = job("ftwa", "pedestrians", first=2), job("ftwa", "pedestrians")
    assert list(few.trainings) == list(whole.trainings)[:6] and len({row for _, row, _ in few.trainings}) == 2
    more = job("jbim", "pedestrians", first=14)  # its views, which are not trained, stand in between
    assert len({row for _, row, _ in more.trainings}) == 14
    assert few.tests == whole.tests

    seen = []
    monkeypatch.setattr(overnight, "job", lambda *told, first: seen.append((*told, first)))
    monkeypatch.setattr(overnight, "night", lambda jobs, pool, processes, end: 0)
    main(["ftwa:viper:9", "sing:caviar", "--profile", "paper"])
    assert seen == [("ftwa", "viper", "paper", 9), ("sing", "caviar", "paper", None)]


def test_the_command_says_what_is_wrong(capsys):
    for told, message in (
        (["sin:viper"], "'sin:viper' is no STUDY:SET"),
        (["sing"], "'sing' is no STUDY:SET"),
        (["sing:viper:0"], "'sing:viper:0' is no STUDY:SET or STUDY:SET:ROWS"),
        (["sing:viper:few"], "'sing:viper:few' is no STUDY:SET or STUDY:SET:ROWS"),
        (["--processes", "0"], "at least 1, not 0"),
    ):
        with pytest.raises(SystemExit):
            main(told)
        assert message in capsys.readouterr().err
