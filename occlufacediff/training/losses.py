"""The published training loss: latents and, through decoder and head model, vertices, landmarks and the mouth."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from occlufacediff.config.published_recipe import PublishedLossSettings
from occlufacediff.errors import AssetError
from occlufacediff.face_mesh import lip_pairs
from occlufacediff.head.model import HeadModel
from occlufacediff.models.motion_prior import MotionPrior


@dataclass(frozen=True)
class MotionTruth:
    """What a batch of windows is compared with.

    Attributes:
        exp: (B, T, E).
        jaw: (B, T, 3) axis-angle.
        shape: (B, T, S), or (B, 1, S) for all frames.
        global_pose: (B, T, 3) axis-angle.
        cam: (B, T, 3) ``[s, tx, ty]``.
        lmk_2d: (B, T, 468, 2) detected landmarks in crop coordinates.
    """

    exp: Tensor
    jaw: Tensor
    shape: Tensor
    global_pose: Tensor
    cam: Tensor
    lmk_2d: Tensor


class MotionLoss(nn.Module):
    """All terms of the loss of predicted latents.

    Args:
        prior: decodes latents; its weights get no gradient if they are frozen by the caller.
        head: all vertices, or a subset that holds ``HeadModel.landmark_vertices``, which is faster.
        weights: of the terms.

    Raises:
        AssetError: the head has no pair of lip landmarks.
    """

    points: Tensor
    upper: Tensor
    lower: Tensor

    def __init__(self, *, prior: MotionPrior, head: HeadModel, weights: PublishedLossSettings | None = None) -> None:
        super().__init__()
        self.prior = prior
        self.head = head
        self.weights = weights or PublishedLossSettings()
        pairs = lip_pairs(head.landmark_indices)
        if not pairs:
            raise AssetError(
                f"head model '{head.asset.name}': no pair of lip landmarks is embedded; expected some of 20"
            )
        upper, lower = (torch.tensor(rows) for rows in zip(*pairs, strict=True))
        self.register_buffer("points", torch.from_numpy(np.asarray(head.landmark_indices, np.int64)), persistent=False)
        self.register_buffer("upper", upper, persistent=False)
        self.register_buffer("lower", lower, persistent=False)

    def forward(self, predicted: Tensor, target: Tensor, truth: MotionTruth) -> dict[str, Tensor]:
        """Terms by the names of `PublishedLossSettings`, and ``loss``, their weighted sum.

        Landmarks that the recording does not show (NaN) are left out of the terms of detected landmarks.

        Args:
            predicted: (B, T / 8, D) latents.
            target: (B, T / 8, D) the latents of the truth.
            truth: the windows' truth.
        """
        motion = self.prior.decode(predicted)
        exp, jaw = motion[..., :-3], motion[..., -3:]
        moved = self._vertices(exp, jaw, truth)
        with torch.no_grad():
            still = self._vertices(truth.exp, truth.jaw, truth)
        landmarks, true_landmarks = self.head.landmarks(moved), self.head.landmarks(still)
        flat = self.head.project(landmarks, truth.cam.flatten(0, 1))
        detected = truth.lmk_2d.flatten(0, 1)[:, self.points]
        known = torch.isfinite(detected).all(-1)
        detected = torch.where(known[..., None], detected, torch.zeros_like(detected))
        paired = known[:, self.upper] & known[:, self.lower]
        terms = {
            "latents": (predicted - target).square().mean(),
            "vertices": (moved - still).norm(dim=-1).mean(),
            "landmarks_3d": (landmarks - true_landmarks).norm(dim=-1).mean(),
            "landmarks_2d": _mean_where((flat - detected).abs().sum(-1), known),
            "mouth_closure": _mean_where((self._gaps(flat) - self._gaps(detected)).abs(), paired),
            "expression": (exp - truth.exp).square().mean(),
            "jaw": (jaw - truth.jaw).square().mean(),
        }
        weighted = [getattr(self.weights, item.name) * terms[item.name] for item in fields(PublishedLossSettings)]
        return {**terms, "loss": torch.stack(weighted).sum()}

    def _vertices(self, exp: Tensor, jaw: Tensor, truth: MotionTruth) -> Tensor:
        shape = truth.shape.expand(-1, exp.shape[1], -1)
        return self.head.vertices(*(part.flatten(0, 1) for part in (shape, exp, truth.global_pose, jaw)))

    def _gaps(self, landmarks: Tensor) -> Tensor:
        return (landmarks[:, self.upper] - landmarks[:, self.lower]).abs().sum(-1)


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values; 0 where none is chosen."""
    return torch.where(chosen, values, torch.zeros_like(values)).sum() / chosen.sum().clamp_min(1)
