"""Windows cut out of clips, at any position and tempo."""

from __future__ import annotations

import numpy as np

from occlufacediff.datasets.clips import Clip, Float, full_precision
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.speech.feature_columns import padding_row

#: Frames of a window of the denoiser.
WINDOW = 64
#: A landmark between two frames is visible if its interpolated visibility is larger than this.
VISIBLE = 0.999


def resample(values: Float, positions: Float) -> Float:
    """Rows of ``values`` (T, ...) at fractional positions (N,): linear between rows, clamped at the ends."""
    positions = np.clip(positions, 0, len(values) - 1)
    low = np.minimum(positions.astype(np.int64), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    part = (positions - low).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    start, end = (full_precision(values[rows]) for rows in (low, high))
    return start + part * (end - start)


def is_cut(start: float, tempo: float, length: int, frames: int) -> bool:
    """Whether a window of ``length`` frames has only whole frames of a clip of ``frames`` frames, at its own tempo."""
    return tempo == 1 and float(start).is_integer() and 0 <= start <= frames - length


def window_of(clip: Clip, start: float, tempo: float, length: int = WINDOW) -> dict[str, Float]:
    """A window of ``length`` frames from ``start``, ``tempo`` times as fast.

    The pitch of a waveform rises with the tempo. After the end of the clip the last frame is held and the audio is
    silence.
    """
    if is_cut(start, tempo, length, len(clip)):
        return _cut(clip, int(start), length)
    frames = start + tempo * np.arange(length)
    result = {key: resample(getattr(clip, key), frames) for key in ("exp", "jaw", "global_pose", "cam")}
    result["shape"] = clip.shape
    if clip.lmk_2d is not None:
        result["lmk_2d"] = resample(clip.lmk_2d, frames)
        if clip.lmk_visible is not None:
            # Between two frames a landmark is visible if it is visible in both.
            result["lmk_visible"] = (resample(clip.lmk_visible.astype(np.float32), frames) > VISIBLE).astype(np.float32)
    if clip.log_mel is not None:
        rows = MEL_ROWS_PER_FRAME * start + tempo * np.arange(MEL_ROWS_PER_FRAME * length)
        mel = resample(clip.log_mel, rows)
        mel[rows > len(clip.log_mel) - 1] = padding_row(clip.log_mel)
        result["log_mel"] = mel
    if clip.waveform is not None:
        places = SAMPLES_PER_FRAME * start + tempo * np.arange(SAMPLES_PER_FRAME * length)
        wave = resample(clip.waveform, places)
        wave[places > len(clip.waveform) - 1] = 0
        result["waveform"] = wave
    return result


def _cut(clip: Clip, start: int, length: int) -> dict[str, Float]:
    """The window of ``length`` frames from frame ``start``, as views of a clip that contains all of it."""
    result = {key: getattr(clip, key)[start : start + length] for key in ("exp", "jaw", "global_pose", "cam")}
    result["shape"] = clip.shape
    if clip.lmk_2d is not None:
        result["lmk_2d"] = full_precision(clip.lmk_2d[start : start + length])
        if clip.lmk_visible is not None:
            result["lmk_visible"] = clip.lmk_visible[start : start + length].astype(np.float32)
    for key, rate in (("log_mel", MEL_ROWS_PER_FRAME), ("waveform", SAMPLES_PER_FRAME)):
        audio = getattr(clip, key)
        if audio is not None:
            result[key] = full_precision(audio[rate * start : rate * (start + length)])
    return result
