"""Metrics of talking heads that other papers report, vectorised over frames, in float64.

T = frames, V = vertices. Points are in metres. Definitions with sources: docs/metrics.md. ``observed`` (T, V) marks the
truth that counts; None: all of it. A result is None if nothing is observed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from occlufacediff.evaluation.metrics import MM

Floats = NDArray[np.float64]
Bool = NDArray[np.bool_]


def lve_frame(errors: ArrayLike, observed: Bool | None = None) -> tuple[float, int] | None:
    """Lip vertex error of CodeTalker and torchmetrics: mean over frames of the largest squared distance, mm^2.

    Args:
        errors: (T, V) distances of the lip vertices, mm.
        observed: (T, V) see the module.

    Returns:
        The mean over the frames with an observed vertex, and their number.
    """
    squared = np.asarray(errors, np.float64) ** 2
    if observed is None:
        observed = np.ones(squared.shape, bool)
    frames = observed.any(axis=1)
    if not frames.any():
        return None
    largest = np.where(observed, squared, 0.0)[frames].max(axis=1)
    return float(largest.mean()), int(frames.sum())


def dynamics(points: ArrayLike, neutral: ArrayLike, observed: Bool | None = None) -> Floats:
    """Standard deviation over time of each vertex's squared distance from the neutral face, mm^2.

    Args:
        points: (T, V, 3) vertices of the upper face.
        neutral: (T, V, 3) the same vertices of the neutral face with the same head pose.
        observed: (T, V) see the module; NaN for vertices that are observed in fewer than two frames.

    Returns:
        (V,) standard deviations.
    """
    moved = MM * (np.asarray(points, np.float64) - np.asarray(neutral, np.float64))
    squared = np.einsum("tvi,tvi->tv", moved, moved)
    if observed is None or observed.all():
        return np.asarray(squared.std(axis=0))
    count = observed.sum(axis=0)
    enough = count >= 2
    seen = np.where(observed, squared, 0.0)[:, enough]
    mean = seen.sum(axis=0) / count[enough]
    variance = (np.where(observed[:, enough], seen - mean, 0.0) ** 2).sum(axis=0) / count[enough]
    result = np.full(squared.shape[1], np.nan)
    result[enough] = np.sqrt(variance)
    return result


def fdd(truth: ArrayLike, predicted: ArrayLike, neutral: ArrayLike, observed: Bool | None = None) -> float | None:
    """Upper-face dynamics deviation of CodeTalker: mean of `dynamics` of the truth minus that of the prediction, mm^2.

    Signed: positive if the prediction moves less than the truth. Points (T, V, 3) of the upper face.
    """
    difference = dynamics(truth, neutral, observed) - dynamics(predicted, neutral, observed)
    difference = difference[np.isfinite(difference)]
    return float(difference.mean()) if len(difference) else None


def lip_intensity(points: ArrayLike, neutral: ArrayLike, observed: Bool | None = None) -> float | None:
    """Mean distance in mm of the lip vertices (T, V, 3) from the neutral face (T, V, 3) with the same head pose."""
    distance = MM * np.linalg.norm(np.asarray(points, np.float64) - np.asarray(neutral, np.float64), axis=-1)
    if observed is not None:
        distance = distance[observed]
    return float(distance.mean()) if distance.size else None


def speech_intensity(waveform: ArrayLike) -> float:
    """Root mean square of a waveform (N,), full scale 1.

    Raises:
        ValueError: the waveform is empty.
    """
    waveform = np.asarray(waveform, np.float64)
    if waveform.size == 0:
        raise ValueError("speech_intensity: got an empty waveform")
    return float(np.sqrt((waveform**2).mean()))
