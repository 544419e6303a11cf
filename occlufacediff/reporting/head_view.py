"""The report's 3D view: truth and methods side by side, for the best, median and worst clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from occlufacediff.export.motion import PosedMotion
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import has_opening, opening
from occlufacediff.media.rates import FPS
from occlufacediff.reporting.names import method_name
from occlufacediff.reporting.plots import colour_of
from occlufacediff.reporting.shown_clips import OURS, ChosenClip, ShownClip
from occlufacediff.viewer.page import Series, Track, ViewerClip, ViewerContent

#: Heads that are shown at first, beside the truth.
FIRST = (OURS, "interpolation")
#: Colours of curves on a dark ground; other methods have those of the plots.
ON_DARK = {"truth": "#e8ebf0", OURS: "#4fd8cd", "ours_without_audio": "#8fb4ff", "neutral": "#8a909c"}


def head_view(head: HeadAsset, clips: Sequence[tuple[ChosenClip, ShownClip]], unit: str) -> ViewerContent:
    """Content of the viewer.

    Args:
        head: the head model.
        clips: one or more clips.
        unit: of their errors.
    """
    basis = LandmarkBasis.of(head)
    shown = []
    for chosen, clip in clips:
        first = [name for name in FIRST if name in clip.motions]
        names = [*first, *(name for name in clip.motions if name not in first)]
        motions = [_posed("truth", clip, clip.truth)]
        motions += [_posed(method_name(name), clip, clip.motions[name]) for name in names]
        name = f"{chosen.rank}: {chosen.subject}, {chosen.clip}, lip error of ours {chosen.error:.2f} {unit}".strip()
        tracks = _opening_tracks(basis, clip)
        tracks.append(
            Track("lips: blue where visible, orange where occluded", [Series(clip.lips_visible)], kind="band")
        )
        waveform = clip.waveform if clip.waveform.any() else None
        shown.append(ViewerClip(name, motions, tracks, waveform, shown=1 + max(1, len(first))))
    return ViewerContent(head, shown)


def _posed(name: str, clip: ShownClip, motion: np.ndarray) -> PosedMotion:
    return PosedMotion(name, motion[:, :-3], motion[:, -3:], clip.global_pose, clip.shape, FPS)


def _opening_tracks(basis: LandmarkBasis, clip: ShownClip) -> list[Track]:
    """Lip opening of truth and methods in millimetres; nothing for a head model without landmarks there."""
    if not has_opening(basis):
        return []
    curves = {"truth": 1000 * opening(basis, clip.shape, clip.truth)}
    curves |= {name: 1000 * opening(basis, clip.shape, motion) for name, motion in clip.motions.items()}
    top = max(1.0, *(float(np.max(values)) for values in curves.values()))
    series = [
        Series(
            values,
            name if name == "truth" else method_name(name),
            ON_DARK.get(name, colour_of(name, number)),
        )
        for number, (name, values) in enumerate(curves.items())
    ]
    return [Track(f"lip opening, 0 to {top:.0f} mm", series, top=top)]
