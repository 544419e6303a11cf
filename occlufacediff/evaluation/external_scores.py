"""Results of other systems as predictions: with identity, head pose and camera of the truth, as all methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from occlufacediff.datasets.clips import Clip
from occlufacediff.evaluation.external import ExternalResult
from occlufacediff.evaluation.scores import Prediction, Reference, Surface
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, rotation_matrices

Float = NDArray[np.float32]


def external_prediction(
    reference: Reference,
    result: ExternalResult,
    visible: Float,
    occluded: NDArray[np.bool_],
    head: tuple[Float, Float, Float] | None = None,
) -> Prediction:
    """The prediction that metrics receive.

    Vertices without coefficients have no metrics of coefficients. Offsets are added to the neutral face with the
    identity of the clip. Both are then rotated by the head pose of the clip, about the root joint of the truth.

    Args:
        reference: the clip.
        result: of the system.
        visible: (T, 468) visible landmarks.
        occluded: (T,) frames in which something is occluded.
        head: identity, head pose and camera for landmarks in the crop, see `Prediction.of`.
    """
    if result.motion is not None:
        return Prediction.of(reference, result.motion, visible, occluded, (), head)
    asset, clip = reference.asset, reference.clip
    if result.vertices is not None:
        still = result.vertices
    else:
        assert result.offsets is not None  # one of the three is given
        still = identity(asset, clip) + result.offsets
    vertices = posed(asset, clip, still)
    landmarks = landmarks_numpy(asset, vertices)
    seen, cam = landmarks, clip.cam
    if head is not None:
        _, pose, cam = head
        seen = landmarks_numpy(asset, posed(asset, replace(clip, global_pose=pose), still))
    surface = Surface(vertices, landmarks, np.asarray(project_numpy(seen, cam), np.float32))
    return Prediction(reference, None, surface, visible, occluded)


def identity(asset: HeadAsset, clip: Clip) -> Float:
    """Neutral face (V, 3) with the identity of a clip, metres."""
    return np.asarray(asset.v_template + asset.shapedirs @ np.asarray(clip.shape, np.float32), np.float32)


def posed(asset: HeadAsset, clip: Clip, vertices: Float) -> Float:
    """Vertices (T, V, 3) without rotation of the head, rotated by the head pose of a clip."""
    # The root joint moves with the expression, as in `skinning.vertices_numpy`; its regressor is linear.
    root_of_expression = np.einsum("v,vce->ce", asset.J_regressor[0], asset.expdirs, optimize=True)
    root = asset.J_regressor[0] @ identity(asset, clip) + clip.exp @ root_of_expression.T
    rotation = rotation_matrices(clip.global_pose).astype(np.float32)
    turned = np.matmul(vertices - root[:, None], rotation.transpose(0, 2, 1))
    return np.asarray(turned + root[:, None], np.float32)
