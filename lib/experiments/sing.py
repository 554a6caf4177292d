"""What lessons 10 and 11 compare: SING (Jiao et al., AAAI 2018), its variants, and what it stands against.

The paper starts the super-resolution from SRCNN trained on ImageNet and the re-id network from Market-1501. Here both
start from rendered people (``data/weights``), in all rows alike.

A row's budget counts what the re-id network is shown: SING shows it the sharp images and their degraded copies as
well, so that it sees fewer batches than a row without copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import nn

from lib.data import Protocol
from lib.data.batches import TrainingBatches
from lib.data.canvases import Canvases
from lib.evaluation import Difference, Result, mean_difference
from lib.evaluation.features import device_of
from lib.evaluation.restoration import psnr
from lib.experiments import claims
from lib.experiments.controls import CONTROLS, SHARP, controls
from lib.experiments.study import Bench, Cell, Comparison, Row, Study, View, common
from lib.experiments.trained import RATIOS, Trained
from lib.losses import pixel_mse
from lib.methods import create_method
from lib.methods.method import Method
from lib.models.sharpness import Sharpness
from lib.training import Run
from lib.training.randomness import seeded
from lib.training.weights import load_first_weights

ONE = 1 / 3  # the anchor of what is shown for one model
ALPHAS = (0.0, 0.1, 1.0, 10.0)
RESTORED = 1 / 4  # the ratio whose pictures are shown and measured (Fig. 5)
NARROW = 0.1  # a sigma with which Eq. 8 asks the nearest anchor and hardly the others
SEEN = (1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 6)  # ratios of the pictures that an estimate of r is learned from

SING, APART, SAME = "SING", "SRCNN, then re-id", "SRCNN, then re-id (same images)"
BICUBIC, BILINEAR = "bicubic, then re-id", "bilinear, then re-id"
NO_COPIES, NO_PIXELS = "SING, no synthetic images", "SING, no pixel loss"
INTERPOLATED, SCRATCH = "SING, super-resolution from interpolation", "SING, re-id network from scratch"
ONE_MODEL, ONE_NO_PIXELS = "SING, one model", "SING, no pixel loss, one model"
ONE_APART, ONE_SAME = f"{APART}, one model", f"{SAME}, one model"
UNIFORM, GIVEN, ESTIMATED = "SING, equal weights", "SING, r given", "SING, r estimated"
# subset of the anchors (positions) -> row; all three are SING itself
SUBSETS = {
    (1,): ONE_MODEL,
    (0,): "SING, one model at 1/2",
    (2,): "SING, one model at 1/4",
    (0, 1): "SING, two models (1/2, 1/3)",
    (0, 2): "SING, two models (1/2, 1/4)",
    (1, 2): "SING, two models (1/3, 1/4)",
}
SINGLES = tuple(name for only, name in SUBSETS.items() if len(only) == 1)
LOMO = {"xqda": "LOMO + XQDA", "nfst": "LOMO + NFST"}
# lesson 10's main rows, and how the same are called whose first weights have seen full resolution only
SHARP_START = {
    BICUBIC: f"{BICUBIC} (sharp start)",
    ONE_APART: f"{APART} (sharp start)",
    ONE_MODEL: f"{SING} (sharp start)",
}
# row -> (method, variant) in SING's Table 2; "(same images)" and the plain networks are not in the paper
TABLE_2 = {
    BICUBIC: ("Bicubic + DGD", ""),
    BILINEAR: ("Bilinear + DGD", ""),
    APART: ("SRCNN + DGD", ""),
    SING: ("SING", ""),
    LOMO["xqda"]: ("Bicubic + XQDA", ""),
    LOMO["nfst"]: ("Bicubic + NFST", ""),
}
# the same for Tables 3 and 4 and Fig. 6, whose alpha = 1 is SING
TABLE_3 = {NO_COPIES: ("SING", "no synthetic LR"), SING: ("SING", "")}
TABLE_4 = {
    **{name: ("SING", "+".join(f"1/{round(1 / RATIOS[i])}" for i in only)) for only, name in SUBSETS.items()},
    SING: ("SING", "1/2+1/3+1/4"),
}
FIGURE_6 = {NO_PIXELS: ("SING", "alpha=0"), SING: ("SING", "alpha=1")}


def first_weights(part: str = "pedestrians", sr: bool = True) -> dict[str, str]:
    """Of the re-id network and, with ``sr``, of the super-resolution."""
    return {"backbone": part} | ({"sr": "pedestrians"} if sr else {})


def sing(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """One model of SING; ``changes`` are other settings."""
    settings = {"ratio": ratio or ONE, "weights": first_weights(), **bench.options} | changes
    copies = 1 + bench.sharp_share if settings.get("synthetic", True) else 1
    return create_method("sing", epochs=bench.epochs(bench.images / copies), **settings)


def apart(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """The same parts, learned one after the other: the super-resolution first, on a third as many images again."""
    settings = {"ratio": ratio or ONE, "weights": first_weights(), **bench.options} | changes
    copies = 1 + bench.sharp_share if settings.get("synthetic", False) else 1
    settings["restore_epochs"] = bench.epochs(bench.images / 3)
    return create_method("sr-then-reid", epochs=bench.epochs(bench.images / copies), **settings)


def enlarged(bench: Bench, ratio: float | None, kernel: str, first: str = "pedestrians", **changes: Any) -> Method:
    """The re-id network on pictures that a kernel enlarged: it depends on no ratio."""
    return apart(bench, None, network=kernel, weights=first_weights(first, sr=False), **changes)


def lomo(
    bench: Bench, ratio: float | None, metric: str, network: str = "bicubic", sr: str | Run = "pedestrians"
) -> Method:
    """LOMO descriptors and a learned metric, behind an enlargement or a super-resolution that starts from ``sr``."""
    settings = {"metric": metric, "network": network, "ratio": ratio or ONE}
    settings |= {} if network in ("bilinear", "bicubic") else {"weights": {"sr": sr}}
    return create_method("classical", canvas=(96, 48) if bench.profile == "quick" else (128, 48), **settings)


def rows() -> list[Row]:
    """Table 2, and the controls that it lacks."""
    learned = [
        Row(APART, apart, RATIOS),
        Row(SAME, partial(apart, synthetic=True), RATIOS),
        Row(SING, sing, RATIOS),
    ]
    return [*_enlarged(), *learned, *controls(), *_classical()]


def one_model() -> list[Row]:
    """The same with one model each, for 1/3: what lesson 10 trains. The models are those of ``rows``."""
    learned = [
        Row(ONE_APART, apart, (ONE,)),
        Row(ONE_SAME, partial(apart, synthetic=True), (ONE,)),
        Row(ONE_MODEL, sing, (ONE,)),
    ]
    return [*_enlarged(), *learned, *controls(), *_classical()]


def alone() -> list[View]:
    """What lesson 10 trains, from the models of ``rows``; ``views`` has SING's own."""
    return [View(name, of, partial(Trained.results, only=(1,))) for name, of in ((ONE_APART, APART), (ONE_SAME, SAME))]


