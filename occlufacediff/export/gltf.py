"""Motion as glTF: a skinned head with morph targets, whose weights and joints are animated.

The head model in glTF's terms:

- ``POSITION`` is the neutral head of the identity, each morph target a column of the expression basis (sparse), and the
  weights of the animation are the expression coefficients of the frames.
- Joints: ``head``, which rotates about the root, and its child ``jaw``; with a gaze also ``leftEye`` and ``rightEye``.
  Other joints of the head model do not move, so their skinning weights are added to those of ``head``.
- The joints of the head model depend on the expression. The animation therefore moves the joints too where they do, so
  that glTF's skinning gives the vertices of `head.skinning`.
- Pose correctives of the jaw (FLAME) are nine more morph targets, whose weights are the entries of R - I.

glTF's frame is ours: metres, y up, +z forward. Specification: glTF 2.0, sections 3.7.2 (morph targets) and 3.7.3
(skins).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff import __version__
from occlufacediff.export.glb import TRIANGLES, VERTICES, GlbBuilder
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.rig import (
    joint_motion,
    joint_names,
    morph_basis,
    morph_names,
    morph_weights,
    rest_joints,
    skin_weights,
)
from occlufacediff.head.asset import HeadAsset
from occlufacediff.rendering.mesh import SmoothNormals
from occlufacediff.rendering.overlay import surface_colours

Float = NDArray[np.float32]

#: Changes of a normal's component by a morph target that are smaller stay out of the file.
SMALL_TURN = 0.01


@dataclass(frozen=True, eq=False)
class GltfScene:
    """One head in a glTF file.

    Attributes:
        name: name of the head.
        motions: motions of the same identity; each becomes an animation of its name.
    """

    name: str
    motions: Sequence[PosedMotion]


def head_glb(head: HeadAsset, scenes: Sequence[GltfScene], *, natural: bool = True) -> GlbBuilder:
    """A glTF file with one scene for each head; all heads share the morph targets.

    Args:
        head: the head model.
        scenes: one or more. The animations are numbered in the order of scenes and their motions.
        natural: use the colours of the head model, if it has any; else one colour, except for eyes and mouth.
    """
    return _Writer(head, natural, joint_names(head, [one for scene in scenes for one in scene.motions])).build(scenes)


class _Writer:
    """Builds the file; arrays that all heads share are added once."""

    def __init__(self, head: HeadAsset, natural: bool, joints: tuple[str, ...]) -> None:
        self.head = head
        self.joints = joints
        self.builder = GlbBuilder(f"OccluFaceDiff {__version__}")
        self.document = self.builder.document
        self.document |= {
            "scene": 0,
            "scenes": [],
            "nodes": [],
            "meshes": [],
            "skins": [],
            "animations": [],
            "materials": [
                {
                    "name": "head",
                    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.6},
                    "doubleSided": True,
                }
            ],
        }
        self.normals = SmoothNormals(head.faces, head.n_vertices)
        self.morphs = morph_basis(head)
        self.names = morph_names(head)
        colours = head.vertex_colors if natural and head.vertex_colors is not None else surface_colours(head)
        integer = np.uint16 if head.n_vertices < 1 << 16 else np.uint32
        self.indices = self.builder.array(head.faces.reshape(-1).astype(integer), TRIANGLES)
        self.shared = {
            "COLOR_0": self.builder.array(_linear_rgba(colours), VERTICES, normalised=True),
            **self._skinning(),
        }
        self.targets = self._targets()

    def build(self, scenes: Sequence[GltfScene]) -> GlbBuilder:
        for scene in scenes:
            self._add_scene(scene)
        return self.builder

    def _skinning(self) -> dict[str, int]:
        count = len(self.joints)
        weights = np.zeros((self.head.n_vertices, 4), dtype=np.float32)
        weights[:, :count] = skin_weights(self.head, count)
        # Joints without weight must have the number 0.
        joints = np.where(weights > 0, np.arange(4), 0).astype(np.uint8)
        return {
            "JOINTS_0": self.builder.array(joints, VERTICES),
            "WEIGHTS_0": self.builder.array(weights, VERTICES),
        }

    def _targets(self) -> list[dict[str, int]]:
        """Changes of positions and normals by each morph, for the mean identity."""
        template = self.head.v_template
        neutral = self.normals(template)
        targets = []
        for number in range(self.morphs.shape[2]):
            moved = self.morphs[:, :, number]
            turned = self.normals(template + moved) - neutral
            turned[np.abs(turned).max(axis=1) < SMALL_TURN] = 0
            targets.append({"POSITION": self.builder.sparse(moved), "NORMAL": self.builder.sparse(turned)})
        return targets

    def _add_scene(self, scene: GltfScene) -> None:
        head, first = self.head, scene.motions[0]
        vertices = (head.v_template + head.shapedirs @ first.shape).astype(np.float32)
        normals = self.normals(vertices)
        # A vertex without triangles has no normal, but glTF wants unit vectors.
        normals[~normals.any(axis=1)] = (0, 0, 1)
        joints = rest_joints(head, vertices, len(self.joints))
        weights = [self._weights(motion) for motion in scene.motions]
        lowest = np.minimum(0, np.min([values.min(axis=0) for values in weights], axis=0))
        number = len(self.document["meshes"])
        self.document["meshes"].append(
            {
                "name": scene.name,
                "primitives": [
                    {
                        "attributes": {
                            "POSITION": self.builder.array(vertices, VERTICES, limits=True),
                            "NORMAL": self.builder.array(normals.astype(np.float32), VERTICES),
                            **self.shared,
                        },
                        "indices": self.indices,
                        "material": 0,
                        "targets": self.targets,
                    }
                ],
                # Blender clamps later weights to the range that these give, so they are the lowest of the animation.
                "weights": lowest.tolist(),
                "extras": {"targetNames": self.names},
            }
        )
        nodes = len(self.document["nodes"])
        self.document["nodes"] += [
            {"name": f"{scene.name} mesh", "mesh": number, "skin": number},
            {
                "name": f"{scene.name} head",
                "translation": joints[0].tolist(),
                "children": [nodes + 1 + number for number in range(1, len(joints))],
            },
            *(
                {"name": f"{scene.name} {name}", "translation": (joint - joints[0]).tolist()}
                for name, joint in zip(self.joints[1:], joints[1:], strict=True)
            ),
        ]
        self.document["skins"].append(
            {
                "name": scene.name,
                "joints": [nodes + 1 + number for number in range(len(joints))],
                "skeleton": nodes + 1,
                "inverseBindMatrices": self.builder.array(_inverse_translations(joints)),
            }
        )
        self.document["scenes"].append({"name": scene.name, "nodes": [nodes, nodes + 1]})
        for motion, values in zip(scene.motions, weights, strict=True):
            self._animate(motion, values, joints, nodes)

    def _weights(self, motion: PosedMotion) -> Float:
        """Morph weights (T, N) of a motion."""
        return morph_weights(self.head, motion)

    def _animate(self, motion: PosedMotion, weights: Float, rest: Float, node: int) -> None:
        """Add an animation: morph weights, and rotations and translations of the joints."""
        animation: dict[str, Any] = {"name": motion.name, "channels": [], "samplers": []}
        times = self.builder.array((np.arange(motion.frames) / motion.fps).astype(np.float32), limits=True)

        def channel(target: int, path: str, values: Float) -> None:
            sampler = {"input": times, "output": self.builder.array(values), "interpolation": "LINEAR"}
            animation["channels"].append(
                {"sampler": len(animation["samplers"]), "target": {"node": target, "path": path}}
            )
            animation["samplers"].append(sampler)

        channel(node, "weights", np.ascontiguousarray(weights, dtype=np.float32).reshape(-1))
        joints = joint_motion(self.head, motion, rest)
        for number in range(len(rest)):
            channel(node + 1 + number, "rotation", joints.rotations[number])
            if joints.moves[number]:
                channel(node + 1 + number, "translation", joints.translations[number])
        self.document["animations"].append(animation)


def _linear_rgba(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """sRGB colours (V, 3) as linear RGBA (V, 4), which glTF wants for vertices."""
    part = colours.astype(np.float64) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    rgba = np.full((len(colours), 4), 255, dtype=np.uint8)
    rgba[:, :3] = np.rint(linear * 255)
    return rgba


def _inverse_translations(joints: Float) -> Float:
    """(J, 4, 4) matrices, by columns, that move each joint to the origin."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    matrices[:, 3, :3] = -joints
    return matrices
