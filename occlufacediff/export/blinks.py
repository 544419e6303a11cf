"""Blinks of exported motion close the eyes.

The detector keeps the lids of closed eyes apart: by a fifth to a third of the open gap in clear pictures, by half of it
behind glasses. The fit follows it, so a blink has weights of 0.5 or 0.3 where ARKit has 1. What a blink is remains
clear: both lids fall and rise within 0.4 s. Such a movement is stretched to closed lids; its times stay. Slower
movements (glances down, squints) and those of one eye stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.refit import has_actions
from occlufacediff.head.asset import HeadAsset

Array = NDArray[np.float64]

#: Coefficients of the lids.
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
#: Weight of closed lids.
CLOSED = 0.95
#: Least rise of the weights in a blink: of each eye, and of their mean.
EYE_RISE, MEAN_RISE = 0.1, 0.15
#: Least mean rise, relative to the noise between frames: in turned or blurred faces one eye is guessed.
NOISE_RISE = 7.0
#: Longest time above half of the rise, seconds.
LONGEST_S = 0.4
#: The weights of open eyes are the medians from the first to the second time before and after the peak, seconds.
BESIDE_S = (0.16, 0.4)


def full_blinks(motion: PosedMotion, head: HeadAsset) -> tuple[PosedMotion, int]:
    """The motion with blinks that close the eyes, and the number of blinks that were found.

    A head model without ARKit's actions (FLAME) has no weights of lids: its motion is returned unchanged.
    """
    if not has_actions(head) or not set(LIDS) <= set(head.expression_names):
        return motion, 0
    columns = [head.expression_names.index(name) for name in LIDS]
    lids, count = closed_in_blinks(motion.exp[:, columns].astype(np.float64), motion.fps)
    exp = motion.exp.copy()
    exp[:, columns] = lids
    return replace(motion, exp=exp), count


def blinks_note(count: int) -> str:
    """A sentence that says how many blinks `full_blinks` changed."""
    return f"{count} blink{'s' * (count != 1)} stretched to closed eyes"


def closed_in_blinks(lids: Array, fps: float) -> tuple[Array, int]:
    """Weights of the lids (T, 2) whose blinks rise to `CLOSED`, and the number of blinks.

    Args:
        lids: weights of the left and right lid, 0 open, 1 closed.
        fps: frames a second.
    """
    out, mean = lids.copy(), lids.mean(axis=1)
    least = max(MEAN_RISE, NOISE_RISE * _noise(mean))
    blinking = np.zeros(len(mean) + 1, dtype=bool)
    # The padding lets a blink at an end of the clip be a peak.
    peaks = find_peaks(np.pad(mean, 1, constant_values=mean.min(initial=0)), prominence=0.5 * MEAN_RISE)[0] - 1
    for peak in peaks:
        share = _share_of_blink(lids, mean, int(peak), fps, least)
        if share is not None:
            missing = np.maximum(CLOSED - lids[peak], 0)
            out = np.maximum(out, lids + share[:, None] * missing)
            blinking[:-1] |= share > 0.5
    # Closed lids may have several peaks.
    return out, int((blinking[:-1] & ~blinking[1:]).sum())


def _noise(mean: Array) -> float:
    """Standard deviation of the noise between frames, by the median of second differences: blinks are rare."""
    if len(mean) < 3:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(mean, 2))) / np.sqrt(6))


def _share_of_blink(lids: Array, mean: Array, peak: int, fps: float, least: float) -> Array | None:
    """How far (T,) the lids are on their way from open (0) to closed (1) in the blink at a peak; None if it is none.

    Args:
        lids, mean: (T, 2) weights and (T,) their mean.
        peak: frame of the peak.
        fps: frames a second.
        least: least rise of the mean.
    """
    near, far = (round(seconds * fps) for seconds in BESIDE_S)
    sides = [lids[max(peak - far, 0) : max(peak - near, 0) + 1], lids[peak + near : peak + far + 1]]
    if peak < near:
        sides = sides[1:]
    sides = [side for side in sides if len(side)]
    if not sides:
        return None
    opened = np.stack([np.median(side, axis=0) for side in sides])
    rise = lids[peak] - opened.min(axis=0)
    if rise.min() < EYE_RISE or rise.mean() < least:
        return None
    # Eyes may be less open after a blink than before it.
    base = np.interp(np.arange(len(mean)), [peak - near, peak + near], [opened[0].mean(), opened[-1].mean()])
    share = np.clip((mean - base) / max(mean[peak] - base[peak], 1e-6), 0, 1)
    above = share > 0
    start = peak - int(np.argmin(above[peak::-1])) if not above[: peak + 1].all() else -1
    stop = peak + int(np.argmin(above[peak:])) if not above[peak:].all() else len(mean)
    share[: start + 1], share[stop:] = 0, 0
    return share if (share > 0.5).sum() <= LONGEST_S * fps else None
