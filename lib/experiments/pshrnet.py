"""What lessons 40 and 41 compare: PS-HRNet (Zhang et al. 2021), its parts and variants, and what it stands against.

Every row shows its re-id network the whole budget. The teacher is a run of its own on the same people at full
resolution (preset ``plain``): the row HRNet-ReID of Tables V and VI, found again; on CAVIAR4REID, whose pictures have
no sharper originals, it learns from them as they come. All networks start from rendered people (``data/weights``): the
pupil where the teacher started, not where it ended.

The paper's "ID" never sees the sharp originals of the low-resolution side, which "SR" and "PS" do, and its teacher has
had a training of its own: so there are controls (``CONTROLS_OWN``) that it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from lib.data import make_protocol
from lib.experiments import jbim, ripr
from lib.experiments import sing as sing_rows
from lib.experiments.controls import CONTROLS, controls
from lib.experiments.pshrnet_solo import Pictures, Untrained
from lib.experiments.ripr import pairs
from lib.experiments.study import Bench, Cell, Comparison, Row, Study, View
from lib.experiments.trained import RATIOS, Trained
from lib.methods import create_method
from lib.methods.method import Method
from lib.methods.pshrnet import AUTHORS, ELEMENTS
from lib.training import Run
from lib.training.weights import load_first_weights

PS, SR_ID, ID = "PS-HRNet", "PS-HRNet, SR+ID", "PS-HRNet, ID"
HRNET, TRAINED_ON, LONGER = "HRNet-ReID", "HRNet-ReID, trained on", "HRNet-ReID, twice as long"
ORIGINALS, NO_SR = "PS-HRNet, ID (and originals)", "PS-HRNet, ID+PS"
LONGER_TEACHER = "PS-HRNet, teacher twice as long"
THROUGH, FROM_TEACHER, CODE = "PS-HRNet, ID (through VDSR-CA)", "PS-HRNet, from the teacher", "PS-HRNet, as its code"
SOLO, PIXELS, UNTRAINED = "VDSR-CA, then HRNet-ReID", "VDSR-CA, pixel by pixel", "VDSR-CA, then an untrained network"
LAST, ALL_SIX = "PS-HRNet, Seq(5) and logits", "PS-HRNet, all six elements"
AVERAGE, MAX = "HRNet-ReID, average pooling", "HRNet-ReID, max pooling"
RESNET, DENSENET, PCB = "ResNet (pooled)", "DenseNet (pooled)", "PCB"
HRNET_C, HRNET_C_CE, FORGETFUL = "HRNet-C", "HRNet-C, cross-entropy only", "HRNet-C, as its code"
SING, BOTH = sing_rows.SING, ripr.BOTH
ELEMENTS_OF = {LAST: ("seq5", "logits"), ALL_SIX: ELEMENTS}  # Table VII; its third row is PS-HRNet
POOLING = {AVERAGE: "average", MAX: "max"}  # Table V
# Table IV's super-resolutions and Table VI's backbones, by profile
NETWORKS = {
    "bicubic": dict.fromkeys(("quick", "course", "paper"), "bicubic"),
    "SRCNN": {"quick": "srcnn-915", "course": "srcnn-915", "paper": "srcnn"},
    "VDSR": {"quick": "vdsr-narrow", "course": "vdsr-narrow", "paper": "vdsr"},
    "RCAN": {"quick": "rcan-light", "course": "rcan-light", "paper": "rcan"},
    "VDSR-CA": {"quick": "vdsr-ca-narrow", "course": "vdsr-ca-narrow", "paper": "vdsr-ca"},
}
BACKBONES = {  # the other HRNets are those of the method's own profiles
    FORGETFUL: {"quick": "hrnet-w8-forgetful", "course": "hrnet-w12-forgetful", "paper": "hrnet-w32-forgetful"},
    RESNET: {"quick": "bottleneck-16-1", "course": "resnet18-half", "paper": "resnet50"},
    DENSENET: ripr.OTHER_BACKBONES[ripr.DENSE],
}
HEADS = {HRNET: "sequences", PCB: "stripes"} | dict.fromkeys((HRNET_C, FORGETFUL, RESNET, DENSENET), "pooled")
# In short trainings, by row, where it is not the method's own 2e-3 (``lib.experiments.rates``; HRNet-ReID and the
# ResNet have their best there)
RATES = {HRNET_C: 4e-3, FORGETFUL: 4e-3}
JOINT = {name: f"{name} (joint ResNet)" for name in NETWORKS}


def first_weights(sr: bool = False, backbone: Run | str = "pedestrians") -> dict[str, Any]:
    """Of the re-id network and, with ``sr``, of the super-resolution."""
    return {"backbone": backbone} | ({"sr": "pedestrians"} if sr else {})


def epochs_of(bench: Bench) -> dict[str, int]:
    """The budget; in ``paper`` the method's own epochs."""
    return {} if bench.profile == "paper" else {"epochs": bench.epochs(bench.images)}


