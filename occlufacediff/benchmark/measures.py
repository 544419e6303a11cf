"""How far a filled-in motion is from the truth, at the landmarks that were hidden."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.benchmark.recording import on_mesh
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import PX, FitResult
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy

Float = NDArray[np.float32]

#: Outer corners of eyes and mouth.
EYE_SPAN, MOUTH_SPAN = (33, 263), (61, 291)
#: Lags at which the lip opening is compared, frames.
LAGS = range(-10, 11)
#: Hidden frames that a correlation needs, and the least spread of the true value, px of the crop.
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
    """Distance (T,) between the middles of the inner lips, of landmarks (T, 468, 2)."""
    return _distance(points, (INNER_LIP_TOP, INNER_LIP_BOTTOM))


def placed(asset: HeadAsset, basis: LandmarkBasis, motion: Float, fit: FitResult) -> Float:
    """Landmarks (T, 468, 2) in crop coordinates of a motion (T, E + 3) on a fit's identity, pose and camera."""
    vertices = vertices_numpy(asset, fit.shape, motion[:, :-3], fit.global_pose, motion[:, -3:])
    return on_mesh(basis, project_numpy(landmarks_numpy(asset, vertices), fit.cam).astype(np.float32))


def measure(points: Float, truth: Float, scored: NDArray[np.bool_], frames: NDArray[np.bool_]) -> dict[str, float]:
    """Figures of one motion.

    Args:
        points: (T, 468, 2) its landmarks, crop coordinates.
        truth: (T, 468, 2) the true ones.
        scored: (T, 468) landmarks that were hidden.
        frames: (T,) the hidden span.

    Returns:
        A value for each of `UNITS`; NaN where nothing of the kind was hidden. ``px`` are pixels of the 224 crop;
        ``jerk_ratio`` is the mean third difference of the lips over the true one's; ``best_lag`` the lag at which the
        lip opening agrees best with the true one (positive: late).
    """
    distance = np.linalg.norm(points - truth, axis=-1) * PX
    usable = scored & np.isfinite(distance)
    lips = np.zeros_like(usable)
    lips[:, LIPS] = usable[:, LIPS]
    span = float(np.nanmean(_distance(truth, EYE_SPAN))) * PX
    figures = {name: float("nan") for name in UNITS}
    if usable.any():
        figures["hidden_px"] = float(distance[usable].mean())
        figures["hidden_of_eye_span"] = 100 * figures["hidden_px"] / span
    if not lips.any():
        return figures
    figures["lips_px"] = float(distance[lips].mean())
    figures["lips_of_eye_span"] = 100 * figures["lips_px"] / span
    inside = frames & lips.any(axis=1)
    ours, true = PX * lip_opening(points), PX * lip_opening(truth)
    figures["opening_error_px"] = float(np.abs(ours - true)[inside].mean())
    figures["opening_correlation"] = _correlation(ours[inside], true[inside])
    figures["width_correlation"] = _correlation(
        PX * _distance(points, MOUTH_SPAN)[inside], PX * _distance(truth, MOUTH_SPAN)[inside]
    )
    run = np.flatnonzero(inside)
    if len(run) > 3:
        whole = slice(run[0], run[-1] + 1)
        jerks = [np.abs(np.diff(one[whole][:, LIPS], n=3, axis=0)).mean() for one in (points, truth)]
        figures["jerk_ratio"] = float(jerks[0] / jerks[1]) if jerks[1] > 0 else float("nan")
    if np.isfinite(figures["opening_correlation"]):
        by_lag = {lag: _correlation(*_moved(ours, true, run, lag)) for lag in LAGS}
        known = {lag: value for lag, value in by_lag.items() if np.isfinite(value)}
        figures["best_lag"] = float(max(known, key=lambda lag: known[lag])) if known else float("nan")
    return figures


def _moved(ours: NDArray, true: NDArray, run: NDArray[np.intp], lag: int) -> tuple[NDArray, NDArray]:
    """Our values ``lag`` frames later than the true ones, where both lie in the run."""
    frames = run[np.isin(run + lag, run)]
    return ours[frames + lag], true[frames]


def _distance(points: NDArray[np.floating], pair: tuple[int, int]) -> NDArray[np.float64]:
    return np.linalg.norm(points[:, pair[0]] - points[:, pair[1]], axis=-1).astype(np.float64)


def _correlation(ours: NDArray, true: NDArray) -> float:
    """Correlation over the frames; 0 for a motion that stands still, NaN where the truth does."""
    if len(true) < LEAST_FRAMES or true.std() < LEAST_SPREAD_PX:
        return float("nan")
    if ours.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(ours, true)[0, 1])
