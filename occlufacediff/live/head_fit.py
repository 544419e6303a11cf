"""The landmark fit of a live session: a frame at a time, from the last frame's coefficients.

Each frame minimises the terms of `head.fit` with its own landmarks and two priors: the ridge of `head.fit`, and a
random walk from the prediction. The prediction is the last frame, of which every coefficient approaches its average
motion of this session. Coefficients whose landmarks are visible follow these landmarks. Those of which less than
`KNOWN` is visible keep the prediction, so they approach the average motion with the time constant `DECAY_S`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.head.fit import LEAST_VISIBLE, first_guess, fit_priors, landmark_weights
from occlufacediff.head.fit_errors import PX
from occlufacediff.head.fit_solver import Layout, Problem
from occlufacediff.head.landmark_basis import Array, LandmarkBasis
from occlufacediff.landmarks.normalise import CROP_PX, to_crop
from occlufacediff.media.rates import FPS

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Time constant of the approach to the average motion, seconds.
DECAY_S = 0.4
#: Time constant of the average motion, seconds.
AVERAGE_S = 10.0
#: Standard deviations of a step of 1/25 s: expression, jaw (radians), head (radians), log of the scale.
EXP_STEP, JAW_STEP, TURN_STEP, SCALE_STEP = 0.25, 0.15, 0.1, 0.05
#: Gauss-Newton steps of a frame, and of the first one after a gap.
STEPS, FIRST_STEPS = 2, 6
#: Seconds without a face after which the pose starts again.
GAP_S = 0.5
#: A coefficient counts as known where this share of its landmarks' movement is visible.
KNOWN = 0.5
#: Seconds in which a new identity replaces the last one.
BLEND_S = 0.4
#: Mean error in pixels of the crop above which the next frame starts again.
_LOST_PX = 12.0
#: Precision of the prediction of hidden coefficients.
_FIRM = 1e6
#: The identity's coefficients of a basis whose identity is fixed.
_FIXED = np.zeros(0)


def live_settings(settings: ReconstructionSettings) -> ReconstructionSettings:
    """Settings whose expression stays in the range that other programs accept, 0 to 1."""
    return replace(settings, exp_min=0.0, exp_max=1.0, jaw_min=0.0)


@dataclass(frozen=True, eq=False)
class Pose:
    """The head of one frame.

    Attributes:
        exp: (E,) expression in [0, 1].
        jaw, global_pose: (3,) axis-angle, radians.
        scale: length of a metre in pixels of the picture.
        offset: (2,) place of the head model's origin in the picture, pixels, y down.
        error_px: mean distance to the visible landmarks, pixels of the crop; NaN without landmarks.
        known: (E + 3,) share of the movement of each coefficient's landmarks that is visible; the last 3 are the jaw's.
    """

    exp: Float
    jaw: Float
    global_pose: Float
    scale: float
    offset: Float
    error_px: float
    known: Float


class CausalFit:
    """Fits frame after frame.

    Args:
        basis: the head model at its landmarks.
        settings: of the fit; see `live_settings`.
    """

    def __init__(self, basis: LandmarkBasis, settings: ReconstructionSettings) -> None:
        self._at = at = Layout(basis.n_exp)
        self._basis = basis
        self._unit = PX / settings.noise_px
        self._priors = fit_priors(basis, settings)
        self._ridge = self._priors.ridge
        self._weights = landmark_weights(basis, settings)
        self._reach = _reach(basis)
        self._walk = np.zeros(at.size)
        for where, step in ((at.exp, EXP_STEP), (at.jaw, JAW_STEP), (at.turn, TURN_STEP), (at.scale, SCALE_STEP)):
            self._walk[where] = step**-2
        self._average = np.zeros(at.exp.stop + 3)
        self._seen_s = np.zeros(at.exp.stop + 3)
        self._state = np.zeros(at.size)
        self._box: Float | None = None
        self._gap_s = np.inf
        self._shape = self._next_shape = np.zeros(basis.n_shape)
        nothing = np.zeros((1, len(basis.indices)))
        person = basis.with_shape(self._shape)
        self._problem = Problem(person, np.zeros((1, len(basis.indices), 2)), nothing, self._priors, self._state[None])

    @property
    def shape(self) -> Array:
        """(S,) identity of the last frame."""
        return self._shape

    def set_identity(self, shape: NDArray[np.floating]) -> None:
        """Use another identity (S,) from now on; it replaces the last one within `BLEND_S`."""
        self._next_shape = np.asarray(shape, np.float64)

    def step(self, landmarks: Float, visible: Mask, box: Float, seconds: float) -> Pose:
        """Fit one frame.

        Args:
            landmarks: (468 or more, 2) pixels of the picture.
            visible: (468,) which of them are visible.
            box: crop box ``(x0, y0, size)``, pixels of the picture.
            seconds: since the last frame.
        """
        points = to_crop(landmarks[self._basis.indices], box)
        seen = np.isfinite(points).all(axis=1) & visible[self._basis.indices]
        if seen.sum() < LEAST_VISIBLE:
            return self.coast(seconds)
        self._blend(seconds)
        expected = self._predicted(seconds)
        problem = self._problem
        problem.targets = (np.where(seen[:, None], points, 0) * np.array([1, -1]) * self._unit)[None]
        problem.weights = (seen * self._weights)[None]
        steps = STEPS
        if self._box is None or self._gap_s > GAP_S:
            state = first_guess(problem, _FIXED, expected[None])
            expected, steps = state[0].copy(), FIRST_STEPS
        else:
            self._move(expected, self._box, box)
            state = expected[None].copy()
        known = self._known(seen)
        self._set_prior(expected, known, seconds)
        for _ in range(steps):
            state = problem.step_in_time(_FIXED, state)
        fitted = problem.project(_FIXED, state)[0]
        error = np.linalg.norm(fitted - problem.targets[0], axis=1)[seen].mean() / self._unit * PX
        if not np.isfinite(state).all() or error > _LOST_PX:
            self._gap_s = np.inf
            return self.coast(seconds)
        self._state, self._box, self._gap_s = state[0], np.asarray(box, np.float32), 0.0
        self._learn(known, seconds)
        return self._pose(float(error), known)

    def coast(self, seconds: float) -> Pose:
        """The next frame without landmarks: the face approaches the average motion, the head stays."""
        self._blend(seconds)
        self._state = self._predicted(seconds)
        self._gap_s += seconds
        return self._pose(float("nan"), np.zeros_like(self._average))

    def _predicted(self, seconds: float) -> Array:
        state, face = self._state.copy(), slice(0, len(self._average))
        state[face] = self._average + np.exp(-seconds / DECAY_S) * (state[face] - self._average)
        return np.clip(state, self._priors.low, self._priors.high)

    def _set_prior(self, expected: Array, known: Array, seconds: float) -> None:
        """One quadratic term that is the sum of ridge and random walk."""
        walk = self._walk / max(seconds * FPS, 0.1)
        mean, hidden, face = np.zeros_like(expected), known < KNOWN, slice(0, len(known))
        # What is hidden stays at the prediction: the neutral face, or landmarks at its edge, do not draw it away.
        mean[face] = np.where(hidden, expected[face], 0)
        walk[face] = np.where(hidden, _FIRM, walk[face])
        total = np.maximum(self._ridge + walk, 1e-9)
        self._problem.priors = replace(self._priors, ridge=self._ridge + walk, velocity=0 * walk, acceleration=0 * walk)
        self._problem.mean = ((self._ridge * mean + walk * expected) / total)[None]

    def _known(self, seen: Mask) -> Array:
        """(E + 3,) share of the movement of each coefficient's landmarks that is visible."""
        share: Array = self._reach @ seen
        return share

    def _learn(self, known: Array, seconds: float) -> None:
        """Update the average motion by coefficients that are known."""
        sure = known > 0.9
        self._seen_s += np.where(sure, seconds, 0)
        share = np.where(sure, seconds / np.clip(self._seen_s, seconds, AVERAGE_S), 0)
        self._average += share * (self._state[: len(known)] - self._average)

    def _blend(self, seconds: float) -> None:
        if self._shape is not self._next_shape:
            left = self._next_shape - self._shape
            close = np.abs(left).max() < 1e-3
            self._shape = self._next_shape if close else self._shape + left * min(1, 3 * seconds / BLEND_S)
            self._problem.basis = self._basis.with_shape(self._shape)

    def _move(self, state: Array, before: Float, after: Float) -> None:
        """Change the camera of ``state`` from the crop ``before`` to the crop ``after``."""
        at, edge = self._at, (CROP_PX - 1) / CROP_PX * 2
        old, new = float(before[2]) / edge, float(after[2]) / edge  # pixels of the picture in a unit of the crop
        place = state[at.place] / self._unit * np.array([1, -1])
        place = ((place + 1) * old + before[:2] - after[:2]) / new - 1
        state[at.place] = place * np.array([1, -1]) * self._unit
        state[at.scale] += np.log(old / new)

    def _pose(self, error_px: float, known: Array) -> Pose:
        at, state = self._at, self._state
        box = self._box if self._box is not None else np.array([0, 0, 1], np.float32)
        pixels = float(box[2]) / ((CROP_PX - 1) / CROP_PX * 2)
        place = (state[at.place] / self._unit * np.array([1, -1]) + 1) * pixels + box[:2]
        return Pose(
            exp=state[at.exp].astype(np.float32),
            jaw=state[at.jaw].astype(np.float32),
            global_pose=state[at.turn].astype(np.float32),
            scale=float(np.exp(state[at.scale])) / self._unit * pixels,
            offset=place.astype(np.float32),
            error_px=error_px,
            known=known.astype(np.float32),
        )


def _reach(basis: LandmarkBasis) -> Array:
    """(E + 3, L) share of each landmark in the squared movement by a coefficient; rows sum to 1."""
    exp = (basis.points.exp**2).sum(axis=1).T
    jaw = np.repeat((basis.levers.base**2).sum(axis=1)[None], 3, axis=0)
    reach = np.concatenate([exp, jaw])
    shares: Array = reach / np.maximum(reach.sum(axis=1, keepdims=True), 1e-20)
    return shares
