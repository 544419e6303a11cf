"""The published way to cut a clip: windows side by side, each sampled on its own, nothing joined."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from occlufacediff.models.conditions import SampleInput
from occlufacediff.models.windows import published_windows


def cut(clip: SampleInput) -> list[SampleInput]:
    """The clip's windows of 64 frames as clips of their own.

    The last window ends with the clip; a short clip is filled at its beginning with its first frame and that frame's
    sound.
    """
    frames = clip.lmk_2d.shape[0]
    rows = clip.audio.shape[0] // frames
    windows = []
    for first, last, copies in published_windows(frames):
        here = slice(first, last + 1)
        windows.append(
            SampleInput(
                clip.clip_id,
                _pad_start(clip.lmk_2d[here], copies, 1),
                _pad_start(clip.lmk_mask[here], copies, 1),
                _pad_start(clip.audio[first * rows : (last + 1) * rows], copies, rows),
            )
        )
    return windows


def together(windows: Sequence[Tensor], frames: int) -> Tensor:
    """Motion (samples, T, M) of the clip from those of its windows (samples, 64, M).

    Of a last window that begins before the one before it ends, only the frames count that no other gives.
    """
    whole, given = [], 0
    for (_, last, _), motion in zip(published_windows(frames), windows, strict=True):
        whole.append(motion[:, motion.shape[1] - (last + 1 - given) :])
        given = last + 1
    return torch.cat(whole, dim=1)


def _pad_start(values: Tensor, copies: int, rows: int) -> Tensor:
    """Values (N, ...) led by so many copies of their first ``rows``."""
    if copies == 0:
        return values
    return torch.cat([values[:rows].repeat(copies, *[1] * (values.dim() - 1)), values])
