"""Distances of two streams made one, pair by pair, by what each image's streams weigh (FTWA, ``lib.methods.ftwa``).

Letters: Q probes, G gallery images; a, b the weights of an image's high and low stream.
"""

from __future__ import annotations

import torch
from torch import Tensor

# log a, log b of the probes, (Q, 1), and of the gallery, (1, G) -> log of the high stream's share over the low one's
RULES = {
    "product": lambda a_p, b_p, a_g, b_g: (a_p + a_g) - (b_p + b_g),
    "probe": lambda a_p, b_p, a_g, b_g: a_p - b_p,
    "sum": lambda a_p, b_p, a_g, b_g: torch.logaddexp(a_p, a_g) - torch.logaddexp(b_p, b_g),
    "equal": lambda a_p, b_p, a_g, b_g: torch.zeros_like(a_p),
    "high": lambda a_p, b_p, a_g, b_g: torch.full_like(a_p, torch.inf),
    "low": lambda a_p, b_p, a_g, b_g: torch.full_like(a_p, -torch.inf),
}


def weighed(high: Tensor, low: Tensor, probes: Tensor, gallery: Tensor, rule: str) -> Tensor:
    """D = s d_H + (1 - s) d_L, (Q, G): the streams' weights add up to 1 for every pair, so that D of two pairs compare.

    high, low : the streams' distances (Q, G). probes, gallery : log a and log b, (Q, 2) and (G, 2).
    rule : s from them: "product", a_p a_g / (a_p a_g + b_p b_g); "probe", a_p / (a_p + b_p); "sum", of a_p + a_g and
        b_p + b_g; "equal", 1/2; one stream alone, "high", 1, or "low", 0. ValueError for another.
    """
    share = torch.sigmoid(RULES[known_rule(rule)](*probes[:, :, None].unbind(1), *gallery.T[:, None]))
    return share * high + (1 - share) * low


def known_rule(rule: str) -> str:
    """The rule's name, or a ValueError that lists them."""
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}; known: {', '.join(RULES)}")
    return rule
