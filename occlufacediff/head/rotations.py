"""Rotations as axis-angle vectors and matrices, for numpy arrays and torch tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation


def axis_angle_to_matrix(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of axis-angle vectors (..., 3) in radians, by Rodrigues' formula.

    ``R = I + sin(a) K + (1 - cos(a)) K^2`` with ``a = |v + 1e-8|`` and ``K`` the cross-product matrix of ``v / a``. The small
    offset is the published convention; it keeps the gradient finite at zero.
    """
    angle = torch.linalg.vector_norm(vectors + 1e-8, dim=-1, keepdim=True)
    x, y, z = (vectors / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    angle = angle.unsqueeze(-1)
    eye = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return eye + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)


def matrix_to_axis_angle(matrices: torch.Tensor) -> torch.Tensor:
    """Axis-angle vectors (..., 3) in radians, of length at most pi, of rotation matrices (..., 3, 3). Not differentiable."""
    flat = matrices.detach().reshape(-1, 3, 3).cpu().numpy()
    vectors = matrix_to_axis_angle_numpy(flat).reshape(*matrices.shape[:-2], 3)
    return torch.as_tensor(vectors, dtype=matrices.dtype, device=matrices.device)


def axis_angle_to_matrix_numpy(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) of axis-angle vectors (..., 3) in radians."""
    flat = np.asarray(vectors, dtype=np.float64).reshape(-1, 3)
    return Rotation.from_rotvec(flat).as_matrix().reshape(*np.shape(vectors)[:-1], 3, 3)


def matrix_to_axis_angle_numpy(matrices: NDArray[np.floating]) -> NDArray[np.float64]:
    """Axis-angle vectors (..., 3) in radians, of length at most pi, of rotation matrices (..., 3, 3)."""
    flat = np.asarray(matrices, dtype=np.float64).reshape(-1, 3, 3)
    return Rotation.from_matrix(flat).as_rotvec().reshape(*np.shape(matrices)[:-2], 3)
