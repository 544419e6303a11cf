"""Weights of the golden files: each tensor is drawn with a seed from its published name."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from occlufacediff.models.published_names import OURS_ONLY, old_weight_norm_name


def ruled(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of the tensor with the published ``name`` (old weight-norm naming)."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    a = rng.standard_normal(size=shape)
    last = name.split(".")[-1]
    if last == "running_mean":
        return 0.1 * a
    if last == "running_var":
        return 1 + 0.5 * np.abs(a)
    if last == "weight_g":
        return 1 + 0.1 * a
    if len(shape) >= 2:
        return a / np.sqrt(np.prod(shape[1:]))
    if last == "weight":
        return 1 + 0.1 * a
    value = 0.1 * a
    if "FiLM_linear" in name and name.endswith("bias"):
        value[: shape[0] // 2] += 1
    return value


def fill(module: nn.Module, published_name: Callable[[str], str]) -> None:
    """Fill parameters and running statistics of a module in place and set it to evaluation mode."""
    state = module.state_dict()
    for ours, tensor in state.items():
        name = old_weight_norm_name(published_name(ours))
        if ours in OURS_ONLY or name.endswith("num_batches_tracked"):
            continue
        tensor.copy_(torch.from_numpy(np.asarray(ruled(name, tuple(tensor.shape)), np.float32)))
    module.eval()
