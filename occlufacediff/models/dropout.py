"""Dropout whose draws do not depend on the number of processes that train together.

Each process draws for the rows of all processes, from generators in the same state, and uses those of its own rows. The
rows of a process are a contiguous part of the first axis, see `training.share`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Number of a process, from 0, and number of processes; every process has as many rows.
Place = tuple[int, int]
#: The place of a process that trains alone.
ALONE: Place = (0, 1)


def dropped(x: Tensor, p: float, place: Place) -> Tensor:
    """Dropout of values (B, ...) in training: the draws for the rows of all processes, at the rows of this one."""
    process, processes = place
    if processes == 1:
        return functional.dropout(x, p)
    rows = x.shape[0]
    kept = functional.dropout(x.new_ones(rows * processes, *x.shape[1:]), p)
    return x * kept[process * rows : (process + 1) * rows]


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, *, dropout: float = 0.0, place: Place = ALONE
) -> Tensor:
    """Scaled dot-product attention of queries (B, heads, T, C) to keys and values (B, heads, S, C).

    Args:
        queries: (B, heads, T, C).
        keys: (B, heads, S, C).
        values: (B, heads, S, C).
        bias: added to the logits (B, heads, T, S), to which it can be broadcast; None: nothing.
        dropout: probability of dropping an attention weight; 0 outside of training.
        place: of this process.

    Returns:
        (B, heads, T, C).
    """
    mask = None if bias is None else bias.to(queries.dtype)
    if dropout == 0.0:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    # Fused kernels draw inside, for the rows that they get. These are the steps of torch's kernel for CPUs, to the bit.
    kind = queries.dtype
    wide = torch.promote_types(kind, torch.float32)
    scale = queries.shape[-1] ** -0.25
    with torch.autocast(queries.device.type, enabled=False):
        logits = (queries.to(wide) * scale) @ (keys.to(wide) * scale).transpose(-2, -1)
        if mask is not None:
            logits = logits + mask
        weights = dropped(logits.softmax(-1), dropout, place)
        return (weights @ values.to(wide)).to(kind)


class SharedDropout(nn.Dropout):
    """Dropout of values (B, ...); ``place`` is that of this process."""

    place = ALONE

    def forward(self, x: Tensor) -> Tensor:
        """x (B, ...) to the same shape."""
        return dropped(x, self.p, self.place) if self.training and self.p else x


class WindowDropout(nn.Module):
    """Dropout of values (B, T, C), or of channels over the whole window, which makes training a third faster on a CPU.

    Args:
        p: probability of dropping, in training.
        per_window: one draw per window and channel instead of one per value.

    Attributes:
        place: of this process.
    """

    def __init__(self, p: float, *, per_window: bool = False) -> None:
        super().__init__()
        self.p = p
        self.per_window = per_window
        self.place = ALONE

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) to the same shape."""
        if not self.training or self.p == 0.0:
            return x
        if self.per_window:
            return x * dropped(x.new_ones(x.shape[0], 1, x.shape[2]), self.p, self.place)
        return dropped(x, self.p, self.place)


def share_dropout(model: nn.Module, place: Place) -> None:
    """Let all dropout of a network draw for all processes: modules with a ``place``, and torch's ``nn.Dropout``.

    Names of weights stay as they are.
    """
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = SharedDropout
        if hasattr(module, "place"):
            setattr(module, "place", place)  # noqa: B010  (modules of several classes)
