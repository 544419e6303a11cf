"""Smoothing of a motion without lag, which keeps blinks and lip closures.

Each channel (expression coefficients, jaw, head rotation, gaze) is smoothed by penalised least squares (Whittaker;
Eilers, Analytical Chemistry 75, 2003): it minimises ``sum w (x - y)^2 + lambda sum s (third difference of x)^2`` over
all frames at once, so it is symmetric in time. Its gain at the frequency f is
``1 / (1 + lambda (2 sin(pi f / fps))^6)``; lambda is chosen so that the gain is 1/2 at the channel's cutoff.

- Around the minima of lip gap and eyelid gaps, data weights w rise and penalties s vanish: these frames stay.
- Where the residual of a first pass is larger than the channel's noise, the movement is real, and s falls.

Rotations are smoothed as axis-angle vectors about their mean rotation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks
from scipy.spatial.transform import Rotation

from occlufacediff.config.prediction import Smoothing
from occlufacediff.export.motion import PosedMotion
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIDS_OF_EYES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis

Array = NDArray[np.float64]

#: Order of the differences whose size is penalised.
ORDER = 3
#: Depths from which a minimum of lip gap or eyelid gap is kept, millimetres.
CLOSURE_MM, BLINK_MM = 0.5, 1.0
#: Width of the kept time around a minimum, standard deviation in seconds.
KEPT_S = 0.05
#: Additional weight of a kept frame; other frames have the weight 1.
KEPT_WEIGHT = 300.0
#: Residuals of this many standard deviations of the noise halve the penalty.
REAL = 2.0
#: Standard deviation of a normal distribution, relative to its median absolute deviation.
MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Cutoffs:
    """Frequencies at which smoothing halves a movement, Hz; ``face``: brows, cheeks and nose."""

    mouth: float
    eyes: float
    face: float
    head: float


CUTOFFS = {
    "light": Cutoffs(mouth=8.0, eyes=6.0, face=5.0, head=5.0),
    "medium": Cutoffs(mouth=6.0, eyes=4.0, face=3.0, head=3.0),
    "strong": Cutoffs(mouth=4.0, eyes=2.5, face=2.0, head=2.0),
}


def smoothed(motion: PosedMotion, head: HeadAsset, strength: Smoothing) -> PosedMotion:
    """The motion with less jitter.

    Coefficients without a name of an action (FLAME) are smoothed as the mouth, and kept at lip closures and blinks.

    Args:
        motion: T frames; T below 5 is returned unchanged.
        head: the head model.
        strength: ``off`` returns the motion unchanged.
    """
    if strength == "off" or motion.frames <= ORDER + 1:
        return motion
    cutoffs, fps = CUTOFFS[strength], motion.fps
    lips, lids = kept_frames(motion, head)
    none, either = np.zeros_like(lips), np.maximum(lips, lids)
    groups = {
        "eye": (cutoffs.eyes, lids),
        "brow": (cutoffs.face, none),
        "cheek": (cutoffs.face, none),
        "nose": (cutoffs.face, none),
        "mouth": (cutoffs.mouth, lips),
    }
    exp = motion.exp.astype(np.float64)
    for number, name in enumerate(head.expression_names):
        group = next((group for group in groups if name.startswith(group)), None)
        cutoff, kept = (cutoffs.mouth, either) if group is None else groups[group]
        exp[:, number] = smooth_channel(exp[:, number], cutoff / fps, kept)
    return replace(
        motion,
        exp=exp.astype(np.float32),
        jaw=_rotations(motion.jaw, cutoffs.mouth / fps, lips),
        global_pose=_rotations(motion.global_pose, cutoffs.head / fps, none),
        gaze=None if motion.gaze is None else _smooth_gaze(motion.gaze, cutoffs.eyes / fps),
    )


def kept_frames(motion: PosedMotion, head: HeadAsset) -> tuple[Array, Array]:
    """How much each frame (T,) is kept, 0 to 1, for lip closures and for blinks."""
    basis = LandmarkBasis.of(head)
    lips = _minima(gap(basis, motion, INNER_LIP_TOP, INNER_LIP_BOTTOM), CLOSURE_MM, motion.fps)
    lids = [_minima(gap(basis, motion, top, bottom), BLINK_MM, motion.fps) for top, bottom in LIDS_OF_EYES]
    return lips, np.maximum(*lids)


def gap(basis: LandmarkBasis, motion: PosedMotion, top: int, bottom: int) -> Array:
    """Distance (T,) of two face mesh points in millimetres; zero if the head model lacks one."""
    rows = basis.rows_of((top, bottom))
    if len(rows) < 2:
        return np.zeros(motion.frames)
    exp, jaw, shape = (np.asarray(part, np.float64) for part in (motion.exp, motion.jaw, motion.shape))
    points = basis.local(shape, exp, jaw, rows)
    distance: Array = 1000 * np.linalg.norm(points[:, 0] - points[:, 1], axis=1)
    return distance


def _minima(values: Array, depth: float, fps: float) -> Array:
    """How near each frame (T,) is to a minimum of at least this depth: 1 at the minimum, falling as a Gaussian."""
    # The first and last frame can be a minimum too.
    places = find_peaks(-np.pad(values, 1, constant_values=np.inf), prominence=depth)[0] - 1
    times, kept = np.arange(len(values)), np.zeros(len(values))
    for place in places:
        kept = np.maximum(kept, np.exp(-0.5 * ((times - place) / (KEPT_S * fps)) ** 2))
    return kept


def _smooth_gaze(gaze: NDArray[np.float32], cutoff: float) -> NDArray[np.float32]:
    """Smooth angles (T, 2, 2); jumps of the gaze stay, see `REAL`."""
    given, none = gaze.reshape(len(gaze), -1).astype(np.float64), np.zeros(len(gaze))
    smooth = np.stack([smooth_channel(column, cutoff, none) for column in given.T], axis=1)
    return smooth.reshape(gaze.shape).astype(np.float32)


def _rotations(vectors: NDArray[np.float32], cutoff: float, kept: Array) -> NDArray[np.float32]:
    """Smooth rotations (T, 3), axis-angle, in the tangent space at their mean."""
    turned = Rotation.from_rotvec(vectors.astype(np.float64))
    mean = turned.mean()
    local = (mean.inv() * turned).as_rotvec()
    smooth = np.stack([smooth_channel(column, cutoff, kept) for column in local.T], axis=1)
    out: NDArray[np.float32] = (mean * Rotation.from_rotvec(smooth)).as_rotvec().astype(np.float32)
    return out


def smooth_channel(given: Array, cutoff: float, kept: Array) -> Array:
    """Smooth one channel.

    Args:
        given: (T,) values.
        cutoff: frequency whose amplitude is halved, cycles a frame.
        kept: (T,) 0 to 1, how much a frame is kept.
    """
    # A third difference of white noise has 20 times its variance.
    noise = MAD_TO_SD * np.median(np.abs(np.diff(given, ORDER))) / np.sqrt(20)
    if noise == 0:
        return given
    weight, penalty = 1 + KEPT_WEIGHT * kept**2, (2 * np.sin(np.pi * cutoff)) ** (-2 * ORDER)
    free = penalty * _lowest((1 - kept) ** 2)
    first = _whittaker(given, weight, free)
    residual = np.maximum(uniform_filter1d((given - first) ** 2, 3, mode="nearest"), 0)
    real = 1 / (1 + (residual / (REAL * noise) ** 2) ** 2)
    return _whittaker(given, weight, free * _lowest(real))


def _lowest(values: Array) -> Array:
    """Lowest value among the frames of each difference (T - ORDER,)."""
    lowest: Array = sliding_window_view(values, ORDER + 1).min(axis=1)
    return lowest


def _whittaker(given: Array, weight: Array, penalty: Array) -> Array:
    """Solve ``(W + D' S D) x = W y`` with the third differences D; W (T,) and S (T - 3,) are diagonals."""
    bands, difference = np.zeros((ORDER + 1, len(given))), (-1.0, 3.0, -3.0, 1.0)
    bands[0] = weight
    for low in range(ORDER + 1):
        for high in range(low, ORDER + 1):
            bands[high - low, low : low + len(penalty)] += penalty * difference[low] * difference[high]
    solved: Array = solveh_banded(bands, weight * given, lower=True)
    return solved
