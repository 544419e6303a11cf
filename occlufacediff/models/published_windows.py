"""The published windows: side by side, each sampled independently, and concatenated without overlap-add."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from occlufacediff.models.conditions import SampleInput
from occlufacediff.models.windows import WINDOW_FRAMES


def published_layout(frames: int, window: int = WINDOW_FRAMES) -> list[tuple[int, int, int]]:
    """The published windows of a clip: (first frame, last frame, leading copies of the first frame) of each.

    Windows lie side by side and the last one ends with the clip. A short clip is padded at its start.

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


def split_clip(clip: SampleInput) -> list[SampleInput]:
    """Split a clip into its published windows of 64 frames, each a clip of its own.

    A short clip is padded at its start with copies of its first frame and of that frame's audio.
    """
    frames = clip.lmk_2d.shape[0]
    rows = clip.audio.shape[0] // frames
    windows = []
    for first, last, copies in published_layout(frames):
        window = slice(first, last + 1)
        windows.append(
            SampleInput(
                clip.clip_id,
                _pad_start(clip.lmk_2d[window], copies, 1),
                _pad_start(clip.lmk_mask[window], copies, 1),
                _pad_start(clip.audio[first * rows : (last + 1) * rows], copies, rows),
            )
        )
    return windows


def join_windows(windows: Sequence[Tensor], frames: int) -> Tensor:
    """Concatenate the motion of a clip's windows (samples, 64, M) to (samples, T, M).

    Where the last window overlaps the one before, the frames of the earlier window are used.
    """
    parts, end = [], 0
    for (_, last, _), motion in zip(published_layout(frames), windows, strict=True):
        parts.append(motion[:, motion.shape[1] - (last + 1 - end) :])
        end = last + 1
    return torch.cat(parts, dim=1)


def _pad_start(values: Tensor, copies: int, rows: int) -> Tensor:
    """Prepend ``copies`` copies of the first ``rows`` rows to values (N, ...)."""
    if copies == 0:
        return values
    return torch.cat([values[:rows].repeat(copies, *[1] * (values.dim() - 1)), values])
