"""The head model as formats with morph targets and joints see it: two joints, morphs, and their animation.

``head`` and its children ``jaw``, ``leftEye`` and ``rightEye`` move; eyes are there if the gaze is known and the head
model has eyeballs. The joints of the head model depend on the expression, so an animation moves the joints too where
they do. Pose correctives of the jaw (FLAME) are nine more morphs, whose weights are the entries of
R - I.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.export.motion import PosedMotion
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.eyes import eye_rotations, eyeballs
from occlufacediff.head.skinning import rotation_matrices

Float = NDArray[np.float32]

#: Movements of a joint by the expression that are smaller stay out of the animation, metres.
STILL = 1e-7
#: Joints of the eyes.
EYES = ("leftEye", "rightEye")
CORRECTIVES = tuple(f"jawCorrective{number}" for number in range(9))


@dataclass(frozen=True, eq=False)
class JointMotion:
    """Animation of the J joints over T frames, each relative to its parent.

    Attributes:
        rotations: (J, T, 4) unit quaternions x, y, z, w without jumps of sign.
        translations: (J, T, 3) metres.
        moves: whether the translation of each joint changes.
    """

    rotations: Float
    translations: Float
    moves: tuple[bool, ...]


def jaw_joint(head: HeadAsset) -> int:
    """Number of the jaw among the joints of the head model."""
    return head.joint_names.index("jaw")


def joint_names(head: HeadAsset, motions: Sequence[PosedMotion]) -> tuple[str, ...]:
    """Names of the J joints of some motions; all but the first are children of the first."""
    eyes = any(motion.gaze is not None for motion in motions) and bool(eyeballs(head, head.v_template))
    return ("head", "jaw", *(EYES if eyes else ()))


def rest_joints(head: HeadAsset, vertices: Float, count: int) -> Float:
    """(J, 3) places of the joints for neutral vertices (V, 3), metres."""
    joints = head.J_regressor[[0, jaw_joint(head)]] @ vertices
    eyes = [eye.centre for eye in eyeballs(head, vertices)] if count > 2 else []
    return np.concatenate([joints, np.reshape(eyes, (-1, 3))]).astype(np.float32)


def skin_weights(head: HeadAsset, count: int) -> Float:
    """(V, J) weights of the joints; joints of the head model that do not move count for the head."""
    weights = np.zeros((head.n_vertices, count), dtype=np.float32)
    weights[:, 1] = head.weights[:, jaw_joint(head)]
    weights[:, 0] = 1 - weights[:, 1]
    if count > 2:
        for number, eye in enumerate(eyeballs(head, head.v_template), start=2):
            weights[eye.rows] = np.eye(count)[number]
    return weights


def morph_names(head: HeadAsset) -> list[str]:
    """Names of the N morphs."""
    return [*head.expression_names, *(CORRECTIVES if head.posedirs is not None else ())]


def morph_basis(head: HeadAsset) -> Float:
    """(V, 3, N): the expression basis, and the pose correctives of the jaw."""
    if head.posedirs is None:
        return head.expdirs
    jaw = jaw_joint(head)
    return np.concatenate([head.expdirs, head.posedirs[:, :, 9 * (jaw - 1) : 9 * jaw]], axis=2)


def morph_weights(head: HeadAsset, motion: PosedMotion) -> Float:
    """Weights (T, N) of the morphs."""
    if head.posedirs is None:
        return motion.exp
    turned = (rotation_matrices(motion.jaw) - np.eye(3)).reshape(-1, 9)
    return np.concatenate([motion.exp, turned.astype(np.float32)], axis=1)


def joint_motion(head: HeadAsset, motion: PosedMotion, rest: Float) -> JointMotion:
    """Animation of the joints.

    Args:
        head: the head model.
        motion: T frames.
        rest: (J, 3) joints of the neutral identity, see `rest_joints`.
    """
    # A joint at c that rests at c0 gives R (u - c) + c if its translation is c + R (c0 - c).
    by_expression = head.J_regressor[[0, jaw_joint(head)]] @ head.expdirs.transpose(2, 0, 1)
    moves = np.einsum("te,ejc->tjc", motion.exp, by_expression)
    turned, opened = rotation_matrices(motion.global_pose), rotation_matrices(motion.jaw)
    root, hinge = rest[0] + moves[:, 0], rest[1] + moves[:, 1]
    places = [
        root + np.einsum("tij,tj->ti", turned, rest[0] - root),
        hinge - rest[0] + np.einsum("tij,tj->ti", opened, rest[1] - hinge),
    ]
    turns = [_quaternions(motion.global_pose), _quaternions(motion.jaw)]
    for number, place in enumerate(rest[2:]):
        gaze = np.zeros((motion.frames, 2)) if motion.gaze is None else motion.gaze[:, number]
        turns.append(_quaternions(eye_rotations(gaze).as_rotvec()))
        places.append(np.tile(place - rest[0], (motion.frames, 1)))
    largest = np.abs(moves).max(axis=(0, 2), initial=0)
    return JointMotion(
        rotations=np.stack(turns),
        translations=np.stack(places).astype(np.float32),
        moves=(bool(largest[0] > STILL), bool(largest[1] > STILL), *(False for _ in rest[2:])),
    )


def _quaternions(vectors: Float) -> Float:
    """Axis-angle vectors (T, 3) as unit quaternions x, y, z, w (T, 4) without jumps of sign."""
    values = Rotation.from_rotvec(np.asarray(vectors, dtype=np.float64)).as_quat()
    turns = np.einsum("tk,tk->t", values[1:], values[:-1]) < 0
    values[1:] *= np.where(np.cumsum(turns) % 2, -1, 1)[:, None]
    return values.astype(np.float32)
