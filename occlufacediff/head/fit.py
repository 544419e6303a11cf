"""The landmark fit: head-model coefficients of a clip from its 2D landmarks.

Unknown are the identity, one for the clip, and expression, jaw, head rotation and camera of each frame. The model is
linear except for the two rotations and the scale, so few Gauss-Newton steps suffice. The first phase solves some frames
together with the identity. The second phase starts there and solves all frames with fixed identity and smoothness over
time. Only the rows of the bases that belong to landmarks are used. MediaPipe's depth is not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import CONTOUR, IBUG_68, LIPS
from occlufacediff.head.fit_errors import PX, FitErrors
from occlufacediff.head.fit_solver import Layout, Priors, Problem, fill_gap
from occlufacediff.head.landmark_basis import EYELIDS, Array, LandmarkBasis
from occlufacediff.head.skinning import rotation_matrices

#: Frames with fewer visible landmarks do not determine a camera; their pose follows from the frames around.
LEAST_VISIBLE = 12
#: If this share of the 68 landmarks common to all detectors is occluded in all frames of the first phase, the identity
#: gets the stronger prior ``shape_sd_unseen``.
UNSEEN = 0.1
#: Frames with a pose that a piece needs on each side of a gap to fill it like its neighbour.
LEAST_SIDE = 4
#: Frames that a piece of a long clip shares with its neighbour, on each side of the seam.
MARGIN = 16
#: Frames whose fitted landmarks are computed at once; bounds the memory of long clips.
_PROJECTED = 1024


def well_seen(basis: LandmarkBasis, visible: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Frames (T,) with enough visible landmarks to determine the head's pose.

    Args:
        basis: only landmarks that this head model has are counted.
        visible: (T, 468) nonzero where a landmark is visible.
    """
    enough: NDArray[np.bool_] = (np.asarray(visible)[:, basis.indices] != 0).sum(axis=1) >= LEAST_VISIBLE
    return enough


@dataclass(frozen=True)
class FitResult:
    """Coefficients of a clip of T frames, float32, and the errors of the fit.

    Attributes:
        shape: (S,) identity.
        exp: (T, E) expression.
        jaw: (T, 3) axis-angle, radians.
        global_pose: (T, 3) axis-angle, radians.
        cam: (T, 3) weak perspective ``[s, tx, ty]`` in crop coordinates of each frame.
        landmarks: (T, L, 2) landmarks of the model, crop coordinates, y down.
        error_px: mean distance to the visible landmarks, px of the crop.
        lips_px: the same for the lip landmarks.
        opening_correlation: correlation over time of the lip opening of fit and landmarks; NaN if one is constant.
    """

    shape: NDArray[np.float32]
    exp: NDArray[np.float32]
    jaw: NDArray[np.float32]
    global_pose: NDArray[np.float32]
    cam: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    error_px: float
    lips_px: float
    opening_correlation: float


