"""The mouth swap of our recipe."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path += [str(Path(__file__).resolve().parent.parent)]

from small_head import small_head

from occlufacediff.training.mouth_swap import MouthSwap


def test_mouth_swap_moves_visible_landmarks_only_where_the_mouth_is_occluded() -> None:
    torch.manual_seed(0)
    frames, size = 64, 4
    batch = {
        "exp": torch.rand(size, frames, 6),
        "jaw": torch.rand(size, frames, 3) * 0.2,
        "global_pose": torch.zeros(size, frames, 3),
        "cam": torch.tensor([7.0, 0.0, 0.0]).expand(size, frames, 3),
        "shape": torch.zeros(size, 4),
        "lmk_2d": torch.rand(size, frames, 468, 2),
        "lmk_mask": torch.ones(size, frames, 468),
    }
    mouth_swap = MouthSwap(small_head())
    assert (mouth_swap(batch, 1.0) == batch["lmk_2d"]).all()
    batch["lmk_mask"][:, 20:, :420] = 0
    changed = (mouth_swap(batch, 1.0) != batch["lmk_2d"]).any(-1).any(-1)
    assert not changed[:, :20].any()
    assert changed[:, 20:].float().mean() > 0.9
    assert (mouth_swap(batch, 0.0) == batch["lmk_2d"]).all()
