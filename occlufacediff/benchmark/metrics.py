"""Errors of a reconstructed motion at the landmarks that were occluded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.benchmark.recording import to_mesh_points
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import FitResult
from occlufacediff.head.fit_errors import PX
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy

Float = NDArray[np.float32]

#: Outer corners of eyes and mouth.
EYE_SPAN, MOUTH_SPAN = (33, 263), (61, 291)
#: Lags at which the lip openings are compared, frames.
LAGS = range(-10, 11)
#: Smallest number of occluded frames for a correlation, and smallest standard deviation of the true value, crop px.
LEAST_FRAMES, LEAST_SPREAD_PX = 12, 0.5
UNITS = {
    "hidden_px": "px",
    "lips_px": "px",
    "hidden_of_eye_span": "%",
    "lips_of_eye_span": "%",
    "opening_error_px": "px",
    "opening_correlation": "",
    "width_correlation": "",
    "jerk_ratio": "",
    "best_lag": "frames",
}


def lip_opening(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance (T,) between the middles of the inner lips of landmarks (T, 468, 2)."""
    return _distance(points, (INNER_LIP_TOP, INNER_LIP_BOTTOM))


def posed_landmarks(asset: HeadAsset, basis: LandmarkBasis, motion: Float, fit: FitResult) -> Float:
    """Landmarks (T, 468, 2), crop coordinates, of a motion (T, E + 3) with the identity, pose and camera of a fit."""
    vertices = vertices_numpy(asset, fit.shape, motion[:, :-3], fit.global_pose, motion[:, -3:])
    return to_mesh_points(basis, project_numpy(landmarks_numpy(asset, vertices), fit.cam).astype(np.float32))


def measure(points: Float, truth: Float, scored: NDArray[np.bool_], frames: NDArray[np.bool_]) -> dict[str, float]:
    """Metrics of one motion.

    Args:
        points: (T, 468, 2) its landmarks, crop coordinates.
        truth: (T, 468, 2) the true landmarks.
        scored: (T, 468) landmarks that were occluded.
        frames: (T,) the occluded span.

    Returns:
        A value for each key of `UNITS`; NaN where no landmark of that kind was occluded. ``px`` are pixels of the 224
        crop. ``jerk_ratio`` is the mean third difference of the lips divided by that of the truth. ``best_lag`` is the
        lag at which the lip opening correlates best with the true one (positive: late).
    """
    distance = np.linalg.norm(points - truth, axis=-1) * PX
    usable = scored & np.isfinite(distance)
    lips = np.zeros_like(usable)
    lips[:, LIPS] = usable[:, LIPS]
    span = float(np.nanmean(_distance(truth, EYE_SPAN))) * PX
    values = {name: float("nan") for name in UNITS}
    if usable.any():
        values["hidden_px"] = float(distance[usable].mean())
        values["hidden_of_eye_span"] = 100 * values["hidden_px"] / span
    if not lips.any():
        return values
    values["lips_px"] = float(distance[lips].mean())
    values["lips_of_eye_span"] = 100 * values["lips_px"] / span
    inside = frames & lips.any(axis=1)
    predicted, true = PX * lip_opening(points), PX * lip_opening(truth)
    values["opening_error_px"] = float(np.abs(predicted - true)[inside].mean())
    values["opening_correlation"] = _correlation(predicted[inside], true[inside])
    values["width_correlation"] = _correlation(
        PX * _distance(points, MOUTH_SPAN)[inside], PX * _distance(truth, MOUTH_SPAN)[inside]
    )
    run = np.flatnonzero(inside)
    if len(run) > 3:
        between = slice(run[0], run[-1] + 1)
        jerks = [np.abs(np.diff(one[between][:, LIPS], n=3, axis=0)).mean() for one in (points, truth)]
        values["jerk_ratio"] = float(jerks[0] / jerks[1]) if jerks[1] > 0 else float("nan")
    if np.isfinite(values["opening_correlation"]):
        by_lag = {lag: _correlation(*_shifted(predicted, true, run, lag)) for lag in LAGS}
        finite = {lag: value for lag, value in by_lag.items() if np.isfinite(value)}
        values["best_lag"] = float(max(finite, key=lambda lag: finite[lag])) if finite else float("nan")
    return values


def _shifted(predicted: NDArray, true: NDArray, run: NDArray[np.intp], lag: int) -> tuple[NDArray, NDArray]:
    """Predicted values ``lag`` frames after the true ones, where both are frames of the run."""
    frames = run[np.isin(run + lag, run)]
    return predicted[frames + lag], true[frames]


def _distance(points: NDArray[np.floating], pair: tuple[int, int]) -> NDArray[np.float64]:
    return np.linalg.norm(points[:, pair[0]] - points[:, pair[1]], axis=-1).astype(np.float64)


def _correlation(predicted: NDArray, true: NDArray) -> float:
    """Correlation over the frames; 0 for a constant prediction, NaN for a constant truth."""
    if len(true) < LEAST_FRAMES or true.std() < LEAST_SPREAD_PX:
        return float("nan")
    if predicted.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(predicted, true)[0, 1])
