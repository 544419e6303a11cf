"""The head model in torch: linear blend skinning of a FLAME-shaped asset, differentiable, whole or on some vertices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.rotations import axis_angle_to_matrix


class HeadModel(nn.Module):
    """Vertices, landmarks and projections of a `HeadAsset`; B = batch, metres in the head frame, axis-angle radians.

    All arrays are buffers outside the state dict: the asset file is their home, not a checkpoint.

    Args:
        asset: the head model.
        vertex_ids: (N,) evaluate these vertices only, in this order; None for all.

    Attributes:
        vertex_ids: (N,) int64 which of the asset's vertices `vertices` gives.
        landmark_indices: (L,) int64, which of the 468 face mesh points each landmark is.
        regions: vertex lists by name, numbered as in the asset (not as in a subset).
        expression_names: E names.
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
        """Sorted vertices of the asset that carry a landmark: the subset that `landmarks` needs."""
        return np.unique(self.asset.triangles_of_landmarks)

    def subset(self, vertex_ids: NDArray[np.integer] | Sequence[int]) -> HeadModel:
        """The same head at some vertices of the asset only; `landmarks` works if its corners are among them."""
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
            global_pose: (B, 3) about the root joint.
            jaw: (B, 3) about the jaw joint.
            neck: (B, 3) about the neck joint; None is no rotation.
            eyes: (B, 6) left and right eye; None is no rotation.

        Raises:
            ValueError: the asset has no such joint.
        """
        turns = {"jaw": jaw, "neck": neck}
        turns |= (
            {"left_eye": None, "right_eye": None}
            if eyes is None
            else dict(zip(("left_eye", "right_eye"), (eyes[:, :3], eyes[:, 3:]), strict=True))
        )
        for name, value in turns.items():
            if value is not None and name not in self.joint_names:
                raise ValueError(
                    f"{name}: head model {self.asset.name!r} has no such joint ({', '.join(self.joint_names)})"
                )
        # Half precision would move vertices by fractions of a millimetre: autocast ends here.
        with torch.autocast(self.v_template.device.type, enabled=False):
            return self._skin(shape.float(), exp.float(), global_pose.float(), turns)

    def landmarks(self, vertices: torch.Tensor) -> torch.Tensor:
        """Landmarks (B, L, 3) of vertices (B, N, 3): barycentric sums over their triangles.

        Raises:
            ValueError: this is a subset without the corners of all landmarks.
        """
        if self.landmark_corners is None:
            raise ValueError("vertex_ids: the subset lacks corners of landmarks; add `landmark_vertices` to it")
        corners = vertices[:, self.landmark_corners.flatten()].unflatten(1, (-1, 3))
        return (corners * self.landmark_weights.unsqueeze(-1)).sum(2)

    @staticmethod
    def project(points: torch.Tensor, cam: torch.Tensor) -> torch.Tensor:
        """Crop coordinates (B, L, 2) of points (B, L, 3 or 2) under weak-perspective cameras (B, 3) ``[s, tx, ty]``.

        ``p = s * (X_xy + [tx, ty])``, then y negated (y down in the picture).
        """
        flat = cam[:, None, :1] * (points[..., :2] + cam[:, None, 1:])
        return flat * flat.new_tensor([1.0, -1.0])

    def forward(
        self, shape: torch.Tensor, exp: torch.Tensor, global_pose: torch.Tensor, jaw: torch.Tensor
    ) -> torch.Tensor:
        """The same as `vertices`."""
        return self.vertices(shape, exp, global_pose, jaw)

    def _skin(
        self, shape: torch.Tensor, exp: torch.Tensor, global_pose: torch.Tensor, turns: dict[str, torch.Tensor | None]
    ) -> torch.Tensor:
        batch = len(exp)
        eye = torch.eye(3, dtype=exp.dtype, device=exp.device)
        posed = self.v_template + (shape @ self.shapedirs).unflatten(1, (-1, 3))
        posed = posed + (exp @ self.expdirs).unflatten(1, (-1, 3))
        joints = self.joints_template + torch.einsum("bs,sjc->bjc", shape, self.joints_shapedirs)
        joints = joints + torch.einsum("be,ejc->bjc", exp, self.joints_expdirs)
        matrices: dict[int, torch.Tensor] = {}
        for number, name in enumerate(self.joint_names):
            value = turns.get(name)
            if value is None:
                continue
            matrices[number] = axis_angle_to_matrix(value.float())
            if self.posedirs is not None:
                rows = self.posedirs[9 * (number - 1) : 9 * number]
                posed = posed + ((matrices[number] - eye).flatten(1) @ rows).unflatten(1, (-1, 3))
        # Transforms relative to the root's. Joints that do not turn, and whose parents do not, add nothing (the weights
        # of a vertex sum to 1), so they are left out: v = u + sum_j w_j (A_j u + b_j - u).
        relative: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        moved = posed
        for number, parent in enumerate(self.asset.parents.tolist()):
            if number not in matrices and parent not in relative:
                continue
            turn = matrices.get(number, eye.expand(batch, 3, 3))
            joint = joints[:, number].expand(batch, 3)
            offset = joint - (turn @ joint.unsqueeze(-1)).squeeze(-1)
            if parent in relative:
                parent_turn, parent_offset = relative[parent]
                offset = (parent_turn @ offset.unsqueeze(-1)).squeeze(-1) + parent_offset
                turn = parent_turn @ turn
            relative[number] = (turn, offset)
            delta = posed @ (turn - eye).transpose(1, 2) + offset.unsqueeze(1)
            moved = moved + self.weights[:, number, None] * delta
        root = joints[:, :1]
        return (moved - root) @ axis_angle_to_matrix(global_pose).transpose(1, 2) + root

    def _corners_within(self, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """(L, 3) rows of ``ids`` that hold the corners of each landmark's triangle, or None if some are not there."""
        place = np.full(self.asset.n_vertices, -1, dtype=np.int64)
        place[ids] = np.arange(len(ids))
        corners = place[self.asset.triangles_of_landmarks]
        return None if np.any(corners < 0) else corners
