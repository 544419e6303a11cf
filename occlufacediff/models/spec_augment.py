"""SpecAugment on wav2vec2's features at the video's frame rate, as it acts in the published training.

Of a window of 64 frames exactly 2 spans of 10 frames are masked. The usual formula of wav2vec2 demands at least 2
spans, and its 5 % of 64 frames are fewer. D. S. Park et al., "SpecAugment", 2019.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bool = NDArray[np.bool_]


def spec_augment_mask(rng: np.random.Generator, *, frames: int, spans: int, length: int) -> Bool:
    """Draw the masked frames (frames,) of a window.

    Span starts are drawn without repetition from ``0 .. frames - length - 1``; spans can overlap.

    Raises:
        ValueError: the window is too short for the spans.
    """
    masked = np.zeros(frames, bool)
    if spans == 0:
        return masked
    if frames - length < spans:
        raise ValueError(f"frames: got {frames}, needs at least {length + spans} for {spans} spans of {length}")
    for start in rng.choice(frames - length, spans, replace=False):
        masked[start : start + length] = True
    return masked


def thinned(masks: Tensor) -> Tensor:
    """Keep in each row of (B, frames) as many masked frames as the row with the fewest has, drawn at random."""
    fewest = int(masks.sum(1).min())
    order = torch.rand(masks.shape, device=masks.device).masked_fill(~masks, -1.0)
    return torch.zeros_like(masks).scatter(1, order.topk(fewest, dim=1).indices, value=True)