def _enlarged() -> list[Row]:
    return [
        Row(BICUBIC, partial(enlarged, kernel="bicubic")),
        Row(BILINEAR, partial(enlarged, kernel="bilinear")),
    ]


def _classical() -> list[Row]:
    return [Row(name, partial(lomo, metric=metric)) for metric, name in LOMO.items()]


def ablations() -> list[Row]:
    """Lesson 11: Tables 3 and 4, Fig. 6, and the first weights; single models but for Fig. 6's alpha = 0."""
    sweep = [Row(alpha_name(a), partial(sing, alpha=a)) for a in ALPHAS if a not in (0.0, 1.0)]
    return [
        Row(SING, sing, RATIOS),
        Row(NO_COPIES, partial(sing, synthetic=False)),
        Row(NO_PIXELS, partial(sing, alpha=0.0), RATIOS),
        *sweep,
        Row(alpha_name(1.0, "mean"), partial(sing, reduction="mean")),
        Row(INTERPOLATED, partial(sing, weights=first_weights(sr=False))),
        Row(SCRATCH, partial(sing, weights={"sr": "pedestrians"})),
    ]


def views() -> list[View]:
    """Lesson 11, from the models of lesson 10: every subset of the anchors (Table 4), and ways to fuse them. r is given
    by the true sizes (Eq. 7) or estimated from the picture, both with a narrow sigma, where it matters most.
    """
    return [
        *(View(name, SING, partial(Trained.results, only=only)) for only, name in SUBSETS.items()),
        View(ONE_NO_PIXELS, NO_PIXELS, partial(Trained.results, only=(RATIOS.index(ONE),))),
        View(UNIFORM, SING, partial(Trained.results, sigma=None)),
        View(GIVEN, SING, partial(Trained.results, sigma=NARROW)),
        View(ESTIMATED, SING, partial(estimated, sigma=NARROW)),
    ]


