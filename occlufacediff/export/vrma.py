"""VRM animations (.vrma): expressions for avatars, as glTF with the extension ``VRMC_vrm_animation`` 1.0.

Each expression is a node whose translation along x is its weight. ARKit's 52 are custom expressions of avatars that
have them ("perfect sync"). Presets drive all other VRM avatars; they are sums of weights, cut off at 1. The head's
rotation is the humanoid bone ``head``. The gaze is the rotation of the node ``lookAt``, one direction for both eyes;
avatars apply it to bones or expressions of their eyes.

Specification: VRMC_vrm_animation 1.0 of the VRM Consortium.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff import __version__
from occlufacediff.export.arkit import ARKIT_NAMES, ArkitMotion
from occlufacediff.export.glb import GlbBuilder

Float = NDArray[np.float32]

#: Weights whose sum is the weight of a preset. The five mouth shapes are those of Japanese vowels.
PRESETS: dict[str, dict[str, float]] = {
    "aa": {"jawOpen": 1.0},
    "ih": {"mouthStretchLeft": 0.5, "mouthStretchRight": 0.5},
    "ou": {"mouthPucker": 1.0},
    "ee": {"mouthUpperUpLeft": 0.5, "mouthUpperUpRight": 0.5},
    "oh": {"mouthFunnel": 1.0},
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
}
#: Position of the middle between the eyes relative to the bone ``head``, metres: the specification's example.
EYES_FROM_HEAD = (0.0, 0.06, 0.0)


def vrm_animation(motion: ArkitMotion, name: str) -> GlbBuilder:
    """A VRM animation.

    Args:
        motion: T frames.
        name: of the animation.
    """
    builder = GlbBuilder(f"OccluFaceDiff {__version__}")
    document = builder.document
    presets = {
        preset: np.clip(sum(part * motion.weight(arkit) for arkit, part in parts.items()), 0, 1)
        for preset, parts in PRESETS.items()
    }
    customs = {arkit: motion.weight(arkit) for arkit in ARKIT_NAMES}
    weights = [*presets.items(), *customs.items()]
    # Node 0 holds all others: hips and head, which the humanoid needs, the gaze, then one node per expression.
    names = ["root", "hips", "head", "lookAt", *(expression for expression, _ in weights)]
    document["nodes"] = [{"name": node} for node in names]
    document["nodes"][0]["children"] = [1, *range(3, len(names))]
    document["nodes"][1]["children"] = [2]
    document |= {"scene": 0, "scenes": [{"nodes": [0]}]}
    times = builder.array((np.arange(len(motion)) / motion.fps).astype(np.float32), limits=True)
    turned = Rotation.from_euler("YXZ", motion.head.astype(np.float64)).as_quat().astype(np.float32)
    yaw, pitch = motion.eyes.mean(axis=1).astype(np.float64).T
    # A positive rotation about x, which points to the subject's left, turns the gaze down.
    gaze = Rotation.from_euler("YX", np.stack([yaw, -pitch], axis=1)).as_quat().astype(np.float32)
    outputs = [(2, "rotation", turned), (3, "rotation", gaze)]
    for number, (_, values) in enumerate(weights, start=4):
        place = np.zeros((len(motion), 3), np.float32)
        place[:, 0] = values
        outputs.append((number, "translation", place))
    document["animations"] = [
        {
            "name": name,
            "samplers": [{"input": times, "output": builder.array(values)} for _, _, values in outputs],
            "channels": [
                {"sampler": sampler, "target": {"node": node, "path": path}}
                for sampler, (node, path, _) in enumerate(outputs)
            ],
        }
    ]
    nodes = {expression: {"node": number} for number, (expression, _) in enumerate(weights, start=4)}
    document["extensionsUsed"] = ["VRMC_vrm_animation"]
    document["extensions"] = {
        "VRMC_vrm_animation": {
            "specVersion": "1.0",
            "humanoid": {"humanBones": {"hips": {"node": 1}, "head": {"node": 2}}},
            "expressions": {
                "preset": {preset: nodes[preset] for preset in presets},
                "custom": {custom: nodes[custom] for custom in customs},
            },
            "lookAt": {"node": 3, "offsetFromHeadBone": list(EYES_FROM_HEAD)},
        }
    }
    return builder


def write_vrma(path: Path, motion: ArkitMotion, name: str) -> None:
    """Write a VRM animation of this name.

    Raises:
        StorageError: see `files.written_aside`.
    """
    vrm_animation(motion, name).write(path)