# The matrix products are small, so threads within them do not help; without, the order of sums is the same everywhere.
@threadpool_limits.wrap(limits=1)
def fit_clip(
    basis: LandmarkBasis,
    landmarks: NDArray[np.floating],
    *,
    settings: ReconstructionSettings,
    boxes: NDArray[np.floating] | None = None,
    visible: NDArray[np.generic] | None = None,
    shape: NDArray[np.floating] | None = None,
    expected: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    start: FitResult | None = None,
    threads: int = 1,
) -> FitResult:
    """Fit the head model to the landmarks of a clip.

    Args:
        basis: the head at its landmarks, `LandmarkBasis.of(asset)`.
        landmarks: (T, 468 or 478, 2) crop coordinates in [-1, 1], y down; NaN counts as occluded.
        settings: weights and standard deviations.
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source px. If given, smoothness applies to the source frame, where
            the head moves smoothly, and not to the crop, whose box moves in whole pixels.
        visible: (T, 468) true or 1 where a landmark is visible; None: all are. Stretches of any length without visible
            landmarks are filled by the priors, given the frames around.
        shape: (S,) known identity; None solves it.
        expected: mean of the prior: expression (T, E) and jaw (T, 3); None for a neutral face. Ridge and smoothness
            apply to the difference from it.
        start: a fit of the same ``shape`` to the same frames and crops; the solution starts from its pose and camera.
        threads: threads that share the frames; the result does not depend on them.

    Raises:
        ValueError: an array has a wrong shape, or no frame has `LEAST_VISIBLE` visible landmarks.
    """
    frames = len(landmarks)
    if landmarks.ndim != 3 or landmarks.shape[1] < 468 or landmarks.shape[2] != 2:
        raise ValueError(f"landmarks: got shape {landmarks.shape}, needs (T, 468 or 478, 2)")
    if visible is not None and visible.shape != (frames, 468):
        raise ValueError(f"visible: got shape {visible.shape}, needs ({frames}, 468)")
    if boxes is not None and boxes.shape != (frames, 3):
        raise ValueError(f"boxes: got shape {boxes.shape}, needs ({frames}, 3)")
    priors = fit_priors(basis, settings)
    mean = _expected_state(basis, frames, expected, priors)
    seen = np.isfinite(landmarks).all(-1)[:, basis.indices]
    if visible is not None:
        seen &= np.asarray(visible[:, basis.indices]) > 0
    placed = seen.sum(1) >= LEAST_VISIBLE
    if not placed.any():
        raise ValueError(f"landmarks: no frame of {frames} has {LEAST_VISIBLE} visible landmarks")
    zoom, shift = _steady_frame(frames, boxes)
    unit, shift = zoom * (PX / settings.noise_px), shift * np.array([1, -1]) * (PX / settings.noise_px)
    importance = landmark_weights(basis, settings)

    def problem(part: slice | NDArray[np.int64], priors: Priors, threads: int = 1) -> Problem:
        points = np.where(seen[part][..., None], _points(basis, landmarks[part]), 0) * np.array([1, -1])
        targets = points * unit[part][:, None, None] + shift[part][:, None]
        weights = seen[part] * importance / zoom[part][:, None] ** 2
        return Problem(basis, targets, weights, priors, mean[part], threads)

    chosen = _select_evenly(np.flatnonzero(placed), settings.shape_frames)
    state = mean.copy()
    if shape is None:
        unseen = 1 - seen[chosen][:, np.isin(basis.indices, IBUG_68)].any(axis=0).mean()
        cautious = replace(priors, shape=settings.shape_sd_unseen**-2) if unseen >= UNSEEN else priors
        few = problem(chosen, cautious)
        identity = np.zeros(basis.n_shape)
        solved = first_guess(few, identity, state[chosen])
        for _ in range(settings.shape_iterations):
            identity, solved = few.step_with_identity(identity, solved)
        # All other frames start from values interpolated between the solved ones.
        state = np.column_stack([np.interp(np.arange(frames), chosen, column) for column in solved.T])
    else:
        identity = np.asarray(shape, dtype=np.float64)
    identity = identity.astype(np.float32).astype(np.float64)
    if start is not None:
        state[:, Layout(basis.n_exp).jaw.stop :] = _pose_and_camera(basis, identity, start, unit, shift)
    # With a given identity no frame is solved yet, so one more step is needed.
    steps = settings.motion_iterations + (shape is not None and start is None)
    pieces = _pieces(frames, settings.piece_frames)
    for outer, inner in pieces:
        if not placed[outer].any():
            continue
        piece = problem(outer, priors, threads)
        guess = first_guess(piece, identity, state[outer]) if start is None else state[outer]
        for _ in range(steps):
            guess = piece.step_in_time(identity, guess)
        state[inner] = guess[inner.start - outer.start : inner.stop - outer.start]
    for gap in _gaps_over_seams(placed, [inner.start for _, inner in pieces[1:]]):
        state[gap] = fill_gap(state, gap, mean, priors)
    return _result(basis, identity, state, landmarks, seen, unit, shift)


def _points(basis: LandmarkBasis, landmarks: NDArray[np.floating]) -> Array:
    """The head's landmarks (T, L, 2) of the detector's (T, 468 or 478, 2)."""
    return np.asarray(landmarks[:, basis.indices], dtype=np.float64)


def _expected_state(
    basis: LandmarkBasis,
    frames: int,
    expected: tuple[NDArray[np.floating], NDArray[np.floating]] | None,
    priors: Priors,
) -> Array:
    """Mean of the prior (T, N): the expected face within the bounds; zero for pose and camera."""
    at = Layout(basis.n_exp)
    state = np.zeros((frames, at.size))
    if expected is not None:
        exp, jaw = expected
        if exp.shape != (frames, basis.n_exp) or jaw.shape != (frames, 3):
            raise ValueError(
                f"expected: got shapes {exp.shape} and {jaw.shape}, needs ({frames}, {basis.n_exp}) and ({frames}, 3)"
            )
        state[:, at.exp], state[:, at.jaw] = exp, jaw
        state = np.clip(state, priors.low, priors.high)
    return state


