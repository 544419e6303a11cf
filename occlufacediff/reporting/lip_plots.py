"""Time series of the lip opening of a clip: truth, methods, and the spread of our samples."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import opening
from occlufacediff.media.rates import FPS
from occlufacediff.reporting.names import method_name
from occlufacediff.reporting.plots import STYLE, colour_of, svg
from occlufacediff.reporting.shown_clips import OURS, ShownClip

TRUTH_COLOUR = "#20242c"


def lip_opening_plot(basis: LandmarkBasis, clip: ShownClip) -> str:
    """Lip opening in millimetres over time as SVG; occluded frames are grey, the range of our samples is a band.

    Args:
        basis: the head model's landmarks; it has some at the inner lips.
        clip: the clip.
    """

    def millimetres(motion: NDArray[np.float32]) -> NDArray[np.float64]:
        return 1000 * opening(basis, clip.shape, motion)

    seconds = np.arange(len(clip.truth)) / FPS
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9.6, 2.5))
        for start, end in stretches(clip.occluded):
            axes.axvspan((start - 0.5) / FPS, (end - 0.5) / FPS, color="#eceef1", linewidth=0)
        if clip.samples is not None:
            spread = np.stack([millimetres(sample) for sample in clip.samples])
            label = f"range of {len(spread)} samples"
            axes.fill_between(
                seconds, spread.min(0), spread.max(0), color=colour_of(OURS), alpha=0.22, linewidth=0, label=label
            )
        axes.plot(seconds, millimetres(clip.truth), color=TRUTH_COLOUR, linewidth=1.8, label="truth")
        for number, (name, motion) in enumerate(clip.motions.items()):
            width = 1.8 if name == OURS else 1.1
            axes.plot(
                seconds, millimetres(motion), color=colour_of(name, number), linewidth=width, label=method_name(name)
            )
        axes.set_xlim(0, max(seconds[-1], 1 / FPS))
        axes.set_xlabel("seconds")
        axes.set_ylabel("mm")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.legend(frameon=False, ncols=6, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9)
        return svg(figure)


def stretches(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of True in an array (T,), as (first, last + 1)."""
    steps = np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))
