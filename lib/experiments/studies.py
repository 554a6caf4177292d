"""All studies by name: which rows they have on which set and preset. What lessons and the record ask for.

A new paper enters its rows here; ``python -m lib.experiments.record NAME`` then trains and measures them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lib.data.dataset import PersonDataset
from lib.experiments import (
    baseline,
    ftwa,
    jbim,
    jbim_tables,
    longer,
    pshrnet,
    pshrnet_no_decay,
    pshrnet_results,
    ripr,
    sing,
)
from lib.experiments.controls import CONTROLS, controls
from lib.experiments.study import IMAGES, Cell, Plan, Row, Study, View

MASK_WIDTHS = (0.125, 0.5)


def _one_side(name: str) -> tuple[str, ...]:
    return ("caviar",) if name == "caviar" else ("mlr",)


def _of_jbim(name: str) -> tuple[str, ...]:
    return (jbim.preset_of(name),)


def _with_sharp(name: str) -> tuple[str, ...]:
    return ("caviar",) if name == "caviar" else ("mlr", "plain")


def _both_sides(name: str) -> tuple[str, ...]:
    return ("caviar",) if name == "caviar" else ("mlr", "vr")


def _with_full(preset: str) -> Callable[[str], tuple[str, ...]]:
    """A preset on all sets whose pictures have a full resolution."""
    return lambda name: () if name == "caviar" else (preset,)


def _ripr(people: PersonDataset) -> list[Row]:
    rows = [*ripr.rows(), *ripr.coded(), *ripr.streams(), *ripr.super_resolutions(people.has_masks)]
    return [*rows, *ripr.masks(MASK_WIDTHS, people.has_masks), *ripr.others()]


def _ripr_as_coded(people: PersonDataset) -> list[Row]:
    """FFSR + RIFE by the paper's steps and by its published code's one: a night on any machine."""
    return [*ripr.named(ripr.RESNET, ripr.APART, ripr.RIFE, ripr.BOTH, ripr.CODE), *controls()]


def _sing(people: PersonDataset) -> list[Row | View]:
    rows = [*sing.rows(), *sing.ablations(), *sing.views(), *sing.alone()]
    return list({row.name: row for row in rows}.values())  # SING itself is in both lessons


def _sing_sharp_start(people: PersonDataset) -> list[Row]:
    """Lesson 10's main rows from two kinds of first weights. Those of sharp people do not ship, and are made first:
    ``lib.training.pretrain.pretrain("course", source="pedestrians-sharp")``, about half an hour of one core.
    """
    usual = [row for row in sing.one_model() if row.name in sing.SHARP_START]
    return [*usual, *sing.sharp_start()]


def _jbim(people: PersonDataset) -> list[Row | View]:
    then = [row for row in sing.rows() if row.name in jbim_tables.SR_THEN]  # of lesson 10
    return [*jbim.rows(), *jbim.views(), *jbim.others(), *then, *jbim.fusions(), *jbim.super_resolutions()]


def _jbim_sweeps(people: PersonDataset) -> list[Row]:
    return jbim.swept()


def _jbim_table_4(people: PersonDataset) -> list[Row | View]:
    """Table 4, and Table 3's other networks, beside one JBIM: a night on any machine. What takes longest is last, SRGAN
    and the re-id networks behind a deep super-resolution; the rows with DGD, whose first weights do not ship, are in
    ``jbim``.
    """
    one = [row for row in jbim.one_model() if row.name in [jbim.ONE_OF[of] for of in (jbim.HIM, jbim.LIM, jbim.JBIM)]]
    names = (*jbim_tables.ONE_SR_THEN, sing.LOMO["xqda"])
    then = [row for row in sing.one_model() if row.name in names]  # of lesson 10
    behind = [row for row in jbim.super_resolutions() if not row.name.endswith("DGD")]
    behind.sort(key=lambda row: "SRGAN" in row.name or row.name in names)
    others = [row for row in jbim.others() if row.name in (jbim.OSNET, jbim.AGW)]
    return [*one, *controls(), *others, *then, *behind]


def _jbim_table_11(people: PersonDataset) -> list[Row]:
    """Table 11 alone, and the plain networks: a night on any machine. SRGAN, which takes longest, is last."""
    rows = [row for row in jbim.swept() if row.name in (*jbim_tables.TABLE_11, jbim.ONE_OF[jbim.LIM], *CONTROLS)]
    scaled = [row for row in jbim.swept() if row.name in jbim.SCALED.values()]
    return sorted([*scaled, *rows], key=lambda row: "SRGAN" in row.name)


def _pshrnet(people: PersonDataset) -> list[Row | View]:
    return [*pshrnet.rows(), *pshrnet.ablations(), *pshrnet.others()]


def _pshrnet_tables(people: PersonDataset) -> list[Row | View]:
    """Tables IV and VII beside PS-HRNet and its teacher, with PCB: a night on any machine, without the other papers'
    methods.
    """
    names = (pshrnet.PS, pshrnet.HRNET, pshrnet.PCB)
    beside = [row for row in [*pshrnet.rows(), *pshrnet.others()] if row.name in names]
    return [*beside, *controls(), *pshrnet.ablations()]


def _pshrnet_plain(people: PersonDataset) -> list[Row]:
    return pshrnet.plain_rows()


def _pshrnet_one_camera(people: PersonDataset) -> list[Row | View]:
    return [row for row in pshrnet.rows() if row.name in pshrnet.ONE_CAMERA]


def _pshrnet_no_decay(people: PersonDataset) -> list[Row]:
    return pshrnet_no_decay.rows()


def _ftwa(people: PersonDataset) -> list[Row | View]:
    return [*ftwa.rows(), *ftwa.views(), *ftwa.others(), *ftwa.ablations()]


def _ftwa_table_2(people: PersonDataset) -> list[Row | View]:
    """Lesson 50's own rows, Table 2 and what it lacks, without the other papers' methods: a night on any machine."""
    return [*ftwa.rows(), *ftwa.views()]


def _ftwa_ablations(people: PersonDataset) -> list[Row | View]:
    """Lesson 51's own rows: a night on any machine, without the other papers' methods of ``ftwa``."""
    return [*ftwa.readings(), *controls()]


def _longer(people: PersonDataset) -> list[Row | View]:
    return longer.rows()


def _baseline(people: PersonDataset) -> list[Row]:
    return baseline.rows()


STUDIES: Mapping[str, Plan] = {
    "baseline": Plan(_baseline, _with_sharp, ()),
    "sing": Plan(_sing, _one_side, sing.COMPARISONS, sing.judged),
    "sing_sharp_start": Plan(_sing_sharp_start, _one_side, ()),
    "jbim": Plan(_jbim, _of_jbim, jbim_tables.COMPARISONS),
    "jbim_sweeps": Plan(_jbim_sweeps, _of_jbim, jbim_tables.SWEPT, jbim_tables.networks),
    "jbim_table_11": Plan(_jbim_table_11, _of_jbim, (), jbim_tables.networks),
    "jbim_table_4": Plan(_jbim_table_4, _of_jbim, jbim_tables.BESIDE_ONE, variant=jbim_tables.ONE_VARIANT),
    "pshrnet": Plan(_pshrnet, _one_side, pshrnet.COMPARISONS, pshrnet_results.judged),
    "pshrnet_tables": Plan(_pshrnet_tables, _one_side, pshrnet.TABLES_4_AND_7_COMPARISONS),
    "pshrnet_plain": Plan(_pshrnet_plain, _with_full("plain"), pshrnet.PLAIN_COMPARISONS),
    "pshrnet_one_camera": Plan(_pshrnet_one_camera, _with_full("mlr-one-camera"), pshrnet.TABLE_2_COMPARISONS),
    "pshrnet_no_decay": Plan(
        _pshrnet_no_decay,
        _one_side,
        pshrnet_no_decay.COMPARISONS,
        pshrnet_no_decay.judged,
        variant=pshrnet_no_decay.VARIANT,
    ),
    "ftwa": Plan(_ftwa, _one_side, ftwa.COMPARISONS, ftwa.judged),
    "ftwa_table_2": Plan(_ftwa_table_2, _one_side, ftwa.TABLE_2_COMPARISONS, ftwa.judged),
    "ftwa_ablations": Plan(_ftwa_ablations, _one_side, ()),
    "longer": Plan(_longer, _one_side, longer.COMPARISONS, length=longer.LENGTH),
    "ripr": Plan(_ripr, _both_sides, ripr.COMPARISONS, ripr.judged),
    "ripr_as_coded": Plan(_ripr_as_coded, _one_side, ()),
}


def study(name: str, people: PersonDataset, preset: str, cells: Sequence[Cell], profile: str, **how: Any) -> Study:
    """The study of a name with all its rows; ``how`` as in ``Study``. ValueError for an unknown name, and for a
    longer one in ``paper``."""
    if name not in STUDIES:
        raise ValueError(f"unknown study {name!r}; known: {', '.join(STUDIES)}")
    plan = STUDIES[name]
    if plan.length != 1 and profile == "paper":
        raise ValueError(f"{name} is of so many images; in paper the papers' own epochs decide: use course")
    how = {"images": round(plan.length * IMAGES[profile])} | how
    return Study(f"{name} ({people.name}, {preset})", plan.rows(people), cells, profile, **how)
