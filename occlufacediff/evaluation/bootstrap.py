"""Percentile bootstrap over subjects or clips: intervals of means and correlations, vectorised over columns."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]

LEVEL = 0.95
#: Smallest number of clips for an interval over clips, and of subjects for an interval over subjects.
LEAST_CLIPS, LEAST_SUBJECTS = 3, 2


def drawn_indices(units: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (draws, units) of units drawn with replacement."""
    return rng.integers(0, units, size=(draws, units))


def limits(statistics: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Percentiles of statistics (draws, ...) that enclose `LEVEL` of the draws; draws with NaN are left out."""
    outside = 100 * (1 - LEVEL) / 2
    percentile = np.nanpercentile if np.isnan(statistics).any() else np.percentile
    low, high = percentile(statistics, [outside, 100 - outside], axis=0)
    return low, high


def interval(
    statistic: Callable[..., Any], draws: int, seed: int, *samples: NDArray[np.floating]
) -> tuple[float, float]:
    """Interval of a statistic that has the argument ``axis``; several samples (K,) are drawn in pairs."""
    indices = drawn_indices(len(samples[0]), draws, np.random.default_rng(seed))
    low, high = limits(np.asarray(statistic(*(sample[indices] for sample in samples), axis=-1)))
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Resampling:
    """Bootstrap draws of the clips of a table.

    Whole subjects are drawn, each with all its clips: clips of one subject are not independent. With one subject,
    clips are drawn.

    Attributes:
        over: what is drawn.
        membership: (U, C) 1 where clip C belongs to unit U.
        counts: (draws, U) how often each unit was drawn.
    """

    over: Literal["subjects", "clips"]
    membership: csr_array
    counts: Floats

    @classmethod
    def of(cls, clips: Sequence[tuple[str, str]], draws: int, seed: int) -> Resampling:
        """Draws for clips ``(subject, clip)``. They depend on the seed and the names of the units, not on their order.

        Raises:
            ValueError: there is no clip, or a clip is listed twice.
        """
        if not clips or len(set(clips)) < len(clips):
            raise ValueError(f"clips: got {len(clips)} with {len(set(clips))} different names, needs different ones")
        several = len({subject for subject, _ in clips}) > 1
        names = [subject if several else f"{subject}/{clip}" for subject, clip in clips]
        places = {name: place for place, name in enumerate(sorted(set(names)))}
        rows = np.array([places[name] for name in names])
        membership = csr_array((np.ones(len(names)), (rows, np.arange(len(names)))), shape=(len(places), len(names)))
        rng = np.random.default_rng([seed, zlib.crc32("\n".join(places).encode())])
        drawn = drawn_indices(len(places), draws, rng) + len(places) * np.arange(draws)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=draws * len(places)).reshape(draws, -1)
        return cls("subjects" if several else "clips", membership, counts.astype(np.float64))

    @property
    def least(self) -> int:
        """Smallest number of units with a value for an interval."""
        return LEAST_SUBJECTS if self.over == "subjects" else LEAST_CLIPS


@dataclass(frozen=True, eq=False)
class Estimates:
    """A statistic of each of K columns.

    Attributes:
        value: (K,) the statistic of all clips; NaN without a clip.
        drawn: (draws, K) the statistic of each draw.
        clips: (K,) number of clips with a value.
        units: (K,) number of subjects (or clips) with a value.
        least: smallest number of units for an interval.
    """

    value: Floats
    drawn: Floats
    clips: NDArray[np.int64]
    units: NDArray[np.int64]
    least: int

    def limits(self) -> tuple[Floats, Floats]:
        """Limits (K,) of the intervals; NaN where there are too few units."""
        low, high = np.full((2, len(self.value)), np.nan)
        enough = (self.units >= self.least) & np.isfinite(self.value)
        if enough.any():
            low[enough], high[enough] = limits(self.drawn[:, enough])
        return low, high


def means(values: Floats, weights: Floats, resampling: Resampling) -> Estimates:
    """Weighted means of columns of values (C, K), without NaN, weights (C, K)."""
    there = np.isfinite(values)
    products = resampling.membership @ np.where(there, values * weights, 0.0)
    totals = resampling.membership @ np.where(there, weights, 0.0)
    return Estimates(
        _ratio(products.sum(axis=0), totals.sum(axis=0)),
        _ratio(resampling.counts @ products, _drawn_totals(resampling.counts, totals)),
        there.sum(axis=0),
        (resampling.membership @ there.astype(np.float64) > 0).sum(axis=0),
        resampling.least,
    )


def _drawn_totals(counts: Floats, totals: Floats) -> Floats:
    """``counts @ totals``; equal columns, the usual case, are computed once."""
    if totals.shape[1] > 1 and (totals == totals[:, :1]).all():
        return np.asarray(counts @ totals[:, :1])
    return np.asarray(counts @ totals)


def correlations(first: Floats, second: Floats, resampling: Resampling) -> Estimates:
    """Pearson's correlation over clips of two tables of columns (C, K), over clips with both values.

    NaN for a column, or a draw, in which one of both does not vary.
    """
    there = np.isfinite(first) & np.isfinite(second)
    # Shifted to the mean: the sums of squares lose fewer digits.
    x, y = (np.where(there, one - _column_means(one, there), 0.0) for one in (first, second))
    sums = [resampling.membership @ part for part in (there.astype(np.float64), x, y, x * x, y * y, x * y)]
    return Estimates(
        _correlation(*(part.sum(axis=0) for part in sums)),
        _correlation(*(resampling.counts @ part for part in sums)),
        there.sum(axis=0),
        (sums[0] > 0).sum(axis=0),
        max(resampling.least, LEAST_CLIPS) if resampling.over == "clips" else resampling.least,
    )


def _column_means(values: Floats, there: NDArray[np.bool_]) -> Floats:
    return _ratio(np.where(there, values, 0.0).sum(axis=0), there.sum(axis=0).astype(np.float64))


def _correlation(n: Floats, x: Floats, y: Floats, xx: Floats, yy: Floats, xy: Floats) -> Floats:
    variances = (n * xx - x * x) * (n * yy - y * y)
    # Rounding leaves a tiny variance in a constant column.
    scale = (n * xx) * (n * yy)
    return _ratio(n * xy - x * y, np.sqrt(np.where(variances > 1e-12 * scale, variances, 0.0)))


def _ratio(one: Floats, other: Floats) -> Floats:
    other = np.broadcast_to(other, np.shape(one))
    return np.divide(one, other, out=np.full(np.shape(one), np.nan), where=other > 0)