def sharp_start() -> list[Row]:
    """The control of the explanation "the first weights have seen all resolutions": lesson 10's main rows (one model)
    from people who were rendered at full resolution only.
    """
    from_sharp = first_weights(SHARP)
    return [
        Row(SHARP_START[BICUBIC], partial(enlarged, kernel="bicubic", first=SHARP)),
        Row(SHARP_START[ONE_APART], partial(apart, weights=from_sharp)),
        Row(SHARP_START[ONE_MODEL], partial(sing, weights=from_sharp)),
    ]


def alpha_name(alpha: float, reduction: str = "sum") -> str:
    """How the row of a weight of the pixel loss is called."""
    return f"SING, alpha {alpha:g}" + ("" if reduction == "sum" else f" ({reduction})")


PLAIN = (BICUBIC, *CONTROLS)  # no super-resolution is learned; two losses, and two kinds of training pictures
COMPARISONS = [
    Comparison("SING-joint", SING, APART, (SAME,)),  # one after the other, with the same images
    Comparison("SING-sr-helps", ONE_APART, BILINEAR, PLAIN),  # three against one would count the fusion too
    Comparison("SING-handcrafted", LOMO["xqda"], SING, (), sets=("viper",)),  # the paper says it of MLR-VIPeR alone
    Comparison("SING-synthetic", ONE_MODEL, NO_COPIES, ()),  # one model each, too
    Comparison("SING-anchors", SING, SINGLES, ()),
    Comparison("SING-alpha-zero", SING, NO_PIXELS, ()),  # three fused, as in Fig. 6
    Comparison("SING-alpha-large", ONE_MODEL, alpha_name(10.0), ()),
]


def judged(study: Study, trained: Mapping[str, Sequence[Cell]]) -> list[dict]:
    """The verdict on the claim about PSNR, in dB; none where no cell has both networks. ``trained`` as in ``Plan``."""
    where = common(trained, SING, APART) if {SING, APART} <= set(trained) else []
    if not where:
        return []
    return [claims.judge("SING-psnr-lower", psnr_difference(study, where), 0.1, scale=1.0, unit="dB")]


def psnr_difference(
    study: Study,
    where: Sequence[Cell] | None = None,
    names: tuple[str, str] = (APART, SING),
    ratio: float = RESTORED,
) -> Difference:
    """PSNR of the pictures of ``names[0]`` minus that of ``names[1]``, in dB: test people of the gallery at ``ratio``,
    restored by the models for it; over the cells ``where`` (None: all).
    """
    where = study.cells if where is None else where
    values, people = [], []
    for cell in where:
        models = {name: study.run(name, cell, ratio).method for name in names}
        rows = cell.protocol.rows("test", "gallery").drop_duplicates("image")
        networks = {name: model.sr for name, model in models.items()}
        _, quality = restored(networks, cell.protocol, models[names[0]].canvas, rows["image"].to_numpy(), ratio)
        values.append(quality[names[0]] - quality[names[1]])
        people.append(rows["pid"].to_numpy())
    return mean_difference(values, people, [(cell.protocol.trial, cell.seed) for cell in where], "PSNR")


def estimated(trained: Trained, **how: Any) -> list[Result]:
    """The fusion of a row's anchors, r of Eq. 8 estimated from each probe's picture; ``how`` as in ``results``."""
    methods = [(runs[0].protocol, runs[0].method) for runs in trained.runs]
    scale = [sharpness(p, m.canvas, m.enlargement).to(device_of(m)) for p, m in methods]
    return trained.results(scale=scale, **how)


