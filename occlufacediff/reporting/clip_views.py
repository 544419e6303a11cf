"""Parts of the report that show motions: the 3D view, lip openings over time, and heat maps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from occlufacediff.config.report import ReportSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import has_opening
from occlufacediff.reporting.embed import jpeg
from occlufacediff.reporting.head_view import head_view
from occlufacediff.reporting.heat_maps import DistanceMaps, every, heat_map_image
from occlufacediff.reporting.lip_plots import lip_opening_plot
from occlufacediff.reporting.names import counted, occlusion_name
from occlufacediff.reporting.shown_clips import OURS, ChosenClip, ShownClip, choose_clips, read_shown_clip
from occlufacediff.storage import as_clip_error
from occlufacediff.viewer.page import viewer_data, viewer_element, viewer_program, viewer_style

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipSources:
    """Where the clips of the evaluation are, by subject.

    Attributes:
        motions: motions of the evaluation.
        coefficients: coefficients.
        audio: audio.
    """

    motions: Mapping[str, Path]
    coefficients: Mapping[str, Path]
    audio: Mapping[str, Path]

    def read(self, subject: str, clip: str, occlusion: str, *, with_audio: bool) -> ShownClip:
        """Read a clip.

        Raises:
            AssetError: a file has no such clip.
        """
        audio = self.audio[subject] if with_audio else None
        return read_shown_clip(subject, clip, occlusion, self.motions[subject], self.coefficients[subject], audio)


def clip_views(
    by_clip: pd.DataFrame, sources: ClipSources, head: HeadAsset, unit: str, settings: ReportSettings
) -> dict[str, Any]:
    """Values ``view``, ``openings``, ``heat`` and ``clip_notes`` of the report's template.

    A clip whose files do not fit is left out and named in ``clip_notes``; its traceback goes to the log.

    Args:
        by_clip: scores, one row per clip, method, occlusion and metric.
        sources: files of the clips.
        head: the head model.
        unit: of the lip error.
        settings: content of the report.

    Raises:
        OccluFaceError: the error does not come from a clip: storage, configuration or an asset.
    """
    occlusion = settings.video_occlusion
    clips: list[tuple[ChosenClip, ShownClip]] = []
    notes: list[str] = []
    for chosen in choose_clips(by_clip, occlusion):
        try:
            clips.append((chosen, sources.read(chosen.subject, chosen.clip, occlusion, with_audio=True)))
        except Exception as error:
            reason = " ".join(str(as_clip_error(error)).split())
            LOG.exception("%s/%s: cannot be shown", chosen.subject, chosen.clip)
            notes.append(f"{chosen.rank} clip, {chosen.subject}/{chosen.clip}: cannot be shown ({reason})")
    basis = LandmarkBasis.of(head)
    view = None
    if clips and settings.viewer:
        # The parts are inserted verbatim: the program and the style are ours, and the data contain no "<".
        view = {
            "style": viewer_style(),
            "element": viewer_element(viewer_data(head_view(head, clips, unit))),
            "program": viewer_program(),
        }
    openings = [
        {"caption": _caption(chosen, unit), "plot": lip_opening_plot(basis, clip)}
        for chosen, clip in clips
        if has_opening(basis)
    ]
    return {"view": view, "openings": openings, "heat": _heat(by_clip, sources, head, settings), "clip_notes": notes}


def _caption(chosen: ChosenClip, unit: str) -> str:
    return f"{chosen.rank} clip: {chosen.subject}, {chosen.clip}, lip error of ours {chosen.error:.2f} {unit}".strip()


def _heat(
    by_clip: pd.DataFrame, sources: ClipSources, head: HeadAsset, settings: ReportSettings
) -> dict[str, Any] | None:
    """The heat maps; None without clips that have occluded frames."""
    chosen = by_clip[(by_clip["occlusion"] == settings.video_occlusion) & (by_clip["method"] == OURS)]
    clips = sorted({(str(subject), str(clip)) for subject, clip in zip(chosen["subject"], chosen["clip"], strict=True)})
    maps = DistanceMaps(head)
    for subject, clip in every(clips, settings.heat_clips):
        try:
            maps.add(sources.read(subject, clip, settings.video_occlusion, with_audio=False))
        except Exception as error:
            as_clip_error(error)
            LOG.exception("%s/%s: left out of the heat maps", subject, clip)
    if not maps.frames:
        return None
    image = heat_map_image(head, maps.means(), settings.panel_px)
    note = (
        f"Mean distance of each vertex from the truth in the {counted(maps.frames, 'occluded frame')} of "
        f"{counted(maps.clips, 'clip')}, occlusion {occlusion_name(settings.video_occlusion)}, on the mean head."
    )
    return {"image": jpeg(image), "note": note}
