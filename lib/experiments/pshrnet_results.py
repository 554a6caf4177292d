"""What else lessons 40 and 41 measure of PS-HRNet's rows: the pictures (Table III, Figure 5), whether it pays to keep
the resolution inside the network, and what a picture costs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from lib.data.canvases import Canvases
from lib.evaluation import Difference, complexity, interaction
from lib.evaluation.restoration import psnr, ssim
from lib.experiments import claims, pshrnet
from lib.experiments.recorded import Record, recorded
from lib.experiments.ripr import NEGLIGIBLE_DB, degraded, psnr_difference
from lib.experiments.ripr import restored as pictures_of
from lib.experiments.scores import with_interval
from lib.experiments.sing import restored
from lib.experiments.study import Bench, Cell, Onlooker, Row, Study, common
from lib.methods import create_method
from lib.methods.superres import create_network
from lib.names import PEOPLE

INPUT = "input"  # a picture as it is enlarged
# row -> what Figure 5 calls its pictures
SHOWN = {pshrnet.SOLO: "super-resolution alone", pshrnet.SR_ID: "SR+ID", pshrnet.PS: "SR+ID+PS"}


def quality(
    study: Study, names: Sequence[str] = tuple(pshrnet.TABLE_3), where: Sequence[Cell] | None = None
) -> pd.DataFrame:
    """Table III's pictures: columns row, trial, seed, psnr (dB), ssim, means over the test images that the protocol
    shows smaller than they are, and the canvas too. The row "input" is those as they are enlarged.
    """
    where, found = study.cells if where is None else list(where), []
    for cell in where:
        shown = degraded(cell.protocol)
        methods = {name: study.run(name, cell).method for name in names}
        canvases = Canvases(cell.protocol, next(iter(methods.values())).canvas)
        original = canvases.images(shown["image"], np.ones(len(shown))).float() / 255
        made = {INPUT: canvases.images(shown["image"], shown["ratio"]).float() / 255}
        made |= {n: pictures_of(m, cell.protocol, shown["image"], shown["ratio"]) for n, m in methods.items()}
        lost = torch.isfinite(psnr(made[INPUT], original))  # a canvas of half an image's size loses nothing at 1/2
        for name, pictures in made.items():
            measured = {"psnr": psnr(pictures, original)[lost].mean(), "ssim": ssim(pictures, original)[lost].mean()}
            columns = {"row": name, "trial": cell.protocol.trial, "seed": cell.seed}
            found.append(columns | {what: float(value) for what, value in measured.items()})
    return pd.DataFrame(found)


def figure_5(
    study: Study, images: Sequence[int], ratio: float, cell: Cell | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Images of the data set at a ratio, restored by the rows of Table III: what ``lib.plots.restoring.restored``
    draws, {name: (n, H, W, 3) uint8} and {name: (n,) PSNR in dB}.
    """
    cell = study.cells[0] if cell is None else cell
    methods = {name: study.run(row, cell).method for row, name in SHOWN.items()}
    networks = {name: method.sr for name, method in methods.items()}
    canvas = next(iter(methods.values())).canvas
    pictures, measured = restored(networks, cell.protocol, canvas, images, ratio)
    order = {INPUT: "bicubic"} | {name: name for name in (*networks, "original")}
    return (
        {name: pictures[of] for name, of in order.items()},
        {name: measured[of] for name, of in order.items() if of in measured},
    )


class Inside(NamedTuple):
    """The rows that ``resolution_effect`` asks, an HRNet and a ResNet each: on low resolution, and at full (the rows of
    ``pshrnet.sharp``, None for the usual ones)."""

    low: tuple[str, str] = (pshrnet.ID, pshrnet.JOINT["bicubic"])
    high: tuple[str, str] = (pshrnet.HRNET, pshrnet.RESNET)
    rows: Sequence[Row] | None = None


INSIDE = Inside()


def resolution_effect(
    study: Study, where: Sequence[Cell] | None = None, metric: str = "rank-1", of: Inside = INSIDE
) -> Difference:
    """Does it pay to keep the resolution inside the network? HRNet-ReID minus a ResNet on low resolution, minus the
    same at full resolution: above zero where the HRNet is a remedy for low resolution, and not only the better network.

    All four learn by L_ID from what they are tested on, the same people. ValueError where a set has no full resolution.
    """
    where = study.cells if where is None else list(where)
    low = [study.results(name, where) for name in of.low]
    high: list[list] = [[], []]
    for cell in where:
        there = pshrnet.sharp(Bench(study, cell), of.rows)
        if there is None:
            raise ValueError(f"{cell.protocol.dataset.name} has no pictures sharper than it shows")
        for side, name in zip(high, of.high, strict=True):
            side += there.study.results(name)
    return interaction(tuple(low), tuple(high), metric)


