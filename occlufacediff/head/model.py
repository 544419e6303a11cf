"""The head model in torch: differentiable linear blend skinning of a FLAME-shaped asset, or of some of its vertices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.rotations import axis_angle_to_matrix


class HeadModel(nn.Module):
    """Computes vertices, landmarks and projections of a `HeadAsset`.

    B is the batch size; positions are metres in the head frame, rotations axis-angle in radians. All arrays are
    non-persistent buffers, because they are part of the asset file and not of checkpoints.

    Args:
        asset: the head model.
        vertex_ids: (N,) vertices to evaluate, in this order; None for all.

    Attributes:
        vertex_ids: (N,) int64 indices of the vertices that `vertices` returns.
        landmark_indices: (L,) int64 index of each landmark among the 468 face mesh points.
        regions: vertex lists by name, with indices of the asset (not of a subset).
        expression_names: names of the E expressions.
    """

    v_template: torch.Tensor
    shapedirs: torch.Tensor
    expdirs: torch.Tensor
    posedirs: torch.Tensor | None
    joints_template: torch.Tensor
    joints_shapedirs: torch.Tensor
    joints_expdirs: torch.Tensor
    weights: torch.Tensor
    landmark_corners: torch.Tensor | None
    landmark_weights: torch.Tensor

    def __init__(self, asset: HeadAsset, vertex_ids: NDArray[np.integer] | None = None) -> None:
        super().__init__()
        self.asset = asset
        ids = np.arange(asset.n_vertices) if vertex_ids is None else np.asarray(vertex_ids, dtype=np.int64)
        self.vertex_ids = ids
        self.joint_names = asset.joint_names
        self.landmark_indices = asset.landmark_indices
        self.regions = asset.regions
        self.expression_names = asset.expression_names
        rows = 3 * len(ids)
        buffers: dict[str, NDArray[np.generic] | None] = {
            "v_template": asset.v_template[ids],
            "shapedirs": asset.shapedirs[ids].reshape(rows, -1).T,
            "expdirs": asset.expdirs[ids].reshape(rows, -1).T,
            "posedirs": None if asset.posedirs is None else asset.posedirs[ids].reshape(rows, -1).T,
            "joints_template": asset.J_regressor @ asset.v_template,
            "joints_shapedirs": np.einsum("jv,vcs->sjc", asset.J_regressor, asset.shapedirs, optimize=True),
            "joints_expdirs": np.einsum("jv,vcs->sjc", asset.J_regressor, asset.expdirs, optimize=True),
            "weights": asset.weights[ids],
            "landmark_corners": self._corners_within(ids),
            "landmark_weights": asset.lmk_b_coords,
        }
        for name, value in buffers.items():
            tensor = None if value is None else torch.from_numpy(np.ascontiguousarray(value))
            self.register_buffer(name, tensor, persistent=False)

    @property
    def landmark_vertices(self) -> NDArray[np.int64]:
        """Sorted vertices of the triangles that contain landmarks: the subset that `landmarks` needs."""
        return np.unique(self.asset.triangles_of_landmarks)

    def subset(self, vertex_ids: NDArray[np.integer] | Sequence[int]) -> HeadModel:
        """The same head, evaluated at some vertices only; `landmarks` needs `landmark_vertices` among them."""
        return HeadModel(self.asset, np.asarray(vertex_ids, dtype=np.int64)).to(self.v_template.device)

    def vertices(
        self,
        shape: torch.Tensor,
        exp: torch.Tensor,
        global_pose: torch.Tensor,
        jaw: torch.Tensor,
        neck: torch.Tensor | None = None,
        eyes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Skinned vertices (B, N, 3), always in float32.

        Args:
            shape: (B, S) or (1, S) identity.
            exp: (B, E) expression.
            global_pose: (B, 3) rotation about the root joint.
            jaw: (B, 3) rotation about the jaw joint.
            neck: (B, 3) rotation about the neck joint; None for no rotation.
            eyes: (B, 6) rotations of the left and right eye; None for no rotation.

        Raises:
            ValueError: the asset has no such joint.
        """
        rotations = {"jaw": jaw, "neck": neck}
        rotations |= (
            {"left_eye": None, "right_eye": None}
            if eyes is None
            else dict(zip(("left_eye", "right_eye"), (eyes[:, :3], eyes[:, 3:]), strict=True))
        )
        for name, value in rotations.items():
            if value is not None and name not in self.joint_names:
                raise ValueError(
                    f"{name}: head model {self.asset.name!r} has no such joint ({', '.join(self.joint_names)})"
                )
        # Without autocast, because half precision would change vertices by fractions of a millimetre.
        with torch.autocast(self.v_template.device.type, enabled=False):
            return self._skin(shape.float(), exp.float(), global_pose.float(), rotations)

    def landmarks(self, vertices: torch.Tensor) -> torch.Tensor:
        """Landmarks (B, L, 3) of vertices (B, N, 3) by barycentric interpolation in their triangles.

        Raises:
            ValueError: this is a subset that lacks vertices of these triangles.
        """
        if self.landmark_corners is None:
            raise ValueError(
                "vertex_ids: the subset lacks vertices of landmark triangles; add `landmark_vertices` to it"
            )
        corners = vertices[:, self.landmark_corners.flatten()].unflatten(1, (-1, 3))
        return (corners * self.landmark_weights.unsqueeze(-1)).sum(2)

    @staticmethod
    def project(points: torch.Tensor, cam: torch.Tensor) -> torch.Tensor:
        """Project points (B, L, 2 or 3) to crop coordinates (B, L, 2) with weak-perspective cameras (B, 3).

        With a camera ``[s, tx, ty]``: ``p = s * (X_xy + [tx, ty])``, then y is negated (y is down in the image).
        """
        flat = cam[:, None, :1] * (points[..., :2] + cam[:, None, 1:])
        return flat * flat.new_tensor([1.0, -1.0])

    def forward(
        self, shape: torch.Tensor, exp: torch.Tensor, global_pose: torch.Tensor, jaw: torch.Tensor
    ) -> torch.Tensor:
        """See `vertices`."""
        return self.vertices(shape, exp, global_pose, jaw)

    def _skin(
        self,
        shape: torch.Tensor,
        exp: torch.Tensor,
        global_pose: torch.Tensor,
        rotations: dict[str, torch.Tensor | None],
    ) -> torch.Tensor:
        batch = len(exp)
        eye = torch.eye(3, dtype=exp.dtype, device=exp.device)
        posed = self.v_template + (shape @ self.shapedirs).unflatten(1, (-1, 3))
        posed = posed + (exp @ self.expdirs).unflatten(1, (-1, 3))
        joints = self.joints_template + torch.einsum("bs,sjc->bjc", shape, self.joints_shapedirs)
        joints = joints + torch.einsum("be,ejc->bjc", exp, self.joints_expdirs)
        matrices: dict[int, torch.Tensor] = {}
        for number, name in enumerate(self.joint_names):
            value = rotations.get(name)
            if value is None:
                continue
            matrices[number] = axis_angle_to_matrix(value.float())
            if self.posedirs is not None:
                rows = self.posedirs[9 * (number - 1) : 9 * number]
                posed = posed + ((matrices[number] - eye).flatten(1) @ rows).unflatten(1, (-1, 3))
        # Transforms relative to the root, v = u + sum_j w_j (A_j u + b_j - u): the weights of a vertex sum to 1, so
        # joints without rotation whose parents have none contribute nothing and are skipped.
        relative: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        moved = posed
        for number, parent in enumerate(self.asset.parents.tolist()):
            if number not in matrices and parent not in relative:
                continue
            rotation = matrices.get(number, eye.expand(batch, 3, 3))
            joint = joints[:, number].expand(batch, 3)
            offset = joint - (rotation @ joint.unsqueeze(-1)).squeeze(-1)
            if parent in relative:
                parent_rotation, parent_offset = relative[parent]
                offset = (parent_rotation @ offset.unsqueeze(-1)).squeeze(-1) + parent_offset
                rotation = parent_rotation @ rotation
            relative[number] = (rotation, offset)
            delta = posed @ (rotation - eye).transpose(1, 2) + offset.unsqueeze(1)
            moved = moved + self.weights[:, number, None] * delta
        root = joints[:, :1]
        return (moved - root) @ axis_angle_to_matrix(global_pose).transpose(1, 2) + root

    def _corners_within(self, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Positions (L, 3) in ``ids`` of the vertices of each landmark's triangle; None if one is missing."""
        position = np.full(self.asset.n_vertices, -1, dtype=np.int64)
        position[ids] = np.arange(len(ids))
        corners = position[self.asset.triangles_of_landmarks]
        return None if np.any(corners < 0) else corners
