"""Poses one head of an asset in numpy: what the build needs before the head model's landmarks exist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.head.asset import HeadAsset

Float = NDArray[np.floating]


def pose_head(asset: HeadAsset, shape: Float, exp: Float, jaw: Float, global_pose: Float) -> NDArray[np.float32]:
    """Vertices (V, 3) metres for ``shape`` (S,), ``exp`` (E,), ``jaw`` (3,) and ``global_pose`` (3,), radians."""
    shaped = asset.v_template + asset.shapedirs @ np.asarray(shape, dtype=np.float32)
    joints = asset.J_regressor @ shaped
    vertices = shaped + asset.expdirs @ np.asarray(exp, dtype=np.float32)
    pivot = joints[asset.joint_names.index("jaw")]
    weights = asset.weights[:, asset.joint_names.index("jaw"), None]
    turned = (vertices - pivot) @ Rotation.from_rotvec(jaw).as_matrix().T.astype(np.float32) + pivot
    vertices = vertices + weights * (turned - vertices)
    root = joints[0]
    posed: NDArray[np.float32] = (vertices - root) @ Rotation.from_rotvec(global_pose).as_matrix().T.astype(
        np.float32
    ) + root
    return posed
