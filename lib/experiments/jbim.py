"""What lessons 30 and 31 compare: JBIM (Zheng et al., IJCV 2022), its parts and variants, and what it stands against.

JBIM learns in three steps: HIM and LIM alone, for two thirds of the budget each, then everything for the last third.
So what ends before the third step has seen less, and the row that goes on without the fusion ("HIM + LIM, trained on")
is the control that Tables 5 and 6 lack. The budget counts the images that a re-id network is shown; in the third step
HIM's, which sees a sharpened copy of every sharp image beside it, while LIM sees one picture of each. All rows start
from rendered people (``data/weights``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from lib.experiments import ripr
from lib.experiments import sing as sing_rows
from lib.experiments.controls import CONTROLS, controls, plain
from lib.experiments.sing import ONE, first_weights
from lib.experiments.study import Bench, Row, View
from lib.experiments.trained import RATIOS, Trained
from lib.methods import create_method
from lib.methods.branches import Branch, GalleryShrunk, Unfused, Unrectified, each
from lib.methods.method import Method
from lib.training import Run
from lib.training.weights import load_first_weights

APART, JOINT = 2 / 3, 1 / 3  # of the budget: each module alone, and the third step

HIM, LIM, JBIM = "HIM", "LIM", "JBIM"
BESIDE, ON = "HIM + LIM", "HIM + LIM, trained on"
HIM_ON, LIM_ON = "HIM, trained on", "LIM, trained on"
HIM_IN, LIM_IN = "HIM, in JBIM", "LIM, in JBIM"
BESIDE_IN, NO_RELU = "HIM + LIM, in JBIM", "JBIM, fusion without its ReLU"
SEQUENTIAL, SEQUENTIAL_BESIDE = "SRCNN, then HIM", "SRCNN, then HIM, + LIM"
TWICE = "HIM, twice"  # beside another network that sees the same: SRCNN, then HIM
ALL, ALL_SHRUNK = "all resolutions (JBIM)", "all resolutions (JBIM), gallery shrunk"
ONE_OF = {
    name: f"{name}, one model"
    for name in (HIM, LIM, JBIM, BESIDE, ON, HIM_ON, LIM_ON, HIM_IN, LIM_IN, BESIDE_IN, NO_RELU)
}  # for 1/3
NO_COPIES = {HIM: "HIM, no synthetic images", JBIM: "JBIM, no synthetic images"}
OSNET, AGW = "OSNet", "AGW"
SING, BOTH = sing_rows.SING, ripr.BOTH
ALPHAS, BETAS = (0.0, 1.0, 10.0, 100.0, 1000.0), (1.0, 2.0, 3.0, 4.0, 5.0)
SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# super-resolution networks inside HIM (Table 11), by profile; SRCNN is JBIM itself
NETWORKS = {
    "VDSR": {"quick": "vdsr-narrow", "course": "vdsr-narrow", "paper": "vdsr"},
    "DRCN": {"quick": "drcn-narrow", "course": "drcn-narrow", "paper": "drcn"},
    "SRGAN": {"quick": "srgan-narrow", "course": "srgan-narrow", "paper": "srgan"},
}
KERNELS, SRCNN = ("bilinear", "bicubic"), "SRCNN"
SMALL = {SRCNN: "srcnn-915-luma", "FSRCNN": "fsrcnn"}  # the same in every profile
SCALED = {name: f"{name}, pixels alone" for name in ("FSRCNN", "SRGAN")}  # of a fixed scale: see ``scaled``
OTHER = {  # re-id networks of Tables 3 and 12
    OSNET: {"quick": "osnet-0.25", "course": "osnet-0.25", "paper": "osnet"},
}
SUBSETS = {
    of: {
        only: f"{of}, {'one model at' if len(only) == 1 else 'two models'} {names}"
        for only, names in {
            (0,): "1/2", (2,): "1/4", (0, 1): "(1/2, 1/3)", (0, 2): "(1/2, 1/4)", (1, 2): "(1/3, 1/4)",
        }.items()
    }
    | {(1,): ONE_OF[of]}
    for of in (HIM, JBIM)
}  # fmt: skip

PRESETS = {"caviar": "caviar", "market1501": "mlr-half"}  # its MLR-Market has half of each person's images small


def preset_of(people: str) -> str:
    """The preset that is JBIM's protocol on a set: "mlr" where it has one low camera."""
    return PRESETS.get(people, "mlr")