def network_of(bench: Bench, name: str) -> dict[str, Any]:
    """The settings that make the network of a row of Table VI."""
    settings: dict[str, Any] = {"head": HEADS[name]}
    if backbone := BACKBONES.get(RESNET if name == PCB else name):
        settings["backbone"] = backbone[bench.profile]
    if bench.profile != "paper" and name in RATES:
        settings["lr"] = RATES[name]
    return settings


def recognise(bench: Bench, ratio: float | None, network: str = HRNET, **changes: Any) -> Method:
    """A network of Table VI on pictures as the protocol shows them; ``changes`` are other settings."""
    settings = {"weights": first_weights(), **network_of(bench, network)}
    return create_method("hrnet-reid", **settings | epochs_of(bench) | bench.options | changes)


def recognise_low(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """The same on what the pupil sees, without a super-resolution: with HRNet-ReID Table II's ID."""
    return recognise(bench, None, pairs=pairs(bench), **changes)


def pupil(
    bench: Bench,
    ratio: float | None,
    sr: str = "VDSR-CA",
    network: str = HRNET,
    teacher: str = HRNET,
    siamese: bool = True,
    start: bool = False,
    first: Run | str = "pedestrians",
    **changes: Any,
) -> Method:
    """The second phase: a super-resolution of ``NETWORKS`` before a network of Table VI, whose first weights are
    ``first``; with ``siamese`` beside the teacher (a row), and with ``start`` from where the teacher ended.
    """
    settings = {"weights": first_weights(sr != "bicubic", first), "network": NETWORKS[sr][bench.profile]}
    settings |= {"pairs": pairs(bench), **network_of(bench, network)}
    if siamese or start:
        run = bench.run(teacher)
        settings["weights"] |= {"teacher": run} if siamese else {}
        settings["weights"] |= {"backbone": run, "head": run} if start else {}
    if not siamese:
        settings["elements"] = ()
    return create_method("pshrnet", **settings | epochs_of(bench) | bench.options | changes)


def as_coded(bench: Bench, ratio: float | None) -> Method:
    """The second phase by the values of the authors' code; in a short training with the course's batches."""
    values = AUTHORS if bench.profile == "paper" else {name: v for name, v in AUTHORS.items() if name != "batch"}
    return pupil(bench, ratio, **values)


def solo(bench: Bench, ratio: float | None) -> Method:
    """Table III: the super-resolution alone, by L_SR; what it makes is shown to the teacher.

    In short trainings at a tenth of the usual rate, which is for networks that begin at interpolation: this one has
    learned, and the usual rate takes more PSNR from it (quick: all that it had gained).
    """
    steps = epochs_of(bench).get("epochs", 70)
    rate = {} if bench.profile == "paper" else {"restore_lr": 2e-4}
    return pupil(bench, None, siamese=False, start=True, epochs=0, restore_epochs=steps, **rate)


def beginning(profile: str) -> nn.Module:
    """VDSR-CA as every row begins with it: trained for pixels alone."""
    method = create_method("pshrnet", network=NETWORKS["VDSR-CA"][profile], elements=())
    method.setup(profile, 2)
    load_first_weights(method, "sr", first_weights(sr=True)["sr"], progress=False)
    return method.sr


def as_it_is(
    bench: Bench, ratio: float | None, name: str = HRNET, rows: Sequence[Row] | None = None, **changes: Any
) -> Method:
    """A teacher (one of ``rows``; None: ``plain_rows``), trained on the same people at full resolution; where a set has
    none, on its pictures as they are, as ``changes`` say.
    """
    there = sharp(bench, rows)
    if there is None:
        high = {"pairs": "synthetic", "sees": "high"} | changes
        return longer(bench, None, **high) if name == LONGER else recognise(bench, None, **high)
    run = there.run(name)
    told = {setting: value for setting, value in run.method.told.items() if setting not in ("weights", "epochs")}
    return create_method("hrnet-reid", weights={"backbone": run, "head": run}, epochs=0, **told)


def longer(bench: Bench, ratio: float | None, of: str = HRNET, **changes: Any) -> Method:
    """HRNet-ReID (the row ``of``) trained on as long again: a teacher that knows more than the pupil can learn in its
    time.
    """
    run = bench.run(of)
    return recognise(bench, None, weights={"backbone": run, "head": run}, **changes)


def trained_on(bench: Bench, ratio: float | None, of: str = HRNET) -> Method:
    """The control of PS: the teacher's network trained on as long as the pupil, by L_ID on the pictures shown."""
    return longer(bench, None, of, pairs=pairs(bench))


def sharp(bench: Bench, rows: Sequence[Row] | None = None) -> Bench | None:
    """The bench of the same people, split and seed at full resolution, with ``rows`` (None: ``plain_rows``); None where
    the set's pictures are low as they come.
    """
    protocol = bench.protocol
    if pairs(bench) == "synthetic":
        return None
    cell = Cell(make_protocol(protocol.dataset, "plain", trial=protocol.trial, seed=protocol.seed), bench.cell.seed)
    usual = bench.study
    how = {"options": usual.options, "images": usual.images, "progress": usual.progress}
    rows = plain_rows() if rows is None else rows
    return type(bench)(Study(f"{usual.name}, full resolution", rows, [cell], usual.profile, **how), cell)


def rows() -> list[Row | View]:
    """Lesson 40: Tables II and III, and the controls that they lack."""
    return [
        Row(PS, pupil),
        Row(SR_ID, partial(pupil, siamese=False)),
        Row(ID, recognise_low),
        Row(HRNET, as_it_is),
        *controls(),
        Row(TRAINED_ON, trained_on),
        Row(ORIGINALS, partial(recognise_low, sees="either")),
        Row(NO_SR, partial(pupil, sr="bicubic")),
        Row(SOLO, solo),
        View(PIXELS, SOLO, partial(Trained.results, test=Pictures)),
        View(UNTRAINED, SOLO, partial(Trained.results, test=Untrained)),
        Row(FROM_TEACHER, partial(pupil, start=True)),
        Row(LONGER, partial(as_it_is, name=LONGER)),
        Row(LONGER_TEACHER, partial(pupil, teacher=LONGER)),
        Row(CODE, as_coded),
        Row(THROUGH, partial(pupil, siamese=False, pixel=0.0)),
    ]


def lesson_rows() -> list[Row]:
    """What lesson 40 trains; the rest of ``rows`` is in the record."""
    models = {row.name: row for row in rows()}
    return [models[name] for name in (PS, SR_ID, ID, HRNET, TRAINED_ON, *CONTROLS)]


def ablations() -> list[Row]:
    """Lesson 41: Tables IV and VII."""
    made = [Row(row, partial(pupil, sr=name, network=RESNET, siamese=False)) for name, row in JOINT.items()]
    return made + [Row(name, partial(pupil, elements=some)) for name, some in ELEMENTS_OF.items()]


def plain_rows() -> list[Row]:
    """Lesson 41: Tables V and VI, at full resolution."""
    return [
        Row(HRNET, recognise),
        Row(RESNET, partial(recognise, network=RESNET)),
        Row(HRNET_C, partial(recognise, network=HRNET_C)),
        Row(HRNET_C_CE, partial(recognise, network=HRNET_C, triplet=0.0)),
        Row(FORGETFUL, partial(recognise, network=FORGETFUL, triplet=0.0)),
        Row(PCB, partial(recognise, network=PCB)),
        Row(DENSENET, partial(recognise, network=DENSENET)),
        *(Row(name, partial(recognise, pooling=kind)) for name, kind in POOLING.items()),
        *controls(),
        Row(LONGER, longer),
    ]


def others() -> list[Row]:
    """Table I's other methods that can be run here: rows of lessons 10, 22 and 30, and PCB."""
    earlier = [row for row in jbim.rows() if row.name in (jbim.HIM, jbim.LIM, jbim.JBIM)]
    return [
        Row(PCB, partial(recognise_low, network=PCB)),
        Row(SING, sing_rows.sing, RATIOS),
        *ripr.named(ripr.RESNET, ripr.APART, ripr.RIFE, ripr.FFSR, BOTH),
        *ripr.others(),
        *earlier,
    ]


CONTROLS_OWN = (ORIGINALS, TRAINED_ON, HRNET)  # the originals seen, a longer training, the teacher without a pupil
PLAIN = (*CONTROLS_OWN, *CONTROLS)  # what the whole has to beat
TABLE_2_COMPARISONS = [
    Comparison("PSHR-sr", SR_ID, ID, (ORIGINALS,)),  # the originals seen as well, and not restored
    Comparison("PSHR-ps", PS, SR_ID, ()),  # no SR+ID was shown as many images as a teacher and a pupil
]
TABLES_4_AND_7_COMPARISONS = [
    Comparison("PSHR-ca", JOINT["VDSR-CA"], JOINT["VDSR"], ()),
    Comparison("PSHR-srcnn", JOINT["bicubic"], JOINT["SRCNN"], ()),
    Comparison("PSHR-rcan", JOINT["RCAN"], JOINT["VDSR-CA"], ()),
    Comparison("PSHR-subset", PS, tuple(ELEMENTS_OF), ()),
]
COMPARISONS = [
    *TABLE_2_COMPARISONS, *TABLES_4_AND_7_COMPARISONS, Comparison("PSHR-best", PS, (SING, BOTH), PLAIN),
]  # fmt: skip
PLAIN_COMPARISONS = [
    Comparison("PSHR-pool", HRNET, tuple(POOLING), ()),
    Comparison("PSHR-head", HRNET, HRNET_C_CE, (HRNET_C,)),  # the code trains HRNet-C by cross-entropy alone
    Comparison("PSHR-pcb", HRNET, PCB),
]
# the protocol that the authors used, where one camera is low: Table II, and what its gains have to beat
ONE_CAMERA = (PS, SR_ID, ID, *PLAIN)
# row -> (method, variant) in the paper's tables
TABLE_1 = {
    PS: ("PS-HRNet", ""), PCB: ("PCB", ""), SING: ("SING", ""), ripr.RESNET: ("ResNet-50", ""),
    ripr.SE: ("SE-ResNet-50", ""), ripr.DENSE: ("DenseNet-121", ""), ripr.FFSR: ("FFSR", ""),
    ripr.RIFE: ("RIFE", ""), BOTH: ("FFSR+RIFE", ""),
}  # fmt: skip
TABLE_2 = {ID: ("PS-HRNet", "ID"), SR_ID: ("PS-HRNet", "SR+ID"), PS: ("PS-HRNet", "SR+ID+PS")}
TABLE_3 = {SOLO: ("PS-HRNet", "solo SR"), SR_ID: ("PS-HRNet", "SR+ID"), PS: ("PS-HRNet", "SR+ID+PS")}
TABLE_4 = {row: (f"{'Bicubic' if name == 'bicubic' else name} + ResNet-50", "") for name, row in JOINT.items()}
TABLE_5 = {
    AVERAGE: ("HRNet-ReID", "average pooling"), MAX: ("HRNet-ReID", "max pooling"),
    HRNET: ("HRNet-ReID", "average and max pooling"),
}  # fmt: skip
TABLE_6 = {
    PCB: ("PCB", "ResNet-50"), DENSENET: ("DenseNet-121", "DenseNet"), HRNET_C_CE: ("HRNet-W32-C", "HRNetV2-W32"),
    HRNET: ("HRNet-ReID", "HRNetV2-W32"),
}  # fmt: skip
TABLE_7 = {
    LAST: ("PS-HRNet", "Seq5, logits"), ALL_SIX: ("PS-HRNet", "Seq1, Seq2, Seq3, Seq4, Seq5, logits"),
    PS: ("PS-HRNet", "Seq1, Seq4, Seq5, logits"),
}  # fmt: skip
