"""A clip of smooth random motion of a head model, with exact landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy


@dataclass
class Truth:
    """A clip whose motion is known."""

    shape: NDArray[np.float64]
    exp: NDArray[np.float64]
    jaw: NDArray[np.float64]
    global_pose: NDArray[np.float64]
    cam: NDArray[np.float64]
    landmarks: NDArray[np.float64]


def moving(head: HeadAsset, frames: int, seed: int = 0, yaw: float = 0.3) -> Truth:
    """Smooth random motion of a head, and its landmarks in the crop."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 25

    def wave(count: int, low: float, high: float) -> NDArray[np.float64]:
        speed, phase = rng.uniform(1, 8, count), rng.uniform(0, 6, count)
        return low + (high - low) * (0.5 + 0.5 * np.sin(time * speed + phase))

    shape = rng.normal(size=head.n_shape)
    exp = wave(head.n_exp, 0, 0.8)
    jaw = np.column_stack([wave(1, 0, 0.3), np.zeros((frames, 2))])
    pose = wave(3, -yaw, yaw)
    cam = np.column_stack([wave(1, 7, 8), wave(2, -0.01, 0.01)])
    points = landmarks_numpy(head, vertices_numpy(head, shape, exp, pose, jaw)).astype(np.float64)
    return Truth(shape, exp, jaw, pose, cam, project_numpy(points, cam))
