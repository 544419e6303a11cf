"""Metrics over several samples of one clip: the best sample, diversity, and coverage of the predicted spread.

S = samples, T = frames, V = vertices. Definitions with sources: docs/metrics.md.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from occlufacediff.evaluation.metrics import vertex_errors

#: Central intervals whose coverage is measured.
LEVELS = (0.5, 0.9)


def diversity(samples: ArrayLike) -> float:
    """Mean distance of vertices over all pairs of samples (S, T, V, 3), metres; the result is in mm.

    Raises:
        ValueError: there are fewer than two samples.
    """
    values = np.asarray(samples)
    if len(values) < 2:
        raise ValueError(f"diversity: got {len(values)} samples, needs at least 2")
    return float(np.mean([vertex_errors(one, other).mean() for one, other in combinations(values, 2)]))


def coverage(truth: ArrayLike, samples: ArrayLike, level: float) -> float:
    """Share of true values within the central prediction interval of the samples.

    The interval is ``mean +- t * sd * sqrt(1 + 1 / S)`` with the quantile t of Student's distribution with S - 1
    degrees of freedom. It covers ``level`` of normally distributed values that have the mean and spread of the samples.

    Args:
        truth: (N,) true values.
        samples: (S, N) sampled values.
        level: nominal coverage, such as 0.9.

    Raises:
        ValueError: there are fewer than two samples, or no values.
    """
    true, values = np.asarray(truth, np.float64), np.asarray(samples, np.float64)
    count = len(values)
    if count < 2 or true.size == 0:
        raise ValueError(f"coverage: got {count} samples of {true.size} values, needs at least 2 samples and 1 value")
    quantile = student.ppf(0.5 + level / 2, count - 1) * np.sqrt(1 + 1 / count)
    inside = np.abs(true - values.mean(axis=0)) <= quantile * values.std(axis=0, ddof=1)
    return float(inside.mean())
