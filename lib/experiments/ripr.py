"""What lessons 20, 21 and 22 compare: RIPR (Mao et al., IJCAI 2019), its parts, and what they stand against.

The paper starts FFSR from ImageNet; of the re-id network it says "initialize". Here both start from rendered people
(``data/weights``), in all rows alike. A row is a chain of steps, and what two rows share is trained once: FFSR's step
"restore", the step "features" of the ResNet and of RIFE.

Two thirds of the budget go to the step "features", one third to the step "joint" or to its control, the same network
trained on; in ``paper`` the paper's epochs decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib.data import Protocol
from lib.data.canvases import Canvases
from lib.evaluation import Difference, mean_difference
from lib.evaluation.features import View, device_of
from lib.evaluation.objective_draws import CURVES, Effect, ObjectiveDraws, level_of, objective_draws, slope_of
from lib.evaluation.people import some_of
from lib.evaluation.restoration import masked_psnr, psnr
from lib.experiments import claims
from lib.experiments import sing as sing_rows
from lib.experiments.controls import CONTROLS, controls
from lib.experiments.over_splits import compared
from lib.experiments.sing import ONE, first_weights
from lib.experiments.study import Bench, Cell, Comparison, Row, Study, common
from lib.methods import create_method
from lib.methods.method import Method
from lib.methods.ripr import STEPS, Ripr, gaussian_mask
from lib.methods.superres import restoring_rate
from lib.training import Run

SHARE = {"restore": 1 / 3, "features": 2 / 3, "joint": 1 / 3}  # of the budget

RESNET, LONGER, RIFE, RIFE_LONGER = "ResNet", "ResNet, trained on", "RIFE", "RIFE, trained on"
EQUAL, LEARNED = "two networks, equal weights", "two networks, learned weights"
APART, FFSR, FROZEN, BOTH = "FFSR, no joint learning", "FFSR", "FFSR, frozen", "FFSR + RIFE"
OUTLINES, OUTLINES_APART = "FFSR (outlines)", "FFSR (outlines), no joint learning"
SRCNN, VDSR, AE = "SRCNN + ResNet", "VDSR + ResNet", "AE + ResNet"
SING, SE, DENSE = "SING, one model", "SE-ResNet", "DenseNet"
CODE = "FFSR + RIFE, as its code"
STREAMS = {RESNET: "one", EQUAL: "equal", LEARNED: "weighted", RIFE: "rife"}
OTHER_SR = {
    SRCNN: {"quick": "srcnn-915", "course": "srcnn-915", "paper": "srcnn"},
    VDSR: {"quick": "vdsr-narrow", "course": "vdsr-narrow", "paper": "vdsr"},
}
OTHER_BACKBONES = {
    SE: {"quick": "seresnet18-half", "course": "seresnet18-half", "paper": "seresnet50"},
    DENSE: {"quick": "densenet-narrow", "course": "densenet-narrow", "paper": "densenet121"},
}
# row -> (method, variant) in the paper's tables; the controls are in none of them
TABLE_1 = {
    RESNET: ("Bilinear", ""),
    SRCNN: ("SRCNN", ""),
    VDSR: ("VDSR", ""),
    AE: ("AE", "no mask"),
    APART: ("FFSR", "Gaussian mask"),
    FFSR: ("FFSR", "Gaussian mask, joint learning"),
    OUTLINES: ("FFSR", "DeeperCut mask, joint learning"),
}
TABLE_2 = {
    RESNET: ("ResNet-50", ""),
    EQUAL: ("two ResNet-50", "equal weights"),
    LEARNED: ("two ResNet-50", "learned weights"),
    RIFE: ("RIFE", ""),
}
TABLE_3 = {
    RESNET: ("ResNet-50", ""),
    SE: ("SE-ResNet-50", ""),
    DENSE: ("DenseNet-121", ""),
    SING: ("SING", ""),
    FFSR: ("FFSR", ""),
    RIFE: ("RIFE", ""),
    BOTH: ("FFSR+RIFE", ""),
}
GRID = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)  # resolutions of Fig. 4
PEOPLE = 100  # whose O is measured: all pairs of all images at all resolutions of 400 people take too long
NEGLIGIBLE_O = 0.02  # 2 % of O, or 0.02 doublings per halving
NEGLIGIBLE_DB = 0.1
KEPT = ("network", "mask", "mask_width", "reduction", "ratios")  # what a joint step takes over from FFSR's row


def steps(bench: Bench, *names: str) -> tuple[int, ...]:
    """Epochs of the three steps, 0 for those that are not named."""
    if bench.profile == "paper":
        return tuple(e * (step in names) for e, step in zip(Ripr.defaults("paper").epochs, STEPS, strict=True))
    return tuple(bench.epochs(SHARE[step] * bench.images) * (step in names) for step in STEPS)


def pairs(bench: Bench) -> str:
    """What FFSR learns from: the protocol's own degradation, or copies where it has none (CAVIAR4REID)."""
    return "protocol" if (bench.protocol.table["ratio"] < 1).any() else "synthetic"