@lru_cache(maxsize=32)
def sharpness(protocol: Protocol, canvas: tuple[int, int], enlargement: str, most: int = 300) -> Sharpness:
    """An estimate of r, fitted on at most so many high-resolution training images of a split, degraded to known ratios:
    enlarged pictures lack fine detail.
    """
    rows, canvases = protocol.rows("train"), Canvases(protocol, canvas, enlargement=enlargement)
    sharp = rows[~protocol.is_low(rows)]["image"].drop_duplicates().to_numpy()[:most]
    pictures = torch.cat([canvases.images(sharp, [ratio] * len(sharp)).float() / 255 for ratio in SEEN])
    return Sharpness().fit_ratios(pictures, torch.tensor(SEEN).repeat_interleave(len(sharp)))


def estimates(protocol: Protocol, canvas: tuple[int, int], enlargement: str, subset: str = "test") -> np.ndarray:
    """The estimated r of every probe, (Q,), to be set beside ``true_scales``."""
    probes = protocol.rows(subset, "probe")
    shown = Canvases(protocol, canvas, enlargement=enlargement).images(probes["image"], probes["ratio"])
    estimate = sharpness(protocol, canvas, enlargement)
    return estimate(shown.float().to(estimate.weight.device) / 255).cpu().numpy()


def restored(
    networks: Mapping[str, nn.Module], protocol: Protocol, canvas: tuple[int, int], rows: Sequence[int], ratio: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Images of the data set (``rows``) at a ratio, restored: {name: (n, H, W, 3) uint8}, {name: (n,) PSNR in dB}.

    The original comes first, then bilinear and bicubic enlargement, then each of ``networks``.
    """
    canvases = {kernel: Canvases(protocol, canvas, enlargement=kernel) for kernel in ("bilinear", "bicubic")}
    original = canvases["bicubic"].images(rows, [1.0] * len(rows)).float() / 255
    found = {name: c.images(rows, [ratio] * len(rows)).float() / 255 for name, c in canvases.items()}
    for name, network in networks.items():
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            parts = [network.eval()(part.to(device)).float().cpu() for part in found["bicubic"].split(64)]
        found[name] = torch.cat(parts)
    quality = {name: psnr(some, original).numpy() for name, some in found.items()}
    pictures = {"original": original, **found}
    as_bytes = {n: (255 * p).round().byte().permute(0, 2, 3, 1).contiguous().numpy() for n, p in pictures.items()}
    return as_bytes, quality


def gradient_sizes(method: Method, protocol: Protocol, profile: str, seed: int = 0) -> dict[str, float]:
    """Gradient norms of "pixel, sum", "pixel, mean" and "identity" with respect to the restored synthetic images
    Fsr(x^h2l) of one batch, for the method's initial weights: the first step, and one of the two streams through Fsr.
    """
    rows = protocol.rows("train")
    with seeded(seed):
        method.setup(profile, rows["pid"].nunique())
        for part, source in method.first_weights().items():
            load_first_weights(method, part, source, progress=False)
        canvases = Canvases(protocol, method.canvas, enlargement=method.enlargement)
        rows = rows.assign(low=protocol.is_low(rows))
        (batch,) = next(TrainingBatches(canvases, rows, method.augmentation, seed=seed).epoch(0))
    method.train()
    wanted, labels = batch.images[batch.high], batch.labels[batch.high]
    restored = method.sr(batch.at(method.settings.ratio, batch.high)).detach().requires_grad_(True)
    terms, _ = method.identity_terms({"hr": wanted, "synthetic": restored}, {"hr": labels, "synthetic": labels})
    losses = {
        "pixel, sum": pixel_mse(restored, wanted, "sum"),
        "pixel, mean": pixel_mse(restored, wanted, "mean"),
        "identity": sum(terms.values()),
    }
    return {name: float(torch.autograd.grad(loss, restored)[0].norm()) for name, loss in losses.items()}


def true_scales(protocol: Protocol, subset: str = "test") -> np.ndarray:
    """SING Eq. 7 for every probe: the square root of its area over the mean area of the gallery images, (Q,)."""
    areas = {role: (rows := protocol.rows(subset, role))["width"] * rows["height"] for role in ("probe", "gallery")}
    return np.sqrt(areas["probe"] / areas["gallery"].mean()).to_numpy()
