"""Stage: EMOTE's landmarks of the clips of one subject, in place of detection."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from occlufacediff.config.emote import EmoteSettings
from occlufacediff.errors import AssetError, ClipError
from occlufacediff.files import sha256
from occlufacediff.landmarks.emote_landmarks import LANDMARKS_FILE, read_emote_landmarks, track_emote_landmarks
from occlufacediff.media.probe import probe
from occlufacediff.stages import landmark_part
from occlufacediff.stages.landmark_part import write_track
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import (
    Row,
    assemble,
    key,
    parts_folder,
    read_index,
    remove_parts,
    run_shard,
    usable,
    write_index,
)

FIGURES = (*landmark_part.FIGURES, "frames_published", "points_not_finite")


def read_emote_landmarks_subject(
    subject: str,
    video_dir: Path,
    video_index: Path,
    landmarks_dir: Path,
    landmarks_h5: Path,
    index_csv: Path,
    *,
    settings: EmoteSettings,
    min_found: float,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write the outputs of `detect_subject` from ``landmarks_dir/<clip>/landmarks_original.pkl``.

    Landmarks beyond the end of the video are cut; missing frames at its end count as frames without a face. Landmarks
    that are not finite count as not detected. The index columns ``frames_published`` and ``points_not_finite`` record
    both. Failure reasons: ``no_landmarks``, ``bad_landmarks``, ``frames_differ``, ``no_face``, ``few_faces``.

    With ``chunk`` (see `workflow.chunks`), only the clips of that chunk are processed, and only their parts are kept.

    Args:
        landmarks_dir: folder of the subject and view.
        min_found: minimum share of the frames of a clip with a face.

    Raises:
        AssetError: the folder does not exist.
    """
    if not landmarks_dir.is_dir():
        raise AssetError(f"{landmarks_dir}: no such folder; emote.folder must hold landmarks_original/mediapipe/")
    videos = {row["clip"]: (video_dir / row["video"], int(row["frames"])) for row in usable(read_index(video_index))}
    code = fingerprint("occlufacediff.stages.emote_landmarks")
    parts = parts_folder(landmarks_h5)

    def inputs(clip: str) -> list[Path]:
        # A clip without landmarks is a failed row. Landmarks that disappear during the run mean a lost mount.
        published = landmarks_dir / clip / LANDMARKS_FILE
        return [videos[clip][0], *([published] if published.is_file() else [])]

    def made_from(clip: str) -> str:
        video, frames = videos[clip]
        files = [sha256(path) if path.is_file() else "" for path in (video, landmarks_dir / clip / LANDMARKS_FILE)]
        return key(*files, frames, settings.frames_tolerance, min_found, code)

    rows = run_shard(
        of_chunk(list(videos), chunk),
        partial(_read, videos, landmarks_dir, settings, min_found),
        parts,
        made_from,
        inputs=inputs,
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} landmarks",
    )
    if chunk is not None:
        return
    assemble(landmarks_h5, rows, parts, {"subject": subject, "detector": "emote", "unit": "px"})
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _read(
    videos: dict[str, tuple[Path, int]],
    landmarks_dir: Path,
    settings: EmoteSettings,
    min_found: float,
    clip: str,
    part: Path,
) -> Row:
    video, frames = videos[clip]
    source = landmarks_dir / clip / LANDMARKS_FILE
    faces = read_emote_landmarks(source)
    published = len(faces)
    if abs(published - frames) > settings.frames_tolerance:
        raise ClipError(
            "frames_differ",
            f"{source}: {published} frames for {frames} of {video}; the difference exceeds emote.frames_tolerance = "
            f"{settings.frames_tolerance}",
        )
    faces = faces[:frames] + [np.empty((0, 478, 2), np.float32)] * (frames - published)
    video_track = probe(video).require_video()
    track = track_emote_landmarks(faces, video_track.width, video_track.height)
    return write_track(part, track, source, min_found) | {
        "frames_published": published,
        "points_not_finite": int(np.isnan(track.landmarks[track.found][..., 0]).sum()),
    }
