"""Differentiable conversion of axis-angle vectors (radians) to rotation matrices, for torch tensors."""

from __future__ import annotations

import torch


def axis_angle_to_matrix(vectors: torch.Tensor) -> torch.Tensor:
    """Convert axis-angle vectors (..., 3) to rotation matrices (..., 3, 3) by Rodrigues' formula.

    ``R = I + sin(a) K + (1 - cos(a)) K^2`` with ``a = |v + 1e-8|`` and ``K`` the cross-product matrix of ``v / a``. The
    offset of 1e-8 is the published convention; it keeps the gradient finite at zero.
    """
    angle = torch.linalg.vector_norm(vectors + 1e-8, dim=-1, keepdim=True)
    x, y, z = (vectors / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    angle = angle.unsqueeze(-1)
    eye = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return eye + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)
