"""Every table and every measured figure of the five papers is named in a lesson that measures it."""

import csv
import re

import pytest

from lib.course import notebook as notebooks
from lib.course import paths
from lib.experiments.published import all_published

OWN = {  # the lessons of a paper, and its figures that show a measurement
    "SING": (("05", "10", "11"), (5, 6)),
    "RIPR": (("03", "20", "21", "22"), (2, 4, 5)),
    "JBIM": (("30", "31"), (5, 7, 8, 9)),
    "PSHR": (("40", "41"), (5,)),
    "FTWA": (("50", "51"), ()),
}
TABLES = sorted(all_published()["table"].unique())
FIGURES = [f"{paper}-F{number}" for paper, (_, numbers) in OWN.items() for number in numbers]
LESSONS = {
    path.stem[:2]: "\n".join(cell.source for cell in notebooks.read(path).cells)
    for name, path in notebooks.lesson_files().items()
    if "/" not in name
}


@pytest.mark.parametrize("item", sorted({*TABLES, *FIGURES}))
def test_a_lesson_of_the_paper_names_it(item):
    paper, kind, number = re.fullmatch(r"(\w+)-([TF])(\d+)", item).groups()
    word = {"T": "Tables?", "F": r"Fig(?:s?\.|ures?)"}[kind]
    said = re.compile(rf"{item}\b|{word} (?:\d+(?:,| and) )*{number}\b")
    assert [lesson for lesson in OWN[paper][0] if said.search(LESSONS[lesson])]


def test_nothing_of_the_ledger_is_forgotten():
    ledger = paths.ROOT.parent / "shared" / "LEDGER.csv"
    if not ledger.exists():
        pytest.skip("the ledger is not beside this checkout")
    with ledger.open() as lines:
        wanted = {row["id"] for row in csv.DictReader(lines)}
    assert len(wanted) == 39 and wanted <= {*TABLES, *FIGURES}