def _steady_frame(frames: int, boxes: NDArray[np.floating] | None) -> tuple[Array, Array]:
    """Zoom (T,) and shift (T, 2), y down, from crop coordinates to coordinates that are fixed in the source frame."""
    if boxes is None:
        return np.ones(frames), np.zeros((frames, 2))
    corner, size = np.asarray(boxes[:, :2], dtype=np.float64), np.asarray(boxes[:, 2], dtype=np.float64)
    unit = np.median(size)
    zoom = size / unit
    # Source px = corner + (v + 1) * 112 * size / 223, for v in crop coordinates.
    shift = zoom[:, None] - 1 + (corner - np.median(corner, axis=0)) * 223 / (unit * PX)
    return zoom, shift


def landmark_weights(basis: LandmarkBasis, settings: ReconstructionSettings) -> Array:
    """Weights (L,) of visible landmarks by their place in the face."""
    weights = np.ones(len(basis.indices))
    weights[basis.rows_of(CONTOUR)] = settings.contour_weight
    weights[basis.rows_of(EYELIDS)] = settings.eye_weight
    weights[basis.rows_of(LIPS)] = settings.lip_weight
    return weights


def fit_priors(basis: LandmarkBasis, settings: ReconstructionSettings) -> Priors:
    """Quadratic terms and bounds of the settings, in units of ``noise_px``."""
    at = Layout(basis.n_exp)
    px = 1 / settings.noise_px
    # The camera has no ridge. The small weight of velocities keeps occluded frames at the ends of a clip still.
    ridge, velocity, acceleration = np.zeros(at.size), np.zeros(at.size), np.zeros(at.size)
    low, high = np.full(at.size, -np.inf), np.full(at.size, np.inf)
    ridge[at.exp] = settings.exp_sd**-2
    ridge[at.jaw] = np.array([settings.jaw_sd, settings.jaw_side_sd, settings.jaw_side_sd]) ** -2.0
    acceleration[at.exp] = settings.exp_smooth_sd**-2
    acceleration[at.jaw] = settings.jaw_smooth_sd**-2
    acceleration[at.turn] = settings.pose_smooth_sd**-2
    acceleration[at.scale] = (settings.cam_smooth_sd / PX) ** -2
    acceleration[at.place] = (settings.cam_smooth_sd * px) ** -2
    velocity[at.exp.stop :] = 0.01 * acceleration[at.exp.stop :]
    low[at.exp] = np.where(basis.bounded, settings.exp_min, -np.inf)
    high[at.exp] = np.where(basis.bounded, settings.exp_max, np.inf)
    low[at.jaw.start], high[at.jaw.start] = settings.jaw_min, settings.jaw_max
    robust = settings.robust_px * px
    return Priors(settings.shape_sd**-2, ridge, velocity, acceleration, low, high, robust)


def _select_evenly(frames: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Select at most ``count`` of the frames at even distances."""
    if len(frames) <= count:
        return frames
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(np.int64)]


def _pieces(frames: int, length: int) -> list[tuple[slice, slice]]:
    """Split a clip into overlapping pieces: frames to solve, and the part of them to keep."""
    if frames <= length:
        return [(slice(0, frames), slice(0, frames))]
    count = -(-frames // (length - 2 * MARGIN))
    edges = np.linspace(0, frames, count + 1).round().astype(int).tolist()
    return [
        (slice(max(start - MARGIN, 0), min(stop + MARGIN, frames)), slice(start, stop))
        for start, stop in pairwise(edges)
    ]


def _gaps_over_seams(placed: NDArray[np.bool_], seams: list[int]) -> list[slice]:
    """Runs of frames without a pose over a seam, of which one of the two pieces knows too little of a side.

    The solutions of the two pieces differ there, or one of them was not solved at all.

    Args:
        placed: (T,) frames with enough visible landmarks.
        seams: first frames of all pieces but the first.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~placed, [False]]).astype(np.int8))).reshape(-1, 2)
    gaps = {}
    for seam in seams:
        for start, stop in edges[(edges[:, 0] < seam) & (edges[:, 1] > seam)].tolist():
            # The next piece begins, and the last one ends, `MARGIN` frames from the seam.
            before, after = placed[max(seam - MARGIN, 0) : start].sum(), placed[stop : seam + MARGIN].sum()
            if min(before, after) < LEAST_SIDE:
                gaps[start] = slice(start, stop)
    return list(gaps.values())


