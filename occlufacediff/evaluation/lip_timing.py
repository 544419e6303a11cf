"""Timing of the lips: dynamic time warping of lip openings, and the temporal misalignment of their extrema.

Time warping aligns two series of equal length within a band of `BAND` frames, so time and memory grow linearly with the
length. Definitions with sources: docs/metrics.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Largest shift that time warping considers, frames: 1 s at 25 fps.
BAND = 25
#: Standard deviation of the smoothing before the derivative, frames.
SMOOTH_FRAMES = 2.0
#: Smallest prominence of an extremum of the lip opening, mm.
PROMINENCE_MM = 0.5
#: Extrema match if they are at most this far from the warping path, frames.
TOLERANCE = 2


def warping_path(first: ArrayLike, second: ArrayLike, band: int = BAND) -> tuple[Ints, Ints]:
    """Frames of the cheapest alignment of two series (T,): the sum of absolute differences along the path is least.

    Steps go one frame forward in one series or in both. Frames further apart than ``band`` are never aligned. Among
    equal costs, a step in both series is preferred.

    Returns:
        Frames (P,) of the first and of the second series.

    Raises:
        ValueError: the series are empty or differ in length.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) == 0:
        raise ValueError(f"warping_path: got shapes {a.shape} and {b.shape}, needs two equal lengths (T,)")
    frames, band = len(a), min(band, len(a))
    # Row i, column j - i + band + 1 holds the cost up to (i, j); rows and columns count from 1. One column on each side
    # stays infinite. All cells of a diagonal i + j = d are computed at once: they are `width - 2` apart.
    width = 2 * band + 3
    cost = np.full((frames + 1) * width + 1, np.inf)
    cost[band + 1] = 0.0
    for diagonal in range(2, 2 * frames + 1):
        low = max(1, diagonal - frames, -((band - diagonal) // 2))
        high = min(frames, diagonal - 1, (diagonal + band) // 2)
        if low > high:
            continue
        start, step = low * (width - 2) + diagonal + band + 1, width - 2
        cells = slice(start, start + (high - low) * step + 1, step)
        rows = np.arange(low, high + 1)
        before = np.minimum(cost[_moved(cells, width)], cost[_moved(cells, width - 1)])
        np.minimum(before, cost[_moved(cells, 1)], out=before)
        cost[cells] = before + np.abs(a[rows - 1] - b[diagonal - rows - 1])
    return _traced(cost, frames, band)


def _moved(cells: slice, back: int) -> slice:
    return slice(cells.start - back, cells.stop - back, cells.step)


def _traced(cost: Floats, frames: int, band: int) -> tuple[Ints, Ints]:
    """The path that leads to the last cell."""
    width = 2 * band + 3
    costs = cost.tolist()
    i = j = frames
    path = [(i, j)]
    while (i, j) != (1, 1):
        at = i * (width - 1) + j + band + 1
        both, one, other = costs[at - width], costs[at - width + 1], costs[at - 1]
        if both <= one and both <= other:
            i, j = i - 1, j - 1
        elif one <= other:
            i -= 1
        else:
            j -= 1
        path.append((i, j))
    rows = np.array(path[::-1], dtype=np.intp) - 1
    return rows[:, 0], rows[:, 1]


def lip_dtw(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute difference of two lip openings (T,) along their warping path, in their unit."""
    a, b = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    i, j = warping_path(a, b)
    return float(np.abs(a[i] - b[j]).mean())


def misalignment(truth: ArrayLike, predicted: ArrayLike, fps: float) -> tuple[float | None, float | None]:
    """Mean temporal misalignment of the extrema of two lip openings (T,), mm.

    Both openings are smoothed. Their derivatives are aligned by time warping. An extremum of the truth matches the
    nearest extremum of the same kind in the prediction that is within `TOLERANCE` frames of a frame aligned with it.

    Returns:
        Mean absolute time difference of matched extrema in ms, and the share of the true extrema that match. The first
        is None if none matches; both are None if the truth has no extremum.
    """
    smooth = [gaussian_filter1d(np.asarray(one, np.float64), SMOOTH_FRAMES) for one in (truth, predicted)]
    if len(smooth[0]) < 3:
        return None, None
    i, j = warping_path(*(np.gradient(one) for one in smooth))
    differences, found = [], 0
    for sign in (1.0, -1.0):
        extrema, candidates = (find_peaks(sign * one, prominence=PROMINENCE_MM)[0] for one in smooth)
        found += len(extrema)
        for frame in extrema:
            aligned = j[i == frame]
            near = candidates[(candidates >= aligned.min() - TOLERANCE) & (candidates <= aligned.max() + TOLERANCE)]
            if len(near):
                differences.append(int(np.abs(near - frame).min()))
    if not found:
        return None, None
    return (1000 / fps * float(np.mean(differences)) if differences else None), len(differences) / found