def judged(study: Study, trained: Mapping[str, Sequence[Cell]]) -> list[dict]:
    """The verdicts on the claims about PSNR and about resolution; ``trained`` as in ``Plan``."""
    found, in_db = [], {"negligible": NEGLIGIBLE_DB, "scale": 1.0, "unit": "dB"}
    if where := _cells(trained, pshrnet.SOLO, pshrnet.SR_ID):
        found.append(claims.judge("PSHR-psnr", psnr_difference(study, pshrnet.SOLO, pshrnet.SR_ID, where), **in_db))
    if where := _cells(trained, pshrnet.SR_ID, pshrnet.PS):
        apart = psnr_difference(study, pshrnet.SR_ID, pshrnet.PS, where)
        found.append(equivalent(claims.judge("PSHR-psnr-ps", apart, **in_db)))
    return found + inside(study, trained)


def inside(study: Study, trained: Mapping[str, Sequence[Cell]], of: Inside = INSIDE) -> list[dict]:
    """The verdict on ``resolution_effect``, where all its rows were trained; ``trained`` as in ``Plan``."""
    where = [cell for cell in _cells(trained, *of.low) if _sharp_is_there(study, cell, of)]
    return [claims.judge("PSHR-resnet", resolution_effect(study, where, of=of))] if where else []


def equivalent(row: dict) -> dict:
    """A claim that two things are equal, judged: certain to be negligible is what it says, another sure sign is not."""
    words = {"no effect": "reproduced", "reproduced": "contradicted"}
    return row | {"verdict": words.get(row["verdict"], row["verdict"])}


def costs(profile: str = "paper") -> pd.DataFrame:
    """Weights and multiply-adds of one picture, columns part, weights, macs, times (the re-id network's): each
    super-resolution of Table IV, the re-id network, and PS-HRNet, which every probe and gallery image passes.
    """
    method = create_method("pshrnet", elements=())
    with torch.device("meta"):
        method.setup(profile, 2)
        own = complexity(method, method.canvas, lambda m, images: m.head(m.backbone.maps(images)))
        scale = min(method.settings.ratios)  # of RCAN, as the rows have it
        found = {n: create_network(some[profile], scale) for n, some in pshrnet.NETWORKS.items() if n != "bicubic"}
        found = {name: complexity(network, method.canvas) for name, network in found.items()}
        whole = complexity(method, method.canvas, lambda m, images: m.head(m.backbone.maps(m.sr(images))))
    reid = own.parameters - sum(p.numel() for p in method.sr.parameters())
    table = [(name, *some) for name, some in found.items()]
    table += [(pshrnet.HRNET, reid, own.macs), (pshrnet.PS, *whole)]
    return pd.DataFrame(table, columns=["part", "weights", "macs"]).assign(times=lambda t: t["macs"] / own.macs)


FIRST = {"pshrnet_no_decay": "where all four of its maps are alive", "pshrnet": "with the weights that ship (one is)"}


def pays(people: str) -> str:
    """The answer to "does it pay to keep the resolution inside the network?", of the record of a set: a sentence."""
    question = "Does it pay to keep the resolution inside the network?"
    asked = "HRNet-ReID minus a ResNet on low resolution, minus the same at full resolution"
    found = {}
    for study, where in FIRST.items():
        with contextlib.suppress(KeyError):
            found[where] = recorded(study, [people]).claim("PSHR-resnet", people)
    if not found:
        return f"{question} Not recorded on these people ({asked})."
    words = dict.fromkeys(one["verdict"].split(" (")[0] for one in found.values())
    said = ", ".join(f"{with_interval(one)} {where}" for where, one in found.items())
    return f"{question} {' and '.join(words).capitalize()}: {asked}, is {said}."


def trained_twice(record: Record, second: Record, but: str, enough: float = 1.0) -> str:
    """How far off PS-HRNet's rank-1 is in a second record of the same splits and seeds, trained on another machine: a
    text for each set but one where it is ``enough`` points or more; "" where it is not.
    """
    again = second.rank1(pshrnet.PS) if second else {}
    first = record.rank1(pshrnet.PS) if record else {}
    apart = {name: 100 * (again[name] - value) for name, value in first.items() if name in again and name != but}
    told = {PEOPLE[name]: points for name, points in apart.items() if abs(points) >= enough}
    return "".join(f" (its second record on {name} is {points:+.1f} points off)" for name, points in told.items())


def _cells(trained: Mapping[str, Sequence[Cell]], *names: str) -> list[Cell]:
    return common(trained, *names) if set(names) <= set(trained) else []


def _sharp_is_there(study: Study, cell: Cell, of: Inside) -> bool:
    """Whether the rows at full resolution were trained in a cell; nothing is trained."""
    there = pshrnet.sharp(Onlooker(study, cell), of.rows)
    return there is not None and all(there.study.is_there(name, there.cell) for name in of.high)
