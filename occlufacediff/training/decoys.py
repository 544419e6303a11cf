"""Decoys: visible points that carry another clip's mouth, so that a network cannot read a hidden mouth off them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel
from occlufacediff.occlusion.regions import LIPS

#: Beginnings of the names of expressions that belong to the mouth.
MOUTH_NAMES = ("mouth", "jaw", "cheekPuff", "tongue")
#: The mouth of a frame counts as hidden when fewer of its landmarks than this part are visible.
HIDDEN_PART = 0.1


class Decoys(nn.Module):
    """Adds to visible landmarks the difference that another sample's mouth would make there.

    Args:
        asset: the head model; one without named mouth expressions (FLAME) gives decoys of the jaw only.
    """

    mouth: Tensor
    points: Tensor
    lips: Tensor

    def __init__(self, asset: HeadAsset) -> None:
        super().__init__()
        self.head = HeadModel(asset, np.unique(asset.triangles_of_landmarks))
        mouth = [name.startswith(MOUTH_NAMES) for name in asset.expression_names]
        self.register_buffer("mouth", torch.tensor(mouth), persistent=False)
        self.register_buffer("points", torch.from_numpy(asset.landmark_indices), persistent=False)
        self.register_buffer("lips", torch.tensor(LIPS), persistent=False)

    @torch.no_grad()
    def forward(self, batch: dict[str, Tensor], odds: float) -> Tensor:
        """Landmarks (B, T, 468, 2) of a batch, changed in samples drawn with ``odds`` where their mouth is hidden."""
        lmk_2d, visible = batch["lmk_2d"], batch["lmk_mask"]
        size, frames = lmk_2d.shape[:2]
        chosen = torch.rand(size, device=lmk_2d.device) < odds
        hidden = visible[:, :, self.lips].mean(-1) < HIDDEN_PART
        some = visible.sum((1, 2)) > 0
        rows = (chosen & hidden.any(1) & some).nonzero().flatten()
        if len(rows) == 0 or size < 2:
            return lmk_2d
        exp, jaw = batch["exp"], batch["jaw"]
        other = (rows + torch.randint(1, size, rows.shape, device=rows.device)) % size
        decoy = torch.where(self.mouth, exp[other], exp[rows])
        shape = batch["shape"][rows].repeat_interleave(frames, 0)
        pose, cam = (batch[name][rows].flatten(0, 1) for name in ("global_pose", "cam"))

        def projected(expression: Tensor, jaw: Tensor) -> Tensor:
            points = self.head.landmarks(self.head.vertices(shape, expression.flatten(0, 1), pose, jaw.flatten(0, 1)))
            return self.head.project(points, cam).unflatten(0, (-1, frames))

        difference = projected(decoy, jaw[other]) - projected(exp[rows], jaw[rows])
        change = torch.zeros_like(lmk_2d[rows])
        change[:, :, self.points] = difference * hidden[rows][:, :, None, None]
        changed = lmk_2d.clone()
        changed[rows] += change
        return changed
