"""Measuring: rankings under every convention, their intervals, the objective O, restoration and complexity.

``psnr`` and ``ssim`` are in ``lib.evaluation.restoration``, apart because torchmetrics takes seconds to import.
"""

from lib.evaluation.comparison import interaction, mean_difference, paired_difference, summarise
from lib.evaluation.complexity import Complexity, complexity
from lib.evaluation.conventions import CONVENTIONS
from lib.evaluation.features import View, extract, stream
from lib.evaluation.intervals import Difference, bootstrap_mean
from lib.evaluation.objective import Objective, objective, objective_from_features, objective_surface
from lib.evaluation.objective_draws import (
    Effect,
    ObjectiveDraws,
    compare,
    draws_from_features,
    level_of,
    objective_draws,
    slope_of,
)
from lib.evaluation.ranking import Ranking, rank_distances, rank_features
from lib.evaluation.results import Result, TrainedOnTheTested, evaluate
from lib.evaluation.several import evaluate_several
from lib.evaluation.single_shot import sample_single_shot

__all__ = [
    "CONVENTIONS",
    "Complexity",
    "Difference",
    "Effect",
    "Objective",
    "ObjectiveDraws",
    "Ranking",
    "Result",
    "TrainedOnTheTested",
    "View",
    "bootstrap_mean",
    "compare",
    "complexity",
    "draws_from_features",
    "evaluate",
    "evaluate_several",
    "extract",
    "interaction",
    "level_of",
    "mean_difference",
    "objective",
    "objective_draws",
    "objective_from_features",
    "objective_surface",
    "paired_difference",
    "rank_distances",
    "rank_features",
    "sample_single_shot",
    "slope_of",
    "stream",
    "summarise",
]