# views of a trained model: name -> (the row it is of, how it is tested)
HIM_ALONE, LIM_ALONE = (partial(each, wrap=partial(Branch, part=part)) for part in ("him", "lim"))
PARTS = {
    HIM_ON: (ON, HIM_ALONE),
    LIM_ON: (ON, LIM_ALONE),
    HIM_IN: (JBIM, HIM_ALONE),
    LIM_IN: (JBIM, LIM_ALONE),
    BESIDE_IN: (JBIM, partial(each, wrap=Unfused)),
    NO_RELU: (JBIM, partial(each, wrap=Unrectified)),
}
SHRUNK = View(ALL_SHRUNK, ALL, partial(Trained.results, test=partial(GalleryShrunk, ratio=ONE)))


def _epochs(bench: Bench, images: float, views: float = 1.0) -> dict[str, int]:
    """The epochs of so many images; in ``paper`` the method's own."""
    return {} if bench.profile == "paper" else {"epochs": bench.epochs(images / views)}


def him(bench: Bench, ratio: float | None, kind: str = "him", **changes: Any) -> Method:
    """One HIM, alone; ``changes`` are other settings."""
    settings = {"ratio": ratio or ONE, "weights": first_weights(), **bench.options} | changes
    views = 1 + bench.sharp_share if settings.get("synthetic", True) else 1.0
    return create_method(kind, **_epochs(bench, APART * bench.images, views), **settings)


