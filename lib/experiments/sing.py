"""What lessons 10 and 11 compare: SING (Jiao et al., AAAI 2018), its variants, and what it stands against.

The paper starts the super-resolution from SRCNN trained on ImageNet and the re-id network from Market-1501. Here both
start from rendered people (``data/weights``), in all rows alike.

A row's budget counts what the re-id network is shown: SING shows it the sharp images and their degraded copies as
well, so that it sees fewer batches than a row without copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from lib.data import Protocol
from lib.data.batches import TrainingBatches
from lib.data.canvases import Canvases
from lib.evaluation.restoration import psnr
from lib.experiments.controls import SHARP, controls
from lib.experiments.study import Bench, Comparison, Row
from lib.experiments.trained import RATIOS
from lib.losses import pixel_mse
from lib.methods import create_method
from lib.methods.method import Method
from lib.training.randomness import seeded
from lib.training.weights import load_first_weights

ONE = 1 / 3  # the anchor of what is shown for one model
ALPHAS = (0.0, 0.1, 1.0, 10.0)

SING, APART, SAME = "SING", "SRCNN, then re-id", "SRCNN, then re-id (same images)"
BICUBIC, BILINEAR = "bicubic, then re-id", "bilinear, then re-id"
NO_COPIES, NO_PIXELS = "SING, no synthetic images", "SING, no pixel loss"
LOMO = {"xqda": "LOMO + XQDA", "nfst": "LOMO + NFST"}
# row -> (method, variant) in SING's Table 2; "(same images)" and the plain networks are not in the paper
TABLE_2 = {
    BICUBIC: ("Bicubic + DGD", ""),
    BILINEAR: ("Bilinear + DGD", ""),
    APART: ("SRCNN + DGD", ""),
    SING: ("SING", ""),
    LOMO["xqda"]: ("Bicubic + XQDA", ""),
    LOMO["nfst"]: ("Bicubic + NFST", ""),
}


def first_weights(part: str = "pedestrians", sr: bool = True) -> dict[str, str]:
    """Of the re-id network and, with ``sr``, of the super-resolution."""
    return {"backbone": part} | ({"sr": "pedestrians"} if sr else {})


def sing(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """One model of SING; ``changes`` are other settings."""
    settings = {"ratio": ratio or ONE, "weights": first_weights(), **bench.options} | changes
    copies = 1 + _sharp_share(bench.protocol) if settings.get("synthetic", True) else 1
    return create_method("sing", epochs=bench.epochs(bench.images / copies), **settings)


def apart(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """The same parts, learned one after the other; the first third of the images is for the super-resolution."""
    settings = {"ratio": ratio or ONE, "weights": first_weights(), **bench.options} | changes
    copies = 1 + _sharp_share(bench.protocol) if settings.get("synthetic", False) else 1
    settings["restore_epochs"] = bench.epochs(bench.images / 3)
    return create_method("sr-then-reid", epochs=bench.epochs(bench.images / copies), **settings)


def enlarged(bench: Bench, ratio: float | None, kernel: str, first: str = "pedestrians", **changes: Any) -> Method:
    """The re-id network on pictures that a kernel enlarged: it depends on no ratio."""
    return apart(bench, None, network=kernel, weights=first_weights(first, sr=False), **changes)


def lomo(bench: Bench, ratio: float | None, metric: str, network: str = "bicubic") -> Method:
    """LOMO descriptors and a learned metric, behind an enlargement or the SRCNN that all rows start from."""
    settings = {"metric": metric, "network": network, "ratio": ratio or ONE}
    settings |= {} if network in ("bilinear", "bicubic") else {"weights": {"sr": "pedestrians"}}
    return create_method("classical", canvas=(96, 48) if bench.profile == "quick" else (128, 48), **settings)


def rows() -> list[Row]:
    """Lesson 10: Table 2, and the controls that it lacks."""
    return [
        Row(BICUBIC, partial(enlarged, kernel="bicubic")),
        Row(BILINEAR, partial(enlarged, kernel="bilinear")),
        Row(APART, apart, RATIOS),
        Row(SAME, partial(apart, synthetic=True), RATIOS),
        Row(SING, sing, RATIOS),
        *controls(),
        *(Row(name, partial(lomo, metric=metric)) for metric, name in LOMO.items()),
    ]


def ablations() -> list[Row]:
    """Lesson 11: Tables 3 and 4, Fig. 6, and the first weights; single models but for Fig. 6's alpha = 0."""
    sweep = [Row(alpha_name(a), partial(sing, alpha=a)) for a in ALPHAS if a not in (0.0, 1.0)]
    return [
        Row(SING, sing, RATIOS),
        Row(NO_COPIES, partial(sing, synthetic=False)),
        Row(NO_PIXELS, partial(sing, alpha=0.0), RATIOS),
        *sweep,
        Row(alpha_name(1.0, "mean"), partial(sing, reduction="mean")),
        Row("SING, super-resolution from interpolation", partial(sing, weights=first_weights(sr=False))),
        Row("SING, re-id network from scratch", partial(sing, weights={"sr": "pedestrians"})),
    ]


def sharp_start() -> list[Row]:
    """The control of the explanation "the first weights have seen all resolutions": lesson 10's main rows (one model)
    from people who were rendered at full resolution only.
    """
    from_sharp = first_weights(SHARP)
    return [
        Row(f"{BICUBIC} (sharp start)", partial(enlarged, kernel="bicubic", first=SHARP)),
        Row(f"{APART} (sharp start)", partial(apart, weights=from_sharp)),
        Row(f"{SING} (sharp start)", partial(sing, weights=from_sharp)),
    ]


COMPARISONS = [
    Comparison("SING-joint", SING, APART),
    Comparison("SING-sr-helps", APART, BILINEAR),
    Comparison("SING-handcrafted", LOMO["xqda"], SING, (), sets=("viper",)),  # the paper says it of MLR-VIPeR alone
]


def alpha_name(alpha: float, reduction: str = "sum") -> str:
    """How the row of a weight of the pixel loss is called."""
    return f"SING, alpha {alpha:g}" + ("" if reduction == "sum" else f" ({reduction})")


def _sharp_share(protocol: Protocol) -> float:
    """Share of the training images that are on the high-resolution side: each of them has a degraded copy in SING."""
    rows = protocol.rows("train")
    return float(1 - protocol.is_low(rows).mean())


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
