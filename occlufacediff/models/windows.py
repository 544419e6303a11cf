"""Overlapping windows over a clip of any length, their weighted overlap-add, and segments of long clips."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from occlufacediff.models.layers import FRAMES_PER_LATENT

#: Frames of a window, in training and sampling.
WINDOW_FRAMES = 64


@dataclass(frozen=True)
class WindowLayout:
    """Overlapping windows over the latents of one clip.

    Attributes:
        frames: T of the clip.
        latents: N, latents of the clip, padded to whole latents and to at least one window.
        starts: (W,) first latent of each window; the last window ends at latent N.
        window: latents per window.
    """

    frames: int
    latents: int
    starts: Tensor
    window: int

    @property
    def padded_frames(self) -> int:
        """Frames of the padded clip, N * 8."""
        return self.latents * FRAMES_PER_LATENT

    def index(self, unit: int = 1) -> Tensor:
        """Indices (W, window * unit) of the windows' elements: latents of a clip (unit 1) or frames (unit 8)."""
        return self.starts[:, None] * unit + torch.arange(self.window * unit)

    def weights(self, unit: int = 1) -> Tensor:
        """Overlap-add weights (window * unit,) of the elements of a window: ``sin^2``, near zero at both ends."""
        length = self.window * unit
        return torch.sin((torch.arange(length, dtype=torch.float32) + 0.5) / length * math.pi) ** 2


def window_layout(frames: int, *, window: int = WINDOW_FRAMES, hop: int = WINDOW_FRAMES // 2) -> WindowLayout:
    """Place windows of ``window`` frames every ``hop`` frames over a clip of any length.

    Raises:
        ValueError: no frames, a window or hop that is not a multiple of 8, or gaps between windows.
    """
    if frames < 1:
        raise ValueError(f"frames: got {frames}, needs at least 1")
    if window % FRAMES_PER_LATENT or hop % FRAMES_PER_LATENT or not 0 < hop <= window:
        raise ValueError(f"window, hop: got {window}, {hop}, need multiples of {FRAMES_PER_LATENT} and hop <= window")
    width, stride = window // FRAMES_PER_LATENT, hop // FRAMES_PER_LATENT
    latents = max(width, -(-frames // FRAMES_PER_LATENT))
    starts = list(range(0, latents - width + 1, stride))
    if starts[-1] + width < latents:
        starts.append(latents - width)
    return WindowLayout(frames=frames, latents=latents, starts=torch.tensor(starts), window=width)


@dataclass(frozen=True)
class Segment:
    """Consecutive windows of a clip that are sampled together; a long clip has several segments.

    Attributes:
        first: index of the first window.
        last: index after the last window.
        start: first latent.
        stop: index after the last latent.
        fixed: number of leading latents that the previous segment has sampled; they are kept.
    """

    first: int
    last: int
    start: int
    stop: int
    fixed: int


def split_segments(layout: WindowLayout, max_windows: int) -> list[Segment]:
    """Split the windows of a clip into segments of at most ``max_windows`` windows.

    Each segment starts with the last window of the previous one. The part of that window before the next window is
    kept; the rest is sampled again, now together with the window that follows.

    Raises:
        ValueError: ``max_windows`` is below 2.
    """
    if max_windows < 2:
        raise ValueError(f"max_windows: got {max_windows}, needs at least 2")
    starts = layout.starts.tolist()
    result, first = [], 0
    while True:
        last = min(first + max_windows, len(starts))
        fixed = starts[first + 1] - starts[first] if first else 0
        result.append(Segment(first, last, starts[first], starts[last - 1] + layout.window, fixed))
        if last == len(starts):
            return result
        first = last - 1


class OverlapAdd:
    """Weighted mean of overlapping windows, accumulated batch by batch.

    Args:
        length: elements of the result.
        weights: (P,) weights of the elements of a window.
    """

    def __init__(self, length: int, weights: Tensor) -> None:
        self._length = length
        self._weights = weights
        self._total: Tensor | None = None
        self._weight_sum: Tensor | None = None

    def add(self, windows: Tensor, index: Tensor) -> None:
        """Add windows (..., W, P, C) at the elements ``index`` (W, P)."""
        weights, flat = self._weights.to(windows), index.reshape(-1).to(windows.device)
        if self._total is None or self._weight_sum is None:
            self._total = windows.new_zeros(*windows.shape[:-3], self._length, windows.shape[-1])
            self._weight_sum = windows.new_zeros(self._length)
        self._total.index_add_(-2, flat, (windows * weights[:, None]).flatten(-3, -2))
        self._weight_sum.index_add_(0, flat, weights.expand(index.shape).reshape(-1))

    def mean(self) -> Tensor:
        """The weighted mean (..., length, C); every element must be part of an added window.

        Raises:
            ValueError: nothing was added.
        """
        if self._total is None or self._weight_sum is None:
            raise ValueError("overlap-add: no window was added")
        return self._total / self._weight_sum[:, None]
