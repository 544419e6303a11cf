"""Joins what network and hand detector saw to a probability per landmark and frame that the landmark is visible.

An occlusion has a beginning and an end and covers neighbouring landmarks, so the probabilities are smoothed over the
face mesh and over time, and a landmark changes its state only if the evidence is strong (hysteresis).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import median_filter
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logit

from occlufacediff.face_mesh import LEFT_EYE, LIPS, LIPS_INNER, MESH_POINTS, RIGHT_EYE
from occlufacediff.frame_blocks import blocks_of, by_blocks
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.landmarks.topology import mesh_edges
from occlufacediff.media.rates import FPS

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: A landmark becomes hidden if its probability falls below `ENTER`, and visible again if it rises above `LEAVE`. Both
#: are at least one half: what is uncertain counts as hidden.
ENTER, LEAVE = 0.6, 0.75
#: Before and after it is hidden, a landmark is not used for the motion as long as its probability is below this.
UNCERTAIN = 0.9
#: Looks of the median filter over time; what is seen in a single look is ignored.
MEDIAN_LOOKS = 3
#: Something is worn if it hides at least this part of the mouth for at least this number of frames. Landmarks that it
#: hides in at least `WORN_SHARE` of these frames are hidden in all of them.
WORN_MOUTH, WORN_FRAMES, WORN_SHARE = 0.9, FPS, 0.67
#: Smallest number of connected hidden landmarks.
MIN_POINTS = 16
#: Landmarks are looked up closer to the middle of the face, because those at its edge lie on the background.
SHRINK = 0.94
#: Landmarks that are computed at once where all frames are needed: bounds the memory for long clips.
_LANDMARKS = 64
#: Logit of a landmark that is clearly visible, and percentile over the frames of a clip that counts as usual.
USUAL_LOGIT, USUAL_PERCENTILE = 3.0, 75


def sampled(maps: Float, landmarks: NDArray[np.floating]) -> Float:
    """Probabilities (T, 468) at landmarks (T, 468, 2), crop coordinates, in maps (T, P, P) of the crop."""
    middle = landmarks.mean(axis=1, keepdims=True)
    edge = maps.shape[-1]
    pixels = (middle + SHRINK * (landmarks - middle) + 1) * (edge / 2) - 0.5
    x, y = np.asarray(pixels, np.float32).transpose(2, 0, 1)
    rows = [
        cv2.remap(values, x[number : number + 1], y[number : number + 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        for number, values in enumerate(maps)
    ]
    return np.asarray(np.concatenate(rows), np.float32)


def between(values: Float, at: NDArray[np.integer], frames: int) -> Float:
    """Values (T, L) of all frames from those (K, L) of the frames ``at`` (K,), interpolated linearly."""
    if len(at) == 0:
        return np.ones((frames, values.shape[1]), np.float32)
    times = np.arange(frames)
    after = np.clip(np.searchsorted(at, times), 0, len(at) - 1)
    before = np.maximum(after - (at[after] > times), 0)
    gap = np.maximum(at[after] - at[before], 1)
    share = np.clip((times - at[before]) / gap, 0, 1)[:, None]
    return by_blocks(
        lambda share, before, after: (1 - share) * values[before] + share * values[after],
        share,
        before,
        after,
        dtype=np.float32,
    )


def calibrated(probability: Float) -> Float:
    """Probabilities (K, 468) of K looks, relative to what is usual for each landmark in this clip.

    The logits of a landmark that is usually visible, but less clearly than `USUAL_LOGIT`, are raised by half of the
    difference. So a beard, which makes all frames a little uncertain, does not count as hidden. A landmark that is
    usually hidden, as under a face mask, is not changed.
    """
    if not len(probability):
        return probability
    parts = list(blocks_of(probability.shape[1], _LANDMARKS))
    usual = np.concatenate([np.percentile(_logits(probability[:, part]), USUAL_PERCENTILE, axis=0) for part in parts])
    shift = np.where(usual > 0, np.maximum(USUAL_LOGIT - usual, 0) / 2, 0)
    return by_blocks(lambda values: expit(_logits(values) + shift), probability, dtype=np.float32)


def _logits(probability: Float) -> Float:
    return np.asarray(logit(np.clip(probability, 0.01, 0.99)), np.float32)


def smoothed(probability: Float) -> Float:
    """Probabilities (K, 468) of K looks, smoothed over the mesh and by a median over time."""
    spread = by_blocks(lambda values: values @ _neighbours().T, probability, dtype=np.float32)
    return np.asarray(median_filter(spread, size=(MEDIAN_LOOKS, 1), mode="nearest")) if len(spread) else spread


def hidden_landmarks(probability: Float, leave: float = LEAVE) -> Mask:
    """(T, 468) True where a landmark is hidden.

    Args:
        probability: (T, 468) smoothed probabilities that landmarks are visible.
        leave: a landmark is hidden as long as its probability is below this, if it falls below `ENTER` meanwhile.
    """
    hidden = np.empty(probability.shape, bool)
    for part in blocks_of(hidden.shape[1], _LANDMARKS):
        hidden[:, part] = _hysteresis(probability[:, part] < ENTER, probability[:, part] < leave)
    for row in hidden:
        if row.any():
            row &= large_groups(row)
    return _worn(hidden)


def _worn(hidden: Mask) -> Mask:
    """Hidden landmarks (T, 468), steady while something is worn, as a face mask is: it does not change its place."""
    covered = hidden[:, LIPS].mean(axis=1) >= WORN_MOUTH
    edges = np.flatnonzero(np.diff(np.r_[False, covered, False].astype(np.int8))).reshape(-1, 2)
    out = hidden.copy()
    for start, end in edges:
        if end - start >= WORN_FRAMES:
            out[start:end] |= hidden[start:end].mean(axis=0) >= WORN_SHARE
    return out


def _hysteresis(strong: Mask, weak: Mask) -> Mask:
    """Runs of ``weak`` frames (T, L) that contain a ``strong`` one."""
    frames, points = weak.shape
    padded = np.zeros((frames + 1, points), bool)
    padded[:frames] = weak
    flat = padded.T.ravel()
    starts = np.flatnonzero(flat & ~np.r_[False, flat[:-1]])
    ends = np.flatnonzero(flat & ~np.r_[flat[1:], False]) + 1
    total = np.r_[0, np.cumsum(np.r_[strong, np.zeros((1, points), bool)].T.ravel())]
    kept = total[ends] > total[starts]
    change = np.zeros(len(flat) + 1, np.int32)
    np.add.at(change, starts[kept], 1)
    np.add.at(change, ends[kept], -1)
    return np.cumsum(change)[:-1].reshape(points, frames + 1).T[:frames] > 0


def large_groups(hidden: Mask) -> Mask:
    """(468,) True for hidden landmarks in connected groups of at least `MIN_POINTS`."""
    edges = mesh_edges()
    inside = edges[hidden[edges].all(axis=1)]
    graph = sparse.coo_matrix((np.ones(len(inside)), inside.T), shape=(MESH_POINTS, MESH_POINTS))
    _, group = connected_components(graph, directed=False)
    return np.asarray(np.bincount(group)[group] >= MIN_POINTS)


@cache
def _neighbours() -> sparse.csr_matrix:
    """Matrix (468, 468) that replaces each value by the mean over the point and its neighbours in the mesh."""
    edges = mesh_edges()
    ones = np.ones(len(edges))
    graph = sparse.coo_matrix((ones, edges.T), shape=(MESH_POINTS, MESH_POINTS))
    graph = graph + graph.T + sparse.identity(MESH_POINTS)
    return sparse.csr_matrix(sparse.diags(1 / np.asarray(graph.sum(axis=1)).ravel()) @ graph)


@cache
def triangles() -> NDArray[np.intp]:
    """Triangles (F, 3) of the face mesh: triples of points that are connected with each other."""
    edges = mesh_edges()
    neighbours: list[set[int]] = [set() for _ in range(MESH_POINTS)]
    for first, second in edges:
        neighbours[first].add(int(second))
    found = [(int(a), int(b), c) for a, b in edges for c in sorted(neighbours[a] & neighbours[b]) if c > b]
    return np.array(found, np.intp)


def drawn(hidden: Mask, landmarks: NDArray[np.floating]) -> Mask:
    """Pixels (224, 224) of the crop that hidden landmarks (468,) cover: triangles with at least two hidden corners.

    The mesh has no triangles inside lips and eyes; these are covered if half of their rim is.

    Args:
        hidden: (468,) True where hidden.
        landmarks: (468, 2) crop coordinates.
    """
    out = np.zeros((CROP_PX, CROP_PX), np.uint8)
    corners = triangles()
    chosen = corners[hidden[corners].sum(axis=1) >= 2]
    if len(chosen):
        fixed = np.round((np.asarray(landmarks, np.float64) + 1) * (CROP_PX / 2)).astype(np.int32)
        for triangle in chosen:
            cv2.fillConvexPoly(out, fixed[triangle], (1,))
        for rim in (LIPS_INNER, LEFT_EYE, RIGHT_EYE):
            if hidden[list(rim)].mean() >= 0.5:
                cv2.fillPoly(out, [fixed[list(rim)]], (1,))
    return out.astype(np.bool_)
