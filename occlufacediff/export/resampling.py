"""Motion at another frame rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp

from occlufacediff.export.motion import PosedMotion

Float = NDArray[np.float32]

#: Frame times that exceed the last frame by less than this part of a frame are kept.
_ROUNDING = 1e-6


def resampled(motion: PosedMotion, fps: float) -> PosedMotion:
    """The motion at ``fps`` frames a second, from its first frame to at most its last.

    Coefficients follow a monotone cubic interpolation (PCHIP), which keeps extrema where they are: a blink stays as
    deep, closed lips stay closed, and values in [0, 1] stay in [0, 1]. Rotations follow shortest arcs (slerp). The rate
    of a motion with fewer frames a second than the given one is not a source of new movements.

    Args:
        motion: T frames.
        fps: above 0.
    """
    if fps == motion.fps or motion.frames == 1:
        return replace(motion, fps=fps)
    given = np.arange(motion.frames) / motion.fps
    count = int(np.floor((motion.frames - 1) / motion.fps * fps + _ROUNDING)) + 1
    wanted = np.minimum(np.arange(count) / fps, given[-1])

    def values(array: Float) -> Float:
        return PchipInterpolator(given, array, axis=0)(wanted).astype(np.float32)

    def rotations(vectors: Float) -> Float:
        turned = Slerp(given, Rotation.from_rotvec(vectors.astype(np.float64)))(wanted)
        return turned.as_rotvec().astype(np.float32)

    return replace(
        motion,
        exp=values(motion.exp),
        jaw=rotations(motion.jaw),
        global_pose=rotations(motion.global_pose),
        gaze=None if motion.gaze is None else values(motion.gaze),
        weights=None if motion.weights is None else values(motion.weights),
        fps=fps,
    )
