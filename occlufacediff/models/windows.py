"""Windows of clips of any length: the published layout, and overlapping windows blended without seams."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from occlufacediff.models.layers import FRAMES_PER_LATENT

#: Frames of a window, in training and sampling.
WINDOW_FRAMES = 64


def published_windows(frames: int, window: int = WINDOW_FRAMES) -> list[tuple[int, int, int]]:
    """The published layout: (first frame, last frame, leading copies of the first frame) of each window.

    Windows stand side by side, the last one ends with the clip; a short clip is filled at its beginning.

    Raises:
        ValueError: no frames.
    """
    if frames < 1:
        raise ValueError(f"frames: got {frames}, needs at least 1")
    if frames < window:
        return [(0, frames - 1, window - frames)]
    starts = list(range(0, frames - window + 1, window))
    if starts[-1] + window < frames:
        starts.append(frames - window)
    return [(start, start + window - 1, 0) for start in starts]


@dataclass(frozen=True)
class Overlap:
    """Overlapping windows over the latents of one clip.

    Attributes:
        frames: T of the clip.
        latents: N, latents of the clip filled to whole latents and at least one window.
        starts: (W,) first latent of each window; the last window ends with the clip.
        window: latents a window.
    """

    frames: int
    latents: int
    starts: Tensor
    window: int

    @property
    def padded_frames(self) -> int:
        """Frames of the filled clip, N * 8."""
        return self.latents * FRAMES_PER_LATENT

    def index(self, unit: int = 1) -> Tensor:
        """Indices (W, window * unit) into a clip's latents (unit 1) or frames (unit 8)."""
        return self.starts[:, None] * unit + torch.arange(self.window * unit)

    def weights(self, unit: int = 1) -> Tensor:
        """Weight (window * unit,) of each place in a window: ``sin^2``, flat and near zero at the ends."""
        places = self.window * unit
        return torch.sin((torch.arange(places, dtype=torch.float32) + 0.5) / places * math.pi) ** 2


def overlapping(frames: int, *, window: int = WINDOW_FRAMES, hop: int = WINDOW_FRAMES // 2) -> Overlap:
    """Lay windows of ``window`` frames every ``hop`` frames over a clip of any length.

    Raises:
        ValueError: no frames, or a window or hop that is no multiple of 8, or gaps between windows.
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
    return Overlap(frames=frames, latents=latents, starts=torch.tensor(starts), window=width)


@dataclass(frozen=True)
class Stretch:
    """Neighbouring windows of a clip that are sampled together; a long clip has several, one after the other.

    Attributes:
        first: number of the first window.
        last: number after the last window.
        start: first latent.
        stop: latent after the last one.
        known: so many first latents were settled by the stretch before and stay as they are.
    """

    first: int
    last: int
    start: int
    stop: int
    known: int


def stretches(layout: Overlap, most: int) -> list[Stretch]:
    """Cut a clip's windows into stretches of at most ``most`` windows.

    Each begins with the last window of the one before: the half of it that lies next to the border is settled, the
    other half is sampled anew, now with its neighbour to the right.

    Raises:
        ValueError: ``most`` is below 2.
    """
    if most < 2:
        raise ValueError(f"most: got {most}, needs at least 2")
    starts = layout.starts.tolist()
    result, first = [], 0
    while True:
        last = min(first + most, len(starts))
        known = starts[first + 1] - starts[first] if first else 0
        result.append(Stretch(first, last, starts[first], starts[last - 1] + layout.window, known))
        if last == len(starts):
            return result
        first = last - 1


class Blend:
    """Weighted mean of windows' parts, added batch by batch.

    Args:
        length: rows of the whole.
        weights: (P,) of the places in a window.
    """

    def __init__(self, length: int, weights: Tensor) -> None:
        self._length = length
        self._weights = weights
        self._total: Tensor | None = None
        self._share: Tensor | None = None

    def add(self, parts: Tensor, index: Tensor) -> None:
        """Add parts (..., W, P, C) that lie at ``index`` (W, P)."""
        weights, flat = self._weights.to(parts), index.reshape(-1).to(parts.device)
        if self._total is None or self._share is None:
            self._total = parts.new_zeros(*parts.shape[:-3], self._length, parts.shape[-1])
            self._share = parts.new_zeros(self._length)
        self._total.index_add_(-2, flat, (parts * weights[:, None]).flatten(-3, -2))
        self._share.index_add_(0, flat, weights.expand(index.shape).reshape(-1))

    def mean(self) -> Tensor:
        """(..., length, C); every row must have been covered.

        Raises:
            ValueError: nothing was added.
        """
        if self._total is None or self._share is None:
            raise ValueError("blend: nothing was added")
        return self._total / self._share[:, None]


def blend(parts: Tensor, index: Tensor, weights: Tensor, length: int) -> Tensor:
    """Weighted mean (..., length, C) of windows' parts (..., W, P, C) that lie at index (W, P), weights (P,)."""
    whole = Blend(length, weights)
    whole.add(parts, index)
    return whole.mean()
