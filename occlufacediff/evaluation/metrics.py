"""Metrics of facial motion, as published; vectorised over frames, in float64.

T = frames, V = vertices, L = landmarks. Vertices and 3D landmarks are in metres, 2D landmarks in crop coordinates.
To measure a span of frames only, pass that span.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MM = 1000.0

#: Unit of each metric, by the names used in tables; definitions with sources are in docs/metrics.md.
UNITS: dict[str, str] = {
    "mvpe": "mm",
    "mvpe_face": "mm",
    "lve": "mm",
    "lmk_3d_mvpe": "mm",
    "mvve": "mm/s",
    "jitter": "m/s^3",
    "jaw_error": "deg",
    "expression_error": "1",
    "lmk_2d_error": "crop/2",
    "lmk_2d_error_visible": "crop/2",
    "lmk_2d_error_hidden": "crop/2",
    "mouth_closure": "crop/2",
    "mve": "mm",
    "lve_frame": "mm^2",
    "fdd": "mm^2",
    "fdd_absolute": "mm^2",
    "lip_dtw": "mm",
    "mtm": "ms",
    "lip_extrema_matched": "1",
    "lip_intensity": "mm",
    "speech_intensity": "1",
    "slcc": "1",
    "mee": "mm^2",
    "ce": "mm^2",
    "diversity": "mm",
    "coverage_50": "1",
    "coverage_90": "1",
    "viseme_accuracy": "1",
    "viseme_error_rate": "1",
    "emotion_accuracy": "1",
    "wer": "1",
    "cer": "1",
    "vwer": "1",
    "ver": "1",
    "lip_reading_cosine": "1",
    "lse_c": "1",
    "lse_d": "1",
    "emotion_top1": "1",
    "emotion_top3": "1",
}
#: Metrics that are better when higher, and metrics of which neither direction is better: a value is compared with that
#: of the truth, with zero (`fdd`) or with the nominal level (`coverage_90`).
HIGHER_IS_BETTER = frozenset(
    (
        *("slcc", "lip_extrema_matched", "viseme_accuracy", "emotion_accuracy"),
        *("lip_reading_cosine", "lse_c", "emotion_top1", "emotion_top3"),
    )
)
NO_DIRECTION = frozenset(
    ("jitter", "fdd", "lip_intensity", "speech_intensity", "diversity", "coverage_50", "coverage_90")
)
#: The method of rows about the truth itself.
TRUTH = "truth"
#: Suffix of metrics over the occluded frames only.
HIDDEN = "_hidden"
#: Suffix of metrics that are pooled over the points of all clips, beside the mean over clips.
POOLED = "_pooled"


def unit_of(metric: str) -> str:
    """Unit of a metric by its name in the tables."""
    name = metric.removesuffix(POOLED)
    name = name if name in UNITS else name.removesuffix(HIDDEN)
    return "mm" if name.startswith("mvpe") else UNITS[name]


def best_of(metric: str) -> Literal["lowest", "highest"] | None:
    """Which value of a metric is the best; None if neither direction is better."""
    name = metric.removesuffix(POOLED).removesuffix(HIDDEN)
    if name in NO_DIRECTION:
        return None
    return "highest" if name in HIGHER_IS_BETTER else "lowest"


def vertex_errors(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    """Distances (T, V), millimetres, of points (T, V, 3), metres.

    Raises:
        ValueError: the two differ in shape.
    """
    return MM * np.linalg.norm(_difference(truth, predicted), axis=-1)


def mvpe(truth: ArrayLike, predicted: ArrayLike, vertices: ArrayLike | None = None) -> float:
    """Mean distance in mm over frames and vertices (T, V, 3), or over the listed ``vertices`` only."""
    errors = vertex_errors(truth, predicted)
    return float((errors if vertices is None else errors[:, np.asarray(vertices)]).mean())


def lve(truth: ArrayLike, predicted: ArrayLike, lips: ArrayLike | None = None) -> float:
    """Mean over the lip vertices of their largest distance in mm over the frames; points (T, V, 3).

    With ``lips`` None over all points: on 3D landmarks this is ``lmk_3d_mvpe``.
    """
    errors = vertex_errors(truth, predicted)
    return float((errors if lips is None else errors[:, np.asarray(lips)]).max(axis=0).mean())


def mvve(truth: ArrayLike, predicted: ArrayLike, fps: float) -> float:
    """Mean distance of velocities in mm/s: ``mean |d truth - d predicted| * fps``; points (T, V, 3), T at least 2."""
    return float(velocity_errors(truth, predicted, fps).mean())


def velocity_errors(truth: ArrayLike, predicted: ArrayLike, fps: float) -> Floats:
    """Distances (T - 1, V) of velocities, mm/s, of points (T, V, 3), metres, T at least 2."""
    velocity = np.diff(_difference(truth, predicted, frames=2), axis=0)
    return MM * fps * np.linalg.norm(velocity, axis=-1)


def jitter(points: ArrayLike, fps: float) -> float:
    """Mean third difference over time in m/s^3: ``mean |d^3 points| * fps^3``; points (T, V, 3), T at least 4."""
    points = np.asarray(points, dtype=np.float64)
    if len(points) < 4:
        raise ValueError(f"jitter: got {len(points)} frames, needs at least 4")
    return float(np.linalg.norm(np.diff(points, n=3, axis=0), axis=-1).mean() * fps**3)


def jaw_error(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute difference of axis-angle components (T, 3) in degrees, wrapped to half a turn."""
    difference = np.abs(_difference(truth, predicted))
    # Wrapped once, as published: enough for real poses, whose differences stay below two turns.
    wrapped = np.where(difference > np.pi, np.abs(2 * np.pi - difference), difference)
    return float(np.rad2deg(wrapped).mean())


def expression_error(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute difference of expression coefficients (T, E)."""
    return float(np.abs(_difference(truth, predicted)).mean())


def lmk_2d_error(truth: ArrayLike, predicted: ArrayLike, chosen: ArrayLike | None = None) -> float:
    """Mean L1 distance ``|dx| + |dy|`` of landmarks (T, L, 2); over those with ``chosen`` (T, L) true only.

    0 if nothing is chosen, as published.
    """
    errors = np.abs(_difference(truth, predicted)).sum(axis=-1)
    if chosen is not None:
        errors = errors[np.asarray(chosen, dtype=bool)]
    return float(errors.mean()) if errors.size else 0.0


def mouth_gaps(landmarks: ArrayLike, upper: ArrayLike, lower: ArrayLike) -> Floats:
    """L1 distances (T, P) of paired upper and lower lip landmarks (P,) within landmarks (T, L, 2 or 3)."""
    landmarks = np.asarray(landmarks, dtype=np.float64)
    return np.abs(landmarks[:, np.asarray(upper)] - landmarks[:, np.asarray(lower)]).sum(axis=-1)


def mouth_closure(truth: ArrayLike, predicted: ArrayLike, upper: ArrayLike, lower: ArrayLike) -> float:
    """Mean absolute difference of ``mouth_gaps`` of landmarks (T, L, 2)."""
    _difference(truth, predicted)
    return float(np.abs(mouth_gaps(truth, upper, lower) - mouth_gaps(predicted, upper, lower)).mean())


def _difference(truth: ArrayLike, predicted: ArrayLike, frames: int = 1) -> Floats:
    first, second = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"truth and prediction differ in shape: {first.shape} and {second.shape}")
    if len(first) < frames:
        raise ValueError(f"got {len(first)} frames, needs at least {frames}")
    return first - second