def first_guess(problem: Problem, shape: Array, start: Array) -> Array:
    """Start values (T, N): the face of ``start``, and the scaled rotation nearest to the least-squares affine camera.

    The pose of frames with too few visible landmarks is interpolated between the frames around.
    """
    at, weights = problem.layout, problem.weights
    frames = len(weights)
    state = start.copy()
    known = (weights > 0).sum(1) >= LEAST_VISIBLE
    local = problem.basis.local(shape, start[known][:, at.exp], start[known][:, at.jaw])
    design = np.concatenate([local, np.ones((*local.shape[:2], 1))], axis=2)
    weighted = (weights[known][..., None] * design).transpose(0, 2, 1)
    normal, right = weighted @ design, weighted @ problem.targets[known]
    affine = np.linalg.solve(normal + 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(4), right)
    left, size, across = np.linalg.svd(affine[:, :3].transpose(0, 2, 1), full_matrices=False)
    rows = left @ across
    matrix = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    found = np.column_stack([_unwrapped(matrix), np.log(size.mean(1)), affine[:, 3]])
    where = np.flatnonzero(known)
    for number, column in enumerate(found.T, start=at.turn.start):
        state[:, number] = np.interp(np.arange(frames), where, column)
    return state


def _unwrapped(matrices: Array) -> Array:
    """Axis-angle vectors (T, 3) of rotations (T, 3, 3), without jumps by a full turn between frames."""
    vectors = Rotation.from_matrix(matrices).as_rotvec()
    for number in range(1, len(vectors)):
        angle = np.linalg.norm(vectors[number])
        if angle > np.pi / 2:
            other = vectors[number] * (1 - 2 * np.pi / angle)
            if np.linalg.norm(other - vectors[number - 1]) < np.linalg.norm(vectors[number] - vectors[number - 1]):
                vectors[number] = other
    return vectors


def _pose_and_camera(basis: LandmarkBasis, shape: Array, fit: FitResult, unit: Array, shift: Array) -> Array:
    """Rotation, log of the scale and offset (T, 6) in the problem's coordinates: the inverse of `_result`."""
    turn, cam = fit.global_pose.astype(np.float64), fit.cam.astype(np.float64)
    swing = _swing(basis, shape, fit.exp.astype(np.float64), rotation_matrices(turn))
    offset = cam[:, :1] * (cam[:, 1:] - swing)
    return np.column_stack([turn, np.log(cam[:, 0] * unit), offset * unit[:, None] + shift])


def _swing(basis: LandmarkBasis, shape: Array, exp: Array, matrix: Array) -> Array:
    """Offset (T, 2) by which rotation about the head's root joint and about the origin differ.

    The head model rotates about its root joint, the problem about the origin: X = R (Y - c) + c.
    """
    root = basis.root.at(shape, exp, np.zeros((len(exp), 3, 3)))
    return np.asarray(np.einsum("tij,tj->ti", matrix[:, :2], root) - root[:, :2])


def _result(
    basis: LandmarkBasis,
    shape: Array,
    state: Array,
    landmarks: NDArray[np.floating],
    seen: NDArray[np.bool_],
    unit: Array,
    shift: Array,
) -> FitResult:
    """Convert unknowns (T, N) to coefficients with a camera in crop coordinates, and measure the errors.

    Args:
        basis: the head model at its landmarks.
        shape: (S,) identity.
        state: (T, N) unknowns.
        landmarks: (T, 468 or 478, 2) crop coordinates.
        seen: (T, L) True where they are visible.
        unit: (T,) length of a unit of crop coordinates in the unit of the problem.
        shift: (T, 2) origin of the crop in the problem's coordinates, y up.
    """
    at = Layout(basis.n_exp)
    exp, jaw, turn = state[:, at.exp], state[:, at.jaw], state[:, at.turn]
    scale = np.exp(state[:, at.scale]) / unit
    offset = (state[:, at.place] - shift) / unit[:, None]
    matrix = rotation_matrices(turn)
    cam = np.column_stack([scale, offset / scale[:, None] + _swing(basis, shape, exp, matrix)])
    fitted = np.empty((len(exp), len(basis.indices), 2), np.float32)
    errors = FitErrors(basis)
    for start in range(0, len(exp), _PROJECTED):
        part = slice(start, start + _PROJECTED)
        local = basis.local(shape, exp[part], jaw[part])
        points = scale[part, None, None] * (local @ matrix[part, :2].transpose(0, 2, 1)) + offset[part, None]
        points *= np.array([1, -1])
        errors.add(points, _points(basis, landmarks[part]), seen[part])
        fitted[part] = points
    error, lips, correlation = errors.result()
    shape_, exp_, jaw_, turn_, cam_ = (value.astype(np.float32) for value in (shape, exp, jaw, turn, cam))
    return FitResult(shape_, exp_, jaw_, turn_, cam_, fitted, error, lips, correlation)
