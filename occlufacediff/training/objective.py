"""Losses on the head: distances in millimetres on the vertices of the lips and of a subset of landmarks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from occlufacediff.config.training import LossSettings
from occlufacediff.errors import AssetError
from occlufacediff.face_mesh import lip_pairs
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel

#: Besides the lip pairs, every 16th landmark is used.
SPREAD = 16
#: Largest number of lip vertices used.
MOST_LIPS = 64
MM = 1000.0


class HeadTerms(nn.Module):
    """Distances between predicted and true motion on a subset of a head's vertices.

    Prediction and truth share identity and pose. Distances do not depend on the pose, so the head is not rotated.

    Args:
        asset: the head model; needs a region ``lips`` and the landmarks of lip pairs.

    Raises:
        AssetError: the head model lacks these.
    """

    lips: Tensor
    corners: Tensor
    corner_weights: Tensor
    points: Tensor
    upper: Tensor
    lower: Tensor

    def __init__(self, asset: HeadAsset) -> None:
        super().__init__()
        if "lips" not in asset.regions:
            raise AssetError(f"head model {asset.name}: region 'lips' is missing, which training needs")
        pairs = lip_pairs(asset.landmark_indices)
        if not pairs:
            raise AssetError(f"head model {asset.name}: no pair of lip landmarks is embedded, which training needs")
        rows = sorted({row for pair in pairs for row in pair} | set(range(0, len(asset.landmark_indices), SPREAD)))
        corners = asset.triangles_of_landmarks[rows]
        lips = np.unique(asset.regions["lips"])
        lips = lips[:: -(-len(lips) // MOST_LIPS)]
        ids = np.union1d(lips, corners)
        self.head = HeadModel(asset, ids)
        place = {row: number for number, row in enumerate(rows)}
        index = {
            "lips": np.searchsorted(ids, lips),
            "corners": np.searchsorted(ids, corners),
            "points": asset.landmark_indices[rows],
            "upper": np.array([place[a] for a, _ in pairs]),
            "lower": np.array([place[b] for _, b in pairs]),
        }
        for name, value in index.items():
            self.register_buffer(name, torch.from_numpy(value.astype(np.int64)), persistent=False)
        weights = torch.from_numpy(asset.lmk_b_coords[rows])
        self.register_buffer("corner_weights", weights, persistent=False)

    def vertices(self, motion: Tensor, shape: Tensor, global_pose: Tensor | None = None) -> Tensor:
        """Vertices (B, T, N, 3), millimetres, of motion (B, T, E + 3), shapes (B, S) and perhaps poses (B, T, 3)."""
        batch, frames = motion.shape[:2]
        flat = motion.float().flatten(0, 1)
        pose = flat.new_zeros(len(flat), 3) if global_pose is None else global_pose.flatten(0, 1)
        points = self.head.vertices(shape.repeat_interleave(frames, 0), flat[:, :-3], pose, flat[:, -3:])
        return MM * points.unflatten(0, (batch, frames))

    def landmarks(self, vertices: Tensor) -> Tensor:
        """The chosen landmarks (B, T, L, 3) of vertices (B, T, N, 3)."""
        corners = vertices[:, :, self.corners.flatten()].unflatten(2, (-1, 3))
        return (corners * self.corner_weights[..., None]).sum(3)

    def gaps(self, vertices: Tensor) -> Tensor:
        """L1 distances (B, T, P) of paired upper and lower lip landmarks."""
        points = self.landmarks(vertices)
        return (points[:, :, self.upper] - points[:, :, self.lower]).abs().sum(-1)

    def forward(self, predicted: Tensor, batch: dict[str, Tensor], settings: LossSettings) -> dict[str, Tensor]:
        """Loss terms of predicted motion (B, T, E + 3) against a batch's truth; terms of weight 0 are left out.

        ``lips``, ``vertices``: mean distance; ``velocity``: mean distance between the frame-to-frame steps of the lips;
        ``closure``: mean difference of lip gaps; all in millimetres. ``landmarks_2d``: mean L1 distance between
        projected and detected landmarks, in units of half a crop, without NaN landmarks (unknown or occluded).
        """
        with torch.no_grad():
            truth = self.vertices(torch.cat([batch["exp"], batch["jaw"]], -1), batch["shape"])
        moved = self.vertices(predicted, batch["shape"])
        difference = moved - truth
        lips = difference[:, :, self.lips]
        terms: dict[str, Tensor] = {}
        if settings.lips:
            terms["lips"] = _norm(lips).mean()
        if settings.vertices:
            terms["vertices"] = _norm(difference).mean()
        if settings.velocity:
            terms["velocity"] = _norm(lips[:, 1:] - lips[:, :-1]).mean()
        if settings.closure:
            terms["closure"] = (self.gaps(moved) - self.gaps(truth)).abs().mean()
        if settings.landmarks_2d:
            posed = self.landmarks(self.vertices(predicted, batch["shape"], batch["global_pose"])) / MM
            flat = self.head.project(posed.flatten(0, 1), batch["cam"].flatten(0, 1))
            target = batch["lmk_target"][:, :, self.points].flatten(0, 1)
            seen = torch.isfinite(target).all(-1)
            distance = (flat - torch.where(seen[..., None], target, flat)).abs().sum(-1)
            terms["landmarks_2d"] = distance.sum() / seen.sum().clamp_min(1)
        return terms


def _norm(vectors: Tensor) -> Tensor:
    """Length of vectors, with a gradient of 0 where they vanish."""
    return (vectors.square().sum(-1) + 1e-6).sqrt()
