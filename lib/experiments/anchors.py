"""A method trained once for each ratio, tested alone and fused (SING Eq. 6-8), over one or several trials.

What lessons 10, 11 and 31 have in common: train the anchors, describe the test images once, then ask for any subset of
the anchors and any sigma without another forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lib.evaluation import Result, evaluate, extract
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.method import Method

if TYPE_CHECKING:
    from lib.data import Protocol
    from lib.training import Run

RATIOS = (1 / 2, 1 / 3, 1 / 4)  # all five papers
SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0, None)  # None: equal weights


@dataclass
class Anchors:
    """Trained models for ``ratios``, one list of runs per trial.

    A method that is the same for every ratio (bicubic enlargement, say) is an ensemble of one.
    """

    name: str
    protocols: Sequence[Protocol]
    ratios: tuple[float, ...]
    runs: Sequence[Sequence[Run]]  # (trials, anchors)
    seed: int = 0
    _features: dict = field(default_factory=dict, repr=False)

    @classmethod
    def train(
        cls,
        name: str,
        make: Callable[[float], Method],
        protocols: Sequence[Protocol],
        ratios: Sequence[float] = RATIOS,
        **fit_options,
    ) -> Anchors:
        """``make(ratio)`` gives the method for a ratio; ``fit_options`` (profile, seed, progress) go to ``fit``."""
        from lib.training import fit

        runs = [[fit(make(ratio), protocol, **fit_options) for ratio in ratios] for protocol in protocols]
        return cls(name, protocols, tuple(ratios), runs, fit_options.get("seed", 0))

    @property
    def seconds(self) -> float:
        """Training time of all models."""
        return sum(run.seconds for some in self.runs for run in some)

    def ensemble(self, trial: int = 0, sigma: float | None = 0.5) -> AdaptiveEnsemble:
        return AdaptiveEnsemble([run.method for run in self.runs[trial]], self.ratios, sigma)

    def results(
        self,
        only: Sequence[int] | None = None,
        sigma: float | None = 0.5,
        subset: str = "test",
        at: Mapping[str, float] | None = None,
        scale: Sequence[Callable] | None = None,
    ) -> list[Result]:
        """One result per trial, of the anchors ``only`` (positions; None: all), fused with ``sigma``.

        at : replaces the protocol's ratios, as in ``evaluate``. scale : for each trial what estimates the sizes of
        the probes, see ``AdaptiveEnsemble``.
        """
        found = []
        for trial, protocol in enumerate(self.protocols):
            features = self._described(trial, subset, at, scale and scale[trial])
            fused = self.ensemble(trial, sigma).choose(range(len(self.ratios)) if only is None else only)
            found.append(evaluate(fused, protocol, subset, ratios=at, seed=self.seed, features=features))
        return found

    def choose_sigma(self, sigmas: Sequence[float | None] = SIGMAS) -> float | None:
        """The sigma with the best rank-1 of validation identities, mean over trials; the first of equals."""
        return max(sigmas, key=lambda sigma: np.mean([r.rank(1) for r in self.results(sigma=sigma, subset="val")]))

    def _described(self, trial: int, subset: str, at: Mapping[str, float] | None, scale) -> dict[str, np.ndarray]:
        key = (
            trial,
            subset,
            tuple(sorted((at or {}).items())),
            scale,
        )  # itself: an address is given to the next one, too
        if key not in self._features:
            fused, protocol = self.ensemble(trial), self.protocols[trial]
            fused.scale = scale
            self._features[key] = {
                role: extract(fused, protocol, protocol.rows(subset, role), (at or {}).get(role), role)
                for role in ("probe", "gallery")
            }
        return self._features[key]
