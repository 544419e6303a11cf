"""Motion of the open head as ARKit's 52 weights, with rotations of head and eyes.

The open head has 40 of the 52 as expression coefficients. Jaw weights come from the jaw's rotation, eye weights from
the gaze; ``tongueOut`` is always 0. Divisors of the jaw are the rotations of MakeHuman's own targets for these actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.errors import ConfigError
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.refit import has_actions
from occlufacediff.head.asset import HeadAsset

Float = NDArray[np.float32]

#: ARKit's blend shapes in the order of Live Link Face's CSV files.
ARKIT_NAMES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp",
    "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip
#: Rotations of the jaw joint at weight 1, radians: about x (23.4 degrees) and about y (4.39 degrees).
JAW_OPEN, JAW_SIDE = 0.4084, 0.0766
#: Rotations of an eye at weight 1, radians: sideways, and up or down.
LOOK_SIDE, LOOK_UP = np.deg2rad(35.0), np.deg2rad(25.0)
#: Pairs of opposite actions of which one is 0.
_OPPOSITE = (("mouthLeft", "mouthRight"), ("jawLeft", "jawRight"))


@dataclass(frozen=True, eq=False)
class ArkitMotion:
    """ARKit weights and rotations of T frames.

    Attributes:
        weights: (T, 52) in [0, 1], in the order of `ARKIT_NAMES`.
        head: (T, 3) yaw, pitch, roll of the head in radians: intrinsic rotations about y, x and z of the head frame
            (y up, z towards the camera).
        eyes: (T, 2, 2) yaw and pitch of the subject's left and right eye in radians; positive yaw looks to the
            subject's left, positive pitch looks up.
        fps: frames a second.
    """

    weights: Float
    head: Float
    eyes: Float
    fps: float

    def __len__(self) -> int:
        return len(self.weights)

    def weight(self, name: str) -> Float:
        """(T,) weights of one action."""
        return self.weights[:, ARKIT_NAMES.index(name)]


def mirrored(motion: ArkitMotion) -> ArkitMotion:
    """The motion seen in a mirror: left and right exchanged, yaw and roll reversed."""
    names = [_exchanged(name) for name in ARKIT_NAMES]
    return ArkitMotion(
        weights=motion.weights[:, [ARKIT_NAMES.index(name) for name in names]],
        head=motion.head * np.array([-1, 1, -1], np.float32),
        eyes=motion.eyes[:, ::-1] * np.array([-1, 1], np.float32),
        fps=motion.fps,
    )


def _exchanged(name: str) -> str:
    for one, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(one):
            return name.removesuffix(one) + other
    return name


def require_actions(head: HeadAsset) -> None:
    """Refuse head models that give no ARKit weights.

    Raises:
        ConfigError: the head model has other coefficients (FLAME).
    """
    if not has_actions(head):
        raise ConfigError(
            f"export: the coefficients of the head model {head.name!r} are not ARKit actions, so they give no ARKit "
            "weights; predict with the open head, export glb, or give a mapping with --arkit-mapping FILE (in the "
            "workflow prediction.arkit_mapping; docs/export.md)"
        )


def arkit_motion(motion: PosedMotion, head: HeadAsset) -> ArkitMotion:
    """ARKit weights of a motion that has them, or whose expression coefficients are ARKit actions.

    Args:
        motion: its coefficients should be fitted to [0, 1] (`export.refit`); others are clipped.
        head: the head model.

    Raises:
        ConfigError: see `require_actions`.
    """
    if motion.weights is not None:
        columns = dict(zip(ARKIT_NAMES, motion.weights.T, strict=True))
    else:
        require_actions(head)
        jaw = motion.jaw
        columns = dict(zip(head.expression_names, motion.exp.T, strict=True))
        columns |= {"jawOpen": jaw[:, 0] / JAW_OPEN, "jawLeft": jaw[:, 1] / JAW_SIDE, "jawRight": -jaw[:, 1] / JAW_SIDE}
    eyes = np.zeros((motion.frames, 2, 2), np.float32) if motion.gaze is None else motion.gaze
    for side, (yaw, pitch), outwards in (("Left", eyes[:, 0].T, 1), ("Right", eyes[:, 1].T, -1)):
        columns |= {
            f"eyeLookOut{side}": outwards * yaw / LOOK_SIDE,
            f"eyeLookIn{side}": -outwards * yaw / LOOK_SIDE,
            f"eyeLookUp{side}": pitch / LOOK_UP,
            f"eyeLookDown{side}": -pitch / LOOK_UP,
        }
    still = np.zeros(motion.frames, np.float32)
    weights = np.clip(np.stack([columns.get(name, still) for name in ARKIT_NAMES], axis=1), 0, 1).astype(np.float32)
    for names in _OPPOSITE:
        places = [ARKIT_NAMES.index(name) for name in names]
        weights[:, places] -= weights[:, places].min(axis=1, keepdims=True)
    turned = Rotation.from_rotvec(motion.global_pose.astype(np.float64)).as_euler("YXZ")
    return ArkitMotion(weights, turned.astype(np.float32), eyes.astype(np.float32), motion.fps)
