"""Motion as USD: a head with UsdSkel blend shapes and joints, whose animation is sampled in each frame.

Needs ``usd-core`` (the extra ``usd``). The frame is ours: metres, y up. Schemas: UsdSkel (skeletons, blend shapes).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff import __version__
from occlufacediff.errors import AssetError
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
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.rendering.overlay import surface_colours

Float = NDArray[np.float32]


def require_usd() -> None:
    """Refuse USD where its library is not installed.

    Raises:
        AssetError: usd-core is not installed.
    """
    try:
        import pxr  # noqa: F401
    except ImportError as error:
        raise AssetError(
            f"export usd: usd-core is not installed ({error}); install it with pip install usd-core"
        ) from error


def write_usd(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    """Write a motion; the suffix of ``path`` is ``.usdc`` (binary) or ``.usda`` (text).

    Args:
        path: the file.
        motion: T frames.
        head: the head model.

    Raises:
        AssetError: usd-core is not installed.
        StorageError: see `files.written_aside`.
    """
    require_usd()
    from pxr import Gf, Usd, UsdGeom, UsdSkel, Vt

    with written_aside(path) as aside:
        aside.unlink()
        stage = Usd.Stage.CreateNew(str(aside))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetTimeCodesPerSecond(motion.fps)
        stage.SetFramesPerSecond(motion.fps)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(motion.frames - 1)
        stage.GetRootLayer().comment = f"OccluFaceDiff {__version__}"
        root = UsdSkel.Root.Define(stage, "/Head")
        stage.SetDefaultPrim(root.GetPrim())

        vertices = (head.v_template + head.shapedirs @ motion.shape).astype(np.float32)
        first, *others = joint_names(head, [motion])
        names_of_joints = Vt.TokenArray([first, *(f"{first}/{name}" for name in others)])
        rest = rest_joints(head, vertices, 1 + len(others))
        skeleton = UsdSkel.Skeleton.Define(stage, "/Head/Skeleton")
        skeleton.CreateJointsAttr(names_of_joints)
        at = [Gf.Matrix4d().SetTranslate(Gf.Vec3d(*map(float, joint))) for joint in rest]
        local = [Gf.Matrix4d().SetTranslate(Gf.Vec3d(*map(float, joint - rest[0]))) for joint in rest[1:]]
        skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray(at))
        skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray([at[0], *local]))

        mesh = UsdGeom.Mesh.Define(stage, "/Head/Mesh")
        mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(vertices))
        mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(head.faces), 3, np.int32)))
        mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(head.faces.reshape(-1).astype(np.int32)))
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        mesh.CreateDoubleSidedAttr(True)
        mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([vertices.min(0), vertices.max(0)])))
        colours = head.vertex_colors if head.vertex_colors is not None else surface_colours(head)
        shown = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
        shown.Set(Vt.Vec3fArray.FromNumpy(_linear(colours)))
        _bind(UsdSkel, Vt, mesh, skeleton, skin_weights(head, len(rest)))
        names = _blend_shapes(UsdSkel, Vt, stage, mesh, head)

        animation = UsdSkel.Animation.Define(stage, "/Head/Skeleton/Animation")
        UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
        animation.CreateJointsAttr(names_of_joints)
        animation.CreateBlendShapesAttr(Vt.TokenArray(names))
        animation.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1, 1, 1)] * len(rest)))
        joints, weights = joint_motion(head, motion, rest), morph_weights(head, motion)
        values = animation.CreateBlendShapeWeightsAttr()
        turns, places = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
        for frame in range(motion.frames):
            values.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(weights[frame], np.float32)), frame)
            x, y, z, w = joints.rotations[:, frame].T.astype(float)
            turns.Set(Vt.QuatfArray([Gf.Quatf(w[n], x[n], y[n], z[n]) for n in range(len(rest))]), frame)
            places.Set(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(joints.translations[:, frame])), frame)
        stage.GetRootLayer().Save()


def _bind(UsdSkel: Any, Vt: Any, mesh: Any, skeleton: Any, weights: Float) -> None:
    """Bind the mesh to the skeleton, by weights (V, J)."""
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    count = weights.shape[1]
    numbers = np.tile(np.arange(count, dtype=np.int32), (len(weights), 1))
    binding.CreateJointIndicesPrimvar(False, count).Set(Vt.IntArray.FromNumpy(numbers.reshape(-1)))
    binding.CreateJointWeightsPrimvar(False, count).Set(Vt.FloatArray.FromNumpy(weights.reshape(-1)))


def _blend_shapes(UsdSkel: Any, Vt: Any, stage: Any, mesh: Any, head: HeadAsset) -> list[str]:
    """Add a sparse blend shape for each morph; their names."""
    basis, names = morph_basis(head), [re.sub(r"\W", "_", name) for name in morph_names(head)]
    paths = []
    for number, name in enumerate(names):
        shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(name))
        moved = np.flatnonzero(basis[:, :, number].any(axis=1))
        # A shape that moves nothing needs one point.
        moved = moved if len(moved) else np.zeros(1, np.int64)
        shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(basis[moved, :, number], np.float32)))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
        paths.append(shape.GetPath())
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateBlendShapesAttr(Vt.TokenArray(names))
    binding.CreateBlendShapeTargetsRel().SetTargets(paths)
    return names


def _linear(colours: NDArray[np.uint8]) -> Float:
    """sRGB colours (V, 3) as linear values in [0, 1]."""
    part = colours.astype(np.float64) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4).astype(np.float32)
