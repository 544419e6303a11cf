"""Mouth swap: visible landmarks move with another clip's mouth, so that they do not reveal an occluded mouth.

The cheeks and the nose of a head model move with the mouth in a fixed way that real faces do not have. A network would
learn to read the occluded mouth from them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.coefficient_groups import LEAST_VISIBLE_SHARE, is_mouth_action
from occlufacediff.head.landmark_basis import LandmarkBasis, Linear
from occlufacediff.head.rotations import axis_angle_to_matrix
from occlufacediff.occlusion.regions import LIPS
from occlufacediff.training.share import Share


class MouthSwap(nn.Module):
    """Adds to the landmarks the displacement that another sample's mouth would cause.

    Args:
        asset: the head model; without named mouth expressions (FLAME) only the jaw is swapped.
    """

    mouth: Tensor
    points: Tensor
    lips: Tensor

    def __init__(self, asset: HeadAsset) -> None:
        super().__init__()
        basis = LandmarkBasis.of(asset)
        self.points_of, self.levers_of = (_LinearModule(part) for part in (basis.points, basis.levers))
        mouth = [is_mouth_action(name) for name in asset.expression_names]
        self.register_buffer("mouth", torch.tensor(mouth), persistent=False)
        self.register_buffer("points", torch.from_numpy(asset.landmark_indices), persistent=False)
        self.register_buffer("lips", torch.tensor(LIPS), persistent=False)

    @torch.no_grad()
    def forward(self, batch: dict[str, Tensor], odds: float, share: Share = Share()) -> Tensor:  # noqa: B008
        """Landmarks (B, T, 468, 2), changed with probability ``odds`` per sample in frames with an occluded mouth.

        Args:
            batch: rows of this process.
            odds: probability per sample.
            share: which rows these are; the other mouth comes from any row of the whole micro-batch.
        """
        lmk_2d, visible = batch["lmk_2d"], batch["lmk_mask"]
        size = len(lmk_2d) * share.processes
        chosen = torch.rand(size, device=lmk_2d.device) < odds
        occluded = visible[:, :, self.lips].mean(-1) < LEAST_VISIBLE_SHARE
        any_visible = visible.sum((1, 2)) > 0
        usable = share.whole((occluded.any(1) & any_visible).float()) > 0
        rows = (chosen & usable).nonzero().flatten()
        if len(rows) == 0 or size < 2:
            return lmk_2d
        exp, jaw = share.whole(batch["exp"]), share.whole(batch["jaw"])
        other = (rows + torch.randint(1, size, rows.shape, device=rows.device)) % size
        if share.processes > 1:
            own = share.rows(size)
            here = (rows >= own.start) & (rows < own.stop)
            other, rows = other[here], rows[here] - own.start
        exp_other, jaw_other, exp, jaw = exp[other], jaw[other], batch["exp"], batch["jaw"]
        swapped = torch.where(self.mouth, exp_other, exp[rows])
        shape = batch["shape"][rows]
        turn = axis_angle_to_matrix(batch["global_pose"][rows])

        def local(expression: Tensor, jaw: Tensor) -> Tensor:
            bent = axis_angle_to_matrix(jaw) - torch.eye(3, device=jaw.device)
            levers = self.levers_of(shape, expression, bent)
            return self.points_of(shape, expression, bent) + levers @ bent.transpose(-1, -2)

        moved = local(swapped, jaw_other) - local(exp[rows], jaw[rows])
        # Weak perspective of a difference: the camera's translation and the root's position cancel.
        flat = (moved @ turn.transpose(-1, -2))[..., :2] * batch["cam"][rows][:, :, None, :1]
        difference = flat * flat.new_tensor([1.0, -1.0])
        change = torch.zeros_like(lmk_2d[rows])
        change[:, :, self.points] = difference * occluded[rows][:, :, None, None]
        changed = lmk_2d.clone()
        changed[rows] += change
        return changed


class _LinearModule(nn.Module):
    """A `Linear` of a head's landmarks, on tensors."""

    base: Tensor
    shape: Tensor
    exp: Tensor
    pose: Tensor | None

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        for name in ("base", "shape", "exp", "pose"):
            value = getattr(linear, name)
            tensor = None if value is None else torch.from_numpy(value).float()
            # (..., 3, K) as (K, ... * 3)
            if tensor is not None and name != "base":
                tensor = tensor.flatten(0, -2).T.contiguous()
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, shape: Tensor, exp: Tensor, bent: Tensor) -> Tensor:
        """Values (B, T, ..., 3) for shape (B, S), exp (B, T, E) and the jaw's R - I (B, T, 3, 3)."""
        rest = self.base + (shape @ self.shape).unflatten(-1, self.base.shape)
        values = rest[:, None] + (exp @ self.exp).unflatten(-1, self.base.shape)
        if self.pose is not None:
            values = values + (bent.flatten(-2) @ self.pose).unflatten(-1, self.base.shape)
        return values
