"""A row of a study, trained: its models in every cell, tested as they are, or as an ensemble of anchors (SING Eq. 6-8).

The test images are described once; any subset of the anchors and any sigma are then asked for without another forward
pass. Letters: C cells (a split and a seed), A anchors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lib.evaluation import Result, evaluate, extract
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.method import Method
from lib.training import Run

RATIOS = (1 / 2, 1 / 3, 1 / 4)  # anchors of all five papers
SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0, None)  # None: equal weights
ROLES = ("probe", "gallery")


@dataclass
class Trained:
    """``runs``: (C, A), A = 1 for a row without anchors (``ratios`` is empty then)."""

    name: str
    ratios: tuple[float, ...]
    runs: Sequence[Sequence[Run]]
    _features: dict = field(default_factory=dict, repr=False)
    _sigma: dict = field(default_factory=dict, repr=False)

    @property
    def method(self) -> Method:
        """The first model of the first cell."""
        return self.runs[0][0].method

    @property
    def all_runs(self) -> list[Run]:
        return [run for some in self.runs for run in some]

    @property
    def seconds(self) -> float:
        """Training time of one model, mean."""
        return float(np.mean([run.seconds for run in self.all_runs]))

    @property
    def sigma(self) -> float | None:
        """The sigma with the best rank-1 of validation people, mean over cells; the first of equals."""
        if "chosen" not in self._sigma:
            score = {s: np.mean([r.rank(1) for r in self.results(sigma=s, subset="val")]) for s in SIGMAS}
            self._sigma["chosen"] = max(SIGMAS, key=score.get)
        return self._sigma["chosen"]

    def ensemble(self, cell: int = 0, sigma: float | None = 0.5) -> AdaptiveEnsemble:
        """The models of a cell, fused. ValueError for a row without anchors."""
        return AdaptiveEnsemble([run.method for run in self.runs[cell]], self.ratios, sigma)

    def results(
        self,
        only: Sequence[int] | None = None,
        sigma: float | str | None = "chosen",
        subset: str = "test",
        at: Mapping[str, float] | None = None,
        scale: Sequence[Callable] | None = None,
        test: Callable[[Method], Method] | None = None,
    ) -> list[Result]:
        """One result per cell.

        only : positions of anchors (None: all); one of them is that model alone. sigma : of the fusion, "chosen" on
        validation people. at : replaces the protocol's ratios, as in ``evaluate``. scale : for each cell what estimates
        the sizes of the probes, see ``AdaptiveEnsemble``. test : what is made of a method to test it, such as
        ``lib.methods.wrapped.Swapped``.
        """
        fused = len(self.ratios) > 1
        if sigma == "chosen":
            sigma = self.sigma if fused and (only is None or len(only) > 1) else None
        found = []
        for cell, runs in enumerate(self.runs):
            method = self.ensemble(cell, sigma) if fused else runs[0].method
            if fused:
                method.scale = scale and scale[cell]
            method = method if test is None else test(method)
            protocol = runs[0].protocol
            features = {}
            for role in ROLES:
                ratio = (at or {}).get(role)
                key = (tuple(run.key for run in runs), subset, role, ratio, scale and scale[cell], test)
                if key not in self._features:
                    self._features[key] = extract(method, protocol, protocol.rows(subset, role), ratio, role)
                features[role] = self._features[key]
            chosen = method.choose(range(len(self.ratios)) if only is None else only) if fused else method
            found.append(evaluate(chosen, protocol, subset, ratios=at, features=features))
        return found
