"""Gaze of both eyes from the irises of one frame and the fitted head.

An eyeball is a sphere of radius `RADIUS_M`; its centre lies `DEPTH_M` behind the middle between the corners of the eye
and `RAISE_M` above it. The iris is on the sphere where the line of sight leaves it. In a weak-perspective picture its
offset from the centre, divided by the radius in pixels, gives two coordinates of the direction; the third follows from
its length. Both eyes get the mean direction: the corners at the nose are farther from the iris than the outer ones, and
this error has opposite signs in the two eyes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import LEFT_IRIS, RIGHT_IRIS
from occlufacediff.head.landmark_basis import Array
from occlufacediff.head.skinning import rotation_matrices
from occlufacediff.live.head_fit import Pose
from occlufacediff.prediction.gaze import CLOSED, EYES, gaze_angles

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Radius of the eyeball, and distance of its centre from the middle between the corners, metres.
RADIUS_M, DEPTH_M = 0.012, 0.0085
#: Height of this centre above the corners, metres: four speakers who look at the camera then have a mean pitch of 0.
RAISE_M = 0.0014
#: Time constant of the smoothing, seconds.
SMOOTH_S = 0.04
#: Centres of the left and right iris among the 478 points.
IRISES = (LEFT_IRIS[0], RIGHT_IRIS[0])
#: Smallest visible part of an eye's landmarks.
_VISIBLE_PART = 0.8
#: Largest angles, radians.
_LARGEST = np.deg2rad([45.0, 35.0])


class CausalGaze:
    """Gaze, frame after frame; keeps the last one while both eyes are closed or hidden."""

    def __init__(self) -> None:
        self._gaze = np.zeros(2)

    @property
    def last(self) -> Float:
        """The last gaze (2, 2)."""
        return np.tile(self._gaze, (2, 1)).astype(np.float32)

    def step(self, landmarks: Float, visible: Mask, pose: Pose, seconds: float) -> Float:
        """Yaw and pitch (2, 2) of the subject's left and right eye, radians; see `export.arkit`.

        Args:
            landmarks: (478, 2) pixels of the picture.
            visible: (468,) which landmarks are visible.
            pose: the fitted head.
            seconds: since the last frame.
        """
        if len(landmarks) <= max(IRISES):
            return self.last
        turn = rotation_matrices(pose.global_pose[None])[0]
        seen: list[Array] = []
        for iris_point, (corners, lids, points) in zip(IRISES, EYES, strict=True):
            one, other = landmarks[list(corners)].astype(np.float64)
            upper, lower = landmarks[list(lids)].astype(np.float64)
            width = max(float(np.linalg.norm(one - other)), 1e-6)
            closed = float(np.linalg.norm(upper - lower)) / width < CLOSED
            if closed or not visible[list(points)].mean() > _VISIBLE_PART:
                continue
            # The picture of the corners themselves is the origin, so that errors of the fit cancel.
            centre = turn @ np.array([0.0, RAISE_M, -DEPTH_M])
            iris = (landmarks[iris_point] - (one + other) / 2) / pose.scale * np.array([1, -1])
            across = (iris - centre[:2]) / RADIUS_M
            length = float(np.linalg.norm(across))
            across *= min(1.0, 0.95 / max(length, 1e-6))
            angles = gaze_angles(across[None], turn[None])[0]
            seen.append(np.clip(angles, -_LARGEST, _LARGEST))
        if seen:
            self._gaze += (1 - np.exp(-seconds / SMOOTH_S)) * (np.mean(seen, axis=0) - self._gaze)
        return self.last
