"""Confidence: how reliable the mouth is in each frame, 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.face_mesh import LIPS
from occlufacediff.head.coefficient_groups import mouth_columns

Float = NDArray[np.float32]

#: Angles of the head, degrees, up to which landmarks determine the mouth, and from which they do not.
YAW_DEG = (45.0, 75.0)
PITCH_DEG = (40.0, 65.0)


def confidence(
    visible: Float,
    known: NDArray[np.bool_],
    spread: Float,
    usual: Float,
    global_pose: Float,
    names: tuple[str, ...],
) -> Float:
    """Confidence (T,) in the mouth of each frame.

    It is 1 where all lip landmarks are visible. Elsewhere it is ``1 - mean(min(1, (spread / usual)^2))`` over the
    coefficients of mouth and jaw, or 0 if the spread is not known. Both are multiplied by `facing`. Frames without a
    face have 0, and all frames if none shows any landmark.

    Args:
        visible: (T, 468) 1 where a landmark is visible.
        known: (T, 468) True where the detector gave the point in this frame.
        spread: (T, E + 3) standard deviation of the motion; NaN where it is not known.
        usual: (E + 3,) standard deviation of the motion over all speakers.
        global_pose: (T, 3) axis-angle, radians.
        names: names of the E expression coefficients.
    """
    lips = np.array(LIPS)[known[:, LIPS].any(axis=0)]  # some detectors never give all of them
    occluded = (visible[:, lips] == 0).any(axis=1) if len(lips) else np.ones(len(visible), np.bool_)
    columns = np.flatnonzero(mouth_columns(names) & (usual > 0))
    left = np.minimum((spread[:, columns] / usual[columns]) ** 2, 1.0)
    sure = 1.0 - np.nan_to_num(left, nan=1.0).mean(axis=1)
    found = known.any(axis=1) & bool((visible > 0).any())
    return np.where(found, np.where(occluded, sure, 1.0) * facing(global_pose), 0.0).astype(np.float32)


def facing(global_pose: Float) -> NDArray[np.float64]:
    """Factor (T,) that falls linearly from 1 to 0 with yaw (`YAW_DEG`) and pitch (`PITCH_DEG`) of the head.

    Args:
        global_pose: (T, 3) axis-angle, radians.
    """
    x, y, z = Rotation.from_rotvec(np.asarray(global_pose, np.float64)).apply([0.0, 0.0, 1.0]).T
    factor = np.ones(len(global_pose))
    for angle, (full, none) in ((np.arctan2(x, z), YAW_DEG), (np.arctan2(y, np.hypot(x, z)), PITCH_DEG)):
        factor *= np.clip((none - np.abs(np.degrees(angle))) / (none - full), 0.0, 1.0)
    return factor