def recognise(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """Step 2 alone, on bilinear pictures: the ResNet row; with streams="rife" the RIFE row ..."""
    settings = {"network": "bilinear", "streams": "one", **bench.options, "weights": first_weights(sr=False)}
    return create_method("ripr", epochs=steps(bench, "features"), **settings | changes)


def other_backbone(bench: Bench, ratio: float | None, name: str) -> Method:
    """Table 3's other networks: step 2 alone."""
    return recognise(bench, None, backbone=OTHER_BACKBONES[name][bench.profile])


def restore(bench: Bench, ratio: float | None, **changes: Any) -> Method:
    """Step 1 alone: a super-resolution network, gone on with from rendered people, before the ResNet row's network."""
    reid = bench.run(RESNET)
    network = changes.get("network") or Ripr.defaults(bench.profile).network
    settings = _like(reid) | {"network": network, "epochs": steps(bench, "restore"), "pairs": pairs(bench)}
    if bench.profile != "paper":
        settings["lr"] = (restoring_rate(network), *Ripr.defaults(bench.profile).lr[1:])
    return create_method("ripr", weights={"sr": "pedestrians", **_reid_of(reid)}, **settings | changes)


def other_sr(bench: Bench, ratio: float | None, name: str) -> Method:
    """Table 1's other super-resolution networks, without a mask."""
    return restore(bench, None, network=OTHER_SR[name][bench.profile], mask="none")


def join(bench: Bench, ratio: float | None, sr: str, reid: str, kind: str = "ripr", **changes: Any) -> Method:
    """Step 3: FFSR of one row and the re-id network of another, trained together (kind "ripr-apart": the second
    alone).
    """
    first, second = bench.run(sr), bench.run(reid)
    settings = _like(second) | {key: getattr(first.method.settings, key) for key in KEPT}
    settings |= {"epochs": steps(bench, "joint"), "pairs": pairs(bench)} | changes
    return create_method(kind, weights={"sr": first, **_reid_of(second)}, **settings)


def longer(bench: Bench, ratio: float | None, reid: str) -> Method:
    """The control of ``join``: the same network trained on for as many images at the same rate, without FFSR."""
    run, rate = bench.run(reid), Ripr.defaults(bench.profile).lr[2]
    epochs = (0, steps(bench, "joint")[2], 0)
    settings = _like(run) | {"network": "bilinear", "epochs": epochs, "lr": (rate, rate, rate)}
    return create_method("ripr", weights=_reid_of(run), **settings)


def as_coded(bench: Bench, ratio: float | None) -> Method:
    """FFSR + RIFE by the published code's losses and mask: all in one step, with the whole budget."""
    epochs = {} if bench.profile == "paper" else {"epochs": (0, 0, bench.epochs(bench.images))}
    settings = {"streams": "rife", "pairs": pairs(bench), **bench.options, "weights": first_weights()}
    return create_method("ripr-as-coded", **epochs, **settings)


def sing(bench: Bench, ratio: float | None) -> Method:
    """One SING model (lesson 10) with the whole budget; on VR sets, where no image is sharp, ``sing-everywhere``, which
    shows the re-id network three views of each image.
    """
    everywhere = bool((bench.protocol.table["ratio"] < 1).all())
    if not everywhere:
        return sing_rows.sing(bench, None)
    usual = Ripr.defaults(bench.profile)
    settings = {"backbone": usual.backbone, "canvas": usual.canvas, **bench.options}
    epochs = bench.epochs(bench.images / 3)
    return create_method("sing-everywhere", ratio=ONE, epochs=epochs, weights=first_weights(), **settings)


def rows() -> list[Row]:
    """Lesson 22: Table 3 and the controls that it lacks."""
    return [
        Row(RESNET, recognise),
        Row(LONGER, partial(longer, reid=RESNET)),
        Row(APART, restore),
        Row(FFSR, partial(join, sr=APART, reid=RESNET)),
        Row(RIFE, partial(recognise, streams="rife")),
        Row(RIFE_LONGER, partial(longer, reid=RIFE)),
        Row(BOTH, partial(join, sr=APART, reid=RIFE)),
        Row(SING, sing),
        *controls(),
    ]


def others() -> list[Row]:
    """Lesson 22: the other networks of Table 3, each with first weights of its own."""
    return [Row(name, partial(other_backbone, name=name)) for name in OTHER_BACKBONES]


def coded() -> list[Row]:
    """Lesson 22, in the record alone: the way of the published code."""
    return [Row(CODE, as_coded)]


def super_resolutions(outlines: bool) -> list[Row]:
    """Lesson 20: Table 1 and two controls. outlines : whether the set knows its people's."""
    made = [Row(name, partial(other_sr, name=name)) for name in OTHER_SR]
    made += [
        Row(AE, partial(restore, mask="none")),
        Row(FROZEN, partial(join, sr=APART, reid=RESNET, kind="ripr-apart")),
    ]
    if outlines:
        made += [
            Row(OUTLINES_APART, partial(restore, mask="person")),
            Row(OUTLINES, partial(join, sr=OUTLINES_APART, reid=RESNET)),
        ]
    return made


def streams() -> list[Row]:
    """Lesson 21: the rows of Table 2 between the ResNet and RIFE."""
    return [Row(name, partial(recognise, streams=STREAMS[name])) for name in (EQUAL, LEARNED)]


def masks(widths: Sequence[float], outlines: bool) -> list[Row]:
    """Lesson 20: other widths of the Gaussian, and a mask that is wrong on purpose."""
    made = [Row(f"FFSR, Gaussian {width:g}", partial(restore, mask_width=width)) for width in widths]
    return made + ([Row("FFSR, background (wrong)", partial(restore, mask="background"))] if outlines else [])


PLAIN = (LONGER, *CONTROLS)  # shown as many images as the re-id network in steps 2 and 3
# Rows without the third step were shown two thirds of that: their plain row is the ResNet, or RIFE is trained on.
COMPARISONS = [
    Comparison("RIPR-mask", APART, AE, ()),
    Comparison("RIPR-vdsr", APART, VDSR, ()),
    Comparison("RIPR-joint", FFSR, APART, (FROZEN,)),  # the third step without FFSR in it
    Comparison("RIPR-segmented", OUTLINES, FFSR, ()),
    Comparison("RIPR-two", EQUAL, RESNET, ()),
    Comparison("RIPR-weights", LEARNED, EQUAL, ()),
    Comparison("RIPR-blocks", RIFE, LEARNED, ()),  # against a plain network it would be RIPR-rife once more
    Comparison("RIPR-rife", RIFE, RESNET, PLAIN, longer=RIFE_LONGER),
    Comparison("RIPR-sing", BOTH, SING, PLAIN),
    Comparison("RIPR-both", BOTH, (FFSR, RIFE), (RIFE_LONGER,)),  # the better of the two; RIFE trained for as long
]
VARIANTS = (FFSR, RIFE, BOTH)  # that Fig. 4 sets against the ResNet


def named(*names: str, outlines: bool = False) -> list[Row]:
    """The rows of these names, in their order. outlines : whether the set knows its people's.

    KeyError for a name that no row has.
    """
    made = [*rows(), *streams(), *super_resolutions(outlines), *others(), *coded()]
    known = {row.name: row for row in made}
    if unknown := [name for name in names if name not in known]:
        raise KeyError(f"RIPR has no row {', '.join(unknown)}; its rows: {', '.join(known)}")
    return [known[name] for name in names]


def surfaces(
    study: Study,
    names: Sequence[str],
    where: Sequence[Cell] | None = None,
    grid: Sequence[float] = GRID,
    people: int | None = PEOPLE,
    **how: Any,
) -> dict[str, list[ObjectiveDraws]]:
    """O of each row's networks over pairs of resolutions: one surface per training in the cells ``where`` (None: all),
    the same for all rows, so that they are paired. ``people`` of the test people; ``how`` as in ``objective_draws``.
    """
    where = study.cells if where is None else list(where)
    how = {"reference": "widest", "people": people} | how
    return {
        name: [objective_draws(run.method, run.protocol, grid, **how) for run in study.trained(name, where).all_runs]
        for name in names
    }


def levels_and_slopes(
    found: Mapping[str, Sequence[ObjectiveDraws]], a: str = RESNET
) -> dict[tuple[str, str, str], Effect]:
    """{(claim, variant, curve): how much O of ``a`` lies above the variant's}. RIPR-level: mean of log O; RIPR-slope:
    doublings of O per halving of r.
    """
    grid = found[a][0].grid
    by_claim = {"RIPR-level": level_of, "RIPR-slope": partial(slope_of, grid)}
    return {
        (claim, name, curve): compared(found[a], found[name], function(curve))
        for claim, function in by_claim.items()
        for name in found
        if name != a
        for curve in CURVES
    }


def objective_claims(of: Mapping[str, Sequence[ObjectiveDraws]]) -> list[dict]:
    """Fig. 4's two claims for each of ``VARIANTS`` and both curves, as the paper compares and against the ResNet that
    was trained on: rows of ``lib.experiments.claims``. of : what ``surfaces`` gives, with that control.
    """
    against, control = levels_and_slopes(of), levels_and_slopes(of, LONGER)
    units = {"RIPR-level": {"scale": 100.0, "unit": "% (log)"}, "RIPR-slope": {"scale": 1.0, "unit": "doublings"}}
    found = []
    for (claim, name, curve), effect in against.items():
        if name in VARIANTS:
            how = {"variant": f"{name}, {curve}", "control_row": LONGER, **units[claim]}
            row = claims.judge(claim, effect, NEGLIGIBLE_O, control[claim, name, curve], **how)
            found.append(row | {"claim": f"{row['claim']}: {how['variant']}"})
    return found


def objective_effects(claimed: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Fig. 4's claims as they are drawn: claim, name ("RIFE, O(r, 1)"), mean, low, high, trainings, verdict; levels in
    percent of O, slopes in hundredths of a doubling per halving of r.

    claimed : rows of ``objective_claims``, of this session or of the record.
    """
    units = {"RIPR-level": lambda x: 100 * np.expm1(x), "RIPR-slope": lambda x: 100 * x}
    return pd.DataFrame(
        {"claim": row["claim_id"], "name": row["variant"], "trainings": row["trainings"], "verdict": row["verdict"]}
        | {limit: units[row["claim_id"]](row[limit]) for limit in ("mean", "low", "high")}
        for row in claimed
    )


def restored(method: Method, protocol: Protocol, images: Sequence[int], ratios: Sequence[float]) -> Tensor:
    """What the method's super-resolution makes of images of the data set at these ratios: (n, 3, H, W) in [0, 1]."""
    canvases = Canvases(protocol, method.canvas, device_of(method), method.enlargement)
    given = canvases.images(images, ratios).float() / 255
    with torch.inference_mode():
        return torch.cat([method.eval().sr(part).float().clamp(0, 1).cpu() for part in given.split(128)])


def degraded(protocol: Protocol) -> pd.DataFrame:
    """The test images that the protocol shows smaller than they are, each once; where there are none (CAVIAR4REID), the
    gallery at 1/2.
    """
    found = protocol.rows("test").drop_duplicates("image")
    if not (found["ratio"] < 1).any():
        found = protocol.rows("test", "gallery").drop_duplicates("image").assign(ratio=0.5)
    return found[found["ratio"] < 1]


def psnr_of(method: Method, protocol: Protocol) -> np.ndarray:
    """PSNR in dB of each restored image of ``degraded`` to what it was, (n,); NaN where the canvas is so small that the
    picture has lost nothing on it.
    """
    shown = degraded(protocol)
    canvases = Canvases(protocol, method.canvas, enlargement=method.enlargement)
    original = canvases.images(shown["image"], np.ones(len(shown)))
    lost = (canvases.images(shown["image"], shown["ratio"]) != original).flatten(1).any(1).numpy()
    found = psnr(restored(method, protocol, shown["image"], shown["ratio"]), original.float() / 255).numpy()
    return np.where(lost, found, np.nan)


def psnr_difference(study: Study, a: str, b: str, where: Sequence[Cell] | None = None) -> Difference:
    """PSNR of row a's pictures (``degraded``, restored) minus that of row b's, in dB, over the cells ``where`` (None:
    all).
    """
    where = study.cells if where is None else list(where)
    sides = [[run.method for run in study.trained(name, where).all_runs] for name in (a, b)]
    protocols = [cell.protocol for cell in where]
    apart = [psnr_of(one, p) - psnr_of(other, p) for one, other, p in zip(*sides, protocols, strict=True)]
    people = [degraded(p)["pid"].to_numpy()[~np.isnan(some)] for p, some in zip(protocols, apart, strict=True)]
    apart = [some[~np.isnan(some)] for some in apart]
    return mean_difference(apart, people, [(cell.protocol.trial, cell.seed) for cell in where], "PSNR")


def quality_claim(study: Study, where: Sequence[Cell] | None = None) -> dict:
    """RIPR-quality: what joint learning costs FFSR's pictures, in dB."""
    apart = psnr_difference(study, APART, FFSR, where)
    return claims.judge("RIPR-quality", apart, NEGLIGIBLE_DB, scale=1.0, unit="dB")


def judged(study: Study, trained: Mapping[str, Sequence[Cell]]) -> list[dict]:
    """The verdicts on the claims about O and about PSNR; ``trained`` as in ``Plan``."""
    found = []
    for needed, claim in (((RESNET, LONGER, *VARIANTS), _of_surfaces), ((APART, FFSR), _of_pictures)):
        where = common(trained, *needed) if set(needed) <= set(trained) else []
        found += claim(study, where) if where else []
    return found


def _of_surfaces(study: Study, where: Sequence[Cell]) -> list[dict]:
    return objective_claims(surfaces(study, (RESNET, LONGER, *VARIANTS), where))


def _of_pictures(study: Study, where: Sequence[Cell]) -> list[dict]:
    return [quality_claim(study, where)]


def _like(run: Run) -> dict:
    """The settings that make the re-id part of a run again."""
    again = ("streams", "backbone", "descriptor", "canvas", "batch", "alpha", "beta")
    return {key: getattr(run.method.settings, key) for key in again}


def _reid_of(run: Run) -> dict[str, Run]:
    """The first weights of a re-identification that goes on with a run's."""
    return {"backbone": run, "head": run}


def restoration(
    networks: Mapping[str, nn.Module],
    protocol: Protocol,
    canvas: tuple[int, int],
    ratios: Sequence[float],
    people: int = PEOPLE,
) -> pd.DataFrame:
    """PSNR in dB of restored test images: one row per network, ratio and image: pid, whole, person, background.

    people : at most so many of the test people. "bilinear" is what the networks are given. At ratio 1 it is the
    original itself, and its PSNR infinite. person and background: inside the set's masks and outside; where it has
    none, inside and outside the middle of a Gaussian.
    """
    rows = protocol.rows("test").drop_duplicates("image")
    rows = rows[rows["pid"].isin(some_of(rows["pid"], people))]
    images, canvases = rows["image"].to_numpy(), Canvases(protocol, canvas, enlargement="bilinear")
    original = canvases.images(images, [1.0] * len(images)).float() / 255
    inside = canvases.masks(images)
    inside = middle(canvas).expand(len(images), 1, *canvas) if inside is None else inside.bool()
    found = []
    for ratio in ratios:
        given = canvases.pictures(images, View(ratio).ratios(rows, protocol))
        for name, network in {"bilinear": nn.Identity(), **networks}.items():
            device = next((p.device for p in network.parameters()), torch.device("cpu"))
            with torch.inference_mode():
                parts = [network.eval()(part.to(device)).float().cpu() for part in given.split(64)]
            made = torch.cat(parts)
            quality = {"whole": psnr(made, original)}
            quality |= {"person": masked_psnr(made, original, inside)}
            quality |= {"background": masked_psnr(made, original, ~inside)}
            columns = {what: values.numpy() for what, values in quality.items()}
            found.append(pd.DataFrame({"network": name, "ratio": ratio, "pid": rows["pid"].to_numpy(), **columns}))
    return pd.concat(found, ignore_index=True)


def middle(canvas: tuple[int, int], width: float = 0.25) -> Tensor:
    """(1, 1, H, W) bool: where a Gaussian mask of this width is above one half."""
    y, x = ((torch.arange(n) + 0.5) / n for n in canvas)
    position = torch.stack(torch.meshgrid(y, x, indexing="ij"))[None]  # (1, 2, H, W)
    return gaussian_mask(position, width) > 0.5


def weights_by_resolution(
    method: Ripr,
    protocol: Protocol,
    ratios: Sequence[float] | None = None,
    subset: str = "test",
    people: int | None = None,
) -> pd.DataFrame:
    """RIFE's predicted weights: one row per image and block: ratio, resolution (r), block (from 1), low, high.

    ratios : r, as a ``View`` has it; None: each image as the protocol has it. people : at most so many of the subset's,
    at equal steps through their names; None for all. ValueError for a method without learned weights.
    """
    if not getattr(method.backbone, "blocks", 0):
        raise ValueError(f"streams={method.settings.streams!r} has no learned weights")
    rows, device = protocol.rows(subset).drop_duplicates("image"), device_of(method)
    if people is not None:
        rows = rows[rows["pid"].isin(some_of(rows["pid"], people))]
    images, found = rows["image"].to_numpy(), []
    for ratio in [None] if ratios is None else ratios:
        at = View(ratio).ratios(rows, protocol)  # of the original images
        asked = at if ratio is None else np.full(len(rows), float(ratio))
        for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 128)):
            canvases = Canvases(protocol, method.canvas, device, method.enlargement)
            with torch.inference_mode():
                weights = method.describe(canvases.pictures(images[part], at[part]))[1].cpu().numpy()  # (b, T, 2)
            r = canvases.resolution(images[part], at[part])
            for block in range(weights.shape[1]):
                columns = {"ratio": asked[part], "resolution": r, "block": block + 1}
                found.append(pd.DataFrame(columns | {"low": weights[:, block, 0], "high": weights[:, block, 1]}))
    return pd.concat(found, ignore_index=True)
