"""Measures of lip reading and of emotion recognition: right answers, likeness of features, lip-sync errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def frame_accuracy(truth: ArrayLike, read: ArrayLike, chosen: ArrayLike) -> float | None:
    """Share of the ``chosen`` frames (T,) in which ``read`` (T,) equals ``truth`` (T,); None if none is chosen."""
    where = np.asarray(chosen, dtype=bool)
    if not where.any():
        return None
    return float((np.asarray(truth)[where] == np.asarray(read)[where]).mean())


def top_share(scores: ArrayLike, label: int, most: int) -> float:
    """Share of frames in which ``label`` is among the ``most`` highest of the scores (T, C).

    Equal scores count against the label.
    """
    values = np.asarray(scores, dtype=np.float64)
    above = (values >= values[:, [label]]).sum(axis=1) - 1
    return float((above < most).mean())


def cosine(first: ArrayLike, second: ArrayLike) -> float:
    """Mean over frames of the cosine of two features (T, C); a frame in which one is zero counts as 0.

    Raises:
        ValueError: the two differ in shape.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape:
        raise ValueError(f"features differ in shape: {one.shape} and {two.shape}")
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    products = (one * two).sum(axis=1)
    return float(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).mean())


def sync_errors(video: ArrayLike, audio: ArrayLike, shifts: int) -> tuple[float, float]:
    """LSE-C and LSE-D of SyncNet's embeddings (N, C) of N windows of video and audio.

    The distance at an offset k is the mean over windows i of the Euclidean distance of video i and audio i + k, for k
    from ``-shifts`` to ``shifts``. As in SyncNet's evaluation, audio outside the clip counts as zero.
    LSE-D is the smallest distance over the offsets, LSE-C the median minus the smallest.

    Raises:
        ValueError: the two differ in shape, or there is no window.
    """
    one, two = np.asarray(video, dtype=np.float64), np.asarray(audio, dtype=np.float64)
    if one.shape != two.shape or one.ndim != 2 or not len(one):
        raise ValueError(f"embeddings: got shapes {one.shape} and {two.shape}, needs two of the same shape (N, C)")
    padded = np.pad(two, ((shifts, shifts), (0, 0)))
    distances = np.array([np.linalg.norm(one - padded[k : k + len(one)], axis=1).mean() for k in range(2 * shifts + 1)])
    return float(np.median(distances) - distances.min()), float(distances.min())