def sequential(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """HIM's parts one after the other: the super-resolution first, on a third as many images again."""
    first = {} if bench.profile == "paper" else {"restore_epochs": bench.epochs(APART * bench.images / 3)}
    return him(bench, ratio, "sr-then-him", **first | changes)


def lim(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """One LIM, alone: shown as many images as HIM, so in more epochs, since it has no copies."""
    settings = {"ratio": ratio or ONE, "weights": first_weights(sr=False), **bench.options} | changes
    return create_method("lim", **_epochs(bench, APART * bench.images), **settings)


def joined(
    bench: Bench, ratio: float | None, high: str = HIM, low: str = LIM, kind: str = "jbim", **changes: Any
) -> Method:
    """The third step, from the runs of two rows; ``kind`` "him-lim" is the same without the fusion."""
    first = {"him": _run(bench, high, ratio), "lim": _run(bench, low, ratio)}
    method = first["him"].method
    told = {name: value for name, value in method.told.items() if name not in ("weights", "epochs", "restore_epochs")}
    views = 1 + bench.sharp_share if method.settings.synthetic else 1.0
    steps = _epochs(bench, JOINT * bench.images, views)
    return create_method(kind, weights=first, **steps | told | changes)


def beside(bench: Bench, ratio: float | None, high: str = HIM, low: str = LIM, kind: str = "him-lim") -> Method:
    """HIM and LIM as they were when learned apart, their descriptors concatenated."""
    return joined(bench, ratio, high, low, kind, epochs=0)


def everywhere(bench: Bench, ratio: float | None) -> Method:
    """Table 8's network, with LIM's losses and the whole budget."""
    settings = {"weights": first_weights(sr=False), **bench.options}
    return create_method("all-resolution", **_epochs(bench, bench.images), **settings)


def rows() -> list[Row]:
    """Lesson 30: Tables 5, 6 and 8, and the controls that they lack."""
    return [
        Row(HIM, him, RATIOS),
        Row(LIM, lim, RATIOS),
        Row(JBIM, joined, RATIOS),
        Row(BESIDE, beside, RATIOS),
        Row(ON, partial(joined, kind="him-lim"), RATIOS),
        *controls(),
        Row(ALL, everywhere),
        Row(SING, sing_rows.sing, RATIOS),
        Row(SEQUENTIAL, sequential),
        Row(SEQUENTIAL_BESIDE, partial(beside, high=SEQUENTIAL)),
        Row(TWICE, partial(beside, low=SEQUENTIAL, kind="him-him")),
    ]


def one_model() -> list[Row | View]:
    """The same with one model each, for 1/3: what lesson 30 trains. The models are those of ``rows``."""
    high, low, on = ONE_OF[HIM], ONE_OF[LIM], ONE_OF[ON]
    runs = {"high": high, "low": low}
    return [
        Row(high, him, (ONE,)),
        Row(low, lim, (ONE,)),
        Row(ONE_OF[JBIM], partial(joined, **runs), (ONE,)),
        Row(ONE_OF[BESIDE], partial(beside, **runs), (ONE,)),
        Row(on, partial(joined, kind="him-lim", **runs), (ONE,)),
        *controls(),
        Row(ALL, everywhere),
        *(View(ONE_OF[name], ONE_OF[of], partial(Trained.results, test=test)) for name, (of, test) in PARTS.items()),
        SHRUNK,
    ]


def views() -> list[View]:
    """From the models of ``rows``: the branches of JBIM and of its control, and single anchors."""
    branches = [View(name, of, partial(Trained.results, test=test)) for name, (of, test) in PARTS.items()]
    single = [View(ONE_OF[of], of, partial(Trained.results, only=(1,))) for of in (HIM, LIM, JBIM, BESIDE, ON)]
    single += [
        View(ONE_OF[name], of, partial(Trained.results, only=(1,), test=test)) for name, (of, test) in PARTS.items()
    ]
    return [*branches, *single, SHRUNK]


def others() -> list[Row]:
    """Table 3's other methods that can be run here; RIPR's are rows of lesson 22."""
    return [
        *ripr.named(ripr.RESNET, ripr.APART, ripr.RIFE, ripr.BOTH),
        Row(OSNET, partial(other, name=OSNET)),
        Row(AGW, agw),
    ]


def other(bench: Bench, ratio: float | None, name: str) -> Method:
    """The plain network with another backbone."""
    return plain(bench, None, backbone=OTHER[name][bench.profile])


def agw(bench: Bench, ratio: float | None) -> Method:
    settings = {"weights": {"backbone": "pedestrians"}, **bench.options}
    return create_method("agw", epochs=bench.epochs(bench.images), **settings)


def with_osnet() -> list[Row]:
    """Table 12: everything with an OSNet, one model."""

    def chosen(bench: Bench, ratio: float | None, make) -> Method:
        return make(bench, ratio, backbone=OTHER[OSNET][bench.profile])

    first = {of: f"{of} (OSNet)" for of in (HIM, LIM, BESIDE, JBIM, SEQUENTIAL)}
    runs = {"high": first[HIM], "low": first[LIM]}
    return [
        Row(first[HIM], partial(chosen, make=him)),
        Row(first[LIM], partial(chosen, make=lim)),
        Row(first[JBIM], partial(joined, **runs)),
        Row(first[BESIDE], partial(beside, **runs)),
        Row(first[SEQUENTIAL], partial(chosen, make=sequential)),
    ]


def super_resolutions() -> list[Row]:
    """Table 4: a super-resolution for pixels, then a re-id network, DGD, or LOMO with XQDA; one model for 1/3. What is
    lesson 10's is not repeated; DGD's first weights do not ship, so its rows are of ``paper``.
    """
    made = []
    for name in (*KERNELS, SRCNN, "FSRCNN", *NETWORKS):
        if name in SCALED:
            made.append(Row(SCALED[name], partial(scaled, name=name)))
        if name not in (*KERNELS, SRCNN):
            made.append(Row(f"{name}, then re-id", partial(then, name=name)))
        made.append(Row(f"{name}, then DGD", partial(then, name=name, dgd=True)))
        if name != "bicubic":
            made.append(Row(f"{name}, LOMO + XQDA", partial(described, name=name)))
    return made


def then(bench: Bench, ratio: float | None, name: str, dgd: bool = False) -> Method:
    """A row of Table 4 with a re-id network."""
    network = _network(bench, name)
    backbone = {"backbone": "dgd" if bench.profile == "paper" else "dgd-quarter"} if dgd else {}
    if name in KERNELS:
        return sing_rows.enlarged(bench, None, network, **backbone)
    return sing_rows.apart(bench, None, network=network, **backbone, **_start(bench, name))


def described(bench: Bench, ratio: float | None, name: str) -> Method:
    """A row of Table 4 with LOMO and XQDA."""
    weights = _start(bench, name).get("weights", first_weights())
    return sing_rows.lomo(bench, None, "xqda", _network(bench, name), weights["sr"])


def _network(bench: Bench, name: str) -> str:
    return _named(bench.profile).get(name, name)


def _named(profile: str) -> dict[str, str]:
    """{name in the paper's tables: super-resolution network}."""
    return {**SMALL, **{name: by[profile] for name, by in NETWORKS.items()}}


def beginnings(profile: str, names: Sequence[str] = (*SMALL, *NETWORKS)) -> dict[str, nn.Module]:
    """Fig. 7's super-resolution networks as HIM begins with them: trained for pixels alone."""
    found = {}
    for name in names:
        method = create_method("him", network=_named(profile)[name], ratio=min(RATIOS))  # what ships is for that scale
        method.setup(profile, 2)
        load_first_weights(method, "sr", first_weights()["sr"], progress=False)
        found[name] = method.sr
    return found


def sweeps(high: str = HIM, low: str = LIM) -> list[Row]:
    """Lesson 31: Tables 7, 9, 10 and 11, one model each (the anchor 1/3), from the HIM and the LIM of these rows."""
    made = [
        Row(NO_COPIES[HIM], partial(him, synthetic=False)),
        Row(NO_COPIES[JBIM], partial(joined, high=NO_COPIES[HIM], low=low)),
    ]
    for alpha in ALPHAS:
        if alpha != 1.0:  # that is JBIM
            varied = f"{HIM}, alpha {alpha:g}"
            made += [
                Row(varied, partial(him, alpha=alpha)),
                Row(alpha_name(alpha), partial(joined, high=varied, low=low)),
            ]
    made += [Row(beta_name(beta), partial(joined, high=high, low=low, beta=beta)) for beta in BETAS if beta != 3.0]
    for name in NETWORKS:
        made += [Row(SCALED[name], partial(scaled, name=name))] if name in SCALED else []
        made += [
            Row(f"{HIM} ({name})", partial(with_network, name=name)),
            Row(f"{JBIM} ({name})", partial(joined, high=f"{HIM} ({name})", low=low)),
        ]
    return made


def swept() -> list[Row]:
    """The record of lesson 31's sweeps: one JBIM, all that varies it, and the plain networks."""
    single = ONE_OF[HIM], ONE_OF[LIM], ONE_OF[JBIM], *CONTROLS
    osnet = [row for row in others() if row.name == OSNET]
    return [*(row for row in one_model() if row.name in single), *sweeps(*single[:2]), *with_osnet(), *osnet]


def with_network(bench: Bench, ratio: float | None, name: str) -> Method:
    """HIM with another super-resolution network."""
    return him(bench, ratio, network=_named(bench.profile)[name], **_start(bench, name))


def scaled(bench: Bench, ratio: float | None, name: str) -> Method:
    """A network of a fixed scale, trained for the pixels of this protocol's sharp people at 1/3."""
    return create_method("superres", network=_named(bench.profile)[name], ratios=(ONE,), **_epochs(bench, bench.images))


def _start(bench: Bench, name: str) -> dict[str, Any]:
    """The first weights of a super-resolution network of a fixed scale: what ships is for 1/4, models here for 1/3."""
    return {"weights": {**first_weights(), "sr": bench.run(SCALED[name])}} if name in SCALED else {}


def beta_name(beta: float) -> str:
    return f"{JBIM}, beta {beta:g}"


def alpha_name(alpha: float) -> str:
    """The row of JBIM with a weight of the pixel loss; 1 is the model that all sweeps vary."""
    return ONE_OF[JBIM] if alpha == 1.0 else f"{JBIM}, alpha {alpha:g}"


def fusions() -> list[View]:
    """Lesson 31: every subset of the anchors (Table 13), and sigma (Fig. 9); None weighs all alike."""
    subsets = [
        View(name, of, partial(Trained.results, only=only))
        for of, names in SUBSETS.items()
        for only, name in names.items()
        if name not in ONE_OF.values()
    ]
    return subsets + [View(sigma_name(s), JBIM, partial(Trained.results, sigma=s)) for s in (*SIGMAS, None)]


def sigma_name(sigma: float | None) -> str:
    return f"{JBIM}, equal weights" if sigma is None else f"{JBIM}, sigma {sigma:g}"


def _run(bench: Bench, name: str, ratio: float | None) -> Run:
    """The run of a row that has anchors, or of one without."""
    return bench.run(name, (ratio or ONE) if bench.study.row(name).ratios else None)
